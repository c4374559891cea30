"""A million steps of descent for small smooth networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..networks.two_layer import TwoLayer
from ..values.checks import fail
from ..values.scalars import positive, positive_int
from .descent import descend, record_steps
from .problem import Problem
from .smooth_stepper import SmoothStepper
from .trajectory import DESCENT, Trajectory

__all__ = ["long_descent"]


def long_descent(
    net: TwoLayer,
    data: Dataset,
    step_size: float | Tensor,
    steps: int,
    record: Sequence[int] | None = None,
) -> Trajectory:
    """:func:`~implicit_bias.training.descent.gradient_descent` on the logistic loss for
    small smooth networks, to rounding the same run, in a third of the time
    (:mod:`implicit_bias.training.smooth_stepper`).

    Made for 10⁶ steps. A batch may have its own data, starts and step sizes.

    Raises
    ------
    ValueError
        If the activation has a kink, or there are more than twice as many samples as
        dimensions.
    """
    if not net.activation.smoothed:
        fail(
            "net",
            "a smoothed leaky ReLU (gradient_descent is faster at kinks)",
            net.activation.name,
        )
    step_size = positive(step_size, "step_size")
    steps = positive_int(steps, "steps", least=0)
    wanted = record_steps(record, steps)
    problem = Problem.of(net, data, "logistic", "cpu", step_size, torch.float64)
    if problem.span.coordinates:
        fail(
            "data",
            "at most twice as many samples as dimensions",
            f"{data.n} in {data.d} dimensions",
        )
    return descend(SmoothStepper(problem, step_size), step_size, steps, wanted, DESCENT)
