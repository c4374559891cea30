"""Kou et al., Lemma 5.4: no sample's sum of coefficients ever falls behind another's
(leaky ReLU).
"""

from __future__ import annotations

from ...training.trajectory import Trajectory
from ..claim import register
from ..verdict import Verdict, decide
from .balances import _constant, _fitted, _leaky_within, paper_constant
from .setting import conditions_of_K

__all__ = ["balance_of_sums"]


CHAPTER = "decomposition"


@register(
    "K-5.4",
    "Automatic balance, leaky ReLU",
    "Σ_r |ρ_{j,r,i}| ≥ c γ² Σ_r |ρ_{j',r,i'}| for all t, j, j', i, i', with a constant c.",
    "K, Lemma 5.4; across j: Lemma B.1",
    chapter=CHAPTER,
    positive=_leaky_within,
    negative=lambda: _fitted(0.5),
)
def balance_of_sums(run: Trajectory, C: float = 1.0, delta: float = 0.01) -> Verdict:
    """K-5.4 on a run of descent, or a batch: the best c over all records, the limit it
    is heading for, and the floor that the paper's proof names (:func:`paper_constant`).
    A ratio below the floor, or heading there, is undecided, and so is a run that ends
    before ``nm/(ηR_max²)``.
    """
    finding, unsettled = _constant(run, "sums", 2, paper_constant(run))
    return decide(
        "K-5.4", finding, conditions_of_K(run, None, C, delta), unsettled=unsettled
    )
