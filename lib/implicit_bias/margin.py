r"""The max-margin problem in parameter space, its KKT points, and how far any network is from one.

Problem (1) of F:  ``min ½‖W‖_F²  s.t.  y_i f(x_i; W) ≥ 1``.  A KKT point has multipliers ``λ ≥ 0`` with

.. math:: w_j = a_j \sum_i λ_i y_i φ'_{ij} x_i, \qquad λ_i (y_i f(x_i) - 1) = 0, \qquad y_i f(x_i) \ge 1,

``φ'_{ij}`` any subgradient of φ at ``⟨w_j, x_i⟩``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ._checks import fail, gamma_in_range, positive_int
from ._format import format_error
from .data import Dataset
from .network import TwoLayer, leaky_relu

__all__ = ["KKTPoint", "KKTResidual", "MaxMargin", "class_slopes", "kkt_matrix", "kkt_point", "kkt_residual", "max_margin"]

TOLERANCE = 1e-9
"""Relative tolerance of signs and margins when a point is verified."""


# -- least distance: min ½‖c‖² subject to A c ≥ 1, known through K = A Aᵀ ---------------------------------------------------------


def _least_distance(K: np.ndarray) -> np.ndarray | None:
    """Multipliers λ ≥ 0 (n,) of ``min ½‖c‖² s.t. Ac ≥ 1`` with ``AAᵀ = K``; None when no c is feasible.

    Lawson and Hanson's least-distance programming: one non-negative least-squares problem, exact after finitely many pivots,
    whose zero residual is Farkas' certificate of infeasibility. The active set is then solved again without the detour.
    """
    n = len(K)
    scale = np.sqrt(np.diag(K).max())
    if scale == 0:
        return None
    values, vectors = np.linalg.eigh(K / scale**2)
    A = vectors * np.sqrt(values.clip(0))
    # Rows are divided by the scale, so c' = scale · c and the right-hand side stays 1.
    stacked, target = np.vstack([A.T, np.ones(n)]), np.append(np.zeros(n), 1.0)
    weights, _ = nnls(stacked, target, maxiter=50 * (n + 1))
    slack = 1.0 - weights.sum()
    if slack <= 1e-10 * max(1.0, weights.sum()):
        return None
    lam = weights / slack
    active = lam > 1e-12 * lam.max()
    polished = np.linalg.lstsq(K[np.ix_(active, active)] / scale**2, np.ones(active.sum()), rcond=1e-13)[0]
    if (polished >= 0).all():
        lam = np.zeros(n)
        lam[active] = polished
    return lam / scale**2


def _over_batch(function, *tensors: Tensor) -> list:
    """Apply a NumPy function to every batch entry; the results in order."""
    batch = torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))
    flat = [t.expand(*batch, *t.shape[-2:]).reshape(-1, *t.shape[-2:]).detach().cpu().numpy() for t in tensors]
    return [function(*entries) for entries in zip(*flat)]


# -- the hard-margin linear predictor ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaxMargin:
    """The hard-margin ℓ2 predictor without bias: ``z`` (..., d) of least norm with ``y_i⟨z, x_i⟩ ≥ 1``, its multipliers, its margin.

    ``margin = 1/‖z‖`` (...). Where the data cannot be separated, ``separable`` is False, ``z`` is NaN and the margin 0.
    """

    z: Tensor
    lam: Tensor
    margin: Tensor
    separable: Tensor


def max_margin(data: Dataset) -> MaxMargin:
    """``z* = argmin ‖z‖  s.t.  y_i⟨z, x_i⟩ ≥ 1`` for all i (F-3.2.7, S-4), exact, by non-negative least squares."""
    x, y = data.x.double(), data.y.double()
    K = (x @ x.mT) * y.unsqueeze(-1) * y.unsqueeze(-2)
    answers = _over_batch(_least_distance, K)
    missing = np.full(data.n, np.nan)
    lam = torch.from_numpy(np.stack([missing if a is None else a for a in answers])).reshape(y.shape)
    separable = torch.tensor([a is not None for a in answers]).reshape(y.shape[:-1])
    z = ((lam * y).unsqueeze(-1) * x).sum(-2)
    margin = torch.where(separable, 1 / z.norm(dim=-1), torch.zeros(()).double())
    return MaxMargin(z.to(data.x), lam.to(data.x), margin.to(data.x), separable)


# -- the exact KKT point of F-3.2 --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KKTPoint:
    """The candidate of F-3.2: all positive neurons at ``v``, all negative ones at ``u``; ``is_kkt`` says whether it is a KKT point.

    Attributes
    ----------
    lam : (..., n)         multipliers λ of QP (3)
    v, u, z : (..., d)     the two neurons, and ``z = (m1/√m) v - (m2/√m) u``
    net : TwoLayer         the network, with ``a = ±1/√m``
    margins : (..., n)     ``y_i f(x_i; W)``
    is_kkt : (...) bool    verified: λ ≥ 0, margins ≥ 1, and where λ > 0 margins = 1 and the signs of item 3
    unique : (...) bool    whether λ is unique (it is not when samples are linearly dependent)
    reason : str           a sentence
    """

    lam: Tensor
    v: Tensor
    u: Tensor
    z: Tensor
    net: TwoLayer
    margins: Tensor
    is_kkt: Tensor
    unique: Tensor
    reason: str

    @property
    def weights(self) -> Tensor:
        """``W*`` (..., m, d), positive neurons first."""
        return self.net.weights


def kkt_matrix(data: Dataset, m_pos: int, m_neg: int, gamma: float | Tensor) -> Tensor:
    """``K`` (..., n, n) with ``Kλ = 1`` at the point of F-3.2: ``y_i y_k ⟨x_i,x_k⟩ (m1 s_i s_k + m2 t_i t_k)/m``.

    ``s`` is 1 on I+ and γ on I-, ``t`` the reverse: the slopes of positive and of negative neurons at each sample.
    """
    s, t = class_slopes(data, gamma)
    share = m_pos / (m_pos + m_neg)
    agreement = share * s.unsqueeze(-1) * s.unsqueeze(-2) + (1 - share) * t.unsqueeze(-1) * t.unsqueeze(-2)
    x, y = data.x.double(), data.y.double()
    return (x @ x.mT) * agreement * y.unsqueeze(-1) * y.unsqueeze(-2)


def class_slopes(data: Dataset, gamma: float | Tensor) -> tuple[Tensor, Tensor]:
    """``s`` and ``t`` (..., n): the slopes that positive and negative neurons have at each sample when all signs are right."""
    gamma = torch.as_tensor(gamma, dtype=torch.float64, device=data.x.device)
    try:
        torch.broadcast_shapes(gamma.shape, data.x.shape[:-2])
    except RuntimeError:
        fail("gamma", f"a batch shape that broadcasts with {tuple(data.x.shape[:-2])}, that of the data", tuple(gamma.shape))
    gamma = gamma[..., None]
    one = torch.ones_like(gamma)
    return torch.where(data.positive, one, gamma), torch.where(data.positive, gamma, one)


def kkt_point(data: Dataset, m_pos: int, m_neg: int, gamma: float | Tensor) -> KKTPoint:
    """The KKT point of F-3.2, exactly: one n × n linear solve ``Kλ = 1``, then a check of everything it must satisfy.

    When ``Kλ = 1`` has a negative entry, some sample is no support vector: the convex problem QP (3) is solved instead, by
    non-negative least squares, and its solution is verified in the same way.

    Parameters
    ----------
    data : Dataset
    m_pos, m_neg : int
        Numbers of positive and negative neurons (m₁, m₂).
    gamma : float or (...) tensor
        The leak, in (0, 1].

    Returns
    -------
    KKTPoint
        With ``is_kkt`` False, and ``reason``, when QP (3) has a solution that is no KKT point of Problem (1): a duplicated row with
        opposite labels is the standing example. Where even QP (3) is infeasible, the numbers are NaN.
    """
    m_pos, m_neg = positive_int(m_pos, "m_pos"), positive_int(m_neg, "m_neg")
    gamma_in_range(gamma)
    m, K = m_pos + m_neg, kkt_matrix(data, m_pos, m_neg, gamma)
    batch, x, y = K.shape[:-2], data.x.double(), data.y.double()
    lam, unique = _solve_all(K)
    s, t = class_slopes(data, gamma)
    v = ((lam * y * s).unsqueeze(-1) * x).sum(-2) / m**0.5
    u = -((lam * y * t).unsqueeze(-1) * x).sum(-2) / m**0.5
    z = (m_pos * v - m_neg * u) / m**0.5
    weights = torch.cat([v.unsqueeze(-2).expand(*batch, m_pos, -1), u.unsqueeze(-2).expand(*batch, m_neg, -1)], dim=-2)
    a = torch.cat([torch.ones(m_pos), -torch.ones(m_neg)]).double() / m**0.5
    known = torch.isfinite(weights).all(-1).all(-1)
    net = TwoLayer(torch.nan_to_num(weights), a.to(x.device), leaky_relu(gamma))
    margins = torch.where(known.unsqueeze(-1), y * net(x), torch.nan)
    ok, reason = _verify(lam, known, y * (x @ v.unsqueeze(-1)).squeeze(-1), y * (x @ u.unsqueeze(-1)).squeeze(-1), margins)
    return KKTPoint(lam, v, u, z, net, margins, ok, unique & known, reason)


def _solve_all(K: Tensor) -> tuple[Tensor, Tensor]:
    """λ (..., n) of QP (3), NaN where infeasible, and whether it is unique."""

    def solve(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
        size = np.sqrt(np.diag(matrix))
        if (size == 0).any():
            return np.full(len(matrix), np.nan), False
        correlation = matrix / np.outer(size, size)
        unique = bool(np.linalg.cond(correlation) < 1e12)
        lam = np.linalg.solve(correlation, 1 / size) / size if unique else None
        if lam is None or (lam < 0).any():
            lam = _least_distance(matrix)
        return (np.full(len(matrix), np.nan) if lam is None else lam), unique

    answers = _over_batch(solve, K)
    lam = torch.from_numpy(np.stack([lam for lam, _ in answers])).reshape(K.shape[:-1]).to(K)
    return lam, torch.tensor([unique for _, unique in answers], device=K.device).reshape(K.shape[:-2])


def _verify(lam: Tensor, known: Tensor, along_v: Tensor, along_u: Tensor, margins: Tensor) -> tuple[Tensor, str]:
    """Whether the candidate is a KKT point of Problem (1), and a sentence on the first entry that is none."""
    # At an exact zero the subgradient may be anything in [γ, 1], so a sign of 0 is allowed to rounding.
    scale = torch.maximum(along_v.abs().amax(-1), along_u.abs().amax(-1)).unsqueeze(-1)
    # A sample without a multiplier takes no part in v and u: its signs are free, and its true margin is checked below.
    idle = lam <= TOLERANCE * lam.amax(-1, keepdim=True)
    good_v, good_u = idle | (along_v >= -TOLERANCE * scale), idle | (along_u <= TOLERANCE * scale)
    feasible = margins >= 1 - TOLERANCE
    slack = idle | ((margins - 1).abs() <= 1e3 * TOLERANCE)
    checks = (
        (known.unsqueeze(-1), "QP (3) is infeasible, so the data admit no such point"),
        (lam >= 0, "a multiplier is negative"),
        (good_v, "a sample lies on the wrong side of v, so the slopes assumed there are not subgradients"),
        (good_u, "a sample lies on the wrong side of u, so the slopes assumed there are not subgradients"),
        (feasible, "a true margin is below 1: QP (3) has a solution, Problem (1) has not this one"),
        (slack, "a multiplier is positive where the margin exceeds 1"),
    )
    ok = torch.ones_like(known)
    reason = "verified: multipliers, signs and margins are those of a KKT point"
    for passed, sentence in reversed(checks):
        passed = passed.all(-1)
        ok = ok & passed
        if not bool(passed.all()):
            reason = sentence
    return ok, reason


# -- how far any network is from a KKT point ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KKTResidual:
    """How far ``W``, rescaled so that its smallest margin is 1, is from a KKT point of Problem (1); all four are 0 at one.

    Attributes
    ----------
    stationarity : (...)   ``‖W - Σ_i λ_i y_i ∇f_i‖_F / ‖W‖_F`` at the best ``λ ≥ 0`` and best subgradients
    feasibility : (...)    ``max(0, -min_i y_i f(x_i)) / max_i |f(x_i)|``, 0 when every sample is classified right, 1 at most
    slackness : (...)      ``Σ_i λ_i (y_i f(x_i) - 1) / Σ_i λ_i`` after rescaling
    dual : (...)           how negative λ would be if it were free: ``max(0, -min λ) / max |λ|`` of plain least squares
    lam : (..., n)         the multipliers found, for the rescaled network
    scale : (...)          the factor that makes the smallest margin 1 (1 where some margin is not positive)
    """

    stationarity: Tensor
    feasibility: Tensor
    slackness: Tensor
    dual: Tensor
    lam: Tensor
    scale: Tensor

    @property
    def worst(self) -> Tensor:
        """The largest of the four (...)."""
        return torch.stack([self.stationarity, self.feasibility, self.slackness, self.dual]).amax(0)

    def __repr__(self) -> str:
        names = ("stationarity", "feasibility", "slackness", "dual")
        return "KKTResidual(" + ", ".join(f"{name} {format_error(float(getattr(self, name).max()))}" for name in names) + ")"


def kkt_residual(net: TwoLayer, data: Dataset, *, kink: float = 1e-9) -> KKTResidual:
    """All four KKT conditions of Problem (1) at any two-layer network with a homogeneous activation, leaky ReLU or ReLU.

    The conditions concern a direction: the network is first rescaled so that its smallest margin is 1. Where a preactivation is
    within ``kink`` (relative to ``‖w_j‖‖x_i‖``) of 0, the best subgradient in ``[γ, 1]`` is used, as the Clarke subdifferential allows.

    Raises
    ------
    ValueError
        If net and data do not fit, or the activation is not homogeneous (Problem (1) is then no limit of anything).
    """
    if net.d != data.d:
        fail("net", f"weights with {data.d} columns, like the data", net.d)
    if not net.activation.homogeneous:
        fail("net", "a homogeneous activation (leaky ReLU or ReLU)", net.activation.name)
    net, data = net.to(torch.float64), data.to(torch.float64)
    batch = torch.broadcast_shapes(net.weights.shape[:-2], data.x.shape[:-2])
    q = (data.y * net(data.x)).expand(*batch, data.n)
    smallest = q.amin(-1)
    scale = torch.where(smallest > 0, 1 / smallest, torch.ones_like(smallest))
    feasibility = (-smallest).clamp_min(0) / q.abs().amax(-1).clamp_min(1e-300)

    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    norm = net.frobenius().expand(batch)
    entries = []
    for index in np.ndindex(*batch):
        weights = net.weights.expand(*batch, *net.weights.shape[-2:])[index]
        x, y = data.x.expand(*batch, *data.x.shape[-2:])[index], data.y.expand(*batch, data.n)[index]
        a = net.a.expand(*batch, net.m)[index]
        excess = (q[index] * scale[index] - 1).clamp_min(0)
        entries.append(_fit_multipliers(weights, a, x, y, float(gamma.expand(batch)[index]), kink, excess))
    lam = torch.stack([lam for lam, _, _ in entries]).reshape(*batch, data.n)
    inside = torch.stack([gap for _, gap, _ in entries]).reshape(batch)
    dual = torch.stack([dual for _, _, dual in entries]).reshape(batch)
    outside = torch.zeros(batch) if net.frozen_gram is None else net.frozen_gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    stationarity = (inside**2 + outside).sqrt() / norm.clamp_min(1e-300)
    lam = lam * scale.unsqueeze(-1)
    excess = (q * scale.unsqueeze(-1) - 1).clamp_min(0)
    slackness = (lam * excess).sum(-1) / lam.sum(-1).clamp_min(1e-300)
    return KKTResidual(stationarity, feasibility, slackness, dual, lam, scale)


def _fit_multipliers(
    weights: Tensor, a: Tensor, x: Tensor, y: Tensor, gamma: float, kink: float, excess: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Best ``λ ≥ 0`` and subgradients for ``W ≈ Σ_i λ_i y_i ∇f_i``: λ (n,), the distance left, and the dual infeasibility.

    At a kink the term of sample i ranges over a cone, generated by its vertices (each slope γ or 1). Vertices enter one
    at a time, whenever one would lower the distance: column generation on non-negative least squares.
    Where the best λ is not unique (dependent samples), the one that leans least on samples with an ``excess`` margin is taken.
    """
    z = weights @ x.mT
    at_kink = z.abs() <= kink * weights.norm(dim=-1, keepdim=True) * x.norm(dim=-1)
    gradient = (a.unsqueeze(-1) * y).T.unsqueeze(-1) * x.unsqueeze(-2)  # (n, m, d), at slope 1
    slopes = torch.where(z > 0, torch.ones_like(z), gamma).T
    owner, columns = list(range(len(y))), [slopes]
    target = weights.flatten()
    for _ in range(1 + 4 * int(at_kink.sum())):
        pattern = torch.cat(columns)
        matrix = (pattern.unsqueeze(-1) * gradient[owner]).flatten(1).T
        share, _ = nnls(matrix.numpy(), target.numpy(), maxiter=100 * (matrix.shape[1] + 1))
        share = torch.from_numpy(share)
        left = target - matrix @ share
        if not bool(at_kink.any()):
            break
        # The vertex of sample i with the largest product with what is left: slope 1 exactly where that helps.
        pull = torch.einsum("imd,md->im", gradient, left.reshape(weights.shape))
        vertex = torch.where(at_kink.T, torch.where(pull > 0, torch.ones_like(pull), gamma), slopes)
        gain = (vertex * pull).sum(-1)
        better = (gain > 1e-12 * target.norm() * gradient.flatten(1).norm(dim=-1)).nonzero().flatten().tolist()
        if not better:
            break
        owner += better
        columns.append(vertex[better])
    if bool(excess.any()) and torch.linalg.matrix_rank(matrix) < matrix.shape[1]:
        lean = 1e-5 * torch.linalg.matrix_norm(matrix, 2) * excess[owner] / excess.max()
        stacked, fit = torch.vstack([matrix, lean]), torch.cat([target - left, torch.zeros(1).to(target)])
        share = torch.from_numpy(nnls(stacked.numpy(), fit.numpy(), maxiter=100 * (matrix.shape[1] + 1))[0])
    # Of the solutions without signs, the nearest to this one: where they cost nothing it is this one.
    free = share + torch.linalg.lstsq(matrix, left.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
    lam, free = (torch.zeros_like(y).index_add(0, torch.tensor(owner), part.to(y)) for part in (share, free))
    dual = (-free.min()).clamp_min(0) / free.abs().max().clamp_min(1e-300)
    return lam, left.norm(), dual
