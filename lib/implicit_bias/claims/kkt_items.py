r"""The conclusions of Theorem 3.2 of Frei et al. and of its lemmas B.1 and B.2, as findings.

Each takes an :class:`AtPoint`: a network at the scale of Problem (1), its data and its multipliers. The claims of
``frei_kkt`` and S-1 put hypotheses to them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .._format import format_error
from ..data import Dataset
from ..margin import class_slopes, max_margin
from ..network import TwoLayer
from .at_point import KKT_TOLERANCE, AtPoint
from .common import leak_of, neurons
from .optimum import GAP, dual_value, global_optimum
from .verdict import Finding, worst_of

__all__ = ["ITEMS", "EQUALITY_TOLERANCE", "equality", "lower_bound", "to_resolution", "upper_bound"]

EQUALITY_TOLERANCE = 1e-6
"""Equalities that no residual blurs are checked to this relative error; their slack is tolerance/error."""


def equality(
    error: float, why: str, worst: str = "", tolerance: float = EQUALITY_TOLERANCE, **constants: float
) -> Finding:
    """The finding of an equality that should be exact."""
    slack = tolerance / error if error != 0 else math.inf
    return Finding(slack, why, worst, {"error": error, **constants})


def to_resolution(slack: float, resolution: float) -> float:
    """The slack of an inequality that counts as true within ``resolution``."""
    return 1.0 if 1 - resolution <= slack < 1 else slack


def support_vectors(point: AtPoint) -> Finding:
    """Item 1: every margin is 1."""
    off, place = worst_of(-(point.margins - 1).abs(), "sample")
    error = abs(off)
    why = f"margins differ from 1 by {format_error(error)}{_to(point.outputs)}."
    finding = equality(error, why, place, point.outputs)
    alone = (
        "there is one margin, and the network is scaled until it is 1."
        if point.data.n == 1
        else ""
    )
    return replace(finding, says_nothing=alone)


def _two_neurons(net: TwoLayer) -> str:
    """Why items 2 and 6 say nothing of two neurons."""
    return "there is one neuron of each sign, and two rows are all there are." if net.m == 2 else ""


def _to(resolution: float) -> str:
    """To which accuracy a verdict is given."""
    return f" (judged to {resolution:.0e})"


def two_rows(point: AtPoint) -> Finding:
    """Item 2: all positive rows equal, all negative rows equal, rank at most 2."""
    largest = point.net.weights.norm(dim=-1).amax(-1)[..., None, None]
    spread = [((rows - rows.mean(-2, keepdim=True)) / largest).norm(dim=-1).max() for rows in neurons(point.net)]
    values = torch.linalg.svdvals(point.net.weights)
    third = values[..., 2] / values[..., 0] if values.shape[-1] > 2 else torch.zeros(())
    error = max(*map(float, spread), float(third.max()))
    seen = f"rows of one sign differ by {format_error(error)} of the largest row, singular values 3, 4, … are as small"
    finding = equality(error, f"{seen}{_to(point.rows)}.", "", point.rows)
    return replace(finding, says_nothing=_two_neurons(point.net))


def multipliers(point: AtPoint) -> Finding:
    """Item 3: v and u are the stated combinations of samples, λ lies in its interval, and the signs are right."""
    wrong = _wrong_side(point)
    if wrong is not None:
        return wrong
    data, lam = point.data, point.lam
    error = float(_combination_error(point.net, data, lam).max())
    if error > point.rows:
        off = f"v and u are off the stated combinations by {error:.1e} of the longer."
        return Finding(point.rows / error, off, "", {"error": error})
    low = 2 * data.R_max.unsqueeze(-1) ** 2 * lam
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    high = 3 / (2 * gamma**2 * data.R_min.unsqueeze(-1) ** 2 * lam.clamp_min(1e-300))
    slack, place = worst_of(torch.minimum(low, high), "sample")
    numbers = {"lambda low": float(low.min()), "lambda high": float(high.min()), "error": error}
    room = f"{float(low.min()):.3f} from its lower bound and {float(high.min()):.3f} from its upper one"
    why = f"λ keeps a factor {room}; v and u are the stated combinations{_to(point.rows)}; all signs right."
    return Finding(to_resolution(slack, point.multipliers), why, place, numbers)


def _wrong_side(point: AtPoint) -> Finding | None:
    """The finding where a sample lies on the wrong side of v or u: open where the residual could have moved it."""
    net, data = point.net, point.data
    along_v, along_u = (data.y * (data.x @ row.unsqueeze(-1)).squeeze(-1) for row in _means(net))
    inside = torch.minimum(along_v, -along_u)
    wrong = inside <= 0
    if not bool(wrong.any()):
        return None
    place = worst_of(-wrong.double(), "sample")[1]
    blur = KKT_TOLERANCE * net.frobenius().unsqueeze(-1) * data.norms
    # A zero row lies on no side at all.
    if bool((inside < -blur).any()) or bool((data.norms == 0).any()):
        return Finding(0.0, f"{int(wrong.sum())} sample(s) lie on the wrong side of v or u.", place)
    return Finding(math.nan, f"{int(wrong.sum())} sample(s) lie too near v or u for their side to be told.", place)


def _means(net: TwoLayer) -> tuple[Tensor, Tensor]:
    """v and u (..., d): the mean rows of each sign."""
    v, u = neurons(net)
    return v.mean(-2), u.mean(-2)


def _predictor(net: TwoLayer) -> Tensor:
    """``z = (m1 v - m2 u)/√m`` (..., d)."""
    v, u = _means(net)
    return (net.m_pos * v - net.m_neg * u) / net.m**0.5


def _combination_error(net: TwoLayer, data: Dataset, lam: Tensor) -> Tensor:
    s, t = class_slopes(data, leak_of(net))
    v, u = neurons(net)
    stated_v = ((lam * data.y * s).unsqueeze(-1) * data.x).sum(-2, keepdim=True) / net.m**0.5
    stated_u = -((lam * data.y * t).unsqueeze(-1) * data.x).sum(-2, keepdim=True) / net.m**0.5
    size = torch.maximum(stated_v.norm(dim=-1), stated_u.norm(dim=-1)).max()
    return torch.cat([(v - stated_v).norm(dim=-1).flatten(), (u - stated_u).norm(dim=-1).flatten()]) / size


def convex_optimum(point: AtPoint) -> Finding:
    """Item 5: (v, u) solves QP (3), by the duality gap: primal objective against the dual at ``λ ≥ 0``, and primal
    feasibility.
    """
    net, data = point.net, point.data
    v, u = _means(net)
    primal = (net.m_pos * v.square().sum(-1) + net.m_neg * u.square().sum(-1)) / 2
    gap = float(((primal - dual_value(net, data, point.lam)) / primal).abs().max())
    s, t = class_slopes(data, leak_of(net))
    along_v, along_u = ((data.x @ row.unsqueeze(-1)).squeeze(-1) for row in (v, u))
    constraint = data.y * (net.m_pos * s * along_v - net.m_neg * t * along_u) / net.m**0.5
    short = float((1 - constraint).clamp_min(0).max())
    found = [equality(gap, "", "", GAP), equality(short, "", "", point.outputs)]
    slack = math.nan if math.isnan(gap + short) else min(found[0].slack, found[1].slack)
    seen_gap = f"the duality gap of QP (3) is {format_error(gap)}{_to(GAP)}"
    why = f"{seen_gap}, the violation of its constraints {format_error(short)}{_to(point.outputs)}."
    return Finding(slack, why, "", {"error": max(gap, short), "gap": gap, "violation": short})


PROBES = 4096
"""Points of input space at which item 6 is tried, and as many on the boundary."""


def _in_its_row_space(net: TwoLayer) -> TwoLayer:
    """The same function of fewer coordinates: what is orthogonal to every row changes nothing."""
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
    """Item 6, with its size: ``γ|⟨z,x⟩| ≤ |f(x)| ≤ |⟨z,x⟩|`` and equal signs, at Gaussian probes in the span and on the
    boundary ``⟨z,x⟩ = 0`` itself, where f must vanish; half of these are orthogonal to v and u, where it vanishes only
    if each row is one of the two.

    All are judged in units of ``‖W‖‖x‖``, in which rows that differ by ``‖E‖`` move f by at most ``‖E‖/‖W‖``.
    """
    net = _in_its_row_space(point.net)
    z = _predictor(net).unsqueeze(-2)
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(PROBES, net.d, generator=stream, dtype=torch.float64)
    beside = torch.cat([_off(x[: PROBES // 2], z), _off(x[PROBES // 2 :], torch.stack(_means(net), dim=-2))], dim=-2)
    size = net.frobenius().unsqueeze(-1) * x.norm(dim=-1).repeat(2)  # in one dimension nothing is left beside z
    x = torch.cat([x.expand(beside.shape), beside], dim=-2)
    f, linear = net(x), (x @ z.mT).squeeze(-1)
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)[..., None]
    along = f * torch.where(linear < 0, -1.0, 1.0)
    off = torch.maximum(gamma * linear.abs() - along, along - linear.abs()) / size
    resolution = 2 * KKT_TOLERANCE
    wrong = int((along < -resolution * size).sum())
    ratio = (f / linear)[..., :PROBES]
    numbers = {"smallest": float(ratio.min()), "largest": float(ratio.max()), "wrong": float(wrong)}
    worst, place = worst_of(-off, "probe")
    slack = resolution / -worst if worst < 0 else math.inf if worst >= 0 else math.nan
    rows = two_rows(point).constants["error"]
    tested = f"Rows of one sign differ by {format_error(rows)}; with just two distinct rows no boundary is bent."
    if wrong:
        # Probes near the boundary fall on either side by rounding: the size of the share is told
        # and not the count.
        share = wrong / (2 * PROBES)
        often = "more than 10 %" if share >= 0.1 else "more than 1 %" if share >= 0.01 else "less than 1 %"
        why = f"f and ⟨z,x⟩ differ in sign at {often} of {2 * PROBES} probes. {tested}"
        return Finding(min(slack, 0.0), why, "", numbers)
    reach = f"[{float(ratio.min()):.4f}, {float(ratio.max()):.4f}]"
    why = f"f/⟨z,x⟩ ranges over {reach} at {PROBES} probes (claim: [γ, 1]), and f vanishes at as many with ⟨z,x⟩ = 0"
    return Finding(slack, f"{why}{_to(resolution)}. {tested}", place, numbers, _two_neurons(point.net))


def margin_factor(point: AtPoint) -> Finding:
    """Item 7: ``y_i⟨z,x_i⟩ ≥ 1`` and ``‖z‖ ≤ 2/(κ+γ) ‖z*‖``."""
    net, data = point.net, point.data
    z = _predictor(net)
    smallest, place = worst_of(data.y * (data.x @ z.unsqueeze(-1)).squeeze(-1), "sample")
    factor = z.norm(dim=-1) * max_margin(data).margin
    allowed = 2 / (net.kappa + torch.as_tensor(leak_of(net), dtype=torch.float64))
    # ‖z‖ ≥ ‖z*‖ whenever z is feasible, so γ → 1 with κ = 1 meets the bound exactly.
    slack = to_resolution(min(smallest, float((allowed / factor).min())), point.outputs)
    why = (
        f"‖z‖ is {float(factor.max()):.4f} ‖z*‖ (allowed: {float(allowed.max()):.4f}) and min y⟨z,x⟩ = {smallest:.4f}"
        f"{_to(point.outputs)}."
    )
    return Finding(
        slack, why, place, {"factor": float(factor.max()), "allowed": float(allowed.max()), "smallest margin": smallest}
    )


def weight_of_each_sample(point: AtPoint) -> Tensor:
    """``ξ_i = Σ_j λ_i φ'_ij`` (..., n), the quantity that B.1 and B.2 bound."""
    slopes = point.net.activation.derivative(point.net.preactivations(point.data.x))
    return point.lam * slopes.sum(-2)


def upper_bound(point: AtPoint) -> Finding:
    """B.1: ``ξ_i < 3m/(2γR_min²)`` for every sample."""
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    bound = 3 * point.net.m / (2 * gamma * point.data.R_min.unsqueeze(-1) ** 2)
    slack, place = worst_of(bound / weight_of_each_sample(point).clamp_min(1e-300), "sample")
    why = f"the heaviest sample carries 1/{slack:.3f} of the bound{_to(point.multipliers)}."
    return Finding(to_resolution(slack, point.multipliers), why, place)


def lower_bound(point: AtPoint) -> Finding:
    """B.2: ``ξ_i > m/(2R_max²)`` for every sample."""
    bound = point.net.m / (2 * point.data.R_max.unsqueeze(-1) ** 2)
    slack, place = worst_of(weight_of_each_sample(point) / bound, "sample")
    why = f"the lightest sample carries {slack:.3f} times the bound{_to(point.multipliers)}."
    return Finding(to_resolution(slack, point.multipliers), why, place)


ITEMS = (support_vectors, two_rows, multipliers, global_optimum, convex_optimum, linear_boundary, margin_factor)
"""The seven items of Theorem 3.2, in order; each takes an :class:`AtPoint` and returns a :class:`Finding`."""
