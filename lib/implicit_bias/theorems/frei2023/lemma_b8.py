"""Frei et al., Lemma B.8: three points on which the linear predictor of the KKT point is
not the max-margin one.
"""

from __future__ import annotations

import math

import torch

from ...data.made_to_order import lemma_b8
from ...hypotheses.conditions import H_3_2
from ...hypotheses.hypothesis import Hypothesis
from ...margin.kkt import kkt_point
from ...margin.predictor import max_margin
from ...values.checks import fail
from ...values.scalars import numbers, positive_int
from ...values.wording import format_error
from ..claim import register
from ..verdict import Finding, Verdict, decide, equality

__all__ = ["no_max_margin"]


VISIBLE = 1e-9
"""The two margins of F-B.8 are compared only where they should differ by more than this."""


@register(
    "F-B.8",
    "z need not be the max-margin predictor",
    "On three points, at γ = ½ and m1 = m2: λ = (8/(5+4ε), 8/(5+4ε), 8/5) and ⟨z,x_2⟩ "
    "≠ ⟨z,x_3⟩.",
    "Lemma B.8",
    positive=lambda: (1 / 72,),
    negative=lambda: (0.0,),
)
def no_max_margin(epsilon: float, m_each: int = 8) -> Verdict:
    """F-B.8 at a given ε > 0: the KKT point of the three points against the closed
    forms, of λ and both margins of z, which must differ; and z against the max-margin
    predictor.
    """
    given = numbers(epsilon, "epsilon")
    if given.numel() != 1:
        fail("epsilon", "one number", tuple(given.shape))
    epsilon = float(given)
    m_each = positive_int(m_each, "m_each", most=100_000)
    data = lemma_b8(epsilon)
    point = kkt_point(data, m_each, m_each, 0.5)
    pair = 8 / (5 + 4 * epsilon)
    z_margins = data.x @ point.z
    found = torch.cat([point.lam, z_margins[1:]])
    expected = torch.tensor(
        [pair, pair, 8 / 5, 6 * (1 + epsilon) / (5 + 4 * epsilon), 6 / 5],
        dtype=torch.float64,
    )
    error = float((found - expected).abs().max())
    # A direction's margin is its smallest y⟨z,x⟩ over its norm: how far z's falls short
    # of the largest possible.
    excess = (
        float(point.z.norm() * max_margin(data).margin / (data.y * z_margins).min()) - 1
    )
    apart = float(expected[3] - expected[4])
    constants = {
        "error": error,
        "⟨z,x_2⟩": float(z_margins[1]),
        "⟨z,x_3⟩": float(z_margins[2]),
        "margin lost": excess,
    }
    why = (
        f"λ and z's margins are off the closed forms by {format_error(error)}; ⟨z,x_2⟩ "
        f"= {z_margins[1]:.6f}, "
        f"⟨z,x_3⟩ = {z_margins[2]:.6f}; z gives away {format_error(excess)} of the "
        "largest margin."
    )
    finding = Finding(
        equality(error, "", tolerance=VISIBLE / 10).slack, why, "", constants
    )
    if apart <= VISIBLE:
        slack, size = (
            (math.nan, "too little to be seen") if epsilon > 0 else (0.0, "nothing")
        )
        unseen = f"⟨z,x_2⟩ and ⟨z,x_3⟩ should differ by {apart:.1e}, which is {size}."
        finding = Finding(slack, f"{unseen} {why}", "", constants)
    some = Hypothesis("ε", "ε > 0", torch.tensor(epsilon), torch.tensor(0.0))
    return decide("F-B.8", finding, (some, H_3_2(data, 0.5)))
