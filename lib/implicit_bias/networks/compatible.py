"""Do a network and data fit each other?"""

from __future__ import annotations

import torch

from ..data.dataset import Dataset, a_dataset
from ..values.checks import fail
from .parts import _batches_fit
from .two_layer import TwoLayer

__all__ = ["a_network", "fitting"]


def fitting(net: TwoLayer, data: Dataset, argument: str = "data") -> Dataset:
    """The data, beside the network, once both are what they should be and fit each
    other.
    """
    a_network(net)
    a_dataset(data, argument)
    if net.d != data.d:
        fail("net", f"weights with {data.d} columns, like the data", net.d)
    _batches_fit(net, data.x.shape[:-2], argument)
    return data if data.x.device == net.weights.device else data.to(net.weights.device)


def a_network(value: object, argument: str = "net") -> TwoLayer:
    """Refuse what is no :class:`TwoLayer`, and say how to make one."""
    if isinstance(value, TwoLayer):
        return value
    cure = ""
    if isinstance(value, torch.nn.Module):
        cure = (
            ": of two linear layers without biases, ib.TwoLayer(first.weight, "
            "second.weight, ib.relu())"
        )
    elif hasattr(value, "final"):
        cure = ": of a run, run.final or run.net(index)"
    return fail(argument, f"an ib.TwoLayer{cure}", type(value).__name__)
