"""What a run leaves behind: the recorded quantities, the end, and a sentence on how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from ._checks import fail
from .data import Dataset
from .losses import Loss
from .network import TwoLayer

__all__ = ["Outcome", "Trajectory"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``status`` is ``"finished"``, ``"diverged"``, ``"non-finite"`` or ``"stalled"``, ``message``
    says it in a sentence.
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
    outcome : Outcome
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
        # Data, start, steps and slopes may have fewer batch dimensions than the run.
        shape, data, lift = self.log_loss.shape[1:], self.data, self._lift
        if data.x.ndim > 2:
            x, y = data.x.expand(*shape, data.n, data.d)[index], data.y.expand(*shape, data.n)[index]
            data = replace(data, x=x, y=y)
        if isinstance(self.step_size, Tensor) and self.step_size.ndim:
            series["step_size"] = self.step_size.expand(shape)[index]
        return replace(
            self,
            data=data,
            initial=_entry(self.initial, index, shape),
            _lift=lambda state: _entry(lift(state), index, shape),
            **series,
        )

    def __repr__(self) -> str:
        last = f"step {int(self.step[-1])}" if self.step is not None else f"s = {float(self.s[-1]):g}"
        return f"Trajectory({len(self)} records to {last}, {self.outcome.status})"


def _entry(net: TwoLayer, index: tuple[int, ...], shape: tuple[int, ...]) -> TwoLayer:
    """One network of a batch, whose parts need only broadcast to its ``shape``."""

    def at(tensor: Tensor, core: int) -> Tensor:
        return tensor.expand(*shape, *tensor.shape[tensor.ndim - core :])[index]

    gamma = net.activation.gamma
    leaks = isinstance(gamma, Tensor) and gamma.ndim > 0
    activation = replace(net.activation, gamma=at(gamma, 0)) if leaks else net.activation
    frozen = None if net.frozen_gram is None else at(net.frozen_gram, 2)
    return TwoLayer(at(net.weights, 2), at(net.a, 1), activation, frozen)
