r"""What is measured on a network or a run: ranks, margins, loss ratio, patterns, decomposition, gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import losses
from ._checks import as_float_tensor, fail, finite
from .data import Dataset
from .losses import Loss
from .network import TwoLayer, a_network, fitting
from .span import binary_scale, generator
from .trajectory import Trajectory, a_run

__all__ = [
    "activation_pattern",
    "class_stable_rank",
    "clock_velocity",
    "direction_distance",
    "even_odd",
    "fresh_outputs",
    "fresh_preactivations",
    "gradient",
    "gradient_gram",
    "independent",
    "loss_ratio",
    "margins",
    "networks",
    "own_class",
    "proxy_pl_ratio",
    "rho",
    "rho_along",
    "signed_gram",
    "smoothed_margin",
    "stable_rank",
]


def stable_rank(weights: Tensor | TwoLayer) -> Tensor:
    """``‖W‖_F² / ‖W‖_2²`` (...) of a matrix (..., m, d), or of a network's first layer, frozen part included (F,
    Definition 4.1).

    The largest eigenvalue of the smaller of ``W Wᵀ`` and ``Wᵀ W`` is exact to rounding, and no
    other is needed. A zero matrix has no stable rank: NaN.
    """
    if isinstance(weights, TwoLayer):
        return (weights.frobenius() / weights.spectral()) ** 2
    weights = as_float_tensor(weights, "weights")
    if weights.ndim < 2:
        fail("weights", "a matrix (..., m, d)", tuple(weights.shape))
    if weights.numel() == 0:
        fail("weights", "a matrix with entries", tuple(weights.shape))
    finite(weights, "weights")
    # By a power of two, so that squares neither overflow nor vanish.
    unit = weights / binary_scale(weights.abs().amax((-2, -1)))[..., None, None]
    smaller = unit @ unit.mT if unit.shape[-2] <= unit.shape[-1] else unit.mT @ unit
    largest = torch.linalg.eigvalsh(smaller)[..., -1]
    return smaller.diagonal(dim1=-2, dim2=-1).sum(-1) / largest


def class_stable_rank(net: TwoLayer) -> Tensor:
    """Stable ranks (..., 2) of the rows with ``a_j > 0`` and of those with ``a_j < 0``, K's ``W_{+1}`` and ``W_{-1}``
    (K-4.1.b, K-4.3.a), frozen parts included. NaN for a sign that no neuron has.
    """
    # Ranks do not change with the scale, and squares of extreme weights would leave the range.
    net = a_network(net)._reduced()[0]
    gram = net.weight_gram()
    positive = net.positive if net.a.ndim == 1 else net.positive[(0,) * (net.a.ndim - 1)]
    if bool((net.positive != positive).any()):
        fail("net", "the same signs of a in every batch entry", "different ones")
    ranks = []
    for rows in (positive, ~positive):
        if not bool(rows.any()):
            ranks.append(gram.new_full(gram.shape[:-2], math.nan))
            continue
        values = torch.linalg.eigvalsh(gram[..., rows, :][..., rows]).clamp_min(0)
        ranks.append((values / values[..., -1:]).sum(-1))
    return torch.stack(ranks, dim=-1)


def networks(run: Trajectory) -> TwoLayer:
    """All recorded networks of a run as one batch, time first; frozen parts, which never move, are shared."""
    a_run(run)
    weights = torch.stack([run.net(k).weights for k in range(len(run))])
    return TwoLayer(weights, run.initial.a, run.initial.activation, run.initial.frozen_gram)


def margins(net: TwoLayer, data: Dataset) -> Tensor:
    """``y_i f(x_i; W)`` (..., n)."""
    data = fitting(net, data)
    return data.y * net(data.x)


def loss_ratio(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic") -> Tensor:
    """``max_{i,j} g_i/g_j`` (...), ``g = -ℓ'`` at each sample, from its logarithm (F-E.4)."""
    log_g = losses.get(loss).log_g(margins(net, data))
    return (log_g.amax(-1) - log_g.amin(-1)).exp()


def activation_pattern(net: TwoLayer, data: Dataset) -> Tensor:
    """Whether ``⟨w_j, x_i⟩ >= 0`` (..., m, n): which side of each sample every neuron is on (K-5.6)."""
    data = fitting(net, data)
    return net.preactivations(data.x) >= 0


def own_class(net: TwoLayer, data: Dataset) -> Tensor:
    """Pairs (..., m, n) of one class: the neuron's sign is the sample's label, ``sign(a_j) = y_i``."""
    data = fitting(net, data)
    return net.positive.unsqueeze(-1) == data.positive.unsqueeze(-2)


def signed_gram(data: Dataset) -> Tensor:
    """``y_i y_k ⟨x_i, x_k⟩`` (..., n, n): how far samples agree, positive where each helps to fit the other."""
    return data.gram * data.y.unsqueeze(-1) * data.y.unsqueeze(-2)


def independent(data: Dataset) -> bool:
    """Whether the samples are linearly independent (every data set of a batch): then ρ is unique."""
    norms = data.norms.unsqueeze(-1)
    if not bool((norms > 0).all()):
        return False
    directions = data.x / norms
    cosines = directions @ directions.mT
    return bool((torch.linalg.matrix_rank(cosines, hermitian=True) == data.n).all())


def rho(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Tensor:
    """``ρ_ji`` (..., m, n) with ``w_j = w_j(0) + Σ_i ρ_ji x_i/‖x_i‖²`` (K-5.1), from the weights alone.

    Raises
    ------
    ValueError
        If the samples are linearly dependent, where ρ is not unique.
    """
    data = fitting(net, data)
    if a_network(initial, "initial").weights.shape[-2:] != net.weights.shape[-2:]:
        fail(
            "initial",
            f"{net.m} neurons and {net.d} columns, like net",
            tuple(initial.weights.shape[-2:]),
        )
    if not independent(data):
        fail("data", "linearly independent samples (rho is not unique otherwise)", "dependent ones")
    norms = data.norms.unsqueeze(-1)
    directions = data.x / norms
    moved = (net.weights - initial.weights).to(directions) @ directions.mT
    return torch.linalg.solve(directions @ directions.mT, moved.mT).mT * norms.mT


def rho_along(run: Trajectory, initial: TwoLayer | None = None) -> Tensor:
    """``ρ_ji`` (T, ..., m, n) at every recorded time of a run (K-5.1), counted from ``initial``: where this run began,
    unless the start of an earlier run that it goes on from is given.
    """
    a_run(run)
    return rho(networks(run), run.initial if initial is None else initial, run.data)


def gradient(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic") -> Tensor:
    """``∇L(W)`` (..., m, d), with φ'(0) = 1."""
    data = fitting(net, data)
    z = net.preactivations(data.x)
    g = losses.get(loss).g(margins(net, data))
    pull = net.a.unsqueeze(-1) * net.activation.derivative(z) * (data.y * g).unsqueeze(-2)
    return -(pull @ data.x.to(pull)) / data.n


def gradient_gram(net: TwoLayer, data: Dataset) -> Tensor:
    """``⟨∇f_i, ∇f_k⟩ = ⟨x_i,x_k⟩ Σ_j a_j² φ'_ij φ'_kj`` (..., n, n) (F-E.5, F-E.6)."""
    data = fitting(net, data)
    slopes = net.a.unsqueeze(-1) * net.activation.derivative(net.preactivations(data.x))
    return data.gram * (slopes.mT @ slopes)


def proxy_pl_ratio(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic") -> Tensor:
    """``‖∇L(W)‖_F / G(W)`` (...), ``G = (1/n) Σ_i g_i``: the left side of the proxy-PL inequality (F-D.2, F-E.14, S-4).

    Only the shares ``g_i / Σ g`` matter; from logarithms they are exact at any margin. Again φ'(0) = 1.
    """
    data = fitting(net, data)
    share = torch.softmax(losses.get(loss).log_g(margins(net, data)), dim=-1)
    slopes = net.activation.derivative(net.preactivations(data.x))
    pull = net.a.unsqueeze(-1) * slopes * (data.y * share).unsqueeze(-2)
    return (pull @ data.x.to(pull)).flatten(-2).norm(dim=-1)


def fresh_preactivations(net: TwoLayer, test: Dataset, seed: int = 0) -> Tensor:
    """``⟨w_j, x⟩`` (..., m, k) at fresh points (:func:`implicit_bias.data.fresh`), in the full space, exactly in law.

    Outside the coordinates of ``test`` its points are N(0, I), so there the m products with one point are
    N(0, ``frozen_gram``), independent of everything else. Equal frozen parts give equal draws.
    """
    test = fitting(net, test, "test")
    z = net.preactivations(test.x)
    if net.frozen_gram is None:
        return z
    # A symmetric root serves singular Gram matrices too (more neurons than dimensions outside).
    values, vectors = torch.linalg.eigh(net.frozen_gram)
    noise = torch.randn(net.m, test.n, generator=generator(seed, "outside"), dtype=torch.float64).to(z)
    return z + (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ (vectors.mT @ noise)


def fresh_outputs(net: TwoLayer, test: Dataset, seed: int = 0) -> Tensor:
    """``f(x; W)`` (..., k) at fresh points, the part of the network outside their coordinates included."""
    z = fresh_preactivations(net, test, seed)
    return (net.a.unsqueeze(-1) * net.activation.value(z)).sum(-2)


def even_odd(net: TwoLayer, z: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd part (..., k) of the output at preactivations ``z`` (..., m, k): ``f(±x) = even ± odd``.

    For a leaky ReLU ``odd = (1+γ)/2 Σ_j a_j ⟨w_j, x⟩`` is linear in x and ``even = (1-γ)/2 Σ_j a_j |⟨w_j, x⟩|``.
    """
    z = as_float_tensor(z, "z")
    if z.ndim < 2 or z.shape[-2] != a_network(net).m:
        fail(
            "z",
            f"preactivations of shape (..., {net.m}, k), a row for each neuron",
            tuple(z.shape),
        )
    finite(z, "z")
    a = net.a.unsqueeze(-1)
    here, mirrored = ((a * net.activation.value(side)).sum(-2) for side in (z, -z))
    return (here + mirrored) / 2, (here - mirrored) / 2


def direction_distance(net: TwoLayer, other: TwoLayer) -> Tensor:
    """``‖W/‖W‖_F - V/‖V‖_F‖_F`` (...), frozen parts included (orthogonal to each other unless one's Gram matrix is a
    multiple of the other's). NaN where a network is zero: it has no direction.
    """
    a_network(net)
    if a_network(other, "other").weights.shape[-2:] != net.weights.shape[-2:]:
        fail(
            "other",
            f"{net.m} neurons and {net.d} columns, like net",
            tuple(other.weights.shape[-2:]),
        )
    ours, theirs = net.frobenius()[..., None, None], other.frobenius()[..., None, None]
    inside = (net.weights / ours - other.weights / theirs).square().sum((-2, -1))
    frozen = [
        torch.zeros(())
        if one.frozen_gram is None
        else one.frozen_gram.diagonal(dim1=-2, dim2=-1).sum(-1) / one.frobenius() ** 2
        for one in (net, other)
    ]
    outside = (frozen[0].sqrt() - frozen[1].sqrt()).square() if _parallel(net, other) else frozen[0] + frozen[1]
    return (inside + outside).sqrt()


def _parallel(net: TwoLayer, other: TwoLayer) -> bool:
    """Whether the frozen parts of two networks are multiples of each other, as those of one run's are."""
    if net.frozen_gram is None or other.frozen_gram is None or net.m != other.m:
        return False
    ours, theirs = (
        (F.frozen_gram / F.frozen_gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]) for F in (net, other)
    )
    return torch.allclose(ours, theirs.to(ours))


def smoothed_margin(run: Trajectory) -> Tensor:
    """``ℓ^{-1}(nL) / ‖W‖_F`` (T, ...) along a run: below the smallest normalised margin, and rising once ``nL < ℓ(0)``
    (F-3.1; Lyu & Li's smoothed margin).

    ``ℓ^{-1}(nL)`` is the margin of one sample that has the whole loss. Computed from ``log L``, so at any loss.
    """
    if a_run(run).loss not in (losses.LOGISTIC, losses.EXPONENTIAL):
        fail("run", "one with logistic or exponential loss, whose inverse is known", run.loss.name)
    log_total = run.log_loss + math.log(run.data.n)
    margin = -log_total
    if run.loss.name == "logistic":
        # ℓ^{-1}(v) = -log(e^v - 1), which is -log v to rounding once v < e^{-40}.
        small = log_total < -40
        margin = torch.where(small, margin, -torch.log(torch.expm1(log_total.clamp_min(-40).exp())))
    return margin / run.frobenius


def clock_velocity(run: Trajectory, index: int = -1) -> TwoLayer:
    """``dW/ds`` as the mean over the interval that ends at a recorded time, as a network: it tends to the KKT point at
    its true scale, and far sooner than ``W/s`` does (F-3.1, F-3.5), for the start drops out of it.
    """
    index = a_run(run).index(index)
    if run.s is None:
        fail("run", "a run of gradient_flow", "one of descent, which has no loss clock")
    if index == 0:
        fail("index", "a recorded time after the first", index)
    before, after = run.net(index - 1), run.net(index)
    return TwoLayer((after.weights - before.weights) / (run.s[index] - run.s[index - 1]), after.a, after.activation)
