"""Frei et al., Theorem 3.2: what each of its seven items asks of a network at a KKT point,
as a finding.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...margin.kkt import class_slopes
from ...margin.predictor import max_margin
from ...networks.two_layer import TwoLayer
from ...values.wording import format_error
from ..setting import leak_of, neurons
from ..verdict import Finding, equality, to_resolution, up_to, worst_of
from .at_point import KKT_TOLERANCE, AtPoint, _means, _predictor, _two_neurons
from .theorem_3_2_optimum import GAP, dual_value

__all__ = []


def support_vectors(point: AtPoint) -> Finding:
    """Item 1: every margin is 1."""
    off, place = worst_of(-(point.margins - 1).abs(), "sample")
    error = abs(off)
    why = f"margins differ from 1 by {format_error(error)}{up_to(point.outputs)}."
    finding = equality(error, why, place, point.outputs)
    alone = (
        "there is one margin, and the network is scaled until it is 1."
        if point.data.n == 1
        else ""
    )
    return replace(finding, says_nothing=alone)


def two_rows(point: AtPoint) -> Finding:
    """Item 2: all positive rows equal, all negative rows equal, rank at most 2."""
    largest = point.net.weights.norm(dim=-1).amax(-1)[..., None, None]
    spread = [
        ((rows - rows.mean(-2, keepdim=True)) / largest).norm(dim=-1).max()
        for rows in neurons(point.net)
    ]
    values = torch.linalg.svdvals(point.net.weights)
    third = values[..., 2] / values[..., 0] if values.shape[-1] > 2 else torch.zeros(())
    error = max(*map(float, spread), float(third.max()))
    seen = (
        f"rows of one sign differ by {format_error(error)} of the largest row, "
        "singular values 3, 4, … are as small"
    )
    finding = equality(error, f"{seen}{up_to(point.rows)}.", "", point.rows)
    return replace(finding, says_nothing=_two_neurons(point.net))


def multipliers(point: AtPoint) -> Finding:
    """Item 3: v and u are the stated combinations of samples, λ lies in its interval,
    and the signs are right.
    """
    wrong = _wrong_side(point)
    if wrong is not None:
        return wrong
    data = point.data
    lam = point.lam
    error = float(_combination_error(point.net, data, lam).max())
    if error > point.rows:
        off = f"v and u are off the stated combinations by {error:.1e} of the longer."
        return Finding(point.rows / error, off, "", {"error": error})
    low = 2 * data.R_max.unsqueeze(-1) ** 2 * lam
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    high = 3 / (2 * gamma**2 * data.R_min.unsqueeze(-1) ** 2 * lam.clamp_min(1e-300))
    slack, place = worst_of(torch.minimum(low, high), "sample")
    numbers = {
        "lambda low": float(low.min()),
        "lambda high": float(high.min()),
        "error": error,
    }
    room = (
        f"{float(low.min()):.3f} from its lower bound and {float(high.min()):.3f} "
        "from its upper one"
    )
    why = (
        f"λ keeps a factor {room}; v and u are the stated "
        f"combinations{up_to(point.rows)}; all signs right."
    )
    return Finding(to_resolution(slack, point.multipliers), why, place, numbers)


def _wrong_side(point: AtPoint) -> Finding | None:
    """The finding where a sample lies on the wrong side of v or u: open where the
    residual could have moved it.
    """
    net = point.net
    data = point.data
    along_v, along_u = (
        data.y * (data.x @ row.unsqueeze(-1)).squeeze(-1) for row in _means(net)
    )
    inside = torch.minimum(along_v, -along_u)
    wrong = inside <= 0
    if not bool(wrong.any()):
        return None
    place = worst_of(-wrong.double(), "sample")[1]
    blur = KKT_TOLERANCE * net.frobenius().unsqueeze(-1) * data.norms
    # A zero row lies on no side at all.
    if bool((inside < -blur).any()) or bool((data.norms == 0).any()):
        return Finding(
            0.0, f"{int(wrong.sum())} sample(s) lie on the wrong side of v or u.", place
        )
    return Finding(
        math.nan,
        f"{int(wrong.sum())} sample(s) lie too near v or u for their side to be told.",
        place,
    )


def _combination_error(net: TwoLayer, data: Dataset, lam: Tensor) -> Tensor:
    s, t = class_slopes(data, leak_of(net))
    v, u = neurons(net)
    stated_v = ((lam * data.y * s).unsqueeze(-1) * data.x).sum(
        -2, keepdim=True
    ) / net.m**0.5
    stated_u = (
        -((lam * data.y * t).unsqueeze(-1) * data.x).sum(-2, keepdim=True) / net.m**0.5
    )
    size = torch.maximum(stated_v.norm(dim=-1), stated_u.norm(dim=-1)).max()
    return (
        torch.cat(
            [
                (v - stated_v).norm(dim=-1).flatten(),
                (u - stated_u).norm(dim=-1).flatten(),
            ]
        )
        / size
    )


def convex_optimum(point: AtPoint) -> Finding:
    """Item 5: (v, u) solves QP (3), by the duality gap: primal objective against the
    dual at ``λ ≥ 0``, and primal feasibility.
    """
    net = point.net
    data = point.data
    v, u = _means(net)
    primal = (net.m_pos * v.square().sum(-1) + net.m_neg * u.square().sum(-1)) / 2
    gap = float(((primal - dual_value(net, data, point.lam)) / primal).abs().max())
    s, t = class_slopes(data, leak_of(net))
    along_v, along_u = ((data.x @ row.unsqueeze(-1)).squeeze(-1) for row in (v, u))
    constraint = (
        data.y * (net.m_pos * s * along_v - net.m_neg * t * along_u) / net.m**0.5
    )
    short = float((1 - constraint).clamp_min(0).max())
    found = [equality(gap, "", "", GAP), equality(short, "", "", point.outputs)]
    slack = math.nan if math.isnan(gap + short) else min(found[0].slack, found[1].slack)
    seen_gap = f"the duality gap of QP (3) is {format_error(gap)}{up_to(GAP)}"
    why = (
        f"{seen_gap}, the violation of its constraints "
        f"{format_error(short)}{up_to(point.outputs)}."
    )
    return Finding(
        slack, why, "", {"error": max(gap, short), "gap": gap, "violation": short}
    )


def margin_factor(point: AtPoint) -> Finding:
    """Item 7: ``y_i⟨z,x_i⟩ ≥ 1`` and ``‖z‖ ≤ 2/(κ+γ) ‖z*‖``."""
    net = point.net
    data = point.data
    z = _predictor(net)
    smallest, place = worst_of(
        data.y * (data.x @ z.unsqueeze(-1)).squeeze(-1), "sample"
    )
    factor = z.norm(dim=-1) * max_margin(data).margin
    allowed = 2 / (net.kappa + torch.as_tensor(leak_of(net), dtype=torch.float64))
    # ‖z‖ ≥ ‖z*‖ whenever z is feasible, so γ → 1 with κ = 1 meets the bound exactly.
    slack = to_resolution(min(smallest, float((allowed / factor).min())), point.outputs)
    why = (
        f"‖z‖ is {float(factor.max()):.4f} ‖z*‖ (allowed: {float(allowed.max()):.4f}) "
        f"and min y⟨z,x⟩ = {smallest:.4f}"
        f"{up_to(point.outputs)}."
    )
    return Finding(
        slack,
        why,
        place,
        {
            "factor": float(factor.max()),
            "allowed": float(allowed.max()),
            "smallest margin": smallest,
        },
    )
