"""Found here: S-1, the factor R² in H-3.2 is superfluous."""

from __future__ import annotations

import math

import torch

from ...data.dataset import Dataset
from ...data.made_to_order import correlated
from ...hypotheses.conditions import H_S1
from ...margin.kkt import kkt_point
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..frei2023 import instances
from ..frei2023.at_point import AtPoint
from ..frei2023.theorem_3_2 import ITEMS, found_at
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, to_resolution, worst_of

__all__ = ["without_the_ratio"]


def _norms_to_300() -> tuple[TwoLayer, Dataset]:
    """Norms from 1 to 300: H-3.2 fails by a factor of 10⁵, S-1's condition holds."""
    n = 8
    gamma = instances.GAMMA
    data = correlated(
        n,
        p=0.9 * gamma**3 / (3 * n),
        signs="random",
        norms=torch.logspace(0, math.log10(300), n).tolist(),
        seed=3,
    )
    return kkt_point(data, instances.M_POS, instances.M_NEG, gamma).net, data


@register(
    "S-1",
    "R² is superfluous",
    "R_min² ≥ 3γ⁻³ n p is enough for all seven items of Theorem 3.2; moreover "
    "λ_i‖x_i‖² > 1 - γ²/2.",
    "found here; proof in the chapter",
    positive=_norms_to_300,
    negative=instances.kkt_bent,
    status="proved here",
)
def without_the_ratio(net: TwoLayer, data: Dataset) -> Verdict:
    """S-1 at a network: all items of F-3.2, and the lower bound on λ that needs no R,
    under ``R_min² ≥ 3γ⁻³ n p``.
    """
    point = AtPoint.of(net, data)
    finding = found_at(point, _all_items)
    return decide(
        "S-1",
        finding,
        (*point.hypotheses(), H_S1(point.data, leak_of(net))),
        unsettled=point.unsettled(),
    )


def _all_items(point: AtPoint) -> Finding:
    """The tightest of the seven items and of the bound on λ; open where one of them is
    and none is false.
    """
    findings = {f"item {k}": item(point) for k, item in enumerate(ITEMS, 1)}
    findings["λ_i‖x_i‖²"] = _own_weight(point)
    slacks = {key: finding.slack for key, finding in findings.items()}
    # A slack that is no number is tightest, unless something is false.
    name = min(
        slacks, key=lambda key: 1.0 - 1e-12 if math.isnan(slacks[key]) else slacks[key]
    )
    return Finding(
        slacks[name],
        f"tightest is {name}: {findings[name].why}",
        findings[name].worst,
        slacks,
    )


def _own_weight(point: AtPoint) -> Finding:
    """``λ_i‖x_i‖² > 1 - γ²/2`` for every sample."""
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    slack, place = worst_of(
        point.lam * point.data.norms.square() / (1 - gamma**2 / 2), "sample"
    )
    why = f"λ_i‖x_i‖² is at least {slack:.3f} times 1 - γ²/2."
    return Finding(to_resolution(slack, point.multipliers), why, place)
