"""What a run leaves behind: the recorded quantities, the end, and a sentence on how it
ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..losses import Loss
from ..networks.two_layer import TwoLayer
from ..saving import Savable
from ..values.checks import destination, fail
from ..values.comparing import Comparable
from ..values.scalars import whole_number
from .batch_entries import batch_index, entry, pick

__all__ = [
    "DESCENT",
    "FLOW",
    "Lift",
    "Outcome",
    "Trajectory",
    "a_run",
    "recorded_clock",
    "recorded_steps",
    "step_size_of",
    "minibatch_rule",
]


DESCENT = "gradient descent"
FLOW = "gradient flow"
"""The rules that theorems speak of, as a run names them."""


def minibatch_rule(batch_size: int, n: int, rule: str = DESCENT) -> str:
    """How a run of minibatches of ``batch_size`` out of ``n`` samples names its
    ``rule``: all of them is the rule itself.
    """
    return (
        rule if batch_size == n else f"stochastic {rule} with batches of {batch_size}"
    )


@dataclass(frozen=True)
class Outcome(Savable):
    """How a run ended: ``status`` is ``"finished"``, ``"diverged"``, ``"non-finite"``,
    ``"stalled"`` or ``"time limit"``, ``message`` says it in a sentence.
    """

    status: str
    message: str

    @classmethod
    def overflowed(cls, where: str, last: str) -> Outcome:
        """Of a run whose numbers overflowed, and whose records end at ``last``."""
        return cls(
            "non-finite", f"numbers overflowed {where}; the records end at {last}"
        )

    @property
    def ok(self) -> bool:
        """Whether the run got where it was asked to go."""
        return self.status == "finished"

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


@dataclass(frozen=True, eq=False)
class Lift(Comparable, Savable):
    """From the state of a run to its network: ``W = W(0) + state @ x``, or
    ``W(0) + state`` where ``x`` is None.

    States are (b, m, k), the batch of the run flattened; (m, k) without a batch.
    """

    net: TwoLayer
    x: Tensor | None
    batch: tuple[int, ...] = ()

    def __call__(self, state: Tensor) -> TwoLayer:
        moved = state if self.x is None else state @ self.x
        return self.net.with_weights(
            self.net.weights + moved.reshape(*self.batch, *moved.shape[-2:])
        )

    def to(self, device: str | torch.device) -> Lift:
        """The same on another device."""
        return Lift(self.net.to(device), _moved(self.x, device), self.batch)

    def member(self, net: TwoLayer, row: int) -> Lift:
        """The same for one network of the batch, the ``row``-th; its states keep a
        batch of one.
        """
        return Lift(net, None if self.x is None else self.x[row : row + 1])


@dataclass(frozen=True, eq=False)
class Trajectory(Comparable, Savable):
    """A run, seen at T recorded times; the time axis comes first, batch dimensions
    follow.

    It can be pickled, copied, compared by ``==``, and written to a file and read with
    :meth:`save` and :meth:`load`.

    Attributes
    ----------
    data, initial, final
        The samples, and the networks at the start and at the last recorded time, in the
        caller's space.
    log_loss : (T, ...)
        ``log L``.
    margins : (T, ..., n)
        ``y_i f(x_i; W)``.
    frobenius, spectral, stable_rank : (T, ...)
        Of the whole first layer, frozen part included.
    step : (T,) or None
        Descent steps (:func:`gradient_descent`, :func:`sgd`).
    s : (T,) or None
        The loss clock log(1/L) asked for (gradient flow); ``-log_loss`` is where each run
        was.
    log_time : (T, ...) or None
        log t along the flow, -inf at its start.
    step_size : float or (...) tensor
        None for a flow.
    rule : str
        ``"gradient descent"``, ``"gradient flow"``, the name of another rule, or a sentence
        on the minibatches.
    outcome : Outcome
    resolution : float or None
        None for a flow that stopped at every kink; else how far apart, relatively, two step
        sizes left the nets.
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
    _lift: Lift | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.log_loss.shape[0]

    @property
    def stable_rank(self) -> Tensor:
        """``‖W‖_F² / ‖W‖_2²`` (T, ...)."""
        return (self.frobenius / self.spectral) ** 2

    @property
    def final(self) -> TwoLayer:
        """The network where the run ended (where its records end, if it overflowed)."""
        return self._lifted()(self._states[-1] if self._end is None else self._end)

    @property
    def ends_recorded(self) -> bool:
        """Whether the last record is where the run ended."""
        return self._end is None

    @property
    def states(self) -> tuple[Tensor, ...]:
        """All states that the run holds, of its records and of its end; (b, m, k) each."""
        return self._states if self._end is None else (*self._states, self._end)

    def net(self, index: int) -> TwoLayer:
        """The network at the ``index``-th recorded time, in the caller's space."""
        return self._lifted()(self._states[self.index(index)])

    def _lifted(self) -> Lift:
        if self._lift is None:
            fail("run", "a run that knows its networks", "one of numbers only")
        return self._lift

    def index(self, index: int) -> int:
        """The place from 0 on of a recorded time given from either end, as lists count;
        others are refused.
        """
        place = whole_number(index)
        if place is None or not -len(self) <= place < len(self):
            fail("index", f"a recorded time, {-len(self)} to {len(self) - 1}", index)
        return place % len(self)

    def member(self, *index: int) -> Trajectory:
        """One run of a batch, by its place in the batch dimensions."""
        batch = self.log_loss.shape[1:]
        index = batch_index(index, batch)
        if not batch:
            return self
        at: tuple[slice | int, ...] = (slice(None), *index)
        series = {
            name: getattr(self, name)[at].clone()
            for name in ("log_loss", "margins", "frobenius", "spectral")
        }
        if self.log_time is not None:
            series["log_time"] = self.log_time[at].clone()
        data = replace(
            self.data,
            x=pick(self.data.x, 2, batch, index),
            y=pick(self.data.y, 1, batch, index),
        )
        initial = entry(self.initial, batch, index)
        step_size = self.step_size
        if isinstance(step_size, Tensor):
            step_size = pick(step_size, 0, batch, index).clone()
        row = int(torch.arange(batch.numel()).reshape(batch)[index])
        return replace(
            self,
            data=data,
            initial=initial,
            step_size=step_size,
            _states=tuple(state[row : row + 1].clone() for state in self._states),
            _end=None if self._end is None else self._end[row : row + 1].clone(),
            _lift=self._lifted().member(initial, row),
            **series,
        )

    def to(self, device: str | torch.device) -> Trajectory:
        """The same run with everything it holds on another device."""
        destination(device)
        step_size = self.step_size
        if isinstance(step_size, Tensor):
            step_size = step_size.to(device)
        return replace(
            self,
            data=self.data.to(device),
            initial=self.initial.to(device),
            log_loss=self.log_loss.to(device),
            margins=self.margins.to(device),
            frobenius=self.frobenius.to(device),
            spectral=self.spectral.to(device),
            step=_moved(self.step, device),
            s=_moved(self.s, device),
            log_time=_moved(self.log_time, device),
            step_size=step_size,
            _states=tuple(state.to(device) for state in self._states),
            _end=_moved(self._end, device),
            _lift=None if self._lift is None else self._lift.to(device),
        )

    def __repr__(self) -> str:
        last = ""
        if self.step is not None:
            last = f" to step {int(self.step[-1])}"
        elif self.s is not None:
            last = f" to s = {float(self.s[-1]):g}"
        return f"Trajectory({len(self)} records{last}, {self.outcome.status})"


def _moved(tensor: Tensor | None, device: str | torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def a_run(value: object, argument: str = "run") -> Trajectory:
    """Refuse what is no :class:`Trajectory`, and say what makes one."""
    if isinstance(value, Trajectory):
        return value
    made = "gradient_descent, sgd and gradient_flow return it"
    return fail(argument, f"a Trajectory, as {made}", type(value).__name__)


def recorded_steps(run: Trajectory, argument: str = "run") -> Tensor:
    """The descent steps (T,) of the records.

    Raises
    ------
    ValueError
        For a run of gradient flow.
    """
    if run.step is None:
        wanted = "a run of gradient_descent"
        fail(argument, wanted, "one of gradient_flow, which has no steps")
    return run.step


def step_size_of(run: Trajectory, argument: str = "run") -> float | Tensor:
    """The step size of a run of descent; a run of flow is refused."""
    if run.step_size is None:
        wanted = "a run of gradient_descent"
        fail(argument, wanted, "one without a step size")
    return run.step_size


def recorded_clock(run: Trajectory, argument: str = "run") -> tuple[Tensor, Tensor]:
    """The loss clock ``s`` (T,) and ``log t`` (T, ...) of the records.

    Raises
    ------
    ValueError
        For a run of descent.
    """
    if run.s is None or run.log_time is None:
        wanted = "a run of gradient_flow"
        fail(argument, wanted, "one of descent, which has no loss clock")
    return run.s, run.log_time
