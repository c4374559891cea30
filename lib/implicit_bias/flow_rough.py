r"""Gradient flow through thousands of kink crossings, without stopping at any.

On ordinary data (many samples in few dimensions) neurons change sides thousands of times, and many slide along several
kinks at once. Cutting a step at each crossing then costs minutes. Here a step goes across.

With ``dτ = L dt`` the flow is ``dW/dτ = -∇ log L``, of order one at any loss. A step first predicts where it ends, then
moves by the *averages* over the step: of the two ends' weights of the samples, and, for each pair (neuron, sample), of
the slope on the straight line between the ends, ``(φ(z₁) - φ(z₀))/(z₁ - z₀)``. So a crossing inside a step counts in
proportion to where it lies. A pair that slides along its kink steps across it and back, and its slopes average to the
value that holds it there (Filippov's solution, the limit of small descent steps).

Why this one, of those tried (Gaussian samples, n = 100, d = 20, m = 32, to s = 3):

* A loss clock that is *integrated* drifts: across a kink ``‖∇ log L‖²`` of one side is not what the clock gains. So
  ``s`` is measured after each step, never integrated.
* Steps of equal size in time spend almost all their effort late. The sensitive part is early, when weights are small
  and neurons choose sides. A step here moves the fastest preactivation by a fixed share ``δ`` of the largest one.
* Plain descent steps and the plain trapezoidal pair are of order one as well, because of sliding; the averaged slope
  costs as much as the trapezoidal pair and is somewhat nearer for the same steps.

Order one says nothing about one run: a neuron that passes close to a corner may take the other side, and nets then end
apart by a tenth. So the run is repeated with ``δ`` halved until two runs agree at all records, and the distance of the
last two is reported with the outcome: that is the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .flow_watch import Watch
from .problem import Problem

__all__ = ["AGREEMENT", "COARSEST", "FINEST", "Passage", "pass_through", "rough_flow"]

COARSEST, FINEST = 2e-3, 1.25e-4
"""The share ``δ`` of the largest preactivation that a step moves the fastest: where it begins, and where it ends."""

AGREEMENT = 5e-4
"""Two runs agree when their nets are this near, relative to the finer one's distance from the origin."""

PATIENCE = 3.0
SLOWEST_PACE = 0.01
"""A run has settled when steps that could have moved a preactivation by ``PATIENCE`` times the largest one gain less
than this on the clock.
"""


@dataclass
class Passage:
    """What a run across kinks recorded: at each of its T targets states (T, b, m, k), the clock (T, b), ``t L`` (T, b).

    ``reached`` (b,) counts the targets that each run got to; what stands behind them is where it ended. ``stalled`` (b,)
    marks those that settled before the last; ``late`` says that the time was up.
    """

    states: Tensor
    clock: Tensor
    tL: Tensor
    reached: Tensor
    stalled: Tensor
    late: bool
    delta: float
    apart: float = float("nan")


def sample_weights(problem: Problem, slopes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """``g_i / Σ_k ℓ_k`` (b, 1, n), the pull of each sample on ``-log L``, and the clock ``log(1/L)`` (b,)."""
    q = problem.y * (problem.a * slopes * z).sum(-2, keepdim=True)
    total = torch.logsumexp(problem.loss.log_value(q), dim=-1, keepdim=True)
    clock = torch.log(torch.tensor(float(q.shape[-1]), dtype=q.dtype)) - total[:, 0, 0]
    return torch.exp(problem.loss.log_g(q) - total), clock


class _Across:
    """One run at one ``δ``; every member of the batch has its own clock and step."""

    def __init__(self, problem: Problem, state: Tensor, tL: Tensor, delta: float) -> None:
        self.problem = problem
        self.delta = delta
        self.signs = problem.a * problem.y
        # Preactivations of this size move a margin by one.
        self.unit = 1 / problem.a.abs().sum((-2, -1))
        self.state = state
        self.tL = tL
        self.look()

    def look(self) -> None:
        """Slopes, pulls and the clock at the state."""
        self.z = self.problem.span.preactivations(self.state)
        self.slopes = self.problem.activation.derivative(self.z)
        self.weights, self.clock = sample_weights(self.problem, self.slopes, self.z)

    def step(self) -> None:
        """One step across whatever kinks lie on the way."""
        span = self.problem.span
        along = span.velocity(self.slopes * self.signs * self.weights)
        dz = along @ span.readout
        size = torch.maximum(self.z.abs().amax((-2, -1)), self.unit)
        h = self.delta * size / dz.abs().amax((-2, -1)).clamp_min(1e-300)
        rows = h[:, None, None]
        ahead = self.z + rows * dz
        there = self.problem.activation.derivative(ahead)
        weights, _ = sample_weights(self.problem, there, ahead)
        mean = torch.where(
            there == self.slopes, there, (there * ahead - self.slopes * self.z) / (ahead - self.z)
        )
        along = span.velocity(mean * self.signs * ((self.weights + weights) / 2))
        before = self.clock
        self.state = self.state + rows * along
        self.look()
        self.tL = self.tL * torch.exp(before - self.clock) + h


def pass_through(
    problem: Problem, state: Tensor, tL: Tensor, targets: list[float], delta: float, watch: Watch
) -> Passage:
    """Run from ``state`` (b, m, k) past all ``targets`` of the clock, or until every run has settled or time is up."""
    run = _Across(problem, state, tL, delta)
    goals = torch.tensor([*targets, float("inf")], dtype=torch.float64, device=state.device)
    members = torch.arange(len(state), device=state.device)
    out = Passage(
        run.state.expand(len(targets), *state.shape).clone(),
        run.clock.expand(len(targets), -1).clone(),
        tL.expand(len(targets), -1).clone(),
        torch.zeros(len(state), dtype=torch.long, device=state.device),
        torch.zeros(len(state), dtype=torch.bool, device=state.device),
        late=False,
        delta=delta,
    )
    milestone = run.clock + SLOWEST_PACE
    tries = torch.zeros_like(run.clock)
    before = (run.state, run.clock, run.tL)
    while True:
        for k in (run.clock >= goals[out.reached]).nonzero().flatten().tolist():
            _store(out, goals, k, before, run)
        ended = out.stalled | (out.reached == len(targets))
        if bool(ended.all()):
            break
        if watch.out_of_time(float(run.clock[~ended].min())):
            out.late = True
            break
        before = (run.state, run.clock, run.tL)
        run.step()
        moving = run.clock >= milestone
        milestone = torch.where(moving, run.clock + SLOWEST_PACE, milestone)
        tries = torch.where(moving, 0.0, tries + 1)
        out.stalled |= (tries * delta > PATIENCE) & ~ended
        out.stalled |= ~torch.isfinite(run.clock)
    for k in members[out.reached < len(targets)].tolist():
        place = slice(int(out.reached[k]), None)
        sound = bool(torch.isfinite(run.clock[k]))
        last = (run.state, run.clock, run.tL) if sound else before
        out.states[place, k], out.clock[place, k], out.tL[place, k] = (part[k] for part in last)
    return out


def _store(out: Passage, goals: Tensor, k: int, before: tuple[Tensor, Tensor, Tensor], run: _Across) -> None:
    """Record run ``k`` at the targets that its last step passed, on the line between the step's ends."""
    state, clock, tL = before
    gain = float(run.clock[k] - clock[k])
    while float(run.clock[k]) >= float(goals[out.reached[k]]):
        at = int(out.reached[k])
        share = (float(goals[at]) - float(clock[k])) / gain if gain > 0 else 1.0
        share = min(max(share, 0.0), 1.0)
        out.states[at, k] = torch.lerp(state[k], run.state[k], share)
        out.tL[at, k] = torch.lerp(tL[k], run.tL[k], share)
        out.clock[at, k] = goals[at] if gain > 0 else run.clock[k]
        out.reached[k] += 1


def distance(problem: Problem, coarse: Passage, fine: Passage) -> float:
    """The largest distance of two runs' nets at a target both reached (or at their ends), relative to the finer's."""
    worst = 0.0
    for at in range(len(fine.states)):
        both = (at < coarse.reached) & (at < fine.reached)
        both |= (at == len(fine.states) - 1) & (coarse.stalled & fine.stalled)
        if not bool(both.any()):
            continue
        off = problem.span.displacement(fine.states[at] - coarse.states[at])
        net = problem.span.weights + problem.span.displacement(fine.states[at])
        share = off.norm(dim=(-2, -1)) / net.norm(dim=(-2, -1)).clamp_min(1e-300)
        worst = max(worst, float(share[both].max()))
    return worst


def rough_flow(problem: Problem, state: Tensor, tL: Tensor, targets: list[float], watch: Watch) -> Passage:
    """The flow past ``targets``, ``δ`` halved until two runs agree, ``FINEST`` is reached, or the time is up.

    When time is up in a finer run, the coarser one, which was whole, is the answer.
    """
    best = pass_through(problem, state, tL, targets, COARSEST, watch)
    while not best.late and best.delta > FINEST and not best.apart <= AGREEMENT:
        finer = pass_through(problem, state, tL, targets, best.delta / 2, watch)
        if finer.late:
            best.late = bool((best.reached < len(targets)).any()) and not bool(best.stalled.any())
            break
        finer.apart = distance(problem, best, finer)
        best = finer
    return best
