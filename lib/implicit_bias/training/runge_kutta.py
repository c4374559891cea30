"""A Runge-Kutta pair, and where its steps cross a kink: what the gradient flow is
integrated with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ERROR", "Point", "STAGES", "hermite_root"]


# Dormand and Prince's pair of orders 5 and 4: stage coefficients, and the weights of
# the error estimate.
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)


ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


@dataclass(frozen=True)
class Point:
    """Where the flow stands, or its velocity: one row a run, ``flat`` (b, m·n + 1 +
    m·k), and three views of it.

    One row, so that a Runge-Kutta stage is one vector operation and not three.
    """

    flat: Tensor
    m: int
    n: int

    @property
    def z(self) -> Tensor:
        """Preactivations (b, m, n)."""
        return self.flat[:, : self.m * self.n].view(-1, self.m, self.n)

    @property
    def tL(self) -> Tensor:
        """``t e^{-s}`` (b,)."""
        return self.flat[:, self.m * self.n]

    @property
    def c(self) -> Tensor:
        """The state (b, m, k)."""
        state = self.flat[:, self.m * self.n + 1 :]
        return state.view(-1, self.m, state.shape[-1] // self.m)

    def like(self, flat: Tensor) -> Point:
        """Another point of this shape."""
        return Point(flat, self.m, self.n)


def hermite_root(old: Tensor, new: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Where in [0, 1] the cubics with these end values and slopes first turn negative
    (0 if they start so and fall); all (pairs,).

    One that starts below 0, by rounding, and rises is taken to start at 0.
    Eleven times over, the part in question is cut in 32: 55 bits.
    """
    old = torch.where(first > 0, old.clamp_min(0), old)
    cubic = torch.stack(
        [2 * (old - new) + first + last, 3 * (new - old) - 2 * first - last, first, old]
    ).unsqueeze(-1)
    low = torch.zeros_like(old)
    width = 1.0
    parts = torch.arange(1, 33, dtype=old.dtype, device=old.device) / 32
    for _ in range(11):
        x = low.unsqueeze(-1) + width * parts
        negative = ((cubic[0] * x + cubic[1]) * x + cubic[2]) * x + cubic[3] <= 0
        # The right end counts as negative: it is, up to rounding.
        before = torch.where(negative.any(-1), negative.int().argmax(-1), 31)
        width /= 32
        low = low + before * width
    return torch.where((old <= 0) & (first <= 0), torch.zeros_like(old), low + width)
