"""Kou et al., Lemma 5.5: the same for ReLU, for neurons that are active at the start."""

from __future__ import annotations

from functools import cache

from ...data.made_to_order import correlated
from ...hypotheses.hypothesis import inequality
from ...networks.activations import relu
from ...training.trajectory import Trajectory
from ..claim import register
from ..setting import active_shares
from ..verdict import Verdict, decide
from .balances import _constant, _fitted, descent_of_K, relu_constant
from .setting import conditions_of_K

__all__ = ["balance_relu"]


CHAPTER = "decomposition"


@cache
def _relu_within() -> tuple[Trajectory]:
    """The same for ReLU and H-K4.3."""
    data = correlated(6, p=0.1, signs="oppose", norms=[1, 1.05, 1.1, 1.15, 1.2, 1])
    return (descent_of_K(data, 80, relu(), 20_000, seed=3),)


@register(
    "K-5.5",
    "Automatic balance, ReLU",
    "|ρ_{y_i,r,i}| ≥ c |ρ_{j,r',i'}| for all t, j, r', i, i' and r ∈ S_i(0), with a "
    "constant c.",
    "K, Lemma 5.5; Lemma E.1",
    chapter=CHAPTER,
    positive=_relu_within,
    negative=lambda: _fitted(0.0),
)
def balance_relu(run: Trajectory, C: float = 1.0, delta: float = 0.01) -> Verdict:
    """K-5.5 on a run of descent with ReLU, or a batch; the floor is
    :func:`relu_constant`. Lemma A.2's lower bound is a hypothesis here, computed from
    the start: 0.4m active neurons a sample, for every p, since the floor's ``c' = 5/2``
    is ``m/(0.4m)``. (S-8, which has its own constant, needs only one at p = 0.)
    """
    finding, unsettled = _constant(run, "active", 0, relu_constant(run))
    shares = active_shares(run.initial, run.data).amin(-1)
    active = inequality("active", "|S_i(0)| ≥ 0.4 m", shares, 0.4 * (1 - 1e-12))
    return decide(
        "K-5.5",
        finding,
        (*conditions_of_K(run, None, C, delta, relu=True), active),
        unsettled=unsettled,
    )
