r"""Descent steps, many at a time.

With a kinked activation, as long as no ``⟨w_j, x_i⟩`` changes sign, the slopes
``D_ji = a_j φ'(⟨w_j, x_i⟩)`` are constant and the n outputs obey a recursion among
themselves. With ``p_i = -y_i f(x_i)``, minus the margin, and ``G_i = g(-p_i)``, or 0
outside the minibatch,

.. math::
    p(t+1) = p(t) - M G(t), \qquad
    M_{ik} = \tfrac{α}{n} y_i y_k ⟨x_i, x_k⟩ \sum_j D_{ji} D_{jk}, \\
    c_{jk}(t) = c_{jk}(0) + \tfrac{α}{n} D_{jk} y_k Γ_k(t), \quad Γ(t) = \sum_{s<t} G(s).

So :meth:`Stepper.leap` iterates on n numbers, whatever m is, and moves the state once.
That nothing changed sign is proved afterwards, and cheaply, because ``g > 0`` lets
every ``Γ_k`` only increase: see :meth:`Stepper.keeps_signs`. Where the proof fails, and
for smooth activations, steps are taken one by one. Both ways give the same trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ..data.span import generator
from ..losses import EXPONENTIAL, LOGISTIC
from .problem import Problem

__all__ = [
    "Epochs",
    "GradientWalker",
    "Memory",
    "Mover",
    "Progress",
    "Stepper",
    "Walker",
    "silent",
]


RATES = {LOGISTIC: torch.sigmoid, EXPONENTIAL: torch.exp}
"""``g(-p)``, positive, for the losses known here."""


SHORTEST = 8
LONGEST = 1024
"""Steps in a leap: a shorter one costs more than its steps, a longer one saves little
more.
"""


class Epochs:
    """Successive minibatches, index tensors drawn without replacement; an epoch's
    incomplete last one is dropped.
    """

    def __init__(self, n: int, batch_size: int, seed: int | None) -> None:
        self.n = n
        self.batch_size = batch_size
        self.stream = generator(seed, "batches")
        self.queue: list[Tensor] = []

    def ahead(self, count: int) -> list[Tensor]:
        """The next ``count`` minibatches, which stay in the queue."""
        while len(self.queue) < count:
            order = torch.randperm(self.n, generator=self.stream)
            self.queue += order[: self.n - self.n % self.batch_size].split(
                self.batch_size
            )
        return self.queue[:count]

    def next(self) -> Tensor:
        """The next minibatch, taken off the queue."""
        chosen = self.ahead(1)[0]
        self.drop(1)
        return chosen

    def drop(self, count: int) -> None:
        """Take ``count`` minibatches off the queue."""
        del self.queue[:count]


Memory = TypeVar("Memory")
"""What an optimiser remembers from step to step."""


Progress = Callable[[int], object]
"""Told of so many steps whenever they are done."""


def silent(taken: int) -> None:
    """The progress of which nothing is said."""


class Mover(Protocol):
    """Takes the steps of a run: ``state`` (..., m, k), as its :class:`Span` has it, is
    where the run stands.
    """

    problem: Problem

    @property
    def state(self) -> Tensor: ...

    def advance(self, count: int, progress: Progress = silent) -> None:
        """So many more steps."""


class Walker:
    """Takes steps one by one; what any descent computes at a state.

    ``factor`` times ``y_k`` multiplies each sample's part of a step.
    """

    def __init__(
        self, problem: Problem, factor: float | Tensor, minibatches: Epochs | None
    ) -> None:
        self.problem = problem
        self.span = problem.span
        self.minibatches = minibatches
        self.state = problem.y.new_zeros(problem.span.state_shape)
        self.samples = problem.data.n if minibatches is None else minibatches.batch_size
        # Everything constant along the run is folded into y once.
        self.minus_y = -problem.y
        self.signed_step = problem.y * (factor / self.samples)
        self.add_product = torch.baddbmm if problem.batch else torch.addmm
        self.rate: Callable[[Tensor], Tensor] = RATES.get(
            problem.loss, lambda p: problem.loss.g(-p)
        )

    def advance(self, count: int, progress: Progress = silent) -> None:
        """So many steps, one after the other."""
        while count:
            taken = min(count, LONGEST)
            self.walk(taken)
            count -= taken
            progress(taken)

    def walk(self, count: int) -> None:
        """So many steps without a word."""
        for _ in range(count):
            self.step()

    def step(self) -> None:
        """One step, whatever the activation."""
        raise NotImplementedError

    def outputs(self, chosen: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Preactivations and slopes ``a_j φ'`` (..., m, n), and ``p`` (..., 1, n), of
        all samples or those chosen.
        """
        activation = self.problem.activation
        a = self.problem.a
        constant = self.span.preactivation, self.span.readout, self.minus_y
        start, readout, minus_y = (
            constant if chosen is None else (tensor[..., chosen] for tensor in constant)
        )
        z = self.add_product(start, self.state, readout)
        slopes, value = activation.weighted(z, a)
        return z, slopes, value.sum(-2, keepdim=True).mul_(minus_y)


class GradientWalker(Walker, Generic[Memory]):
    """Steps along what ``update`` makes of each gradient and of what it remembers."""

    def __init__(
        self,
        problem: Problem,
        step_size: float | Tensor,
        minibatches: Epochs | None,
        update: Callable[[Tensor, Memory | None], tuple[Tensor, Memory | None]],
    ) -> None:
        super().__init__(problem, -1.0, minibatches)
        self.step_size = problem.per_run(step_size)
        self.update = update
        self.memory: Memory | None = None

    def step(self) -> None:
        """``state - step_size · U``."""
        step, self.memory = self.update(self.gradient(), self.memory)
        self.state -= self.step_size * step

    def gradient(self) -> Tensor:
        """``∇L`` (..., m, k) of all samples or the next minibatch, in the state's
        coordinates.
        """
        if self.minibatches is None:
            _, slopes, p = self.outputs()
            pull = slopes.mul_(self.rate(p) * self.signed_step)
            return pull @ self.span.x if self.span.coordinates else pull
        chosen = self.minibatches.next().to(self.state.device)
        _, slopes, p = self.outputs(chosen)
        pull = slopes.mul_(self.rate(p) * self.signed_step[..., chosen])
        if self.span.coordinates:
            return pull @ self.span.x[..., chosen, :]
        gradient = torch.zeros_like(self.state)
        gradient[..., chosen] = pull
        return gradient


class Stepper(Walker):
    """Gradient descent: in leaps where no sign changes, else one step at a time."""

    def __init__(
        self, problem: Problem, step_size: float | Tensor, minibatches: Epochs | None
    ) -> None:
        super().__init__(problem, problem.per_run(step_size), minibatches)
        # In a leap a step reads n² numbers, outside it multiplies m·n·samples; reading
        # one costs about ten products.
        cheaper = 10 * problem.data.n <= problem.net.m * self.samples
        known = problem.activation.piecewise_linear and problem.loss in RATES
        self.leaps = cheaper and known and not self.span.coordinates

    def advance(self, count: int, progress: Progress = silent) -> None:
        """So many steps: leaps, each twice as long as the last, and walks where signs
        change.
        """
        # No memory from call to call, so that a resumed run takes the same leaps.
        size = SHORTEST
        walk = 4 * SHORTEST
        while count:
            taken = self.leap(min(size, count)) if self.leaps and count >= walk else 0
            if taken:
                size = min(2 * taken, LONGEST)
                walk = SHORTEST
            else:
                # Signs are changing, or few steps are left: walk, and the farther the
                # more often this happens.
                taken = min(walk, count)
                size = SHORTEST
                walk = min(2 * walk, LONGEST)
                self.walk(taken)
            count -= taken
            progress(taken)

    def step(self) -> None:
        """One step, at the cost of its samples only."""
        if self.minibatches is not None:
            chosen = self.minibatches.next().to(self.state.device)
            return self.minibatch_step(chosen)
        _, slopes, p = self.outputs()
        g = self.rate(p) * self.signed_step
        if self.span.coordinates:
            self.state += (slopes * g) @ self.span.x
        else:
            self.state.addcmul_(slopes, g)

    def minibatch_step(self, chosen: Tensor) -> None:
        """One step on the samples ``chosen``."""
        _, slopes, p = self.outputs(chosen)
        pull = slopes.mul_(self.rate(p) * self.signed_step[..., chosen])
        if self.span.coordinates:
            self.state += pull @ self.span.x[..., chosen, :]
        else:
            self.state[..., chosen] += pull

    def leap(self, count: int) -> int:
        """Up to ``count`` steps with every sign held fixed; says how many, 0 when a
        sign might change too soon.
        """
        z, slopes, p = self.outputs()
        pull = slopes * self.signed_step
        back = (slopes.mT @ pull) * self.span.readout * self.minus_y.mT
        history = self.recursion(p, back, count)
        while count >= SHORTEST:
            change = pull * history[:count].sum(0)
            if self.keeps_signs(z, change):
                self.state += change
                if self.minibatches is not None:
                    self.minibatches.drop(count)
                return count
            count //= 4
        return 0

    def recursion(self, p: Tensor, back: Tensor, count: int) -> Tensor:
        """``G`` (count, ..., 1, n) along ``p ← p + G back``, ``back = -M`` (..., n, n),
        from ``p`` (..., 1, n).
        """
        history = p.new_empty(count, *p.shape)
        masks = (
            repeat(None)
            if self.minibatches is None
            else self.indicators(self.minibatches.ahead(count))
        )
        rate = RATES[self.problem.loss]
        for g, mask in zip(history, masks):
            rate(p, out=g)
            if mask is not None:
                g *= mask
            self.add_product(p, g, back, out=p)
        return history

    def indicators(self, batches: list[Tensor]) -> Tensor:
        """Which samples (count, n) are in each of these minibatches: 1 or 0."""
        n = self.problem.data.n
        rows = torch.zeros(len(batches), n, dtype=self.signed_step.dtype)
        rows.scatter_(1, torch.stack(batches), 1)
        return rows.to(self.signed_step.device)

    def keeps_signs(self, z: Tensor, change: Tensor) -> bool:
        """Whether no preactivation changes sign while the state moves by ``change``,
        each ``Γ_k`` only increasing.

        On the way ``⟨w_j, x_i⟩ = z_ji + Σ_k θ_k change_jk ⟨x_k, x_i⟩``, every ``θ_k``
        in [0, 1]: an interval around ``z + ½ change @ gram`` of radius
        ``½ |change| @ |gram|``. Overflow (a NaN) fails.
        """
        gram = self.span.readout
        centre = self.add_product(z, change, gram, alpha=0.5)
        radius = (change.abs() @ gram.abs()).mul_(0.5)
        return bool(((centre >= radius) | (centre < -radius)).all())
