"""One run of a batch: its place, and its share of tensors and networks."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.two_layer import TwoLayer
from ..values.checks import fail
from ..values.scalars import whole_number

__all__ = ["batch_index", "entry", "pick"]


def batch_index(index: tuple[object, ...], batch: torch.Size) -> tuple[int, ...]:
    """The place of one run in a batch, counted from 0."""
    if len(index) != len(batch):
        fail("index", f"{len(batch)} numbers, one for each batch dimension", index)
    places = []
    for number, size in zip(index, batch):
        place = whole_number(number)
        if place is None or not -size <= place < size:
            fail("index", f"whole numbers within the batch {tuple(batch)}", index)
        places.append(place % size)
    return tuple(places)


def pick(
    tensor: Tensor, core: int, batch: tuple[int, ...], index: tuple[int, ...]
) -> Tensor:
    """One entry of a tensor with ``core`` dimensions of its own, whose others broadcast
    to the batch of a run.
    """
    if tensor.ndim == core:
        return tensor
    return tensor.expand(*batch, *tensor.shape[tensor.ndim - core :])[index]


def entry(net: TwoLayer, batch: tuple[int, ...], index: tuple[int, ...]) -> TwoLayer:
    """One network of a batch."""
    activation = net.activation
    frozen = net.frozen_gram
    if isinstance(activation.gamma, Tensor):
        activation = activation.with_gamma(
            pick(activation.gamma, 0, batch, index).clone()
        )
    frozen = None if frozen is None else pick(frozen, 2, batch, index)
    return TwoLayer(
        pick(net.weights, 2, batch, index),
        pick(net.a, 1, batch, index),
        activation,
        frozen,
    )
