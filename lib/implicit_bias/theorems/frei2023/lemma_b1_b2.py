"""Frei et al., Lemmas B.1 and B.2: at a KKT point no sample weighs too much, and none too
little.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..setting import leak_of
from ..verdict import Finding, to_resolution, up_to, worst_of
from . import instances
from .at_point import AtPoint
from .theorem_3_2 import _enter

__all__ = ["lower_bound", "upper_bound"]


def weight_of_each_sample(point: AtPoint) -> Tensor:
    """``ξ_i = Σ_j λ_i φ'_ij`` (..., n), the quantity that B.1 and B.2 bound."""
    slopes = point.net.activation.derivative(point.net.preactivations(point.data.x))
    return point.lam * slopes.sum(-2)


def upper_bound(point: AtPoint) -> Finding:
    """B.1: ``ξ_i < 3m/(2γR_min²)`` for every sample."""
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    bound = 3 * point.net.m / (2 * gamma * point.data.R_min.unsqueeze(-1) ** 2)
    slack, place = worst_of(
        bound / weight_of_each_sample(point).clamp_min(1e-300), "sample"
    )
    why = (
        f"the heaviest sample carries 1/{slack:.3f} of the "
        f"bound{up_to(point.multipliers)}."
    )
    return Finding(to_resolution(slack, point.multipliers), why, place)


def lower_bound(point: AtPoint) -> Finding:
    """B.2: ``ξ_i > m/(2R_max²)`` for every sample."""
    bound = point.net.m / (2 * point.data.R_max.unsqueeze(-1) ** 2)
    slack, place = worst_of(weight_of_each_sample(point) / bound, "sample")
    why = (
        f"the lightest sample carries {slack:.3f} times the "
        f"bound{up_to(point.multipliers)}."
    )
    return Finding(to_resolution(slack, point.multipliers), why, place)


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
