"""The runs that controls of several of Kou, Chen and Gu's statements use."""

from __future__ import annotations

import math
from functools import cache

import torch

from ...data.dataset import Dataset
from ...data.made_to_order import correlated, from_gram, orthogonal
from ...networks.activations import leaky_relu, relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.flow import gradient_flow
from ...training.trajectory import Trajectory
from ..frei2023 import instances

__all__ = ["one_each", "opposing"]


@cache
def live() -> tuple[Trajectory, Trajectory]:
    """Six samples of unequal lengths that lean as far as H-K4.1 lets them at C = 1, 8 +
    8 neurons: the paper's power of the loss is 0.66. Descent to 20 000 steps, then the
    flow to log(1/L) = 1000.
    """
    data = correlated(6, p=0.0085, norms=[1, 1.05, 1, 1.1, 1, 1])
    net = TwoLayer.init(
        data, 8, 8, leaky_relu(instances.GAMMA), 0.02, output="1/m", seed=1
    )
    record = sorted({*range(100), *log_spaced(20_000, 80)})
    descent = gradient_descent(net, data, 2.0, 20_000, record=record)
    return descent, gradient_flow(descent.final, data, 1000.0)


@cache
def leaning_too_far() -> tuple[Trajectory]:
    """Samples that lean towards the other class so strongly that the ordered pattern is
    no pattern of a KKT point.
    """
    data = instances.beyond()
    net = TwoLayer.init(
        data, 8, 8, leaky_relu(instances.GAMMA), 0.01, output="1/m", seed=1
    )
    return (gradient_descent(net, data, 8.0, 20_000, record=log_spaced(20_000, 60)),)


@cache
def opposed() -> tuple[Trajectory]:
    """Two equal samples with opposite labels: the loss stays above log 2."""
    data = from_gram(torch.ones(2, 2, dtype=torch.float64), y=torch.tensor([1.0, -1.0]))
    net = TwoLayer.init(
        data, 4, 4, leaky_relu(instances.GAMMA), 0.1, output="1/m", seed=0
    )
    return (gradient_descent(net, data, 1.0, 20_000, record=log_spaced(20_000, 60)),)


@cache
def dead() -> tuple[Trajectory]:
    """ReLU with every neuron inactive on every sample: no gradient, the loss stays at
    log 2.
    """
    data = orthogonal(2)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5], dtype=torch.float64)
    net = TwoLayer(-0.1 * data.x.sum(0).expand(4, -1), a, relu())
    return (gradient_descent(net, data, 1.0, 1000, record=log_spaced(1000, 40)),)


@cache
def triangle() -> tuple[Trajectory]:
    """Three positive samples at angles of 120°: each pulls some neurons to itself, and
    the rows of their class stay apart.
    """
    x = torch.zeros(4, 4, dtype=torch.float64)
    for k in range(3):
        x[k, 0], x[k, 1] = math.cos(2 * math.pi * k / 3), math.sin(2 * math.pi * k / 3)
    x[3, 2] = 1.0
    data = Dataset(x, torch.tensor([1.0, 1.0, 1.0, -1.0]))
    net = TwoLayer.init(data, 6, 6, leaky_relu(0.1), 1e-2, output="1/m", seed=0)
    return (gradient_descent(net, data, 1.0, 20_000, record=log_spaced(20_000, 60)),)


@cache
def carried_along() -> tuple[Trajectory, Trajectory]:
    """A long sample that a short one carries along, nearly parallel and of its class:
    no support vector.
    """
    gram = torch.tensor(
        [[1.0, 2.9, 0.0], [2.9, 9.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    data = from_gram(gram, y=torch.tensor([1.0, 1.0, -1.0]))
    net = TwoLayer.init(
        data, 4, 4, leaky_relu(instances.GAMMA), 1e-3, output="1/m", seed=0
    )
    descent = gradient_descent(net, data, 0.5, 20_000, record=log_spaced(20_000, 60))
    return descent, gradient_flow(descent.final, data, 300.0)


@cache
def opposing(
    p: float = 0.0022, output: float = 1.0, steps: int = 20_000
) -> tuple[Trajectory]:
    """Ten unit samples, all leaning towards the other class by p, m = 100; ``output``
    rescales the second layer.
    """
    data = correlated(10, p=p, signs="oppose")
    net = TwoLayer.init(data, 100, 100, relu(), 1e-4, output="1/m", seed=0)
    net = TwoLayer(net.weights, output * net.a, net.activation)
    return (gradient_descent(net, data, 20.0, steps, record=log_spaced(steps, 80)),)


def one_each(n: int, asleep: int = 0, steps: int = 2000) -> Trajectory:
    """Orthonormal samples and ``n/2`` neurons of each sign, each awake on one sample of
    its class alone; on the first ``asleep`` samples nobody is.
    """
    data = orthogonal(n)
    weights = 1e-3 * (2 * torch.eye(n, dtype=torch.float64) - 1)
    weights[:asleep] = -1e-3
    start = TwoLayer.init(data, n // 2, n // 2, relu(), 0.0, output="1/m")
    net = TwoLayer(weights, start.a, start.activation)
    return gradient_descent(
        net, data, n * (n // 2) / 41, steps, record=log_spaced(steps, 30)
    )
