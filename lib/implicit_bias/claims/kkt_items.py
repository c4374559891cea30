r"""The conclusions of Theorem 3.2 of Frei et al. and of its lemmas B.1 and B.2, as findings.

Each takes an :class:`AtPoint`: a network at the scale of Problem (1), its data and its multipliers. The claims of
``frei_kkt`` and S-1 put hypotheses to them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._format import format_error
from ..data import Dataset
from ..margin import class_slopes, kkt_matrix, max_margin
from ..network import TwoLayer
from .common import AtPoint, neurons
from .verdict import Finding, worst_of

__all__ = ["ITEMS", "TOLERANCE", "equality", "leak_of", "lower_bound", "upper_bound"]

TOLERANCE = 1e-6
"""Equalities of the theorem are checked to this relative error; the slack of an equality is tolerance/error."""


def equality(
    error: Tensor | float, why: str, worst: str = "", tolerance: float = TOLERANCE, **constants: float
) -> Finding:
    """The finding of an equality that should be exact."""
    error = float(torch.as_tensor(error).max())
    return Finding(
        tolerance / error if error != 0 else math.inf,
        why.format(error=format_error(error)),
        worst,
        {"error": error, **constants},
    )


def leak_of(net: TwoLayer) -> float | Tensor:
    """The leak γ of a network; 1 for a ReLU, of which H-3.2 does not speak (its other hypotheses say so)."""
    gamma = net.activation.gamma
    return gamma if bool((torch.as_tensor(gamma) > 0).all()) else 1.0


def support_vectors(point: AtPoint) -> Finding:
    """Item 1: every margin is 1."""
    q = point.data.y * point.net(point.data.x)
    off, place = worst_of(-(q - 1).abs(), "sample")
    return equality(-off, "margins differ from 1 by {error}.", place)


def two_rows(point: AtPoint) -> Finding:
    """Item 2: all positive rows equal, all negative rows equal, rank at most 2."""
    spread = [
        ((rows - rows.mean(-2, keepdim=True)).norm(dim=-1) / rows.norm(dim=-1).amax()).max()
        for rows in neurons(point.net)
    ]
    values = torch.linalg.svdvals(point.net.weights)
    third = values[..., 2] / values[..., 0] if values.shape[-1] > 2 else torch.zeros(())
    error = max(*map(float, spread), float(third.max()))
    return equality(
        error, "rows of one sign differ by {error} of the largest row; singular values 3, 4, … are as small."
    )


def multipliers(point: AtPoint) -> Finding:
    """Item 3: v and u are the stated combinations of samples, λ lies in its interval, and the signs are right."""
    net, data, lam = point.net, point.data, point.lam
    gamma, (v, u) = leak_of(net), (rows.mean(-2) for rows in neurons(net))
    error = torch.cat([_combination_error(net, data, lam), torch.zeros(1)]).max()
    low = 2 * data.R_max.unsqueeze(-1) ** 2 * lam
    high = 3 / (2 * gamma**2 * data.R_min.unsqueeze(-1) ** 2 * lam.clamp_min(1e-300))
    slack, place = worst_of(torch.minimum(low, high), "sample")
    along_v, along_u = (data.y * (data.x @ row.unsqueeze(-1)).squeeze(-1) for row in (v, u))
    signs = bool((along_v > 0).all() and (along_u < 0).all())
    if not signs:
        wrong = (along_v <= 0) | (along_u >= 0)
        return Finding(
            0.0,
            f"{int(wrong.sum())} sample(s) lie on the wrong side of v or u.",
            worst_of(-wrong.double(), "sample")[1],
        )
    numbers = {"lambda low": float(low.min()), "lambda high": float(high.min()), "error": float(error)}
    if error > TOLERANCE:
        return Finding(
            TOLERANCE / float(error), f"v and u are off the stated combinations by {float(error):.1e}.", "", numbers
        )
    room = f"{float(low.min()):.3f} from its lower bound and {float(high.min()):.3f} from its upper one"
    why = f"λ keeps a factor {room}; all signs right."
    return Finding(slack, why, place, numbers)


def _combination_error(net: TwoLayer, data: Dataset, lam: Tensor) -> Tensor:
    s, t = class_slopes(data, leak_of(net))
    v, u = neurons(net)
    stated_v = ((lam * data.y * s).unsqueeze(-1) * data.x).sum(-2, keepdim=True) / net.m**0.5
    stated_u = -((lam * data.y * t).unsqueeze(-1) * data.x).sum(-2, keepdim=True) / net.m**0.5
    size = torch.maximum(stated_v.norm(dim=-1), stated_u.norm(dim=-1)).max()
    return torch.cat([(v - stated_v).norm(dim=-1).flatten(), (u - stated_u).norm(dim=-1).flatten()]) / size


def global_optimum(point: AtPoint, starts: int = 32, steps: int = 400) -> Finding:
    """Item 4: no competitor is feasible with a smaller norm; competitors ascend the margin from random starts."""
    net, data = point.net, point.data
    own = net.frobenius()
    rivals = _ascend_margin(net, data, starts, steps)
    slack = float((rivals / own).min())
    # Competitors approach the optimum from above; only rounding can put them below it.
    slack = 1.0 if 1 - 1e-9 <= slack < 1 else slack
    return Finding(
        slack, f"the best of {starts} competitors needs {slack:.3f} times the norm of W.", "", {"starts": float(starts)}
    )


def _ascend_margin(net: TwoLayer, data: Dataset, starts: int, steps: int) -> Tensor:
    """Least norm (starts,) at which networks found by ascent on the softened margin meet all constraints; ∞ if they
    never do.
    """
    stream = torch.Generator().manual_seed(0)
    size = net.weights.norm() / net.weights.numel() ** 0.5
    W = size * torch.randn(starts, *net.weights.shape, generator=stream, dtype=torch.float64)
    W[0] += net.weights  # one competitor starts at W itself, pushed
    W.requires_grad_()
    optimiser = torch.optim.Adam([W], lr=float(size) / 5)
    best = torch.full((starts,), math.inf, dtype=torch.float64)
    a, gamma = net.a.unsqueeze(-1), leak_of(net)
    for step in range(steps):
        z = W @ data.x.mT
        q = data.y * (a * torch.where(z >= 0, z, gamma * z)).sum(-2) / W.flatten(-2).norm(dim=-1, keepdim=True)
        best = torch.minimum(best, torch.where(q.amin(-1) > 0, 1 / q.amin(-1), math.inf).detach())
        sharpness = 10 * 1.02**step / data.R_max
        objective = (torch.logsumexp(-sharpness * q, dim=-1) / sharpness).sum()
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
    return best


def convex_optimum(point: AtPoint) -> Finding:
    """Item 5: (v, u) solves QP (3), by the duality gap: primal objective against the dual at ``λ ≥ 0``, and primal
    feasibility.
    """
    net, data, lam = point.net, point.data, point.lam
    v, u = (rows.mean(-2) for rows in neurons(net))
    primal = (net.m_pos * v.square().sum(-1) + net.m_neg * u.square().sum(-1)) / 2
    K = kkt_matrix(data, net.m_pos, net.m_neg, leak_of(net))
    dual = lam.sum(-1) - (lam.unsqueeze(-2) @ K @ lam.unsqueeze(-1)).squeeze((-2, -1)) / 2
    s, t = class_slopes(data, leak_of(net))
    along_v, along_u = ((data.x @ row.unsqueeze(-1)).squeeze(-1) for row in (v, u))
    constraint = data.y * (net.m_pos * s * along_v - net.m_neg * t * along_u) / net.m**0.5
    gap, short = ((primal - dual) / primal.abs()).max(), (1 - constraint).clamp_min(0).max()
    return equality(
        max(float(gap), float(short)), "the duality gap of QP (3), and the violation of its constraints, are {error}."
    )


def linear_boundary(point: AtPoint, probes: int = 4096) -> Finding:
    """Item 6, with its size: ``γ|⟨z,x⟩| ≤ |f(x)| ≤ |⟨z,x⟩|`` and equal signs, at Gaussian probes in the span and
    right beside the boundary.
    """
    net, data = point.net, point.data
    v, u = (rows.mean(-2) for rows in neurons(net))
    z = (net.m_pos * v - net.m_neg * u) / net.m**0.5
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(probes, data.d, generator=stream, dtype=torch.float64)
    unit = z / z.norm(dim=-1, keepdim=True)
    near = x[: probes // 2] - (0.999 * (x[: probes // 2] @ unit.unsqueeze(-1))) * unit.unsqueeze(-2)
    x = torch.cat([x.expand(*near.shape[:-2], *x.shape), near], dim=-2)
    f, linear = net(x), (x @ z.unsqueeze(-1)).squeeze(-1)
    ratio, wrong = f / linear, int((f * linear <= 0).sum())
    numbers = {"smallest": float(ratio.min()), "largest": float(ratio.max()), "wrong": float(wrong)}
    if wrong:
        return Finding(0.0, f"f and ⟨z,x⟩ differ in sign at {wrong} of {ratio.shape[-1]} probes.", "", numbers)
    # Case 4 of Lemma B.7 meets the bound γ exactly.
    slack, place = worst_of(ratio / leak_of(net), "probe")
    slack = 1.0 if 1 - 1e-6 <= slack < 1 else slack
    reach = f"[{float(ratio.min()):.4f}, {float(ratio.max()):.4f}]"
    why = f"f/⟨z,x⟩ ranges over {reach} on {ratio.shape[-1]} probes (claim: [γ, 1])."
    return Finding(slack, why, place, numbers)


def margin_factor(point: AtPoint) -> Finding:
    """Item 7: ``y_i⟨z,x_i⟩ ≥ 1`` and ``‖z‖ ≤ 2/(κ+γ) ‖z*‖``."""
    net, data = point.net, point.data
    v, u = (rows.mean(-2) for rows in neurons(net))
    z = (net.m_pos * v - net.m_neg * u) / net.m**0.5
    smallest, place = worst_of(data.y * (data.x @ z.unsqueeze(-1)).squeeze(-1), "sample")
    factor = z.norm(dim=-1) * max_margin(data).margin
    allowed = 2 / (net.kappa + torch.as_tensor(leak_of(net)).double())
    # ‖z‖ ≥ ‖z*‖ whenever z is feasible, so γ → 1 with κ = 1 meets the bound exactly.
    slack = min(smallest, float((allowed / factor).min()))
    why = (
        f"‖z‖ is {float(factor.max()):.4f} ‖z*‖ (allowed: {float(allowed.max()):.4f}) and min y⟨z,x⟩ = {smallest:.4f}."
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
    bound = 3 * point.net.m / (2 * leak_of(point.net) * point.data.R_min.unsqueeze(-1) ** 2)
    slack, place = worst_of(bound / weight_of_each_sample(point).clamp_min(1e-300), "sample")
    return Finding(slack, f"the heaviest sample carries 1/{slack:.3f} of the bound.", place)


def lower_bound(point: AtPoint) -> Finding:
    """B.2: ``ξ_i > m/(2R_max²)`` for every sample."""
    bound = point.net.m / (2 * point.data.R_max.unsqueeze(-1) ** 2)
    slack, place = worst_of(weight_of_each_sample(point) / bound, "sample")
    return Finding(slack, f"the lightest sample carries {slack:.3f} times the bound.", place)


ITEMS = (support_vectors, two_rows, multipliers, global_optimum, convex_optimum, linear_boundary, margin_factor)
"""The seven items of Theorem 3.2, in order; each takes an :class:`AtPoint` and returns a :class:`Finding`."""
