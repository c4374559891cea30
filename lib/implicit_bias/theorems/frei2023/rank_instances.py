r"""The runs that controls of Theorem 4.2 and Lemmas E.12, E.13 use, on either side of
their hypotheses.
"""

from __future__ import annotations

from functools import cache

import torch

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...data.made_to_order import correlated
from ...hypotheses.conditions import A1, A2
from ...networks.activations import smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.long_descent import long_descent
from ...training.trajectory import Trajectory
from .smooth_instances import start_within
from .smooth_setting import smoothness

__all__ = ["both_labels", "crowd", "every_step", "long", "many"]


@cache
def every_step() -> tuple[Trajectory]:
    """Every one of 1500 steps under H-4.2, A1 and A2, in twenty billion dimensions."""
    net, data, step = start_within()
    return (gradient_descent(net, data, step, 1500, record=range(1501)),)


@cache
def long() -> tuple[Trajectory]:
    """Two samples at γ = 0.9, where A1 is mild: a hundred thousand steps bring the loss
    down.
    """
    data = gaussian(2, 10**12, seed=0)
    phi = smoothed_leaky_relu(0.9)
    m = 4
    step = 0.99 * float(A1(data, 0.9, smoothness(phi), 1.0).lhs)
    scale = 0.5 * float(A2(data, 0.9, m, step, 1.0).lhs)
    net = TwoLayer.init(data, 2, 2, phi, scale, seed=1)
    return (long_descent(net, data, step, 100_000, record=log_spaced(100_000, 80)),)


def _small_start_run(
    data: Dataset, m: int, steps: int, record: list[int] | range
) -> tuple[Trajectory]:
    """Descent at γ = 0.99 with m + m neurons, from a start and with a step that meet A1
    and A2.
    """
    phi = smoothed_leaky_relu(0.99)
    step = 0.99 * float(A1(data, phi.gamma, smoothness(phi), 1.0).lhs)
    scale = 0.5 * float(A2(data, phi.gamma, 2 * m, step, 1.0).lhs)
    net = TwoLayer.init(data, m, m, phi, scale, seed=1)
    return (gradient_descent(net, data, step, steps, record=record),)


@cache
def many() -> tuple[Trajectory]:
    """Fifty samples, more than 2C_R, that lean as far as H-4.2 lets them."""
    return _small_start_run(correlated(50, p=1.5e-4), 4, 300, range(301))


@cache
def crowd() -> tuple[Trajectory]:
    """A hundred samples in nearly one direction, all of one class: their gradients add
    up.
    """
    return _small_start_run(
        correlated(100, p=0.99, signs="equal", positive=100), 4, 3, range(4)
    )


@cache
def both_labels() -> tuple[Trajectory]:
    """One sample with both labels: the loss stays above log 2, and the weights stay
    where they are.
    """
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double()
    return _small_start_run(
        Dataset(x, torch.tensor([1.0, -1.0])), 1, 50_000, log_spaced(50_000, 40)
    )
