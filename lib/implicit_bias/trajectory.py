"""What a run leaves behind: the recorded quantities, the end, and a sentence on how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ._checks import fail
from .data import Dataset
from .losses import Loss
from .network import TwoLayer

__all__ = ["Outcome", "Trajectory"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``status`` is ``"finished"``, ``"diverged"``, ``"non-finite"`` or ``"stalled"``, ``message`` says it in a sentence."""

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
    s : (T,) or None         the loss clock log(1/L) (gradient flow)
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

    def __repr__(self) -> str:
        last = f"step {int(self.step[-1])}" if self.step is not None else f"s = {float(self.s[-1]):g}"
        return f"Trajectory({len(self)} records to {last}, {self.outcome.status})"
