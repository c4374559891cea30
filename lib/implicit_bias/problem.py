"""What every run shares: its ingredients with batches flattened, and the recorder of what is seen along the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from . import losses
from ._checks import fail, shown
from .data import Dataset
from .dataset import a_dataset
from .network import Activation, TwoLayer, a_network
from .span import Span, spectral_norm
from .trajectory import Lift, Trajectory

__all__ = ["GPU_WORTHWHILE", "Problem", "Recorder", "compute_device"]

GPU_WORTHWHILE = 200_000
"""Preactivations (batch · m · n) from which ``device="auto"`` moves a run to a GPU: below, launching kernels costs
more than it saves.
"""


def compute_device(device: str, entries: int, home: torch.device) -> torch.device:
    """Where to run: ``"auto"`` takes a GPU when one is present and the run is large, else the data's own device."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() and entries >= GPU_WORTHWHILE else home
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
    """A run's ingredients, batch dimensions flattened into one (none when the caller has none).

    ``a`` is (..., m, 1) and ``y`` (..., 1, n), ready to multiply preactivations (..., m, n).
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
        """Check that ``net`` and ``data`` fit, broadcast their batch shapes (and that of ``step_size``), and reduce
        to the span; with ``coordinates`` the state is ``W - W(0)`` in any case.
        """
        a_network(net)
        a_dataset(data)
        if net.d != data.d:
            fail("net", f"weights with {data.d} columns, like the data", net.d)
        # What the caller holds may change under a run: it keeps its own, all on the data's device.
        data = replace(data)
        net = replace(net).to(data.x.device)
        gamma, shapes = net.activation.gamma, [torch.as_tensor(step_size).shape]
        shapes += [data.x.shape[:-2], net.weights.shape[:-2], net.a.shape[:-1], torch.as_tensor(gamma).shape]
        if net.frozen_gram is not None:
            shapes.append(net.frozen_gram.shape[:-2])
        try:
            batch = torch.broadcast_shapes(*shapes)
        except RuntimeError as error:
            raise ValueError(f"net: expected batch shapes that broadcast, got {[tuple(s) for s in shapes]}") from error

        place = compute_device(device, batch.numel() * net.m * data.n, data.x.device)
        dtype = dtype or torch.promote_types(net.weights.dtype, data.x.dtype)

        def flat(tensor: Tensor, core: int) -> Tensor:
            tensor = tensor.to(device=place, dtype=dtype)
            inner = tensor.shape[tensor.ndim - core :]
            return tensor.expand(*batch, *inner).reshape(-1, *inner) if batch else tensor

        frozen = None if net.frozen_gram is None else flat(net.frozen_gram, 2)
        activation = net.activation
        if isinstance(gamma, Tensor) and batch:
            activation = activation.with_gamma(flat(gamma, 0))
        span = Span.of(flat(data.x, 2), flat(net.weights, 2), frozen, coordinates)
        a, y = flat(net.a, 1).unsqueeze(-1), flat(data.y, 1).unsqueeze(-2)
        return cls(data, net, losses.get(loss), span, activation, a, y, batch)

    def per_run(self, value: object) -> float | Tensor:
        """A number, or one number a run shaped (b, 1, 1), from what the caller gave."""
        tensor = torch.as_tensor(value, dtype=self.y.dtype, device=self.y.device)
        return tensor.item() if tensor.ndim == 0 else tensor.expand(self.batch).reshape(-1, 1, 1)

    def margins(self, z: Tensor) -> Tensor:
        """``y_i f(x_i)`` (..., n) from preactivations (..., m, n)."""
        return self.y.squeeze(-2) * (self.a * self.activation.value(z)).sum(-2)

    def pull(self, z: Tensor, g: Tensor) -> Tensor:
        """Coefficients ``a_j φ'(⟨w_j, x_i⟩) y_i g_i`` (..., m, n): ``-n ∇_{w_j} L`` is their combination of the
        samples.
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


@dataclass
class Recorder:
    """Collects what a :class:`Trajectory` shows, one record at a time."""

    problem: Problem
    log_loss: list[Tensor] = field(default_factory=list)
    margins: list[Tensor] = field(default_factory=list)
    frobenius: list[Tensor] = field(default_factory=list)
    spectral: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def smaller_gram(self, state: Tensor) -> Tensor:
        """``W Wᵀ`` (..., m, m), or ``Wᵀ W`` (..., d, d) where that is smaller and shows all of W:
        both norms are in either.
        """
        span = self.problem.span
        if self.problem.net.frozen_gram is None and span.x.shape[-1] < span.weights.shape[-2]:
            weights = span.weights + span.displacement(state)
            return weights.mT @ weights
        return span.weight_gram_at(state)

    def add(self, state: Tensor, time: float) -> bool:
        """Record a state and its time; False, with nothing recorded, when it is not finite.

        Raises
        ------
        ValueError
            If that is so of the first.
        """
        problem = self.problem
        q = problem.margins(problem.span.preactivations(state))
        weight_gram = self.smaller_gram(state)
        if not bool(torch.isfinite(q).all() & torch.isfinite(weight_gram).all()):
            if not self.times:
                fail("net", "finite outputs on the data", "an overflow at the first record")
            return False
        self.margins.append(problem.shaped(q, core=1))
        self.log_loss.append(problem.shaped(problem.loss.log_mean(q)))
        self.frobenius.append(problem.shaped(weight_gram.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(0).sqrt()))
        self.spectral.append(problem.shaped(spectral_norm(weight_gram)))
        self.states.append(state.to(problem.data.x.device, copy=True))
        self.times.append(time)
        return True

    def trajectory(self, **rest: object) -> Trajectory:
        """The finished :class:`Trajectory`; ``rest`` are its times and its outcome."""
        stacked = {name: torch.stack(getattr(self, name)) for name in ("log_loss", "margins", "frobenius", "spectral")}
        problem = self.problem
        if rest.get("_end") is not None:
            rest["_end"] = rest["_end"].to(problem.data.x.device, copy=True)
        return Trajectory(
            data=problem.data,
            initial=problem.net,
            loss=problem.loss,
            _states=tuple(self.states),
            _lift=problem.lift(),
            **stacked,
            **rest,
        )
