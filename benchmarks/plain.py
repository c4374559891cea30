"""What a user would write instead: a torch module, autograd, ``torch.optim.SGD``, full
batch. And a stopwatch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import implicit_bias as ib
from implicit_bias.training.problem import Problem
from implicit_bias.training.stepper import Stepper


def slope(gamma: float) -> Callable[[Tensor], Tensor]:
    """Leaky ReLU, as torch has it."""
    return lambda z: F.leaky_relu(z, gamma)


def smoothed(gamma: float) -> Callable[[Tensor], Tensor]:
    """Smoothed leaky ReLU: ``γz + (1-γ)(softplus(z) - log 2)``."""
    return lambda z: gamma * z + (1 - gamma) * (F.softplus(z) - 0.6931471805599453)


class Plain(nn.Module):
    """``x (n, d) -> f(x) (n,)``; only the first layer is trained."""

    def __init__(
        self, net: ib.TwoLayer, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.first = nn.Linear(net.d, net.m, bias=False, dtype=net.weights.dtype)
        self.first.weight.data.copy_(net.weights)
        self.register_buffer("second", net.a)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.first(x)) @ self.second


class PlainLoop:
    """Gradient descent on the logistic loss: ``loop(steps)`` goes on from where it
    stands.
    """

    def __init__(
        self,
        net: ib.TwoLayer,
        data: ib.Dataset,
        activation: Callable[[Tensor], Tensor],
        step_size: float,
    ) -> None:
        self.net = Plain(net, activation)
        self.x = data.x
        self.y = data.y
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=step_size)

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            F.softplus(-self.y * self.net(self.x)).mean().backward()
            self.optimizer.step()

    @property
    def weights(self) -> Tensor:
        """(m, d)"""
        return self.net.first.weight.detach()

    @property
    def margins(self) -> Tensor:
        """(n,)"""
        with torch.no_grad():
            return self.y * self.net(self.x)


class LibraryLoop:
    """The same with the library's steps, without its records; ``leaps=False`` takes
    them one by one.
    """

    def __init__(
        self, net: ib.TwoLayer, data: ib.Dataset, step_size: float, leaps: bool = True
    ) -> None:
        self.problem = Problem.of(net, data, "logistic", "cpu", step_size)
        self.stepper = Stepper(self.problem, step_size, None)
        self.stepper.leaps = self.stepper.leaps and leaps

    def __call__(self, steps: int) -> None:
        with torch.no_grad():
            self.stepper.advance(steps)

    @property
    def state(self) -> Tensor:
        """(..., m, k)"""
        return self.stepper.state

    @property
    def weights(self) -> Tensor:
        """(..., m, d)"""
        return self.problem.lift()(self.state).weights

    @property
    def margins(self) -> Tensor:
        """(..., n)"""
        return self.problem.shaped(
            self.problem.margins(self.problem.span.preactivations(self.state)), core=1
        )


def race(
    loops: list[Callable[[int], None]], steps: list[int], rounds: int = 5
) -> list[float]:
    """Seconds a step of each loop: medians over rounds, in turns.

    Processor time, on one thread: what other programs do meanwhile counts little.
    """
    times: list[list[float]] = [[] for _ in loops]
    for _ in range(rounds):
        for loop, count, taken in zip(loops, steps, times):
            start = time.process_time()
            loop(count)
            taken.append((time.process_time() - start) / count)
    return [median(taken) for taken in times]


def apart(one: Tensor, other: Tensor) -> float:
    """``‖one - other‖ / ‖one‖``, over everything."""
    return float((one.double() - other.double()).norm() / one.double().norm())


WIDTH = 52


def row(
    what: str,
    ours: float,
    theirs: float,
    target: float | None,
    agreement: str,
    agree: bool = True,
) -> None:
    """One line of the table: times in seconds a step, their ratio and the least it
    should be.
    """
    verdict = (
        ""
        if target is None
        else "met"
        if theirs >= target * ours and agree
        else "MISSED"
    )
    wanted = "" if target is None else f">= {target:g}x"
    ratio = f"{theirs / ours:,.{0 if theirs > 10 * ours else 2}f}x"
    times = f"{1e6 * theirs:>12,.1f}{1e6 * ours:>12,.1f}{ratio:>9}"
    print(f"{what:<{WIDTH}}{times}  {wanted:<10}{verdict:<8}{agreement}", flush=True)


def header(theirs: str, ours: str) -> None:
    """The line above: what is compared with what."""
    title = "microseconds a step"
    print(
        f"\n{title:<{WIDTH}}{theirs:>12}{ours:>12}{'ratio':>9}  {'target':<18}apart",
        flush=True,
    )
