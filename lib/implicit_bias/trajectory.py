"""What a run leaves behind: the recorded quantities, the end, and a sentence on how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from ._checks import fail
from .data import Dataset
from .losses import Loss
from .network import TwoLayer

__all__ = ["DESCENT", "FLOW", "Outcome", "Trajectory", "minibatch_rule"]

DESCENT, FLOW = "gradient descent", "gradient flow"
"""The rules that theorems speak of, as a run names them."""


def minibatch_rule(batch_size: int, n: int) -> str:
    """How a run of minibatches of ``batch_size`` out of ``n`` samples names its rule: all of them is descent."""
    return DESCENT if batch_size == n else f"stochastic gradient descent with batches of {batch_size}"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``status`` is ``"finished"``, ``"diverged"``, ``"non-finite"``, ``"stalled"`` or ``"time
    limit"``, ``message`` says it in a sentence.
    """

    status: str
    message: str

    @property
    def ok(self) -> bool:
        """Whether the run got where it was asked to go."""
        return self.status == "finished"

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


@dataclass(frozen=True)
class Trajectory:
    """A run, seen at T recorded times; the time axis comes first, batch dimensions follow.

    Attributes
    ----------
    data, initial, final : the samples, the network at the start and at the last recorded time (in the caller's space)
    log_loss : (T, ...)      ``log L``
    margins : (T, ..., n)    ``y_i f(x_i; W)``
    frobenius, spectral, stable_rank : (T, ...)   of the whole first layer, frozen part included
    step : (T,) or None      descent steps (gradient descent, sgd)
    s : (T,) or None         the loss clock log(1/L) asked for (gradient flow); ``-log_loss`` is where each run was
    log_time : (T, ...) or None   log t along the flow, -inf at its start
    step_size : float or (...) tensor, None for a flow
    rule : str               ``"gradient descent"``, ``"gradient flow"`` or a sentence on the minibatches
    outcome : Outcome
    resolution : float or None   None for a flow that stopped at every kink; else how far apart, relatively, two step
        sizes left the nets
    """

    data: Dataset
    initial: TwoLayer
    loss: Loss
    log_loss: Tensor
    margins: Tensor
    frobenius: Tensor
    spectral: Tensor
    outcome: Outcome
    step: Tensor | None = None
    s: Tensor | None = None
    log_time: Tensor | None = None
    step_size: float | Tensor | None = None
    rule: str = ""
    resolution: float | None = None
    _states: tuple[Tensor, ...] = field(default=(), repr=False)
    _end: Tensor | None = field(default=None, repr=False)
    _lift: Callable[[Tensor], TwoLayer] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.log_loss.shape[0]

    @property
    def stable_rank(self) -> Tensor:
        """``‖W‖_F² / ‖W‖_2²`` (T, ...)."""
        return (self.frobenius / self.spectral) ** 2

    @property
    def final(self) -> TwoLayer:
        """The network where the run ended (where its records end, if it overflowed)."""
        return self._lift(self._states[-1] if self._end is None else self._end)

    def net(self, index: int) -> TwoLayer:
        """The network at the ``index``-th recorded time, in the caller's space."""
        if not -len(self) <= index < len(self):
            fail("index", f"a recorded time, {-len(self)} to {len(self) - 1}", index)
        return self._lift(self._states[index])

    def member(self, *index: int) -> Trajectory:
        """One run of a batch, by its place in the batch dimensions."""
        if len(index) != self.log_loss.ndim - 1:
            fail("index", f"{self.log_loss.ndim - 1} numbers, one for each batch dimension", index)
        at = (slice(None), *index)
        series = {name: getattr(self, name)[at] for name in ("log_loss", "margins", "frobenius", "spectral")}
        if self.log_time is not None:
            series["log_time"] = self.log_time[at]
        batch, data, lift = self.log_loss.shape[1:], self.data, self._lift
        data = replace(data, x=_pick(data.x, 2, batch, index), y=_pick(data.y, 1, batch, index))
        step_size = self.step_size
        if isinstance(step_size, Tensor):
            step_size = _pick(step_size, 0, batch, index)
        return replace(
            self,
            data=data,
            initial=_entry(self.initial, batch, index),
            step_size=step_size,
            _lift=lambda state: _entry(lift(state), batch, index),
            **series,
        )

    def __repr__(self) -> str:
        last = f"step {int(self.step[-1])}" if self.step is not None else f"s = {float(self.s[-1]):g}"
        return f"Trajectory({len(self)} records to {last}, {self.outcome.status})"


def _pick(tensor: Tensor, core: int, batch: tuple[int, ...], index: tuple[int, ...]) -> Tensor:
    """One entry of a tensor with ``core`` dimensions of its own, whose others broadcast to the batch of a run."""
    if tensor.ndim == core:
        return tensor
    return tensor.expand(*batch, *tensor.shape[tensor.ndim - core :])[index]


def _entry(net: TwoLayer, batch: tuple[int, ...], index: tuple[int, ...]) -> TwoLayer:
    """One network of a batch."""
    activation, frozen = net.activation, net.frozen_gram
    if isinstance(activation.gamma, Tensor):
        activation = replace(activation, gamma=_pick(activation.gamma, 0, batch, index))
    frozen = None if frozen is None else _pick(frozen, 2, batch, index)
    return TwoLayer(_pick(net.weights, 2, batch, index), _pick(net.a, 1, batch, index), activation, frozen)
