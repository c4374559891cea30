"""One run of gradient flow across kinks, in steps that do not stop at any: its state, and
one step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .flow_sliding import mean_slopes
from .problem import Problem

__all__ = ["Across", "Member"]


class Member:
    """One run of a batch, in numpy: its data, start and activation."""

    def __init__(self, problem: Problem, row: int) -> None:
        def part(tensor: Tensor, core: int) -> np.ndarray:
            return (
                (
                    tensor
                    if tensor.ndim == core
                    else tensor[row if len(tensor) > 1 else 0]
                )
                .cpu()
                .numpy()
            )

        span = problem.span
        self.x = part(span.x, 2) if span.coordinates else None
        self.rows = part(span.x, 2)
        self.start = part(span.weights, 2)
        self.readout = part(span.readout, 2)
        self.preactivation = part(span.preactivation, 2)
        self.a = part(problem.a, 2)
        self.y = part(problem.y, 2)
        self.signs = self.a * self.y
        # Only there do both sides of a kink push a preactivation back to it.
        self.restoring = self.signs < 0
        self.gram = self.readout if self.x is None else self.x @ self.readout
        gamma = torch.as_tensor(problem.activation.gamma).flatten()
        self.gamma = float(gamma[row if len(gamma) > 1 else 0])
        self.loss = problem.loss

    def velocity(self, coefficients: np.ndarray) -> np.ndarray:
        """The state's velocity when every ``w_j`` moves by ``Σ_i coefficients_ji x_i``."""
        return coefficients if self.x is None else coefficients @ self.x

    def net(self, state: np.ndarray) -> np.ndarray:
        """The first layer at a state, in the coordinates of the samples."""
        return self.start + (state if self.x is not None else state @ self.rows)

    def slopes(self, z: np.ndarray) -> np.ndarray:
        """``φ'(z)``, 1 at a kink."""
        return np.maximum(z >= 0, self.gamma)

    def pulls(self, slopes: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, float]:
        """``g_i / Σ_k ℓ_k`` (1, n), the pull of each sample on ``-log L``, and the clock
        ``log(1/L)``.
        """
        q = torch.from_numpy(self.y[0] * (self.a[:, 0] @ (slopes * z)))
        total = torch.logsumexp(self.loss.log_value(q), dim=-1)
        clock = float(np.log(len(q)) - total)
        return torch.exp(self.loss.log_g(q) - total).numpy()[None], clock


class Across:
    """A member's run at one ``δ``."""

    def __init__(
        self, member: Member, state: np.ndarray, tL: float, delta: float
    ) -> None:
        self.member = member
        self.delta = delta
        # Preactivations of this size move a margin by one.
        self.unit = 1 / float(np.abs(member.a).sum())
        self.state = state
        self.tL = tL
        self.sliding = np.zeros(member.preactivation.shape, dtype=bool)
        self.look(np.empty(0))

    def look(self, holding: np.ndarray) -> None:
        """What there is at the state; ``holding`` are the slopes of those that slide."""
        member = self.member
        self.z = member.preactivation + self.state @ member.readout
        self.slopes = member.slopes(self.z)
        self.slopes[self.sliding] = holding
        self.weights, self.clock = member.pulls(self.slopes, self.z)

    def step(self) -> None:
        """One step across whatever kinks lie on the way."""
        member = self.member
        dz = (
            member.velocity(self.slopes * (member.signs * self.weights))
            @ member.readout
        )
        fastest = max(float(np.abs(dz).max()), 1e-300)
        size = max(float(np.abs(self.z).max()), self.unit)
        h = self.delta * size / fastest
        ahead = self.z + h * dz
        there = np.where(self.sliding, self.slopes, member.slopes(ahead))
        weights, _ = member.pulls(there, ahead)
        push = member.signs * ((self.weights + weights) / 2)
        mean = self.averaged(there, ahead)
        held = np.zeros_like(self.sliding)
        candidates = member.restoring & (self.sliding | (there != self.slopes))
        if candidates.any():
            mean, held = self.held(candidates, mean, push, h)
        before = self.clock
        self.state = self.state + h * member.velocity(mean * push)
        self.sliding = held
        self.look(mean[held])
        fall = float(np.exp(before - self.clock))
        self.tL = self.tL * fall + h * (1 + fall) / 2

    def averaged(self, there: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """``(φ(z₁) - φ(z₀))/(z₁ - z₀)``, which is the slope itself where no kink lies
        between.
        """
        crossed = np.flatnonzero(there != self.slopes)
        mean = self.slopes.copy()
        z0 = self.z.flat[crossed]
        z1 = ahead.flat[crossed]
        mean.flat[crossed] = (
            there.flat[crossed] * z1 - self.slopes.flat[crossed] * z0
        ) / (z1 - z0)
        return mean

    def held(
        self, candidates: np.ndarray, mean: np.ndarray, push: np.ndarray, h: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean slopes where ``candidates`` may be held at their kink, and which of them
        are.
        """
        member = self.member
        free = np.where(candidates, 0.0, mean * push)
        end = self.z + h * (member.velocity(free) @ member.readout)
        # On its way down a pair keeps at least the mean of crossing, on its way up at
        # most that.
        low = np.where(self.sliding | (self.z < 0), member.gamma, mean)
        high = np.where(self.sliding | (self.z >= 0), 1.0, mean)
        slopes, held = mean_slopes(member.gram, candidates, end, -h * push, low, high)
        return np.where(candidates, slopes, mean), held
