r"""Gradient flow on the loss clock.

Plain time is useless here: to reach ``L = e^{-10000}`` the flow needs
``t ≈ e^{10000}``. So ``s = log(1/L)`` is the clock. Along the flow ``dL/dt = -‖∇L‖²``,
hence ``ds/dt = L ‖∇ log L‖²`` and

.. math:: \frac{dW}{ds} = -\frac{∇\log L}{‖∇\log L‖²}, \qquad
          \frac{d(t e^{-s})}{ds} = \frac{1}{‖∇\log L‖²} - t e^{-s}.

Both right-hand sides are of order one at any ``s`` (all weights of samples come from a
log-sum-exp), and their Jacobians too: an explicit Runge-Kutta pair with error control
walks to s = 10⁴ in steps of about 3. The second variable is ``t L``; it carries the
time without ever forming it.

With a kinked activation the right-hand side is smooth as long as no neuron changes
sides of a sample. So each step is taken with the activation pattern fixed; when a
preactivation changes sign inside it, the step is cut at the crossing and the pattern
switched. A preactivation pushed back from both sides slides along its kink: there the
slope is the value in ``[γ, 1]`` that keeps it at 0, which is what the Clarke
subdifferential allows.

On ordinary data (not near-orthogonal, many samples) there are thousands of crossings.
After a fixed number of them
(:func:`implicit_bias.training.flow_limits.crossings_allowed`) the run goes on with
steps that do not stop at any; see :mod:`~implicit_bias.training.flow_rough`. It then
says so in its outcome, with the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..losses import Loss
from ..networks.two_layer import TwoLayer
from ..values.checks import fail
from ..values.scalars import number
from .flow_limits import (
    FARTHEST,
    contradiction,
    crossings_allowed,
    record_grid,
    seconds,
)
from .flow_rough import rough_flow
from .flow_walk import Walk
from .flow_watch import Watch
from .problem import Problem
from .recorder import Recorder
from .trajectory import FLOW, Outcome, Trajectory

__all__ = ["gradient_flow"]


CONTRADICTED = 3.0
"""Seconds that a run may take on data whose loss cannot tend to 0, when it is asked to
go where it cannot.
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
    """``dW/dt = -∇L(W)`` from ``net`` to ``L = e^{-until}``, by a Runge-Kutta pair of
    orders 5 and 4 on the loss clock.

    Parameters
    ----------
    net, data : the start, in the data's coordinates, and the samples
    until : float
        Where to stop, in units of ``s = log(1/L)``; 10⁴ and beyond are in reach, 10⁸ is
        the largest value taken.
    loss : "logistic" or "exponential"
    record : values of ``s`` to keep, optional
        Default: about 200 from the start on, log-spaced in ``s - s(0)``. Values before
        a run's start show its start.
    rtol : float
        Error allowed a step, relative to the largest preactivation.
    device : str
        As in :func:`~implicit_bias.training.descent.gradient_descent`. The flow always
        computes in float64.
    time_limit : float, optional
        Seconds after which to stop, wherever the run is.

    Returns
    -------
    Trajectory
        With ``s``, and ``log_time`` = log t (``-inf`` at the start). A run that cannot
        go on ends with ``outcome.status == "stalled"``: a critical point, or data on
        which the loss has a positive infimum. One that ran out of its ``time_limit``
        ends with ``"time limit"``; its last record is where it stood. A run with
        thousands of kink crossings is finished by steps across them: ``resolution`` is
        then the relative distance of its nets from those of a run with steps four times
        as long (NaN where no second run was possible), and None otherwise.

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


class _Flow(Walk):
    """One run: walked from record to record, and across kinks once there are too many."""

    def __init__(self, problem: Problem, rtol: float, watch: Watch) -> None:
        super().__init__(problem, rtol)
        self.watch = watch
        self.resolution: float | None = None
        self.late = False
        self.verdict: tuple[float, str] | None = None
        self.allowed = crossings_allowed(problem)

    def run(self, until: float, record: Sequence[float] | Tensor | None) -> Trajectory:
        grid = self.grid(until, record)
        self.verdict = contradiction(self.problem)
        if self.contradicted(until) is not None:
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
        """Bring every run to ``target``, or as far as it and the time go; False when
        there are too many crossings.
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
        """Record where the runs stand, at ``place`` on the clock; False when that is
        not finite.
        """
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
        passages = rough_flow(
            self.problem, self.here.c, self.here.tL, targets, self.watch
        )
        # NaN where one run of them has no second to compare.
        self.resolution = float(np.max([one.apart for one in passages]))
        self.late = any(one.late for one in passages)
        self.stalled = torch.tensor(
            [one.stalled for one in passages], device=self.clock.device
        )
        reached = max(one.reached for one in passages)
        for k in range(min(reached + 1, len(targets))):
            self.clock = self.gathered([one.clock[k] for one in passages])
            tL = self.gathered([one.tL[k] for one in passages])
            states = self.gathered([one.states[k] for one in passages])
            flat = torch.cat(
                [self.here.z.flatten(1), tL[:, None], states.flatten(1)], dim=1
            )
            self.here = self.here.like(flat)
            place = targets[k] if k < reached else float(self.clock.max())
            self.record(recorder, log_time, place)

    def gathered(self, parts: list) -> Tensor:
        """Numbers or arrays of all runs, as one tensor beside the others."""
        return torch.as_tensor(
            np.stack(parts), dtype=torch.float64, device=self.clock.device
        )

    def contradicted(self, until: float) -> tuple[float, str] | None:
        """The bound on the clock, and why, if the run is asked to go past it."""
        if self.verdict is None or until <= self.verdict[0]:
            return None
        return self.verdict

    def grid(
        self, until: float, record: Sequence[float] | Tensor | None
    ) -> list[float]:
        if record is not None:
            return record_grid(record, until)
        start = float(self.start.min())
        if until <= start:
            return [start]
        length = until - start
        offsets = torch.logspace(
            math.log10(min(0.01, length / 2)),
            math.log10(length),
            200,
            dtype=torch.float64,
        )
        return [start, *(start + offsets[:-1]).tolist(), until]

    def outcome(self, until: float) -> Outcome:
        across = "" if self.resolution is None else self.across(self.resolution)
        place = float(
            self.clock[self.stalled].min()
            if bool(self.stalled.any())
            else self.clock.min()
        )
        contradicted = self.contradicted(until)
        if contradicted is not None and place < until:
            cap, why = contradicted
            return Outcome(
                "stalled",
                f"{why}: s = log(1/L) stays below {cap:.6g}, and ended at "
                f"{place:.6g}{across}",
            )
        if self.late:
            return Outcome(
                "time limit",
                f"stopped at s = log(1/L) = {place:.6g} after {self.watch.limit:g} "
                f"seconds{across}",
            )
        if bool(self.stalled.any()):
            runs = (
                "the flow"
                if not self.problem.batch
                else f"{int(self.stalled.sum())} of {self.stalled.numel()} runs"
            )
            return Outcome(
                "stalled",
                f"{runs} cannot go past s = log(1/L) = {place:.6g}: the loss no longer "
                f"falls there{across}",
            )
        if until <= float(self.start.min()):
            return Outcome(
                "finished", f"s = log(1/L) was past {until:g} already at the start"
            )
        return Outcome("finished", f"reached s = log(1/L) = {until:g}{across}")

    def across(self, resolution: float) -> str:
        """How the run went on after too many crossings, to be added to a sentence."""
        how = f"; after {int(self.events.max())} kink crossings by steps across them"
        if math.isnan(resolution):
            return f"{how}, with no second run to compare"
        return f"{how}, resolution {resolution:.1e}"
