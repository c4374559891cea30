"""Descent steps of small smooth networks, in as few calls as they can be taken in.

A step of a few hundred numbers costs what its calls cost. This loop makes as few as it
can, in numpy, and takes a third of the time of
:class:`implicit_bias.training.stepper.Stepper`; the trajectory is the same, to
rounding.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .problem import Problem
from .stepper import Progress, silent

__all__ = ["SmoothStepper"]


SILENT = 4096
"""Steps between two words on progress."""


class SmoothStepper:
    """Gradient descent on the logistic loss of smoothed leaky ReLUs, whose state is
    coefficients.

    All runs are one matrix (m, runs · n): side by side, their kernels on the diagonal
    of one.
    """

    def __init__(self, problem: Problem, step_size: float | Tensor) -> None:
        self.problem = problem
        self.shape = problem.span.state_shape
        runs = problem.batch.numel() if problem.batch else 1
        m = problem.net.m
        n = problem.data.n
        leak = torch.as_tensor(problem.activation.gamma, dtype=torch.float64).reshape(
            -1, 1, 1
        )
        a = (
            problem.a.expand(*problem.a.shape[:-1], n)
            .reshape(-1, m, n)
            .expand(runs, -1, -1)
        )
        y = problem.y.reshape(-1, 1, n)
        rate = torch.as_tensor(problem.per_run(step_size), dtype=torch.float64)

        def row(tensor: Tensor) -> np.ndarray:
            return _flat(tensor.broadcast_to(runs, 1, n))[0]

        self.kernel = torch.block_diag(*problem.span.readout.reshape(-1, n, n)).numpy()
        self.start = _flat(problem.span.preactivation)
        self.a = _flat(a)
        self.leak = row(leak)
        self.spread = row(1 - leak)
        self.signed_step = row(y * rate / n)
        self.on_soft = row(y * (1 - leak))
        self.on_z = row(y * leak)
        self.shift = -math.log(2) * self.on_soft * self.a.sum(0)
        alike = bool((self.a == self.a[:, :1]).all())
        self.same = self.a[:, 0].copy() if alike else None
        self.matrix = np.zeros_like(self.start)

    @property
    def state(self) -> Tensor:
        """The coefficients (..., m, n), copied."""
        m, n = self.shape[-2:]
        apart = torch.from_numpy(self.matrix.copy()).reshape(m, -1, n)
        return apart.movedim(0, -2).reshape(self.shape).contiguous()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """``Σ_j a_j values_j`` (runs · n)."""
        return (self.a * values).sum(0) if self.same is None else self.same @ values

    def advance(self, count: int, progress: Progress = silent) -> None:
        """So many steps."""
        with np.errstate(over="ignore", invalid="ignore"):
            while count:
                taken = min(count, SILENT)
                self.walk(taken)
                count -= taken
                progress(taken)

    def walk(self, count: int) -> None:
        """So many steps without a word."""
        z, e, s, log = (np.empty_like(self.matrix) for _ in range(4))
        for _ in range(count):
            np.dot(self.matrix, self.kernel, out=z)
            np.add(z, self.start, out=z)
            np.exp(
                z, out=e
            )  # past z = 709 this is inf, the state NaN, and the run ends
            np.add(e, 1.0, out=s)
            np.log(s, out=log)
            np.divide(e, s, out=s)
            q = self.sum(log)
            q *= self.on_soft
            q += self.on_z * self.sum(z)
            q += self.shift
            np.exp(q, out=q)
            q += 1
            np.divide(self.signed_step, q, out=q)
            np.multiply(s, self.spread, out=s)
            np.add(s, self.leak, out=s)
            np.multiply(s, self.a, out=s)
            np.multiply(s, q, out=s)
            np.add(self.matrix, s, out=self.matrix)


def _flat(tensor: Tensor) -> np.ndarray:
    """A tensor (..., m, n) as one matrix (m, runs · n)."""
    rows = tensor.double().movedim(-2, 0)
    return rows.reshape(tensor.shape[-2], -1).numpy().copy()
