r"""Frei et al., Theorem 3.2 and its lemmas: what every KKT point of Problem (1) looks like on nearly-orthogonal data.

Each check takes ``(net, data)``: any two-layer leaky ReLU network, exact KKT point or trained. The network is first
rescaled to smallest margin 1. Its multipliers are read off by non-negative least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._checks import fail, numbers, positive_int
from .._format import format_error
from ..data import Dataset, lemma_b8
from ..hypotheses import H_3_2, Hypothesis
from ..margin import kkt_point, max_margin
from ..measures import direction_distance
from ..network import TwoLayer
from . import instances
from .at_point import AtPoint
from .common import leak_of, setting_of_F
from .kkt_items import ITEMS, equality, lower_bound, upper_bound
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["no_max_margin", "found_at", "same_as_exact"]


def _enter(id: str, title: str, statement: str, source: str, conclusion, negative: Callable[[], tuple]) -> None:
    def check(net: TwoLayer, data: Dataset) -> Verdict:
        point = AtPoint.of(net, data)
        hypotheses = (*point.hypotheses(), H_3_2(point.data, leak_of(point.net)))
        return decide(id, found_at(point, conclusion), hypotheses, unsettled=point.unsettled())

    check.__doc__ = f"{id}, {source}: {statement} Takes any two-layer network and its data."
    register(id, title, statement, source, positive=instances.limit_within, negative=negative)(check)


_enter(
    "F-3.2.1",
    "All samples are support vectors",
    "y_i f(x_i; W) = 1 for every i.",
    "Theorem 3.2, item 1",
    ITEMS[0],
    instances.kkt_idle,
)
_enter(
    "F-3.2.2",
    "Two distinct neurons",
    "All positive rows equal v, all negative rows equal u; rank W ≤ 2.",
    "Theorem 3.2, item 2",
    ITEMS[1],
    instances.kkt_bent,
)
_enter(
    "F-3.2.3",
    "Multipliers and signs",
    "v, u are combinations of the samples with λ_i in (1/(2R_max²), 3/(2γ²R_min²)); y_i⟨v,x_i⟩ > 0 > y_i⟨u,x_i⟩.",
    "Theorem 3.2, item 3",
    ITEMS[2],
    instances.kkt_bent,
)
_enter(
    "F-3.2.4",
    "Unique global optimum",
    "W is the unique global optimum of Problem (1).",
    "Theorem 3.2, item 4",
    ITEMS[3],
    instances.kkt_bent,
)
_enter(
    "F-3.2.5",
    "A convex problem",
    "(v, u) is the global optimum of the convex QP (3).",
    "Theorem 3.2, item 5",
    ITEMS[4],
    instances.kkt_bent,
)
_enter(
    "F-3.2.6",
    "Linear decision boundary",
    "sign f(x; W) = sign⟨z, x⟩ for every x, with z = (m1 v - m2 u)/√m.",
    "Theorem 3.2, item 6",
    ITEMS[5],
    instances.kkt_bent,
)
_enter(
    "F-3.2.7",
    "Approximate max margin",
    "y_i⟨z,x_i⟩ ≥ 1 and ‖z‖ ≤ 2/(κ+γ) ‖z*‖, z* the hard-margin ℓ2 predictor.",
    "Theorem 3.2, item 7",
    ITEMS[6],
    instances.kkt_bent,
)
_enter(
    "F-B.1",
    "No sample weighs too much",
    "Σ_j λ_i φ'_ij < 3m/(2γR_min²) for every i.",
    "Lemma B.1",
    upper_bound,
    instances.kkt_heavy,
)
_enter(
    "F-B.2",
    "No sample weighs too little",
    "Σ_j λ_i φ'_ij > m/(2R_max²) for every i.",
    "Lemma B.2",
    lower_bound,
    instances.kkt_light,
)


VISIBLE = 1e-9
"""The two margins of F-B.8 are compared only where they should differ by more than this."""


@register(
    "F-B.8",
    "z need not be the max-margin predictor",
    "On three points, at γ = ½ and m1 = m2: λ = (8/(5+4ε), 8/(5+4ε), 8/5) and ⟨z,x_2⟩ ≠ ⟨z,x_3⟩.",
    "Lemma B.8",
    positive=lambda: (1 / 72,),
    negative=lambda: (0.0,),
)
def no_max_margin(epsilon: float, m_each: int = 8) -> Verdict:
    """F-B.8 at a given ε > 0: the KKT point of the three points against the closed forms, of λ and both margins of z,
    which must differ; and z against the max-margin predictor.
    """
    epsilon = numbers(epsilon, "epsilon")
    if epsilon.numel() != 1:
        fail("epsilon", "one number", tuple(epsilon.shape))
    epsilon = float(epsilon)
    m_each = positive_int(m_each, "m_each", most=100_000)
    data = lemma_b8(epsilon)
    point = kkt_point(data, m_each, m_each, 0.5)
    pair = 8 / (5 + 4 * epsilon)
    z_margins = data.x @ point.z
    found = torch.cat([point.lam, z_margins[1:]])
    expected = torch.tensor([pair, pair, 8 / 5, 6 * (1 + epsilon) / (5 + 4 * epsilon), 6 / 5], dtype=torch.float64)
    error = float((found - expected).abs().max())
    # A direction's margin is its smallest y⟨z,x⟩ over its norm: how far z's falls short of the largest possible.
    excess = float(point.z.norm() * max_margin(data).margin / (data.y * z_margins).min()) - 1
    apart = float(expected[3] - expected[4])
    constants = {"error": error, "⟨z,x_2⟩": float(z_margins[1]), "⟨z,x_3⟩": float(z_margins[2]), "margin lost": excess}
    why = (
        f"λ and z's margins are off the closed forms by {format_error(error)}; ⟨z,x_2⟩ = {z_margins[1]:.6f}, "
        f"⟨z,x_3⟩ = {z_margins[2]:.6f}; z gives away {format_error(excess)} of the largest margin."
    )
    finding = Finding(equality(error, "", tolerance=VISIBLE / 10).slack, why, "", constants)
    if apart <= VISIBLE:
        slack, size = (math.nan, "too little to be seen") if epsilon > 0 else (0.0, "nothing")
        unseen = f"⟨z,x_2⟩ and ⟨z,x_3⟩ should differ by {apart:.1e}, which is {size}."
        finding = Finding(slack, f"{unseen} {why}", "", constants)
    some = Hypothesis("ε", "ε > 0", torch.tensor(epsilon), torch.tensor(0.0))
    return decide("F-B.8", finding, (some, H_3_2(data, 0.5)))


def found_at(point: AtPoint, conclusion: Callable[[AtPoint], Finding]) -> Finding:
    """The finding of a conclusion at a point, open at networks of which its formulas do not speak."""
    if not all(bool(part.holds.all()) for part in setting_of_F(point.net)):
        return Finding(math.nan, "the items speak of a leak in (0, 1) and of a_j = ±1/√m, both signs present.")
    return conclusion(point)


def same_as_exact(net: TwoLayer, data: Dataset) -> Tensor:
    """Distance in direction (...) of a network from the exact KKT point on its data (F-3.5)."""
    exact = kkt_point(data, net.m_pos, net.m_neg, net.activation.gamma)
    order = torch.argsort((net.a < 0).long(), stable=True)
    frozen = None if net.frozen_gram is None else net.frozen_gram[..., order, :][..., order]
    return direction_distance(
        TwoLayer(net.weights[..., order, :], net.a[..., order], net.activation, frozen), exact.net
    )
