r"""Kou, Chen & Gu, Appendix F: ReLU on orthogonal samples. The signs at the start decide the end; the stable rank is 2.

Each check takes a run, of descent or flow, and perhaps another that goes on where it ended.
"""

from __future__ import annotations

from functools import cache

import torch

from .._checks import failure_probability
from .._format import format_error
from ..data import Dataset, correlated, orthogonal
from ..dynamics import gradient_descent
from ..measures import activation_pattern, independent, own_class, rho
from ..network import TwoLayer, relu
from ..trajectory import Trajectory
from .common import active_at_start
from .draws import CHANCE
from .orthogonal_runs import (
    ARRIVED,
    EITHER,
    balanced,
    equal_chance,
    equal_norms,
    orthogonal_setting,
    rank_finding,
    reached,
    train,
    width,
)
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["pattern_is_read_off", "rank_two", "sharper_rank"]


# -- K-F.2 --------


@cache
def _equal() -> tuple[Trajectory, Trajectory]:
    """Ten samples of each class, all of length 1, and a width that meets K-A.2 at δ = 0.01."""
    return train(orthogonal(20), 500, seed=1)


@cache
def _plain_descent() -> tuple[Trajectory]:
    """Plain descent from the start, ten samples of length 1."""
    data = orthogonal(10)
    initial = TwoLayer.init(data, 100, 100, relu(), 1e-2, output="1/m", seed=1)
    return (gradient_descent(initial, data, 50.0, 30_000, record=[0, 1, 2, 3, 5, 10, *range(1000, 30_001, 2900)]),)


@cache
def _waking() -> tuple[Trajectory, Trajectory]:
    """Samples that lean towards their own class: sleeping neurons wake, and nothing can be read off the start."""
    return train(correlated(6, p=0.3, signs="agree"), 30, seed=1, until=60.0)


@register(
    "K-F.2",
    "The pattern is read off the start",
    "On orthogonal data, ReLU: own class awake stays awake, own class asleep stays asleep with ρ = 0, other class ends "
    "asleep with ρ frozen; ρ/log t → m/|S_i(0)| for r ∈ S_i(0).",
    "Lemma F.2",
    chapter="orthogonal",
    positive=_plain_descent,
    negative=_waking,
    rules=EITHER,
)
def pattern_is_read_off(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """K-F.2 on a run, and on the ``flow`` (or descent) that goes on from it: the pattern predicted at the start against
    every later one, the ρ that must stand still, and the slopes of the others in log t. ``constants`` holds the step of
    ``run`` after which the pattern was final (to the records' accuracy) and the C of ``T = C nm/(η R_min²)``.
    """
    data, initial, end = run.data, run.initial, run if flow is None else flow
    found, known = reached(run, flow), orthogonal_setting(run.initial, run.data, run.loss)
    predicted = active_at_start(initial, data)
    nets = [part.net(k) for part in (run, *([] if flow is None else [flow])) for k in range(len(part))]
    wrong = torch.stack([activation_pattern(net, data) != predicted for net in nets])
    own, count = own_class(initial, data), wrong.reshape(len(nets), -1).sum(1)
    settled = int((count > 0).nonzero().max()) + 1 if bool((count > 0).any()) else 0
    numbers = {"wrong": float(count[-1]), "settled at": float("nan")}
    # Only neurons of the other class that are still on their way: too early, not wrong.
    draining = bool(count[-1] > 0) and not bool((wrong[-1] & own).any())
    early = "Neurons of the other class are still awake." if draining else ""
    if int(count[-1]):
        finding = Finding(0.0, f"{int(count[-1])} of {wrong[-1].numel()} pairs are not as predicted.", "", numbers)
        return decide("K-F.2", finding, known, unsettled=early)
    if run.step is not None and settled < len(run):
        step = numbers["settled at"] = float(run.step[settled])
        reach = torch.as_tensor(run.step_size, dtype=torch.float64) * data.R_min.double() ** 2
        numbers["C"] = float((step * reach).max()) / (data.n * initial.m_pos)
    if not independent(data):
        finding = Finding(0.0, "ρ is not unique: the samples are linearly dependent.", "", numbers)
        return decide("K-F.2", finding, known)
    moved, before = rho(end.net(-1), initial, data), rho(nets[settled], initial, data)
    asleep = own & ~predicted
    drift = torch.where(own, torch.where(asleep, moved, torch.zeros_like(moved)), moved - before).abs().max()
    numbers["still"] = float(drift / moved.abs().max().clamp_min(1e-300))
    arrival, short = found.arrival()
    counts = predicted.sum(-2)
    numbers |= {
        "least |S_i|/m": float(counts.min()) / initial.m_pos,
        "most |S_i|/m": float(counts.max()) / initial.m_pos,
    }
    standing = numbers["still"] <= ARRIVED
    still = f"the ρ that should stand still move by {format_error(numbers['still'])}"
    why = f"all {wrong[-1].numel()} pairs end as predicted; {still}; {arrival.why}."
    finding = Finding(arrival.slack if standing else 0.0, why, "", numbers)
    return decide("K-F.2", finding, known, unsettled=short)


# -- K-F.3 --------


@cache
def _norms_to_10() -> tuple[Trajectory, Trajectory]:
    """As the positive control, with lengths from 1 to 10 in either class."""
    norms = torch.logspace(0, 1, 10, dtype=torch.float64).repeat(2)
    return train(orthogonal(20, norms=norms), 500, seed=1)


@register(
    "K-F.3",
    "Rank two",
    "On orthogonal data with equal norms, balanced classes and no S_i(0) empty, W_j/log t → A, so StableRank(W_j) → "
    "2 ± o(1) as m, n → ∞, and that of the whole matrix ends in [16/9 - o(1), 9 + o(1)].",
    "Lemma F.3 (with the norms that its proof takes)",
    chapter="orthogonal",
    positive=_equal,
    negative=_norms_to_10,
    rules=EITHER,
)
def rank_two(run: Trajectory, flow: Trajectory | None = None, delta: float = 0.01) -> Verdict:
    """K-F.3 on a run, and on the ``flow`` (or descent) that goes on from it. Its o(1), left open in the
    paper, is ``2/(k+1)`` plus what chance does at this width with probability 1 - δ
    (:func:`implicit_bias.claims.orthogonal_tools.class_law`), k = n/2.
    """
    failure_probability(delta)
    data, initial = run.data, run.initial
    found = reached(run, flow)
    reach, rarely = (
        _near_two(data, initial.m_pos, chance) for chance in (delta, min(delta, CHANCE))
    )
    centre = (16 / 9 + 9) / 2
    claimed = f"2 ± {max(reach[:2]):.3f} and {centre - reach[2]:.3f} to {centre + reach[2]:.3f}"
    finding, short = rank_finding(found, [2.0, 2.0, centre], reach, claimed, rarely)
    even = (equal_norms(data), balanced(data), width(initial, data, delta))
    known = (*orthogonal_setting(initial, data, run.loss), *even)
    return decide("K-F.3", finding, known, unsettled=short)


def _near_two(data: Dataset, m: int, delta: float) -> list[float]:
    """How far the ranks of either class may be from 2, and the whole matrix's from the middle of its
    bracket.
    """
    limits, spread = equal_chance(data, m, delta)
    small = [abs(2 - limit) + part for limit, part in zip(limits[:2], spread)]
    return [*small, (9 - 16 / 9) / 2 + spread[2]]


@cache
def _fifteen_to_five() -> tuple[Trajectory, Trajectory]:
    """Fifteen samples of one class, five of the other."""
    return train(orthogonal(20, positive=15), 200, seed=1)


@register(
    "K-F.3.k",
    "The rank at class size k",
    "On orthogonal data with equal norms and k samples of each class, as m → ∞: AᵀA/m → 11ᵀ + I, so StableRank(W_j) → "
    "2k/(k+1), and that of the whole matrix → 4k/(k+1).",
    "found here, sharper than Lemma F.3; proof in the chapter",
    chapter="orthogonal",
    positive=_equal,
    negative=_fifteen_to_five,
    status="proved here",
    rules=EITHER,
)
def sharper_rank(run: Trajectory, flow: Trajectory | None = None, delta: float = 0.01) -> Verdict:
    """K-F.3.k on a run, k = n/2: the stable ranks reached against ``2k/(k+1)`` and ``4k/(k+1)``, within what chance
    does at this width with probability 1 - δ: a standard deviation of ``2 √(k(k-1)/((k+1)³m))`` for a class.
    """
    failure_probability(delta)
    data, initial = run.data, run.initial
    rarely = equal_chance(data, initial.m_pos, min(delta, CHANCE))[1]
    finding, short = rank_finding(
        reached(run, flow), *equal_chance(data, initial.m_pos, delta), rarely=rarely
    )
    known = (*orthogonal_setting(initial, data, run.loss), equal_norms(data), balanced(data))
    return decide("K-F.3.k", finding, known, unsettled=short)
