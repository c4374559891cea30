"""Kou et al., F.3: on orthogonal samples the stable rank of each class tends to 2;
sharper, to ``2k/(k+1)``.
"""

from __future__ import annotations

from functools import cache

import torch

from ...data.dataset import Dataset
from ...data.made_to_order import orthogonal
from ...training.trajectory import Trajectory
from ...values.scalars import failure_probability
from ..claim import register
from ..draws import CHANCE
from ..verdict import Verdict, decide
from .orthogonal_runs import equal_chance, rank_finding, reached, train
from .orthogonal_setting import EITHER, balanced, equal_norms, orthogonal_setting, width

__all__ = ["rank_two", "sharper_rank"]


@cache
def _equal() -> tuple[Trajectory, Trajectory]:
    """Ten samples of each class, all of length 1, and a width that meets K-A.2 at δ =
    0.01.
    """
    return train(orthogonal(20), 500, seed=1)


@cache
def _norms_to_10() -> tuple[Trajectory, Trajectory]:
    """As the positive control, with lengths from 1 to 10 in either class."""
    norms = torch.logspace(0, 1, 10, dtype=torch.float64).repeat(2)
    return train(orthogonal(20, norms=norms), 500, seed=1)


@register(
    "K-F.3",
    "Rank two",
    "On orthogonal data with equal norms, balanced classes and no S_i(0) empty, "
    "W_j/log t → A, so StableRank(W_j) → "
    "2 ± o(1) as m, n → ∞, and that of the whole matrix ends in [16/9 - o(1), 9 + o(1)].",
    "Lemma F.3 (with the norms that its proof takes)",
    chapter="orthogonal",
    positive=_equal,
    negative=_norms_to_10,
    rules=EITHER,
)
def rank_two(
    run: Trajectory, flow: Trajectory | None = None, delta: float = 0.01
) -> Verdict:
    """K-F.3 on a run, and on the ``flow`` (or descent) that goes on from it. Its o(1),
    left open in the paper, is ``2/(k+1)`` plus what chance does at this width with
    probability 1 - δ
    (:func:`~implicit_bias.theorems.kou2023.orthogonal_law.class_law`), k = n/2.
    """
    failure_probability(delta)
    data = run.data
    initial = run.initial
    found = reached(run, flow)
    reach, rarely = (
        _near_two(data, initial.m_pos, chance) for chance in (delta, min(delta, CHANCE))
    )
    centre = (16 / 9 + 9) / 2
    claimed = (
        f"2 ± {max(reach[:2]):.3f} and {centre - reach[2]:.3f} to "
        f"{centre + reach[2]:.3f}"
    )
    finding, short = rank_finding(found, [2.0, 2.0, centre], reach, claimed, rarely)
    even = (equal_norms(data), balanced(data), width(initial, data, delta))
    known = (*orthogonal_setting(initial, data, run.loss), *even)
    return decide("K-F.3", finding, known, unsettled=short)


def _near_two(data: Dataset, m: int, delta: float) -> list[float]:
    """How far the ranks of either class may be from 2, and the whole matrix's from the
    middle of its bracket.
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
    "On orthogonal data with equal norms and k samples of each class, as m → ∞: AᵀA/m "
    "→ 11ᵀ + I, so StableRank(W_j) → "
    "2k/(k+1), and that of the whole matrix → 4k/(k+1).",
    "found here, sharper than Lemma F.3; proof in the chapter",
    chapter="orthogonal",
    positive=_equal,
    negative=_fifteen_to_five,
    status="proved here",
    rules=EITHER,
)
def sharper_rank(
    run: Trajectory, flow: Trajectory | None = None, delta: float = 0.01
) -> Verdict:
    """K-F.3.k on a run, k = n/2: the stable ranks reached against ``2k/(k+1)`` and
    ``4k/(k+1)``, within what chance does at this width with probability 1 - δ: a
    standard deviation of ``2 √(k(k-1)/((k+1)³m))`` for a class.
    """
    failure_probability(delta)
    data = run.data
    initial = run.initial
    rarely = equal_chance(data, initial.m_pos, min(delta, CHANCE))[1]
    finding, short = rank_finding(
        reached(run, flow), *equal_chance(data, initial.m_pos, delta), rarely=rarely
    )
    known = (
        *orthogonal_setting(initial, data, run.loss),
        equal_norms(data),
        balanced(data),
    )
    return decide("K-F.3.k", finding, known, unsettled=short)
