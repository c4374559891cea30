r"""Frei et al., Theorem 3.2 and its lemmas: what every KKT point of Problem (1) looks like on nearly-orthogonal data.

Each check takes ``(net, data)``: any two-layer leaky ReLU network, exact KKT point or trained. The network is first
rescaled to smallest margin 1. Its multipliers are read off by non-negative least squares.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._format import format_error
from ..data import Dataset, lemma_b8
from ..hypotheses import H_3_2
from ..margin import kkt_point, max_margin
from ..measures import direction_distance
from ..network import TwoLayer
from . import instances
from .common import AtPoint
from .kkt_items import (
    convex_optimum,
    global_optimum,
    leak_of,
    linear_boundary,
    lower_bound,
    margin_factor,
    multipliers,
    support_vectors,
    two_rows,
    upper_bound,
)
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["counterexample", "same_as_exact"]


def _check(claim: str, point: AtPoint, finding: Finding) -> Verdict:
    hypothesis = H_3_2(point.data, leak_of(point.net))
    return decide(claim, finding, (*point.hypotheses(), hypothesis), unsettled=point.unsettled())


def _enter(id: str, title: str, statement: str, source: str, conclusion, negative=instances.perturbed) -> None:
    def check(net: TwoLayer, data: Dataset) -> Verdict:
        point = AtPoint.of(net, data)
        return _check(id, point, conclusion(point))

    check.__doc__ = f"{id}, {source}: {statement} Takes any two-layer network and its data."
    register(id, title, statement, source, positive=instances.kkt_within, negative=negative)(check)


_enter(
    "F-3.2.1",
    "All samples are support vectors",
    "y_i f(x_i; W) = 1 for every i.",
    "Theorem 3.2, item 1",
    support_vectors,
)
_enter(
    "F-3.2.2",
    "Two distinct neurons",
    "All positive rows equal v, all negative rows equal u; rank W ≤ 2.",
    "Theorem 3.2, item 2",
    two_rows,
)
_enter(
    "F-3.2.3",
    "Multipliers and signs",
    "v, u are combinations of the samples with λ_i in (1/(2R_max²), 3/(2γ²R_min²)); y_i⟨v,x_i⟩ > 0 > y_i⟨u,x_i⟩.",
    "Theorem 3.2, item 3",
    multipliers,
    instances.kkt_beyond,
)
_enter(
    "F-3.2.4",
    "Unique global optimum",
    "W is the unique global optimum of Problem (1).",
    "Theorem 3.2, item 4",
    global_optimum,
)
_enter(
    "F-3.2.5",
    "A convex problem",
    "(v, u) is the global optimum of the convex QP (3).",
    "Theorem 3.2, item 5",
    convex_optimum,
)
_enter(
    "F-3.2.6",
    "Linear decision boundary",
    "sign f(x; W) = sign⟨z, x⟩ for every x, with z = (m1 v - m2 u)/√m.",
    "Theorem 3.2, item 6",
    linear_boundary,
)
_enter(
    "F-3.2.7",
    "Approximate max margin",
    "y_i⟨z,x_i⟩ ≥ 1 and ‖z‖ ≤ 2/(κ+γ) ‖z*‖, z* the hard-margin ℓ2 predictor.",
    "Theorem 3.2, item 7",
    margin_factor,
)
_enter("F-B.1", "No sample weighs too much", "Σ_j λ_i φ'_ij < 3m/(2γR_min²) for every i.", "Lemma B.1", upper_bound)
_enter(
    "F-B.2",
    "No sample weighs too little",
    "Σ_j λ_i φ'_ij > m/(2R_max²) for every i.",
    "Lemma B.2",
    lower_bound,
    instances.kkt_light,
)


@register(
    "F-B.8",
    "z need not be the max-margin predictor",
    "On three points, at γ = ½ and m1 = m2: λ = (8/(5+4ε), 8/(5+4ε), 8/5) and ⟨z,x_2⟩ ≠ ⟨z,x_3⟩.",
    "Lemma B.8",
    positive=lambda: (1 / 72,),
    negative=lambda: (0.0,),
)
def counterexample(epsilon: float, m_each: int = 8) -> Verdict:
    """F-B.8 at a given ε: the KKT point of the three points against the closed forms, and z against the max-margin
    predictor.
    """
    data = lemma_b8(epsilon)
    point = kkt_point(data, m_each, m_each, 0.5)
    pair = 8 / (5 + 4 * epsilon)
    expected = torch.tensor([pair, pair, 8 / 5], dtype=torch.float64)
    error = (point.lam - expected).abs().max()
    z_margins = data.x @ point.z
    # A direction's margin is its smallest y⟨z,x⟩ over its norm: how far z's falls short of the largest possible.
    excess = float(point.z.norm() * max_margin(data).margin / (data.y * z_margins).min()) - 1
    numbers = {
        "error": float(error),
        "⟨z,x_2⟩": float(z_margins[1]),
        "⟨z,x_3⟩": float(z_margins[2]),
        "margin lost": excess,
    }
    differ = abs(float(z_margins[1] - z_margins[2])) > 1e-9 and excess > 1e-9
    why = (
        f"λ is off the closed form by {format_error(float(error))}; ⟨z,x_2⟩ = {z_margins[1]:.6f}, "
        f"⟨z,x_3⟩ = {z_margins[2]:.6f}; z gives away {format_error(excess)} of the largest margin."
    )
    slack = 0.0 if not differ else (1e-9 / float(error) if error > 0 else math.inf)
    return decide("F-B.8", Finding(slack, why, "", numbers), (H_3_2(data, 0.5),))


def same_as_exact(net: TwoLayer, data: Dataset) -> Tensor:
    """Distance in direction (...) of a network from the exact KKT point on its data (F-3.5)."""
    exact = kkt_point(data, net.m_pos, net.m_neg, net.activation.gamma)
    order = torch.argsort((net.a < 0).long(), stable=True)
    frozen = None if net.frozen_gram is None else net.frozen_gram[..., order, :][..., order]
    return direction_distance(
        TwoLayer(net.weights[..., order, :], net.a[..., order], net.activation, frozen), exact.net
    )
