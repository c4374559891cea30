"""Frei et al., Theorem 3.4: gradient flow reaches small loss in finite time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...hypotheses.conditions import H_3_2
from ...hypotheses.hypothesis import Hypothesis
from ...measures.outputs import margins
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.flow import gradient_flow
from ...training.trajectory import FLOW, Trajectory, recorded_clock
from ..claim import register
from ..setting import known_loss, leak_of, setting_of_F
from ..verdict import Finding, Verdict, decide, worst_of
from . import instances
from .flow_limit import stuck_flow
from .proxy_pl import paper_time, repaired_time

__all__ = ["passing_time", "time_to_small_loss"]


CHAPTER = "proxy_pl"


def passing_time(run: Trajectory, log_level: float) -> Tensor:
    """``log t`` (...) at which ``log L`` first falls below a level: -∞ at the start
    already, ∞ if never.

    Interpolated between records, log t linearly in log L (t itself in the first
    interval, where log t starts at -∞). A run first recorded below the level gives the
    time of that record.
    """
    _, log_time = recorded_clock(run)
    log_loss = run.log_loss
    below = log_loss < log_level
    first = below.int().argmax(0, keepdim=True)
    before = (first - 1).clamp_min(0)
    high = log_loss.gather(0, before)
    low = log_loss.gather(0, first)
    share = ((high - log_level) / (high - low).clamp_min(1e-300)).clamp(0, 1)
    early = log_time.gather(0, before)
    late = log_time.gather(0, first)
    passed = torch.where(
        early.isinf(), late + share.log(), early + share * (late - early)
    )
    passed = torch.where(first == 0, log_time[:1], passed)
    return torch.where(below.any(0), passed[0], math.inf)


def _flow_past_the_level() -> tuple[Trajectory]:
    data = instances.within()
    start = TwoLayer.init(
        data,
        instances.M_POS,
        instances.M_NEG,
        leaky_relu(instances.GAMMA),
        1e-5,
        seed=1,
    )
    s = math.log(data.n / math.log(2))
    return (gradient_flow(start, data, s + 0.1, record=[s - 0.05, s, s + 0.05]),)


@register(
    "F-3.4",
    "Small loss in finite time",
    "There is t_0 ≤ 85 L(W(0)) R² n³/(γ² R_min²) with L(W(t)) < log(2)/n for all t ≥ t_0.",
    "Theorem 3.4",
    chapter=CHAPTER,
    positive=_flow_past_the_level,
    negative=stuck_flow,
    rules={"run": (FLOW,)},
)
def time_to_small_loss(run: Trajectory) -> Verdict:
    """F-3.4 on a run of gradient flow (or a batch): the time at which L passes log(2)/n
    against the bound, and that it is not above it at a later record.

    Records right at ``s = log(n/log 2)`` make the time exact; between records it is
    interpolated. ``constants`` has the measured ``t0``, the ``bound`` and the
    ``repaired`` bound of the chapter, all of the tightest run.
    """
    _, clock = recorded_clock(run)
    data = run.data
    net = run.initial
    level = math.log(math.log(2) / data.n)
    log_time = passing_time(run, level)
    gamma = leak_of(net)
    start = run.loss.log_mean(margins(net, data)).exp()
    bound = paper_time(data, gamma, start).expand_as(log_time)
    repaired = repaired_time(data, gamma, start, run.loss).expand_as(log_time)
    slack, place = worst_of((bound.log() - log_time).exp(), "run")
    k = int((bound.log() - log_time).argmin())
    t0, limit, better = (
        float(v.flatten()[k]) for v in (log_time.exp(), bound, repaired)
    )
    numbers = {"t0": t0, "bound": limit, "repaired": better}
    hypotheses = (*setting_of_F(net), H_3_2(data, gamma), known_loss(run.loss))
    if math.isinf(t0):
        ended = float(clock[-1].flatten()[k])
        return _never(
            numbers, place, hypotheses, ended < math.log(limit), run.outcome.ok
        )
    rises = bool(((run.log_loss >= level) & (clock > log_time)).any())
    if rises:
        return decide(
            "F-3.4",
            Finding(0.0, "L rose above log(2)/n again.", place, numbers),
            hypotheses,
        )
    before, after = (part.flatten()[k] for part in _bracket(run, level))
    if before < math.log(limit) < after:
        far = (
            f"L passes log(2)/n between t = {before.exp():.3e} and "
            f"{after.exp():.3e}, where the bound {limit:.3e} lies."
        )
        finding = Finding(math.nan, far, place, numbers)
        return decide(
            "F-3.4", finding, hypotheses, unsettled="The records are too far apart:"
        )
    later = int((clock > log_time).reshape(len(run), -1)[:, k].sum())
    why = (
        f"L passes log(2)/n at t = {t0:.3e}, the bound is {limit:.3e}: "
        f"{_decades(slack)}; {later} later records agree."
    )
    return decide("F-3.4", Finding(slack, why, place, numbers), hypotheses)


def _bracket(run: Trajectory, log_level: float) -> tuple[Tensor, Tensor]:
    """``log t`` (...) of the last record before L falls below a level (-∞ without one),
    and of the first one after.
    """
    _, log_time = recorded_clock(run)
    below = run.log_loss < log_level
    first = below.int().argmax(0, keepdim=True)
    before = log_time.gather(0, (first - 1).clamp_min(0))
    before = torch.where(first > 0, before, torch.full_like(before, -math.inf))
    return before[0], log_time.gather(0, first)[0]


def _never(
    numbers: dict[str, float],
    place: str,
    hypotheses: tuple[Hypothesis, ...],
    early: bool,
    went_on: bool,
) -> Verdict:
    """The verdict on a run that never passed the level: false past the bound, or where
    it came to rest before it.
    """
    if early and went_on:
        finding = Finding(
            math.nan, "L has not fallen below log(2)/n yet.", place, numbers
        )
        return decide(
            "F-3.4", finding, hypotheses, unsettled="The run ends before the bound:"
        )
    finding = Finding(0.0, "L never fell below log(2)/n.", place, numbers)
    return decide(
        "F-3.4",
        finding,
        hypotheses,
        unsettled="The run stalls before the bound:" if early else "",
    )


def _decades(slack: float) -> str:
    return "loose by " + (
        f"{math.log10(slack):.1f} decades" if 0 < slack < math.inf else "any factor"
    )
