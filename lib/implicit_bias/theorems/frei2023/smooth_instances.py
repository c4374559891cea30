r"""The instances that controls of the claims on the loss ratio run on, on either side
of their hypotheses.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...data.made_to_order import correlated, orthogonal
from ...hypotheses.conditions import A1, A2
from ...networks.activation import Activation
from ...networks.activations import leaky_relu, relu, smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.long_descent import long_descent
from ...training.trajectory import Trajectory
from ...values.scalars import positive
from . import instances
from .proxy_pl import second_layer
from .smooth_setting import smoothness

__all__ = [
    "across_a_kink",
    "asleep",
    "counterexample",
    "equal_rows",
    "gaussian_starts",
    "large_start",
    "nearly_equal_pair",
    "net_on",
    "pair",
    "run_from_large",
    "run_on",
    "run_uneven",
    "run_within",
    "start_within",
    "vast",
    "with_margins",
    "with_norms",
    "wrong_step",
]


def with_norms(data: Dataset, norms: Tensor) -> Dataset:
    """The same directions at other lengths (..., n): a batch of data sets where
    ``norms`` is one.
    """
    positive(norms, "norms")
    x = (
        data.x
        / data.norms.unsqueeze(-1)
        * torch.as_tensor(norms, dtype=torch.float64).unsqueeze(-1)
    )
    return replace(data, x=x, y=data.y.expand(x.shape[:-1]))


def with_margins(q: list[float], gamma: float) -> tuple[TwoLayer, Dataset]:
    """Two neurons, one of each sign, and orthonormal samples with margins ``q``,
    smoothed leaky ReLU.

    ``v = -u``: then ``f(x) = (φ(s) - φ(-s))/√2 = (1+γ)s/√2`` with ``s = ⟨v, x⟩``,
    whatever the smoothing does.
    """
    data = orthogonal(len(q))
    s = data.y * torch.tensor(q, dtype=torch.float64) * math.sqrt(2) / (1 + gamma)
    return TwoLayer(
        torch.stack([s, -s]) @ data.x, second_layer(1, 1), smoothed_leaky_relu(gamma)
    ), data


VAST = 20_000_000_000
"""A dimension in which ten Gaussian samples meet H-4.2 at γ = ½."""


@cache
def vast() -> Dataset:
    """Ten Gaussian samples that meet H-4.2 at γ = ½ with slack about 5."""
    return gaussian(10, VAST, seed=0)


@cache
def gaussian_starts() -> tuple[TwoLayer, Dataset, float]:
    net = TwoLayer.init(
        vast(), 8, 8, smoothed_leaky_relu(instances.GAMMA), 1e-3, seed=range(200)
    )
    return net, vast(), 1e-3


def equal_rows() -> tuple[TwoLayer, Dataset, float]:
    """Every row the same Gaussian vector, at its expected length: each is as long as it
    should be, together they are not.
    """
    net, data, scale = gaussian_starts()
    length = net.weight_gram().diagonal(dim1=-2, dim2=-1)[..., :1, None].sqrt()
    factor = scale * math.sqrt(data.ambient_dim) / length
    outside = net.frozen_gram
    frozen = (
        None
        if outside is None
        else (factor**2 * outside[..., :1, :1]).expand_as(outside)
    )
    rows = (factor * net.weights[..., :1, :]).expand_as(net.weights)
    return TwoLayer(rows, net.a, net.activation, frozen), data, scale


@cache
def pair() -> tuple[TwoLayer, TwoLayer, Dataset]:
    """Two networks of preactivations about 1 on unit samples."""
    data = orthogonal(6)
    phi = smoothed_leaky_relu(instances.GAMMA)
    nets = [TwoLayer.init(data, 4, 4, phi, 1.0, seed=seed) for seed in (1, 2)]
    return nets[0], nets[1], data


@cache
def across_a_kink() -> tuple[TwoLayer, TwoLayer, Dataset]:
    """Two leaky networks so near each other that the kinks between them are all that
    differs.
    """
    data = orthogonal(6)
    phi = leaky_relu(instances.GAMMA)
    net = TwoLayer.init(data, 4, 4, phi, 1e-3, seed=1)
    rows = data.x.sum(0) * torch.where(net.positive, 1e-3, -1e-3).unsqueeze(-1)
    return TwoLayer(rows, net.a, phi), TwoLayer(-rows, net.a, phi), data


def net_on(
    data: Dataset, activation: Activation, scale: float = 1e-6
) -> tuple[TwoLayer, Dataset]:
    return TwoLayer.init(data, 4, 4, activation, scale, seed=1), data


def asleep() -> tuple[TwoLayer, Dataset]:
    """A ReLU network with every neuron off on every sample."""
    data = orthogonal(6)
    net, _ = net_on(data, relu())
    return TwoLayer(-data.x.sum(0).expand(8, -1), net.a, relu()), data


@cache
def start_within(m_pos: int = 4, m_neg: int = 4) -> tuple[TwoLayer, Dataset, float]:
    """A start, data and a step that meet H-4.2, A1 (at 0.9 of its bound) and A2 (at
    half of it).
    """
    data = vast()
    phi = smoothed_leaky_relu(instances.GAMMA)
    step = 0.9 * float(A1(data, phi.gamma, smoothness(phi), 1.0).lhs)
    scale = 0.5 * float(A2(data, phi.gamma, m_pos + m_neg, step, 1.0).lhs)
    return TwoLayer.init(data, m_pos, m_neg, phi, scale, seed=1), data, step


@cache
def run_within() -> tuple[Trajectory]:
    """Two thousand steps from :func:`start_within`."""
    net, data, step = start_within()
    return (gradient_descent(net, data, step, 2000, record=log_spaced(2000, 40)),)


@cache
def run_uneven() -> tuple[Trajectory]:
    """Two samples, one half as long again, that lean on each other: forty thousand
    steps within H-4.2, A1 and A2 bring the loss down, and the ratio of the pulls
    towards R².
    """
    data = correlated(2, p=0.002, norms=[1.0, 1.5])
    phi = smoothed_leaky_relu(0.9)
    step = 0.9 * float(A1(data, phi.gamma, smoothness(phi), 1.0).lhs)
    scale = 0.5 * float(A2(data, phi.gamma, 4, step, 1.0).lhs)
    net = TwoLayer.init(data, 2, 2, phi, scale, seed=1)
    return (long_descent(net, data, step, 40_000, record=log_spaced(40_000, 60)),)


def large_start() -> tuple[TwoLayer, Dataset, float]:
    """Outputs of several units before training: A2 fails by far."""
    net, data, step = start_within()
    return net.scaled(20 / float(net.preactivations(data.x).abs().max())), data, step


def run_from_large() -> tuple[Trajectory]:
    net, data, step = large_start()
    return (gradient_descent(net, data, step, 2, record=[0, 1]),)


@cache
def run_on(signs: str, p: float, n: int) -> tuple[Trajectory]:
    """A few steps from a small start on correlated unit samples."""
    data = correlated(n, p=p, signs=signs, seed=1)
    phi = smoothed_leaky_relu(instances.GAMMA)
    return (
        gradient_descent(
            TwoLayer.init(data, 4, 4, phi, 1e-6, seed=1),
            data,
            1e-4,
            3,
            record=[0, 1, 2],
        ),
    )


def nearly_equal_pair() -> tuple[TwoLayer, Dataset, float]:
    """Two samples almost the same, with different labels; the step and the start meet
    A1 and A2.
    """
    data = correlated(2, p=0.99, signs="equal")
    return *net_on(data, smoothed_leaky_relu(instances.GAMMA), 1e-11), 1e-4


def wrong_step() -> tuple[Trajectory]:
    """The step of S-10, which the condition as printed allows."""
    net, data, step = counterexample()
    return (gradient_descent(net, data, step, 1, record=[0, 1]),)


def counterexample(
    step_size: float = 39.9, gamma: float = 0.9995
) -> tuple[TwoLayer, Dataset, float]:
    """S-10: margins 0⁺ and log 9.98, and a step that F-E.10 as printed allows."""
    return *with_margins([1e-9, math.log(9.98)], gamma), step_size
