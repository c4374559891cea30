r"""Item 4 of Theorem 3.2, decided exactly: Lagrange duality for Problem (1), which is
not convex.

For multipliers ``λ ≥ 0`` the Lagrangian splits into neurons, and each part is quadratic
along rays. So every network with margins at least 1 has

.. math:: \tfrac12‖W‖_F^2 \ge \sum_i λ_i - \tfrac12 \sum_j \max_{‖u‖=1} h_j(u)_+^2, \qquad
          h_j(u) = a_j \sum_i λ_i y_i φ(⟨u, x_i⟩).

``h_j`` is convex in the terms of the neuron's own class and concave in the others. Take
slope γ in the latter, any slope in ``[γ, 1]`` in the former:
``h_j(u) ≤ max_σ ⟨v_σ, u⟩``, and ``‖v_σ‖`` rises with every slope of the own class as
long as :func:`room` is positive. Then the largest is ``‖v‖`` at slopes 1, only
``u = v/‖v‖`` attains it, and the right side is the dual value of QP (3): a network that
attains it is the optimum, and no other one is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...margin.kkt import kkt_matrix, kkt_point
from ...measures.outputs import signed_gram
from ...networks.two_layer import TwoLayer
from ...values.wording import format_error
from ..verdict import Finding
from .at_point import KKT_TOLERANCE, AtPoint

__all__ = ["dual_value", "global_optimum", "room"]


RIVALS = 32
RIVAL_STEPS = 400
"""Competitors, and their steps, where duality decides nothing."""


ENTRIES = 2_000_000
"""Fewer competitors start when their preactivations and weights together would be more
than this.
"""


GAP = 4 * KKT_TOLERANCE
"""``‖E‖²/2 + Σ λ_i (q_i - 1)`` is at most this part of ``‖W‖²/2`` at a residual within
the tolerance.
"""


def room(data: Dataset, lam: Tensor, gamma: float | Tensor) -> Tensor:
    """The least of ``⟨v_σ, y_i x_i⟩`` (..., n) over all slopes σ of the samples of i's
    own class, at slope γ of sample i and of the other class.
    """
    gamma = torch.as_tensor(gamma, dtype=torch.float64)[..., None, None]
    agreement = signed_gram(data)
    own = torch.eye(data.n, dtype=torch.bool, device=agreement.device)
    same = (data.y.unsqueeze(-1) == data.y.unsqueeze(-2)) & ~own
    least = torch.where(
        same, torch.minimum(gamma * agreement, agreement), gamma * agreement
    )
    return (least @ lam.unsqueeze(-1)).squeeze(-1)


def dual_value(net: TwoLayer, data: Dataset, lam: Tensor) -> Tensor:
    """``Σ λ_i - λᵀKλ/2`` (...), the dual value of QP (3)."""
    K = kkt_matrix(data, net.m_pos, net.m_neg, net.activation.gamma)
    return (
        lam.sum(-1) - (lam.unsqueeze(-2) @ K @ lam.unsqueeze(-1)).squeeze((-2, -1)) / 2
    )


def global_optimum(point: AtPoint) -> Finding:
    """Item 4: the norm of W against the dual value where this bounds every network, and
    else against competitors.
    """
    net = point.net
    data = point.data
    lam = point.lam
    primal = net.frobenius().square() / 2
    gap = float(((primal - dual_value(net, data, lam)) / primal).max())
    rest = float(
        (
            room(data, lam, net.activation.gamma)
            / data.norms.square().clamp_min(1e-300)
        ).min()
    )
    if not (rest > 0 and gap <= GAP):
        return _against_rivals(point, gap)
    least = (
        "no network of this width with margins at least 1 has a smaller norm (to "
        f"{format_error(max(gap, 0.0))} of"
    )
    why = (
        f"{least} its square, judged to {GAP:.0e}), and only one attains the least: "
        "both by duality."
    )
    return Finding(GAP / gap if gap > 0 else math.inf, why, "", {"gap": gap})


def _against_rivals(point: AtPoint, gap: float) -> Finding:
    """What the least norm of other networks says: false if one is smaller, open if none
    is.
    """
    net = point.net
    data = point.data
    if net.weights.ndim > 2 or data.x.ndim > 2:
        return Finding(
            math.nan,
            "duality decides nothing, and competitors meet one network at a time.",
        )
    rivals = _convex_rival(net, data)
    if not float(rivals) < (1 - GAP) * float(net.frobenius()):
        rivals = torch.cat([rivals, _ascend_margin(net, data)])
    ratio = float(rivals.min() / net.frobenius())
    tried = len(rivals)
    numbers = {"gap": gap, "rival": ratio, "tried": float(tried)}
    if ratio < 1 - GAP:
        return Finding(
            ratio,
            f"another network with margins at least 1 has {ratio:.6f} times the norm.",
            "",
            numbers,
        )
    why = (
        f"duality decides nothing here, and none of {tried} competitors has a "
        f"smaller norm (best: {ratio:.3f} times)."
    )
    return Finding(math.nan, why, "", numbers)


def _convex_rival(net: TwoLayer, data: Dataset) -> Tensor:
    """The norm (1,) of the solution of QP (3), brought to smallest margin 1; ∞ where it
    fits not all samples.
    """
    if not (net.m_pos and net.m_neg and float(net.activation.gamma) > 0):
        return torch.full((1,), math.inf, dtype=torch.float64)
    rival = kkt_point(data, net.m_pos, net.m_neg, net.activation.gamma)
    smallest = rival.margins.amin().nan_to_num(nan=0.0)
    return torch.where(
        smallest > 0, rival.net.frobenius() / smallest, math.inf
    ).reshape(1)


def _ascend_margin(net: TwoLayer, data: Dataset) -> Tensor:
    """Least norm (starts,) at which networks found by ascent on the softened margin
    meet all constraints; ∞ if they never do.
    """
    # Only what lies in the span of the samples matters: its coordinates are few.
    basis = torch.linalg.qr(data.x.mT, mode="reduced")[0]
    x = data.x @ basis
    own = net.weights @ basis
    starts = max(2, min(RIVALS, ENTRIES // (net.m * (data.n + x.shape[-1]) * 10)))
    stream = torch.Generator().manual_seed(0)
    size = own.norm() / own.numel() ** 0.5
    W = size * torch.randn(starts, *own.shape, generator=stream, dtype=torch.float64)
    W[0] += own  # one competitor starts at W itself, pushed
    W.requires_grad_()
    optimiser = torch.optim.Adam([W], lr=float(size) / 5)
    best = torch.full((starts,), math.inf, dtype=torch.float64)
    a = net.a.unsqueeze(-1)
    gamma = net.activation.gamma
    R_max = float(data.R_max) or 1.0
    for step in range(RIVAL_STEPS):
        z = W @ x.mT
        q = (
            data.y
            * (a * torch.where(z >= 0, z, gamma * z)).sum(-2)
            / W.flatten(-2).norm(dim=-1, keepdim=True)
        )
        best = torch.minimum(
            best, torch.where(q.amin(-1) > 0, 1 / q.amin(-1), math.inf).detach()
        )
        sharpness = 10 * 1.02**step / R_max
        objective = (torch.logsumexp(-sharpness * q, dim=-1) / sharpness).sum()
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
    return best
