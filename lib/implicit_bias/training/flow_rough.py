r"""Gradient flow through thousands of kink crossings, without stopping at any.

On ordinary data (many samples in few dimensions) neurons change sides thousands of
times, and many slide along several kinks at once. Cutting a step at each crossing then
costs minutes. Here a step goes across.

With ``dτ = L dt`` the flow is ``dW/dτ = -∇ log L``, of order one at any loss. A step
first predicts where it ends, then moves by the *averages* over the step: of the two
ends' weights of the samples, and, for each pair (neuron, sample), of the slope on the
straight line between the ends, ``(φ(z₁) - φ(z₀))/(z₁ - z₀)``. So a crossing inside a
step counts in proportion to where it lies. A pair that both sides push back to its kink
gets the mean slope that ends the step there, where a slope can: from then on it slides,
until no slope holds it (:mod:`implicit_bias.training.flow_sliding`).

Why this one, of those tried (Gaussian samples, n = 300, d = 20, m = 32):

* A loss clock that is *integrated* drifts: across a kink ``‖∇ log L‖²`` of one side is
  not what the clock gains. So ``s`` is measured after each step, never integrated.
* Steps of equal size in time spend almost all their effort late. The sensitive part is
  early, when weights are small and neurons choose sides. A step here moves the fastest
  preactivation by a fixed share ``δ`` of the largest one.
* Plain descent steps, the trapezoidal pair, and averaged slopes that let a sliding pair
  step to and fro across its kink are all of order one. With sliding pairs held the
  order is two, and 320 steps come as near as 10,000 steps across.

Order two says nothing about one run: a neuron that passes close to a corner may take
the other side, and nets then end apart by a tenth. Small steps alone are no proof:
descents whose steps move no preactivation by more than 10⁻⁴, 5·10⁻⁵ and 10⁻⁵ of the
largest agree with each other to 10⁻⁴, and all take a side that descent with 10⁻⁶ does
not take (``benchmarks/flow_ordinary.py``). So the run is repeated with a quarter of
``δ`` until two runs agree at all records, and the distance of the last two is reported
with the outcome: that is the resolution, a comparison and no bound. Where the two
parted at such a corner it is the coarser one's error, and far above the finer's.

The matrices are small and the steps many, so what counts is the cost of a call: one run
at a time, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .flow_across import Across, Member
from .flow_watch import Watch
from .problem import Problem

__all__ = ["AGREEMENT", "COARSEST", "FINEST", "Passage", "pass_through", "rough_flow"]


COARSEST = 4e-3


FINEST = 2.5e-4


FINER = 0.25
"""The share ``δ`` of the largest preactivation that a step moves the fastest: where it
begins, where it ends, and the factor from one run to the next.
"""


AGREEMENT = 1e-3
"""Two runs agree when their nets are this near, relative to the finer one's distance
from the origin.
"""


SETTLED_WAY = 3.0


SETTLED_GAIN = 0.01
"""A run has settled when steps that could have moved a preactivation by ``PATIENCE``
times the largest one gain less than this on the clock.
"""


@dataclass
class Passage:
    """What one run across kinks recorded: at each of T targets the state (T, m, k), the
    clock (T,), ``t L`` (T,).

    ``reached`` counts the targets it got to; what stands behind them is where it ended.
    ``stalled`` says that it settled before the last; ``late`` that the time was up.
    ``apart`` is the distance from a run with steps ``1/FINER`` times as long.
    """

    states: np.ndarray
    clock: np.ndarray
    tL: np.ndarray
    delta: float
    reached: int = 0
    stalled: bool = False
    late: bool = False
    apart: float = float("nan")

    @property
    def whole(self) -> bool:
        """Whether it got to its end, wherever that is."""
        return self.stalled or self.reached == len(self.clock)


def pass_through(
    member: Member,
    state: np.ndarray,
    tL: float,
    targets: list[float],
    delta: float,
    watch: Watch,
) -> Passage:
    """Run from ``state`` (m, k) past all ``targets`` of the clock, or until the run has
    settled or time is up.
    """
    run = Across(member, state, tL, delta)
    times = len(targets)
    out = Passage(
        np.empty((times, *state.shape)), np.empty(times), np.empty(times), delta
    )
    milestone = run.clock + SETTLED_GAIN
    tries = 0
    before = (run.state, run.clock, run.tL)
    while True:
        _store(out, targets, before, run)
        if out.reached == times:
            return out
        tries += 1
        if run.clock >= milestone:
            milestone = run.clock + SETTLED_GAIN
            tries = 0
        sound = bool(np.isfinite(run.clock))
        out.stalled = tries * delta > SETTLED_WAY or not sound
        out.late = watch.out_of_time(run.clock)
        if out.stalled or out.late:
            break
        before = (run.state, run.clock, run.tL)
        run.step()
    last = (run.state, run.clock, run.tL) if sound else before
    out.states[out.reached :], out.clock[out.reached :], out.tL[out.reached :] = last
    return out


def _store(
    out: Passage,
    targets: list[float],
    before: tuple[np.ndarray, float, float],
    run: Across,
) -> None:
    """Record the targets that the last step passed, on the line between the step's ends."""
    state, clock, tL = before
    gain = run.clock - clock
    while out.reached < len(targets) and run.clock >= targets[out.reached]:
        at = out.reached
        share = min(max((targets[at] - clock) / gain, 0.0), 1.0) if gain > 0 else 1.0
        out.states[at] = state + share * (run.state - state)
        out.tL[at] = tL + share * (run.tL - tL)
        out.clock[at] = targets[at] if gain > 0 else run.clock
        out.reached += 1


def distance(member: Member, coarse: Passage, fine: Passage) -> float:
    """The largest distance of two runs' nets at a target both reached (or at their
    ends), relative to the finer's.
    """
    both = min(coarse.reached, fine.reached)
    if coarse.stalled and fine.stalled:
        both = len(fine.clock)
    worst = 0.0
    for at in range(both):
        net = member.net(fine.states[at])
        off = net - member.net(coarse.states[at])
        worst = max(
            worst, float(np.linalg.norm(off)) / max(float(np.linalg.norm(net)), 1e-300)
        )
    return worst


def _one_passage(
    problem: Problem,
    row: int,
    state: Tensor,
    tL: float,
    targets: list[float],
    watch: Watch,
) -> Passage:
    """One member's flow past ``targets``, refined until two runs agree, ``FINEST`` is
    reached, or the time is up.
    """
    member = Member(problem, row)
    begin = state.cpu().numpy()
    best = pass_through(member, begin, tL, targets, COARSEST, watch)
    while best.whole and best.delta > FINEST and not best.apart <= AGREEMENT:
        finer = pass_through(member, begin, tL, targets, best.delta * FINER, watch)
        # When time is up in a finer run, the coarser one, which was whole, is the answer.
        if not finer.whole:
            break
        finer.apart = distance(member, best, finer)
        best = finer
    return best


def rough_flow(
    problem: Problem, state: Tensor, tL: Tensor, targets: list[float], watch: Watch
) -> list[Passage]:
    """The flow past ``targets`` from ``state`` (b, m, k), one :class:`Passage` for each
    of the b runs.
    """
    return [
        _one_passage(problem, row, state[row], float(tL[row]), targets, watch)
        for row in range(len(state))
    ]
