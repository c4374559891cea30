"""Random signs: the law of the limit's stable rank on orthogonal samples (S-7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy
import torch
from torch import Tensor

from ...values.checks import fail
from ...values.scalars import positive, positive_int

__all__ = [
    "Law",
    "class_law",
    "draw_signs",
    "limit_gram",
    "ranks_of_grams",
    "whole_spread",
]


def draw_signs(m: int, k: int, count: int, seed: int = 0) -> Tensor:
    """``count`` draws (count, m, k) of which neurons are awake: fair coins, as at any
    Gaussian start on orthogonal samples.
    """
    m = positive_int(m, "m")
    k = positive_int(k, "k")
    count = positive_int(count, "count")
    stream = torch.Generator().manual_seed(int(seed))
    return torch.rand(count, m, k, generator=stream) < 0.5


def limit_gram(awake: Tensor, norms: Tensor | float = 1.0) -> Tensor:
    """``D AᵀA D / m`` (..., k, k) of one class, ``A_ri = (m/|S_i|) 1[r ∈ S_i]``,
    ``D = diag(1/‖x_i‖)``; awake (..., m, k).
    """
    awake = awake.to(torch.float64)
    m = awake.shape[-2]
    size = awake.sum(-2, keepdim=True)
    share = torch.where(size > 0, awake * m / size, torch.zeros_like(awake))
    A = share / torch.as_tensor(norms, dtype=torch.float64)
    return A.mT @ A / m


def ranks_of_grams(first: Tensor, second: Tensor) -> Tensor:
    """Stable ranks (..., 3) of the two classes and of the whole matrix, from the
    classes' Gram matrices.
    """
    traces = [gram.diagonal(dim1=-2, dim2=-1).sum(-1) for gram in (first, second)]
    tops = [torch.linalg.eigvalsh(gram)[..., -1] for gram in (first, second)]
    whole = (traces[0] + traces[1]) / torch.maximum(*tops)
    return torch.stack([traces[0] / tops[0], traces[1] / tops[1], whole], dim=-1)


@dataclass(frozen=True)
class Law:
    """One class at width m: limits of ``tr`` and of the largest eigenvalue of
    ``D AᵀA D/m``, and how far chance goes.

    ``rank`` is their quotient, the stable rank as m → ∞ (S-7); ``rank_sd`` its standard
    deviation between initialisations, ``rank_bias`` how far its mean is off, to the
    orders m^(-1/2) and m^(-1). ``trace_var``, ``top_var`` and ``covariance`` are those
    of the two numbers.
    """

    trace: float
    top: float
    rank: float
    rank_sd: float
    rank_bias: float
    trace_var: float
    top_var: float
    covariance: float

    def reach(self, delta: float) -> float:
        """How far from ``rank`` the stable rank lies with probability 1 - δ, to these
        orders.
        """
        return (
            abs(self.rank_bias)
            + float(scipy.special.ndtri(1 - delta / 2)) * self.rank_sd
        )


def class_law(norms: Tensor, m: int) -> Law:
    """The law of the limit's stable rank for one class with samples of these ``norms``
    (k,), at width m.

    ``M = D(11ᵀ + I)D`` is the limit of ``D AᵀA D/m``. Off it by chance are
    ``-2ε_i d_i²`` on the diagonal and ``ε_il d_i d_l`` beside it, with uncorrelated ε
    of variance 1/m: first-order perturbation gives the standard deviations,
    second-order the bias. Equal norms: ``rank = 2k/(k+1)``,
    ``(sd/rank)² = (k-1)/(k(k+1)m)``, ``bias/rank = (k-1)(k-2)/(k²m)``.
    """
    norms = torch.as_tensor(norms, dtype=torch.float64)
    m = positive_int(m, "m")
    if norms.ndim != 1 or not len(norms):
        fail("norms", "a vector, one entry a sample", tuple(norms.shape))
    positive(norms, "norms")
    d = 1 / norms
    values, vectors = torch.linalg.eigh(torch.outer(d, d) + torch.diag(d.square()))
    top = values[-1]
    trace = values.sum()
    v = vectors[:, -1]
    others = vectors[:, :-1]
    gaps = top - values[:-1]
    beside = torch.outer(d, d).square().triu(1)  # weights of ε_il², i < l
    # Derivatives of trace and top by ε_i, and of top by ε_il.
    trace_1 = -2 * d.square()
    top_1 = -2 * v.square() * d.square()
    top_2 = 4 * (torch.outer(v, v).square() * beside).sum()
    top_var = (top_1.square().sum() + top_2) / m
    covariance = (trace_1 * top_1).sum() / m
    rank_var = (trace_1 / trace - top_1 / top).square().sum() / m + top_2 / (top**2 * m)
    # (u_jᵀ E v)² on average, over the other eigenvectors u_j.
    cross = torch.stack(
        [
            4 * (u * v * d.square()).square().sum()
            + ((torch.outer(u, v) + torch.outer(v, u)).square() * beside).sum()
            for u in others.T
        ]
        or [torch.zeros((), dtype=torch.float64)]
    )
    second = (cross / gaps).sum() / m if len(gaps) else torch.zeros(())
    top_mean = 2 * (v.square() * d.square()).sum() / m + second
    bias = 1 / m - top_mean / top - covariance / (trace * top) + top_var / top**2
    rank = float(trace / top)
    return Law(
        float(trace),
        float(top),
        rank,
        rank * math.sqrt(max(float(rank_var), 0.0)),
        rank * float(bias),
        float(trace_1.square().sum()) / m,
        float(top_var),
        float(covariance),
    )


def whole_spread(first: Law, second: Law, delta: float) -> tuple[float, float]:
    """Limit of the whole matrix's stable rank, ``(tr M₊ + tr M₋)/max λ``, and how far
    chance goes with probability 1 - δ.

    It is the smaller of the two quotients with either class's λ: above the limit as far
    as the larger λ's goes, below it as far as either.
    """
    total = first.trace + second.trace
    z = float(scipy.special.ndtri(1 - delta / 4))
    trace_var = (first.trace_var + second.trace_var) / total**2
    limit = total / max(first.top, second.top)
    ends = []
    for law in (first, second):
        var = (
            trace_var
            + law.top_var / law.top**2
            - 2 * law.covariance / (total * law.top)
        )
        off = z * math.sqrt(max(var, 0.0)) + abs(law.rank_bias / law.rank)
        ends.append((total / law.top * (1 - off), total / law.top * (1 + off)))
    return limit, max(
        limit - min(low for low, _ in ends), min(high for _, high in ends) - limit
    )
