"""Stable ranks of a layer, of its two signs, and the distance of two layers in
direction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..data.span import binary_scale
from ..networks.compatible import a_network
from ..networks.two_layer import TwoLayer
from ..values.checks import as_float_tensor, fail, finite

__all__ = ["class_stable_rank", "direction_distance", "stable_rank"]


def stable_rank(weights: Tensor | TwoLayer) -> Tensor:
    """``‖W‖_F² / ‖W‖_2²`` (...) of a matrix (..., m, d), or of a network's first layer,
    frozen part included (F, Definition 4.1).

    The largest eigenvalue of the smaller of ``W Wᵀ`` and ``Wᵀ W`` is exact to rounding,
    and no other is needed. A zero matrix has no stable rank: NaN.
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
    """Stable ranks (..., 2) of the rows with ``a_j > 0`` and of those with ``a_j < 0``,
    K's ``W_{+1}`` and ``W_{-1}`` (K-4.1.b, K-4.3.a), frozen parts included. NaN for a
    sign that no neuron has.
    """
    # Ranks do not change with the scale, and squares of extreme weights would leave the
    # range.
    net = a_network(net).reduced()[0]
    gram = net.weight_gram()
    positive = (
        net.positive if net.a.ndim == 1 else net.positive[(0,) * (net.a.ndim - 1)]
    )
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


def direction_distance(net: TwoLayer, other: TwoLayer) -> Tensor:
    """``‖W/‖W‖_F - V/‖V‖_F‖_F`` (...), frozen parts included (orthogonal to each other
    unless one's Gram matrix is a multiple of the other's). NaN where a network is zero:
    it has no direction.
    """
    a_network(net)
    if a_network(other, "other").weights.shape[-2:] != net.weights.shape[-2:]:
        fail(
            "other",
            f"{net.m} neurons and {net.d} columns, like net",
            tuple(other.weights.shape[-2:]),
        )
    ours = net.frobenius()[..., None, None]
    theirs = other.frobenius()[..., None, None]
    inside = (net.weights / ours - other.weights / theirs).square().sum((-2, -1))
    frozen = [
        torch.zeros(())
        if one.frozen_gram is None
        else one.frozen_gram.diagonal(dim1=-2, dim2=-1).sum(-1) / one.frobenius() ** 2
        for one in (net, other)
    ]
    outside = (
        (frozen[0].sqrt() - frozen[1].sqrt()).square()
        if _parallel(net, other)
        else frozen[0] + frozen[1]
    )
    return (inside + outside).sqrt()


def _parallel(net: TwoLayer, other: TwoLayer) -> bool:
    """Whether the frozen parts of two networks are multiples of each other, as those of
    one run's are.
    """
    if net.frozen_gram is None or other.frozen_gram is None or net.m != other.m:
        return False
    ours = _of_unit_trace(net.frozen_gram)
    theirs = _of_unit_trace(other.frozen_gram)
    return torch.allclose(ours, theirs.to(ours))


def _of_unit_trace(gram: Tensor) -> Tensor:
    return gram / gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
