r"""Orthogonal samples and ReLU: the end of training, read off the signs at the start (K-F.2, K-F.3, S-7).

At p = 0 the preactivation ``⟨w_j, x_i⟩ = ⟨w_j(0), x_i⟩ + ρ_ji`` feels sample i only, and the n samples train apart.
With ``S_i`` the neurons of class ``y_i`` that are awake on ``x_i`` at the start:

* neurons of the other class fall asleep, and stay; neurons of the own class keep the side they are on;
* from then on the margin obeys ``q' = β_i g(q)``, ``β_i = (‖x_i‖²/n) Σ_{S_i} a_j²``, solved by ``q + e^q = β_i t + c``;
* ``ρ_ji/log t → |a_j| / Σ_{S_i} a_k²``, which is ``m/|S_i|`` at K's ``a_j = ±1/m``.

Neurons are counted as in :class:`implicit_bias.TwoLayer`: rows of both signs, ``M`` in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import ndtri, wrightomega
from torch import Tensor

from .._checks import fail, positive, positive_int
from ..data import Dataset
from ..measures import activation_pattern, class_stable_rank, margins, own_class
from ..network import TwoLayer
from .common import active_at_start, samples_orthogonal

__all__ = [
    "Law",
    "class_law",
    "draw_signs",
    "draining_bound",
    "frozen_margins",
    "limit_gram",
    "limit_network",
    "ranks",
    "ranks_of_grams",
    "squares_awake",
    "trained_at",
    "whole_spread",
]


def squares_awake(net: TwoLayer, data: Dataset) -> Tensor:
    """``Σ_{j ∈ S_i} a_j²`` (..., n)."""
    return (active_at_start(net, data) * net.a.square().unsqueeze(-1)).sum(-2)


def limit_network(initial: TwoLayer, data: Dataset) -> TwoLayer:
    """The limit of ``W(t)/log t`` (K-F.3), from the signs at ``initial`` alone.

    Row j is ``Σ_i ρ_ji x_i/‖x_i‖²`` with ``ρ_ji = |a_j|/Σ_{S_i} a_k²`` for ``j ∈ S_i`` and 0 elsewhere. A sample with
    ``S_i`` empty is never fitted, and gets 0. Every other one has margin 1.
    """
    awake = active_at_start(initial, data)
    rate = initial.a.abs().unsqueeze(-1) / squares_awake(initial, data).unsqueeze(-2)
    rho = torch.where(awake, rate, torch.zeros_like(rate))
    norms = data.norms.to(rho)
    return TwoLayer((rho / norms.square().unsqueeze(-2)) @ data.x.to(rho), initial.a, initial.activation)


def ranks(net: TwoLayer) -> Tensor:
    """Stable ranks (..., 3) of W₊₁, of W₋₁ and of the whole matrix; NaN for a sign no neuron has, or a zero matrix."""
    if net.frozen_gram is not None:
        whole = (net.frobenius() / net.spectral()).square()
        return torch.cat([class_stable_rank(net), whole.unsqueeze(-1)], dim=-1)
    found = []
    for rows in (net.positive, ~net.positive, torch.ones_like(net.positive)):
        kept = net.weights * rows.unsqueeze(-1)
        values = torch.linalg.eigvalsh(kept.mT @ kept if net.d <= net.m else kept @ kept.mT).clamp_min(0)
        found.append((values / values[..., -1:]).sum(-1))
    return torch.stack(found, dim=-1)


# -- the frozen regime, exactly --------


def frozen_margins(start: Tensor, rate: Tensor, log_time: Tensor | float) -> Tensor:
    """The margin at time t of ``q' = rate · g(q)``, logistic loss, from ``start``; all shapes broadcast.

    ``q + e^q`` grows by ``rate · t``, so ``q = log ω(v)`` with Wright's ω at ``v = start + e^start + rate · t``; t
    comes as its logarithm and may be ``e^1000``.
    """
    start, rate = (torch.as_tensor(value, dtype=torch.float64) for value in (start, rate))
    log_time = torch.as_tensor(log_time, dtype=torch.float64)
    head, log_gain = start + start.exp(), rate.log() + log_time
    head, log_gain = torch.broadcast_tensors(head, log_gain)
    # Past e^30 the logarithm of v is all that is needed; before, ω itself (log ω = v - ω loses nothing for small v).
    late = log_gain > 30
    log_v = log_gain + torch.log1p(head * (-log_gain.clamp_min(30)).exp())
    v = head + log_gain.clamp_max(30).exp()
    omega = torch.as_tensor(wrightomega(v.numpy()), dtype=torch.float64)
    early = torch.where(v > 1, omega.clamp_min(1e-300).log(), v - omega)
    return torch.where(late, log_v - log_v * (-log_v).exp(), early)


def trained_at(net: TwoLayer, data: Dataset, log_time: Tensor | float) -> TwoLayer:
    """Gradient flow from ``net`` at time t, in closed form; a tensor of ``log t`` adds a leading dimension.

    Raises
    ------
    ValueError
        Where the closed form does not hold: a neuron still awake on a sample of the other class, an activation other
        than ReLU, or samples that are not orthogonal.
    """
    log_time = torch.as_tensor(log_time, dtype=torch.float64)
    if not net.activation.is_relu:
        fail("net", "a ReLU network", net.activation.name)
    if not samples_orthogonal(data):
        fail("data", "orthogonal samples", f"p = {float(data.p.max()):.3g}")
    pattern = activation_pattern(net, data)
    if bool((pattern & ~own_class(net, data)).any()):
        fail("net", "no neuron awake on a sample of the other class", "one that is: train a little longer")
    start, squares = margins(net, data), squares_awake(net, data)
    rate = data.norms.square() / data.n * squares
    gain = frozen_margins(start, rate, log_time[(...,) + (None,) * start.ndim] if log_time.ndim else log_time) - start
    gain = torch.where(squares > 0, gain / squares, torch.zeros_like(gain))
    rho = pattern * net.a.abs().unsqueeze(-1) * gain.unsqueeze(-2)
    moved = (rho / data.norms.square().unsqueeze(-2)) @ data.x
    return TwoLayer(net.weights + moved, net.a, net.activation, net.frozen_gram)


def draining_bound(initial: TwoLayer, data: Dataset, step_size: float) -> Tensor:
    """Descent steps (..., n) after which no neuron of the other class is awake on sample i, whatever the step size.

    ``1 + (B/c)(1 + e^{q + 2B'})``: ``B`` the largest ``⟨w_j(0), x_i⟩/|a_j|`` among those neurons, ``c = η‖x_i‖²/n``,
    ``q`` the margin at the start, and ``2B'`` the most it can have grown by then; 0 where none is awake.
    """
    positive(step_size, "step_size")
    z, a = initial.preactivations(data.x), initial.a.abs().unsqueeze(-1)
    other = activation_pattern(initial, data) & ~own_class(initial, data)
    height = (z / a).masked_fill(~other, 0).amax(-2)
    reach = (a.square().sum(-2) * height).clamp_min(0)
    steps = 1 + height * data.n / (step_size * data.norms.square()) * (1 + (margins(initial, data) + reach).exp())
    return torch.where(other.any(-2), steps, torch.zeros_like(steps))


# -- random signs: the limit's law --------


def draw_signs(m: int, k: int, count: int, seed: int = 0) -> Tensor:
    """``count`` draws (count, m, k) of which neurons are awake: fair coins, as at any Gaussian start on orthogonal
    samples.
    """
    m, k, count = positive_int(m, "m"), positive_int(k, "k"), positive_int(count, "count")
    stream = torch.Generator().manual_seed(int(seed))
    return torch.rand(count, m, k, generator=stream) < 0.5


def limit_gram(awake: Tensor, norms: Tensor | float = 1.0) -> Tensor:
    """``D AᵀA D / m`` (..., k, k) of one class, ``A_ri = (m/|S_i|) 1[r ∈ S_i]``, ``D = diag(1/‖x_i‖)``; awake
    (..., m, k).
    """
    awake = awake.to(torch.float64)
    m, size = awake.shape[-2], awake.sum(-2, keepdim=True)
    share = torch.where(size > 0, awake * m / size, torch.zeros_like(awake))
    A = share / torch.as_tensor(norms, dtype=torch.float64)
    return A.mT @ A / m


def ranks_of_grams(first: Tensor, second: Tensor) -> Tensor:
    """Stable ranks (..., 3) of the two classes and of the whole matrix, from the classes' Gram matrices."""
    traces = [gram.diagonal(dim1=-2, dim2=-1).sum(-1) for gram in (first, second)]
    tops = [torch.linalg.eigvalsh(gram)[..., -1] for gram in (first, second)]
    whole = (traces[0] + traces[1]) / torch.maximum(*tops)
    return torch.stack([traces[0] / tops[0], traces[1] / tops[1], whole], dim=-1)


@dataclass(frozen=True)
class Law:
    """One class at width m: limits of ``tr`` and of the largest eigenvalue of ``D AᵀA D/m``, and how far chance goes.

    ``rank`` is their quotient, the stable rank as m → ∞ (S-7); ``rank_sd`` its standard deviation between
    initialisations, ``rank_bias`` how far its mean is off, to the orders m^(-1/2) and m^(-1). ``trace_var``,
    ``top_var`` and ``covariance`` are those of the two numbers.
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
        """How far from ``rank`` the stable rank lies with probability 1 - δ, to these orders."""
        return abs(self.rank_bias) + float(ndtri(1 - delta / 2)) * self.rank_sd


def class_law(norms: Tensor, m: int) -> Law:
    """The law of the limit's stable rank for one class with samples of these ``norms`` (k,), at width m.

    ``M = D(11ᵀ + I)D`` is the limit of ``D AᵀA D/m``. Off it by chance are ``-2ε_i d_i²`` on the diagonal and
    ``ε_il d_i d_l`` beside it, with uncorrelated ε of variance 1/m: first-order perturbation gives the standard
    deviations, second-order the bias. Equal norms: ``rank = 2k/(k+1)``, ``(sd/rank)² = (k-1)/(k(k+1)m)``, ``bias/rank
    = (k-1)(k-2)/(k²m)``.
    """
    norms, m = torch.as_tensor(norms, dtype=torch.float64), positive_int(m, "m")
    if norms.ndim != 1 or not len(norms):
        fail("norms", "a vector, one entry a sample", tuple(norms.shape))
    positive(norms, "norms")
    d = 1 / norms
    values, vectors = torch.linalg.eigh(torch.outer(d, d) + torch.diag(d.square()))
    top, trace, v = values[-1], values.sum(), vectors[:, -1]
    others, gaps = vectors[:, :-1], top - values[:-1]
    beside = torch.outer(d, d).square().triu(1)  # weights of ε_il², i < l
    # Derivatives of trace and top by ε_i, and of top by ε_il.
    trace_1, top_1 = -2 * d.square(), -2 * v.square() * d.square()
    top_2 = 4 * (torch.outer(v, v).square() * beside).sum()
    top_var, covariance = (top_1.square().sum() + top_2) / m, (trace_1 * top_1).sum() / m
    rank_var = (trace_1 / trace - top_1 / top).square().sum() / m + top_2 / (top**2 * m)
    # (u_jᵀ E v)² on average, over the other eigenvectors u_j.
    cross = torch.stack(
        [
            4 * (u * v * d.square()).square().sum() + ((torch.outer(u, v) + torch.outer(v, u)).square() * beside).sum()
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
    """Limit of the whole matrix's stable rank, ``(tr M₊ + tr M₋)/max λ``, and how far chance goes with probability
    1 - δ.

    It is the smaller of the two quotients with either class's λ: above the limit as far as the larger λ's goes, below
    it as far as either.
    """
    total, z = first.trace + second.trace, float(ndtri(1 - delta / 4))
    trace_var = (first.trace_var + second.trace_var) / total**2
    limit, ends = total / max(first.top, second.top), []
    for law in (first, second):
        var = trace_var + law.top_var / law.top**2 - 2 * law.covariance / (total * law.top)
        off = z * math.sqrt(max(var, 0.0)) + abs(law.rank_bias / law.rank)
        ends.append((total / law.top * (1 - off), total / law.top * (1 + off)))
    return limit, max(limit - min(low for low, _ in ends), min(high for _, high in ends) - limit)
