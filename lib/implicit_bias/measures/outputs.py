"""What a network says: margins, patterns, pulls' ratio, and outputs at fresh points."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import losses
from ..data.dataset import Dataset
from ..data.span import generator
from ..losses import Loss
from ..networks.compatible import a_network, fitting
from ..networks.two_layer import TwoLayer
from ..values.checks import as_float_tensor, fail, finite

__all__ = [
    "activation_pattern",
    "even_odd",
    "fresh_outputs",
    "fresh_preactivations",
    "loss_ratio",
    "margins",
    "own_class",
    "signed_gram",
]


def margins(net: TwoLayer, data: Dataset) -> Tensor:
    """``y_i f(x_i; W)`` (..., n)."""
    data = fitting(net, data)
    return data.y * net(data.x)


def loss_ratio(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic") -> Tensor:
    """``max_{i,j} g_i/g_j`` (...), ``g = -ℓ'`` at each sample, from its logarithm
    (F-E.4).
    """
    log_g = losses.get(loss).log_g(margins(net, data))
    return (log_g.amax(-1) - log_g.amin(-1)).exp()


def activation_pattern(net: TwoLayer, data: Dataset) -> Tensor:
    """Whether ``⟨w_j, x_i⟩ >= 0`` (..., m, n): which side of each sample every neuron
    is on (K-5.6).
    """
    data = fitting(net, data)
    return net.preactivations(data.x) >= 0


def own_class(net: TwoLayer, data: Dataset) -> Tensor:
    """Pairs (..., m, n) of one class: the neuron's sign is the sample's label,
    ``sign(a_j) = y_i``.
    """
    data = fitting(net, data)
    return net.positive.unsqueeze(-1) == data.positive.unsqueeze(-2)


def signed_gram(data: Dataset) -> Tensor:
    """``y_i y_k ⟨x_i, x_k⟩`` (..., n, n): how far samples agree, positive where each
    helps to fit the other.
    """
    return data.gram * data.y.unsqueeze(-1) * data.y.unsqueeze(-2)


def fresh_preactivations(net: TwoLayer, test: Dataset, seed: int = 0) -> Tensor:
    """``⟨w_j, x⟩`` (..., m, k) at fresh points
    (:func:`~implicit_bias.data.mixtures.fresh`), in the full space, exactly in law.

    Outside the coordinates of ``test`` its points are N(0, I), so there the m products
    with one point are N(0, ``frozen_gram``), independent of everything else. Equal
    frozen parts give equal draws.
    """
    test = fitting(net, test, "test")
    z = net.preactivations(test.x)
    if net.frozen_gram is None:
        return z
    # A symmetric root serves singular Gram matrices too (more neurons than dimensions
    # outside).
    values, vectors = torch.linalg.eigh(net.frozen_gram)
    noise = torch.randn(
        net.m, test.n, generator=generator(seed, "outside"), dtype=torch.float64
    ).to(z)
    return z + (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ (
        vectors.mT @ noise
    )


def fresh_outputs(net: TwoLayer, test: Dataset, seed: int = 0) -> Tensor:
    """``f(x; W)`` (..., k) at fresh points, the part of the network outside their
    coordinates included.
    """
    z = fresh_preactivations(net, test, seed)
    return (net.a.unsqueeze(-1) * net.activation.value(z)).sum(-2)


def even_odd(net: TwoLayer, z: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd part (..., k) of the output at preactivations ``z`` (..., m, k):
    ``f(±x) = even ± odd``.

    For a leaky ReLU ``odd = (1+γ)/2 Σ_j a_j ⟨w_j, x⟩`` is linear in x and
    ``even = (1-γ)/2 Σ_j a_j |⟨w_j, x⟩|``.
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
