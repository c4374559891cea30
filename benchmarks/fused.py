"""Gradient descent in the span as one compiled loop over scalars, float64: a step with
no calls in it. Needs numba.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

import implicit_bias as ib


@njit
def descend(z, gram, a, y, gamma, step_size, steps):
    """Move preactivations ``z`` (m, n) in place; gram (n, n), a (m,), y (n,)."""
    m, n = z.shape
    pull = np.empty(n)
    for _ in range(steps):
        for i in range(n):
            f = 0.0
            for j in range(m):
                f += a[j] * (z[j, i] if z[j, i] >= 0 else gamma * z[j, i])
            pull[i] = step_size / n * y[i] / (1 + math.exp(y[i] * f))
        for j in range(m):
            row = np.zeros(n)
            for k in range(n):
                c = a[j] * pull[k] * (1.0 if z[j, k] >= 0 else gamma)
                for i in range(n):
                    row[i] += c * gram[k, i]
            for i in range(n):
                z[j, i] += row[i]


class FusedLoop:
    """As the other loops: ``loop(steps)`` goes on from where it stands."""

    def __init__(
        self, net: ib.TwoLayer, data: ib.Dataset, gamma: float, step_size: float
    ) -> None:
        self.z = net.preactivations(data.x).numpy().copy()
        self.rest = data.gram.numpy(), net.a.numpy(), data.y.numpy(), gamma, step_size
        descend(self.z.copy(), *self.rest, 1)  # compiles

    def __call__(self, steps: int) -> None:
        descend(self.z, *self.rest, steps)
