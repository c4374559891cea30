"""Frei et al., Theorem 3.2, item 6: the decision boundary is linear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...networks.two_layer import TwoLayer
from ...values.wording import format_error
from ..setting import leak_of
from ..verdict import Finding, up_to, worst_of
from .at_point import KKT_TOLERANCE, AtPoint, _means, _predictor, _two_neurons
from .theorem_3_2_items import two_rows

__all__ = []


PROBES = 4096
"""Points of input space at which item 6 is tried, and as many on the boundary."""


def _in_its_row_space(net: TwoLayer) -> TwoLayer:
    """The same function of fewer coordinates: what is orthogonal to every row changes
    nothing.
    """
    if net.d <= net.m:
        return net
    return TwoLayer(torch.linalg.qr(net.weights.mT)[1].mT, net.a, net.activation)


def _off(x: Tensor, rows: Tensor) -> Tensor:
    """``x`` (k, d) less its part along one or two rows (..., 1 or 2, d)."""
    basis = torch.linalg.qr(rows.mT)[0]
    for _ in range(2):  # the second time for rounding
        x = x - (x @ basis) @ basis.mT
    return x


def linear_boundary(point: AtPoint) -> Finding:
    """Item 6, with its size: ``γ|⟨z,x⟩| ≤ |f(x)| ≤ |⟨z,x⟩|`` and equal signs, at
    Gaussian probes in the span and on the boundary ``⟨z,x⟩ = 0`` itself, where f must
    vanish; half of these are orthogonal to v and u, where it vanishes only if each row
    is one of the two.

    All are judged in units of ``‖W‖‖x‖``, in which rows that differ by ``‖E‖`` move f
    by at most ``‖E‖/‖W‖``.
    """
    net = _in_its_row_space(point.net)
    z = _predictor(net).unsqueeze(-2)
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(PROBES, net.d, generator=stream, dtype=torch.float64)
    beside = torch.cat(
        [
            _off(x[: PROBES // 2], z),
            _off(x[PROBES // 2 :], torch.stack(_means(net), dim=-2)),
        ],
        dim=-2,
    )
    size = net.frobenius().unsqueeze(-1) * x.norm(dim=-1).repeat(
        2
    )  # in one dimension nothing is left beside z
    x = torch.cat([x.expand(beside.shape), beside], dim=-2)
    f = net(x)
    linear = (x @ z.mT).squeeze(-1)
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)[..., None]
    along = f * torch.where(linear < 0, -1.0, 1.0)
    off = torch.maximum(gamma * linear.abs() - along, along - linear.abs()) / size
    resolution = 2 * KKT_TOLERANCE
    wrong = int((along < -resolution * size).sum())
    ratio = (f / linear)[..., :PROBES]
    numbers = {
        "smallest": float(ratio.min()),
        "largest": float(ratio.max()),
        "wrong": float(wrong),
    }
    worst, place = worst_of(-off, "probe")
    slack = resolution / -worst if worst < 0 else math.inf if worst >= 0 else math.nan
    rows = two_rows(point).constants["error"]
    tested = (
        f"Rows of one sign differ by {format_error(rows)}; with just two distinct "
        "rows no boundary is bent."
    )
    if wrong:
        # Probes near the boundary fall on either side by rounding: the size of the
        # share is told and not the count.
        share = wrong / (2 * PROBES)
        often = (
            "more than 10 %"
            if share >= 0.1
            else "more than 1 %"
            if share >= 0.01
            else "less than 1 %"
        )
        why = f"f and ⟨z,x⟩ differ in sign at {often} of {2 * PROBES} probes. {tested}"
        return Finding(min(slack, 0.0), why, "", numbers)
    reach = f"[{float(ratio.min()):.4f}, {float(ratio.max()):.4f}]"
    why = (
        f"f/⟨z,x⟩ ranges over {reach} at {PROBES} probes (claim: [γ, 1]), and f "
        "vanishes at as many with ⟨z,x⟩ = 0"
    )
    return Finding(
        slack,
        f"{why}{up_to(resolution)}. {tested}",
        place,
        numbers,
        _two_neurons(point.net),
    )
