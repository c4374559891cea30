"""Frei et al., Theorem 3.2: what every KKT point of Problem (1) looks like on
nearly-orthogonal data, in seven items.

Each check takes ``(net, data)``: any two-layer leaky ReLU network, exact KKT point or
trained. The network is first rescaled to smallest margin 1. Its multipliers are read
off by non-negative least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...data.dataset import Dataset
from ...hypotheses.conditions import H_3_2
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..setting import leak_of, setting_of_F
from ..verdict import Finding, Verdict, decide
from . import instances
from .at_point import AtPoint
from .theorem_3_2_boundary import linear_boundary
from .theorem_3_2_items import (
    convex_optimum,
    margin_factor,
    multipliers,
    support_vectors,
    two_rows,
)
from .theorem_3_2_optimum import global_optimum

__all__ = ["ITEMS", "found_at"]


ITEMS = (
    support_vectors,
    two_rows,
    multipliers,
    global_optimum,
    convex_optimum,
    linear_boundary,
    margin_factor,
)
"""The seven items of Theorem 3.2, in order; each takes an :class:`AtPoint` and returns
a :class:`Finding`.
"""


def _enter(
    id: str,
    title: str,
    statement: str,
    source: str,
    conclusion: Callable[[AtPoint], Finding],
    negative: Callable[[], tuple],
) -> None:
    def check(net: TwoLayer, data: Dataset) -> Verdict:
        point = AtPoint.of(net, data)
        hypotheses = (*point.hypotheses(), H_3_2(point.data, leak_of(point.net)))
        return decide(
            id, found_at(point, conclusion), hypotheses, unsettled=point.unsettled()
        )

    check.__doc__ = (
        f"{id}, {source}: {statement} Takes any two-layer network and its data."
    )
    register(
        id, title, statement, source, positive=instances.limit_within, negative=negative
    )(check)


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
    "v, u are combinations of the samples with λ_i in (1/(2R_max²), 3/(2γ²R_min²)); "
    "y_i⟨v,x_i⟩ > 0 > y_i⟨u,x_i⟩.",
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


def found_at(point: AtPoint, conclusion: Callable[[AtPoint], Finding]) -> Finding:
    """The finding of a conclusion at a point, open at networks of which its formulas do
    not speak.
    """
    if not all(bool(part.holds.all()) for part in setting_of_F(point.net)):
        return Finding(
            math.nan,
            "the items speak of a leak in (0, 1) and of a_j = ±1/√m, both signs present.",
        )
    return conclusion(point)
