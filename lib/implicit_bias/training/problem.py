"""What every run shares: the ingredients, in the span of the data, with batches flattened
into one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import losses
from ..data.dataset import Dataset, a_dataset
from ..data.span import Span
from ..networks.activation import Activation
from ..networks.compatible import a_network
from ..networks.two_layer import TwoLayer
from ..values.checks import fail, shown
from .trajectory import Lift

__all__ = ["GPU_WORTHWHILE", "Problem", "compute_device"]


GPU_WORTHWHILE = 200_000
"""Preactivations (batch · m · n) from which ``device="auto"`` moves a run to a GPU:
below, launching kernels costs more than it saves.
"""


def compute_device(device: str, entries: int, home: torch.device) -> torch.device:
    """Where to run: ``"auto"`` takes a GPU when one is present and the run is large,
    else the data's own device.
    """
    if isinstance(device, str) and device == "auto":
        return (
            torch.device("cuda")
            if torch.cuda.is_available() and entries >= GPU_WORTHWHILE
            else home
        )
    try:
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        got = f"{shown(device)} ({error})"
        raise ValueError(
            f"device: expected 'auto' or a device that torch can use, got {got}"
        ) from error
    if place.type == "meta" or device is None:
        fail("device", "'auto' or a device that holds numbers", shown(device))
    return place


@dataclass(frozen=True)
class Problem:
    """A run's ingredients, batch dimensions flattened into one (none when the caller
    has none).

    ``a`` is (..., m, 1) and ``y`` (..., 1, n), ready to multiply preactivations (...,
    m, n).
    """

    data: Dataset
    net: TwoLayer
    loss: losses.Loss
    span: Span
    activation: Activation
    a: Tensor
    y: Tensor
    batch: torch.Size

    @classmethod
    def of(
        cls,
        net: TwoLayer,
        data: Dataset,
        loss: str | losses.Loss,
        device: str,
        step_size: object = 1.0,
        dtype: torch.dtype | None = None,
        coordinates: bool = False,
    ) -> Problem:
        """Check that ``net`` and ``data`` fit, broadcast their batch shapes (and that
        of ``step_size``), and reduce to the span; with ``coordinates`` the state is
        ``W - W(0)`` in any case.
        """
        a_network(net)
        a_dataset(data)
        if net.d != data.d:
            fail("net", f"weights with {data.d} columns, like the data", net.d)
        # What the caller holds may change under a run: it keeps its own, all on the
        # data's device.
        data = replace(data)
        net = replace(net).to(data.x.device)
        gamma = net.activation.gamma
        shapes = [torch.as_tensor(step_size).shape]
        shapes += [
            data.x.shape[:-2],
            net.weights.shape[:-2],
            net.a.shape[:-1],
            torch.as_tensor(gamma).shape,
        ]
        if net.frozen_gram is not None:
            shapes.append(net.frozen_gram.shape[:-2])
        try:
            batch = torch.broadcast_shapes(*shapes)
        except RuntimeError as error:
            raise ValueError(
                "net: expected batch shapes that broadcast, got "
                f"{[tuple(s) for s in shapes]}"
            ) from error

        place = compute_device(device, batch.numel() * net.m * data.n, data.x.device)
        dtype = dtype or torch.promote_types(net.weights.dtype, data.x.dtype)

        def flat(tensor: Tensor, core: int) -> Tensor:
            tensor = tensor.to(device=place, dtype=dtype)
            inner = tensor.shape[tensor.ndim - core :]
            return (
                tensor.expand(*batch, *inner).reshape(-1, *inner) if batch else tensor
            )

        frozen = None if net.frozen_gram is None else flat(net.frozen_gram, 2)
        activation = net.activation
        if isinstance(gamma, Tensor) and batch:
            activation = activation.with_gamma(flat(gamma, 0))
        span = Span.of(flat(data.x, 2), flat(net.weights, 2), frozen, coordinates)
        a = flat(net.a, 1).unsqueeze(-1)
        y = flat(data.y, 1).unsqueeze(-2)
        return cls(data, net, losses.get(loss), span, activation, a, y, batch)

    def per_run(self, value: object) -> float | Tensor:
        """A number, or one number a run shaped (b, 1, 1), from what the caller gave."""
        tensor = torch.as_tensor(value, dtype=self.y.dtype, device=self.y.device)
        return (
            tensor.item()
            if tensor.ndim == 0
            else tensor.expand(self.batch).reshape(-1, 1, 1)
        )

    def margins(self, z: Tensor) -> Tensor:
        """``y_i f(x_i)`` (..., n) from preactivations (..., m, n)."""
        return self.y.squeeze(-2) * (self.a * self.activation.value(z)).sum(-2)

    def pull(self, z: Tensor, g: Tensor) -> Tensor:
        """Coefficients ``a_j φ'(⟨w_j, x_i⟩) y_i g_i`` (..., m, n): ``-n ∇_{w_j} L`` is
        their combination of the samples.
        """
        return self.a * self.activation.derivative(z) * (self.y * g.unsqueeze(-2))

    def shaped(self, tensor: Tensor, core: int = 0) -> Tensor:
        """Undo the flattening of the batch, and come home to the caller's device."""
        tensor = tensor.to(self.data.x.device)
        return tensor.reshape((*self.batch, *tensor.shape[tensor.ndim - core :]))

    def lift(self) -> Lift:
        """From states, at home on the caller's device, to the caller's network."""
        x = None if self.span.coordinates else self.span.x.to(self.data.x.device)
        return Lift(self.net, x, tuple(self.batch))
