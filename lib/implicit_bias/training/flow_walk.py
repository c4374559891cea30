"""Runge-Kutta steps of gradient flow that stop at every kink, and switch the pattern
there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..values.checks import fail
from .flow_field import Field
from .problem import Problem
from .runge_kutta import ERROR, STAGES, Point, hermite_root

__all__ = ["Walk"]


SMALLEST_STEP = 1e-12
"""Relative to 1 + |s|: below it the run is stalled (a critical point, or data that
cannot be fitted any better).
"""


PATIENCE = 500


SLOWEST_PACE = 0.05
"""A run is stalled, too, when ``PATIENCE`` tries, and two more for each neuron and
sample, gain less than this on the clock.
"""


class Walk(Field):
    """The batch advances together, every member with its own clock, step size and
    pattern.
    """

    def __init__(self, problem: Problem, rtol: float) -> None:
        super().__init__(problem)
        self.rtol = rtol
        z = self.here.z
        # The velocities at the stages of a step, one after the other, and each as a point.
        self.velocities = z.new_zeros(len(ERROR), *self.here.flat.shape)
        self.stages = [self.here.like(row) for row in self.velocities]
        self.weights = [
            torch.tensor(weights, dtype=z.dtype, device=z.device)
            for weights in (*STAGES, ERROR)
        ]
        # Preactivations of this size move a margin by one: the floor of the relative error.
        self.unit = 1 / problem.a.abs().sum(-2).flatten()
        self.clock = -problem.loss.log_mean(problem.margins(z)).reshape(-1)
        self.start = self.clock.clone()
        if not bool(torch.isfinite(self.start).all()):
            fail("net", "finite outputs on the data", "an overflow at the start")
        self.h = torch.full_like(self.clock, 1e-4)
        self.stalled = torch.zeros_like(self.clock, dtype=torch.bool)
        self.tries = torch.zeros_like(self.clock)
        self.milestone = self.clock + SLOWEST_PACE
        self.patience = PATIENCE + 2 * z.shape[-2] * z.shape[-1]
        self.events = torch.zeros_like(self.clock)
        self.velocity_here = self.velocity(self.here)

    def combined(self, weights: Tensor) -> Tensor:
        """``Σ weights · velocities`` over the first stages, flat."""
        return (weights @ self.velocities[: len(weights)].flatten(1)).view_as(
            self.here.flat
        )

    def trial(self, h: Tensor) -> tuple[Point, Tensor]:
        """A Dormand-Prince step of sizes h (b,), and its error relative to the
        tolerance (b,).

        The velocity where it ends is that of the last stage.
        """
        self.velocities[0] = self.velocity_here.flat
        for stage, weights in zip(self.stages[1:], self.weights):
            point = self.here.like(
                torch.addcmul(self.here.flat, h[:, None], self.combined(weights))
            )
            self.velocity(point, out=stage)
        off = self.here.like(self.combined(self.weights[-1]))
        size = torch.maximum(point.z.abs().amax((-2, -1)), self.unit)
        error = torch.maximum(
            (h * off.z.abs().amax((-2, -1))) / size,
            (h * off.tL).abs() / point.tL.abs().clamp_min(1e-300),
        )
        return point, torch.nan_to_num(error / self.rtol, nan=1e10, posinf=1e10)

    def crossings(self, point: Point, h: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs that change sides within the step (b, m, n), and the fraction of it at
        which each does (2 where none).
        """
        up = self.slopes == 1
        old = torch.where(up, self.here.z, -self.here.z)
        new = torch.where(up, point.z, -point.z)
        crossed = (new < 0) & (new < old) & ~self.sliding & self.kinked
        fraction = torch.full_like(old, 2.0)
        if crossed.any():
            sign = torch.where(up, 1.0, -1.0)[crossed]
            width = h[:, None, None].expand_as(old)[crossed]
            first = self.velocity_here.z[crossed] * sign * width
            last = self.stages[-1].z[crossed] * sign * width
            fraction[crossed] = hermite_root(old[crossed], new[crossed], first, last)
        return crossed, fraction

    def advance(self, goal: Tensor) -> None:
        """One accepted or rejected step of every run that has not reached its goal (b,)."""
        remaining = goal - self.clock
        h = torch.minimum(self.h, remaining).clamp_min(0)
        point, error = self.trial(h)
        accepted = (error <= 1) & (h > 0)
        growth = (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
        # A step cut short by its goal says nothing against the longer one.
        self.h = torch.where(
            h > 0,
            torch.where(
                accepted & (h < self.h), torch.maximum(self.h, h * growth), h * growth
            ),
            self.h,
        )
        if not self.problem.activation.piecewise_linear:
            self.accept(accepted, point, h)
        else:
            crossed, fraction = self.crossings(point, h)
            crossed &= accepted[:, None, None]
            if crossed.any():
                first = torch.where(crossed, fraction, 2.0).amin((-2, -1))
                h = torch.where(first < 2, h * first, h)
                point, _ = self.trial(h)
                crossed &= fraction <= first[:, None, None] * (1 + 1e-9) + 1e-15
            self.events += crossed.flatten(1).any(-1)
            if self.sliding.any():
                point, h, cut = self.departure(point, h, accepted)
                crossed &= ~cut[:, None, None]
                self.events += cut
            self.accept(accepted, point, h)
            if crossed.any() or self.sliding.any():
                self.settle(crossed)
        # Arriving means arriving exactly: the goal is a record.
        close = (goal - self.clock).abs() <= 1e-14 * (1 + goal.abs())
        self.clock = torch.where(close, goal, self.clock)
        tiny = SMALLEST_STEP * (1 + self.clock.abs())
        moving = self.clock >= self.milestone
        self.milestone = torch.where(moving, self.clock + SLOWEST_PACE, self.milestone)
        self.tries = torch.where(
            moving, 0.0, self.tries + ((remaining > tiny) & (self.clock < goal))
        )
        self.stalled |= (remaining > tiny) & (
            (self.h < tiny) | (self.tries > self.patience)
        )

    def accept(self, accepted: Tensor, point: Point, h: Tensor) -> None:
        rows = accepted[:, None]
        self.here = self.here.like(torch.where(rows, point.flat, self.here.flat))
        self.velocity_here = self.here.like(
            torch.where(rows, self.stages[-1].flat, self.velocity_here.flat)
        )
        self.clock = torch.where(accepted, self.clock + h, self.clock)

    def departure(
        self, point: Point, h: Tensor, accepted: Tensor
    ) -> tuple[Point, Tensor, Tensor]:
        """Cut the steps in which a holding slope leaves ``[γ, 1]`` just behind the
        place (b,): regula falsi on the room left.
        """
        inside = torch.zeros_like(h)
        outside = h
        room_inside = self.room(self.here)
        room_outside = self.room(point)
        cut = accepted & (room_outside < 0)
        for _ in range(50):
            wide = (
                cut
                & (room_outside < -1e-9)
                & (outside - inside > 1e-15 * (1 + self.clock.abs()))
            )
            if not wide.any():
                break
            share = (room_inside / (room_inside - room_outside)).clamp(0.05, 0.95)
            middle = torch.where(wide, inside + share * (outside - inside), h)
            room = self.room(self.trial(middle)[0])
            past = wide & (room < 0)
            before = wide & (room >= 0)
            outside = torch.where(past, middle, outside)
            room_outside = torch.where(past, room, room_outside)
            inside = torch.where(before, middle, inside)
            room_inside = torch.where(before, room, room_inside)
        return (self.trial(outside)[0] if cut.any() else point), outside, cut

    def settle(self, pairs: Tensor) -> None:
        """Give ``pairs`` (b, m, n), which have just reached their kink, and the sliding
        ones slopes that agree with where they then go.

        A complementarity problem for each neuron, solved by pivoting on its first wrong
        pair (Murty's rule): a pair leaves on the side where its slope lets it, is held
        where both sides push it back, and is let go where the holding slope leaves
        ``[γ, 1]``.
        """
        at_kink = pairs | self.sliding
        one = torch.ones_like(self.low)
        for _ in range(10 + 4 * pairs.shape[-1]):
            slope = self.holding(self.here.z)
            dz = self.velocity_here.z
            up = self.slopes == 1
            back = at_kink & ~self.sliding & torch.where(up, dz < 0, dz > 0)
            above = slope > 1
            below = slope < self.low
            wrong = back | above | below
            wrong &= wrong.cumsum(-1) == 1
            if not wrong.any():
                return
            held = wrong & back & self.restoring
            to_one = wrong & (above | (back & ~up))
            self.slopes = torch.where(
                wrong & ~held, torch.where(to_one, one, self.low), self.slopes
            )
            self.sliding = (self.sliding & ~wrong) | held
            self.velocity_here = self.velocity(self.here)
