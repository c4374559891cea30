r"""Gradient flow on the loss clock.

Plain time is useless here: to reach ``L = e^{-10000}`` the flow needs ``t ≈ e^{10000}``. So ``s = log(1/L)`` is the
clock. Along the flow ``dL/dt = -‖∇L‖²``, hence ``ds/dt = L ‖∇ log L‖²`` and

.. math:: \frac{dW}{ds} = -\frac{∇\log L}{‖∇\log L‖²}, \qquad
          \frac{d(t e^{-s})}{ds} = \frac{1}{‖∇\log L‖²} - t e^{-s}.

Both right-hand sides are of order one at any ``s`` (all weights of samples come from a log-sum-exp), and their
Jacobians too: an explicit Runge-Kutta pair with error control walks to s = 10⁴ in steps of about 3. The second
variable is ``t L``; it carries the time without ever forming it.

With a kinked activation the right-hand side is smooth as long as no neuron changes sides of a sample. So each step is
taken with the activation pattern fixed; when a preactivation changes sign inside it, the step is cut at the crossing
and the pattern switched. A preactivation pushed back from both sides slides along its kink: there the slope is the
value in ``[γ, 1]`` that keeps it at 0, which is what the Clarke subdifferential allows.

On ordinary data (not near-orthogonal, many samples) there are thousands of crossings. After a fixed
number of them (:func:`implicit_bias.flow_limits.crossings_allowed`) the run goes on with steps that
do not stop at any; see :mod:`implicit_bias.flow_rough`. It then says so in its outcome, with the
resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ._checks import fail, number
from .data import Dataset
from .flow_limits import FARTHEST, contradiction, crossings_allowed, record_grid, seconds
from .flow_rough import rough_flow
from .flow_watch import Watch
from .losses import Loss
from .network import TwoLayer
from .problem import Problem, Recorder
from .runge_kutta import ERROR, STAGES, Point, hermite_root
from .trajectory import FLOW, Outcome, Trajectory

__all__ = ["gradient_flow"]

SMALLEST_STEP = 1e-12
"""Relative to 1 + |s|: below it the run is stalled (a critical point, or data that cannot be fitted any better)."""

PATIENCE = 500
SLOWEST_PACE = 0.05
"""A run is stalled, too, when ``PATIENCE`` tries, and two more for each neuron and sample, gain less than this on the
clock.
"""

CONTRADICTED = 3.0
"""Seconds that a run may take on data whose loss cannot tend to 0, when it is asked to go where it
cannot.
"""


def gradient_flow(
    net: TwoLayer,
    data: Dataset,
    until: float,
    loss: str | Loss = "logistic",
    record: Sequence[float] | Tensor | None = None,
    *,
    rtol: float = 1e-9,
    device: str = "auto",
    time_limit: float | None = None,
) -> Trajectory:
    """``dW/dt = -∇L(W)`` from ``net`` to ``L = e^{-until}``, by a Runge-Kutta pair of orders 5 and 4 on the loss clock.

    Parameters
    ----------
    net, data : the start, in the data's coordinates, and the samples
    until : float
        Where to stop, in units of ``s = log(1/L)``; 10⁴ and beyond are in reach, 10⁸ is the largest
        value taken.
    loss : "logistic" or "exponential"
    record : values of ``s`` to keep, optional
        Default: about 200 from the start on, log-spaced in ``s - s(0)``. Values before a run's start show its start.
    rtol : float
        Error allowed a step, relative to the largest preactivation.
    device : str
        As in :func:`implicit_bias.gradient_descent`. The flow always computes in float64.
    time_limit : float, optional
        Seconds after which to stop, wherever the run is.

    Returns
    -------
    Trajectory
        With ``s``, and ``log_time`` = log t (``-inf`` at the start). A run that cannot go on ends
        with ``outcome.status == "stalled"``: a critical point, or data on which the loss has a
        positive infimum. One that ran out of its ``time_limit`` ends with ``"time limit"``; its
        last record is where it stood. A run with thousands of kink crossings is finished by steps
        across them: ``resolution`` is then the relative distance of its nets from those of a run
        with steps four times as long (NaN where no second run was possible), and None otherwise.

    Raises
    ------
    ValueError
        If net and data do not fit, or an argument is not what is said above.
    """
    until = number(until, "until")
    if until > FARTHEST:
        fail("until", f"at most {FARTHEST:g}, in units of log(1/L)", until)
    rtol = number(rtol, "rtol", "a number in (0, 1)")
    if not 0 < rtol < 1:
        fail("rtol", "a number in (0, 1)", rtol)
    watch = Watch(until, seconds(time_limit))
    problem = Problem.of(net, data, loss, device, dtype=torch.float64)
    with torch.no_grad():
        try:
            return _Flow(problem, rtol, watch).run(until, record)
        finally:
            watch.close()


class _Flow:
    """One run: the batch advances together, every member with its own clock, step size and activation pattern."""

    def __init__(self, problem: Problem, rtol: float, watch: Watch) -> None:
        self.watch = watch
        self.resolution: float | None = None
        self.late = False
        self.verdict: tuple[float, str] | None = None
        self.problem, self.span, self.rtol = problem, problem.span, rtol
        shape = problem.span.state_shape
        c = torch.zeros(shape if problem.batch else (1, *shape), dtype=torch.float64, device=problem.y.device)
        z = problem.span.preactivations(c)
        self.here = Point(torch.cat([z.flatten(1), z.new_zeros(len(z), 1), c.flatten(1)], dim=1), *z.shape[1:])
        self.velocity_here: Point | None = None
        # The velocities at the stages of a step, one after the other, and each as a point.
        self.velocities = z.new_zeros(len(ERROR), *self.here.flat.shape)
        self.stages = [self.here.like(row) for row in self.velocities]
        self.weights = [torch.tensor(weights, dtype=z.dtype, device=z.device) for weights in (*STAGES, ERROR)]
        # Preactivations of this size move a margin by one: the floor of the relative error.
        self.unit = 1 / problem.a.abs().sum(-2).flatten()
        low = torch.as_tensor(problem.activation.gamma, dtype=torch.float64, device=c.device)
        self.low = (low[..., None, None] if low.ndim else low).expand_as(z)
        self.kinked = self.low < 1
        # Only there do both sides of a kink push a preactivation back to it: raising the slope must slow it down.
        self.restoring = (problem.a * problem.y < 0).expand_as(z)
        self.slopes = problem.activation.derivative(z).expand_as(z).clone()
        self.sliding = torch.zeros_like(z, dtype=torch.bool)
        self.clock = -problem.loss.log_mean(problem.margins(z)).reshape(-1)
        self.start = self.clock.clone()
        if not bool(torch.isfinite(self.start).all()):
            fail("net", "finite outputs on the data", "an overflow at the start")
        self.h = torch.full_like(self.clock, 1e-4)
        self.stalled = torch.zeros_like(self.clock, dtype=torch.bool)
        self.tries, self.milestone = torch.zeros_like(self.clock), self.clock + SLOWEST_PACE
        self.patience = PATIENCE + 2 * z.shape[-2] * z.shape[-1]
        self.gram = problem.span.x @ problem.span.x.mT
        self.events = torch.zeros_like(self.clock)
        self.allowed = crossings_allowed(problem)
        self.independent = bool((torch.linalg.cond(self.gram) < 1e12).all())

    # -- the right-hand side --------

    def velocity(self, point: Point, out: Point | None = None) -> Point:
        """Velocity at a point, with the activation pattern held fixed."""
        out = out or point.like(torch.empty_like(point.flat))
        pull, _ = self.pull(point.z)
        along = self.span.velocity(pull)
        dz = along @ self.span.readout
        # ‖∇ log L‖² = Σ_ik pull_i ⟨x_i, x_k⟩ pull_k, and pull @ gram is dz.
        inverse = (pull * dz).sum((-2, -1), keepdim=True).reciprocal()
        torch.mul(dz, inverse, out=out.z)
        torch.mul(along, inverse, out=out.c)
        torch.sub(inverse[:, 0, 0], point.tL, out=out.tL)
        return out

    def pull(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of the samples in ``-∇_{w_j} log L``, and those a neuron would have at slope 1."""
        problem = self.problem
        if not problem.activation.piecewise_linear:
            f = (problem.a * problem.activation.value(z)).sum(-2, keepdim=True)
            slopes = problem.activation.derivative(z)
        else:
            slopes = self.slopes
            f = (problem.a * slopes * z).sum(-2, keepdim=True)
        q = problem.y * f
        log_total = torch.logsumexp(problem.loss.log_value(q), dim=-1, keepdim=True)
        at_slope_one = problem.a * (problem.y * torch.exp(problem.loss.log_g(q) - log_total))
        pull = slopes * at_slope_one
        return (self.hold(pull) if self.sliding.any() else pull), at_slope_one

    def hold(self, pull: Tensor) -> Tensor:
        """Replace the coefficients of sliding pairs (neuron, sample) by those that keep their preactivation still."""
        runs, neurons = self.sliding.any(-1).nonzero(as_tuple=True)
        mask = self.sliding[runs, neurons].to(pull)
        gram = self.gram[runs] if self.gram.ndim == 3 else self.gram.expand(len(runs), -1, -1)
        free = pull[runs, neurons] * (1 - mask)
        matrix = gram * mask.unsqueeze(-1) * mask.unsqueeze(-2) + torch.diag_embed(1 - mask)
        push = -(free.unsqueeze(-2) @ gram).squeeze(-2) * mask
        held = pull.clone()
        push = push.unsqueeze(-1)
        hold = torch.linalg.solve(matrix, push) if self.independent else torch.linalg.lstsq(matrix, push).solution
        held[runs, neurons] = free + hold.squeeze(-1)
        return held

    # -- one step --------

    def combined(self, weights: Tensor) -> Tensor:
        """``Σ weights · velocities`` over the first stages, flat."""
        return (weights @ self.velocities[: len(weights)].flatten(1)).view_as(self.here.flat)

    def trial(self, h: Tensor) -> tuple[Point, Tensor]:
        """A Dormand-Prince step of sizes h (b,), and its error relative to the tolerance (b,).

        The velocity where it ends is that of the last stage.
        """
        self.velocities[0] = self.velocity_here.flat
        for stage, weights in zip(self.stages[1:], self.weights):
            point = self.here.like(torch.addcmul(self.here.flat, h[:, None], self.combined(weights)))
            self.velocity(point, out=stage)
        off = self.here.like(self.combined(self.weights[-1]))
        size = torch.maximum(point.z.abs().amax((-2, -1)), self.unit)
        error = torch.maximum(
            (h * off.z.abs().amax((-2, -1))) / size, (h * off.tL).abs() / point.tL.abs().clamp_min(1e-300)
        )
        return point, torch.nan_to_num(error / self.rtol, nan=1e10, posinf=1e10)

    def crossings(self, point: Point, h: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs that change sides within the step (b, m, n), and the fraction of it at which each does (2 where
        none).
        """
        up = self.slopes == 1
        old, new = torch.where(up, self.here.z, -self.here.z), torch.where(up, point.z, -point.z)
        crossed = (new < 0) & (new < old) & ~self.sliding & self.kinked
        fraction = torch.full_like(old, 2.0)
        if crossed.any():
            sign = torch.where(up, 1.0, -1.0)[crossed]
            width = h[:, None, None].expand_as(old)[crossed]
            first, last = self.velocity_here.z[crossed] * sign * width, self.stages[-1].z[crossed] * sign * width
            fraction[crossed] = hermite_root(old[crossed], new[crossed], first, last)
        return crossed, fraction

    def advance(self, goal: Tensor) -> None:
        """One accepted or rejected step of every run that has not reached its goal (b,)."""
        if self.velocity_here is None:
            self.velocity_here = self.velocity(self.here)
        remaining = goal - self.clock
        h = torch.minimum(self.h, remaining).clamp_min(0)
        point, error = self.trial(h)
        accepted = (error <= 1) & (h > 0)
        growth = (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
        # A step cut short by its goal says nothing against the longer one.
        self.h = torch.where(
            h > 0, torch.where(accepted & (h < self.h), torch.maximum(self.h, h * growth), h * growth), self.h
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
        self.tries = torch.where(moving, 0.0, self.tries + ((remaining > tiny) & (self.clock < goal)))
        self.stalled |= (remaining > tiny) & ((self.h < tiny) | (self.tries > self.patience))

    def accept(self, accepted: Tensor, point: Point, h: Tensor) -> None:
        rows = accepted[:, None]
        self.here = self.here.like(torch.where(rows, point.flat, self.here.flat))
        self.velocity_here = self.here.like(torch.where(rows, self.stages[-1].flat, self.velocity_here.flat))
        self.clock = torch.where(accepted, self.clock + h, self.clock)

    # -- the activation pattern --------

    def holding(self, z: Tensor) -> Tensor:
        """The slopes that hold sliding pairs at their kink (b, m, n); a middling one elsewhere."""
        pull, at_slope_one = self.pull(z)
        return torch.where(self.sliding & (at_slope_one != 0), pull / at_slope_one, (1 + self.low) / 2)

    def room(self, point: Point) -> Tensor:
        """How far the holding slopes are from leaving ``[γ, 1]`` (b,); negative once one has left."""
        slope = self.holding(point.z)
        return torch.minimum(1 - slope, slope - self.low).amin((-2, -1))

    def departure(self, point: Point, h: Tensor, accepted: Tensor) -> tuple[Point, Tensor, Tensor]:
        """Cut the steps in which a holding slope leaves ``[γ, 1]`` just behind the place (b,): regula falsi on the
        room left.
        """
        inside, outside = torch.zeros_like(h), h
        room_inside, room_outside = self.room(self.here), self.room(point)
        cut = accepted & (room_outside < 0)
        for _ in range(50):
            wide = cut & (room_outside < -1e-9) & (outside - inside > 1e-15 * (1 + self.clock.abs()))
            if not wide.any():
                break
            share = (room_inside / (room_inside - room_outside)).clamp(0.05, 0.95)
            middle = torch.where(wide, inside + share * (outside - inside), h)
            room = self.room(self.trial(middle)[0])
            past, before = wide & (room < 0), wide & (room >= 0)
            outside, room_outside = torch.where(past, middle, outside), torch.where(past, room, room_outside)
            inside, room_inside = torch.where(before, middle, inside), torch.where(before, room, room_inside)
        return (self.trial(outside)[0] if cut.any() else point), outside, cut

    def settle(self, pairs: Tensor) -> None:
        """Give ``pairs`` (b, m, n), which have just reached their kink, and the sliding ones slopes that agree with
        where they then go.

        A complementarity problem for each neuron, solved by pivoting on its first wrong pair (Murty's rule): a pair
        leaves on the side where its slope lets it, is held where both sides push it back, and is let go where the
        holding slope leaves ``[γ, 1]``.
        """
        at_kink, one = pairs | self.sliding, torch.ones_like(self.low)
        for _ in range(10 + 4 * pairs.shape[-1]):
            slope, dz = self.holding(self.here.z), self.velocity_here.z
            up = self.slopes == 1
            back = at_kink & ~self.sliding & torch.where(up, dz < 0, dz > 0)
            above, below = slope > 1, slope < self.low
            wrong = back | above | below
            wrong &= wrong.cumsum(-1) == 1
            if not wrong.any():
                return
            held = wrong & back & self.restoring
            to_one = wrong & (above | (back & ~up))
            self.slopes = torch.where(wrong & ~held, torch.where(to_one, one, self.low), self.slopes)
            self.sliding = (self.sliding & ~wrong) | held
            self.velocity_here = self.velocity(self.here)

    # -- the run --------

    def run(self, until: float, record: Sequence[float] | Tensor | None) -> Trajectory:
        grid = self.grid(until, record)
        self.verdict = contradiction(self.problem)
        if self.contradicted(until):
            self.watch.hasten(CONTRADICTED)
        recorder = Recorder(self.problem)
        log_time: list[Tensor] = []
        outcome = None
        for k, target in enumerate(grid):
            if not self.reach(target):
                self.go_across(grid[k:], recorder, log_time)
                break
            ended = self.late or bool(self.stalled.all())
            place = float(self.clock.max()) if ended else target
            if not self.record(recorder, log_time, place):
                last = f"s = {recorder.times[-1]:.6g}"
                outcome = Outcome.overflowed(f"between {last} and {target:.6g}", last)
                break
            if ended:
                break
        return recorder.trajectory(
            s=torch.tensor(recorder.times, dtype=torch.float64),
            log_time=torch.stack(log_time),
            rule=FLOW,
            outcome=outcome or self.outcome(until),
            resolution=self.resolution,
        )

    def reach(self, target: float) -> bool:
        """Bring every run to ``target``, or as far as it and the time go; False when there are too
        many crossings.
        """
        goal = torch.maximum(torch.full_like(self.clock, target), self.start)
        while bool(((self.clock < goal) & ~self.stalled).any()):
            if bool((self.events > self.allowed).any()):
                return False
            self.late = self.watch.out_of_time(float(self.clock.min()))
            if self.late:
                break
            self.advance(torch.where(self.stalled, self.clock, goal))
        return True

    def record(self, recorder: Recorder, log_time: list[Tensor], place: float) -> bool:
        """Record where the runs stand, at ``place`` on the clock; False when that is not finite."""
        state = self.here.c if self.problem.batch else self.here.c.squeeze(0)
        finite = recorder.add(state, place)
        if finite:
            log_time.append(self.problem.shaped(self.clock + self.here.tL.log()))
        return finite

    def go_across(
        self, targets: list[float], recorder: Recorder, log_time: list[Tensor]
    ) -> None:
        """The rest of the run, without stopping at crossings."""
        # Those that stalled before are at a critical point, and stall again.
        passages = rough_flow(self.problem, self.here.c, self.here.tL, targets, self.watch)
        # NaN where one run of them has no second to compare.
        self.resolution = float(np.max([one.apart for one in passages]))
        self.late = any(one.late for one in passages)
        self.stalled = torch.tensor([one.stalled for one in passages], device=self.clock.device)
        reached = max(one.reached for one in passages)
        for k in range(min(reached + 1, len(targets))):
            self.clock = self.gathered([one.clock[k] for one in passages])
            tL = self.gathered([one.tL[k] for one in passages])
            states = self.gathered([one.states[k] for one in passages])
            flat = torch.cat([self.here.z.flatten(1), tL[:, None], states.flatten(1)], dim=1)
            self.here = self.here.like(flat)
            place = targets[k] if k < reached else float(self.clock.max())
            self.record(recorder, log_time, place)

    def gathered(self, parts: list) -> Tensor:
        """Numbers or arrays of all runs, as one tensor beside the others."""
        return torch.as_tensor(np.stack(parts), dtype=torch.float64, device=self.clock.device)

    def contradicted(self, until: float) -> bool:
        """Whether the run is asked to go where the data let no network go."""
        return self.verdict is not None and until > self.verdict[0]

    def grid(self, until: float, record: Sequence[float] | Tensor | None) -> list[float]:
        if record is not None:
            return record_grid(record, until)
        start = float(self.start.min())
        if until <= start:
            return [start]
        length = until - start
        offsets = torch.logspace(math.log10(min(0.01, length / 2)), math.log10(length), 200, dtype=torch.float64)
        return [start, *(start + offsets[:-1]).tolist(), until]

    def outcome(self, until: float) -> Outcome:
        across = "" if self.resolution is None else f"; {self.across()}"
        place = float(self.clock[self.stalled].min() if bool(self.stalled.any()) else self.clock.min())
        if self.contradicted(until) and place < until:
            cap, why = self.verdict
            return Outcome("stalled", f"{why}: s = log(1/L) stays below {cap:.6g}, and ended at {place:.6g}{across}")
        if self.late:
            return Outcome(
                "time limit", f"stopped at s = log(1/L) = {place:.6g} after {self.watch.limit:g} seconds{across}"
            )
        if bool(self.stalled.any()):
            runs = "the flow" if not self.problem.batch else f"{int(self.stalled.sum())} of {self.stalled.numel()} runs"
            return Outcome(
                "stalled", f"{runs} cannot go past s = log(1/L) = {place:.6g}: the loss no longer falls there{across}"
            )
        if until <= float(self.start.min()):
            return Outcome("finished", f"s = log(1/L) was past {until:g} already at the start")
        return Outcome("finished", f"reached s = log(1/L) = {until:g}{across}")

    def across(self) -> str:
        """How the run went on after too many crossings."""
        how = f"after {int(self.events.max())} kink crossings by steps across them"
        if math.isnan(self.resolution):
            return f"{how}, with no second run to compare"
        return f"{how}, resolution {self.resolution:.1e}"
