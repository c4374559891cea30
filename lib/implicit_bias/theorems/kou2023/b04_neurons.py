"""Kou et al., Lemma B.4: no single coefficient falls behind another (leaky ReLU)."""

from __future__ import annotations

from ...training.trajectory import Trajectory
from ..claim import register
from ..verdict import Verdict, decide
from .balances import _constant, _fitted, _leaky_within, paper_constant
from .setting import conditions_of_K

__all__ = ["balance_of_neurons"]


CHAPTER = "decomposition"


@register(
    "K-B.4",
    "Balance of single neurons, leaky ReLU",
    "|ρ_{j,r,i}| ≥ c γ⁴ |ρ_{j',r',i'}| for all t, j, j', r, r', i, i', with the "
    "constant c of Lemma B.1.",
    "K, Lemma B.4",
    chapter=CHAPTER,
    positive=_leaky_within,
    negative=lambda: _fitted(0.5),
)
def balance_of_neurons(run: Trajectory, C: float = 1.0, delta: float = 0.01) -> Verdict:
    """K-B.4 on a run of descent, or a batch; as K-5.4, for single neurons and with γ⁴."""
    finding, unsettled = _constant(run, "neurons", 4, paper_constant(run))
    return decide(
        "K-B.4", finding, conditions_of_K(run, None, C, delta), unsettled=unsettled
    )
