"""The instances that controls run on, made once: data that meet H-3.2 with room to spare, and data that break it."""

from __future__ import annotations

from functools import cache

import torch

from .. import data as samples
from ..data import Dataset
from ..dynamics import gradient_flow
from ..margin import kkt_point
from ..network import TwoLayer, leaky_relu
from ..trajectory import Trajectory

__all__ = [
    "GAMMA",
    "M_NEG",
    "M_POS",
    "beyond",
    "flow_beyond",
    "flow_within",
    "kkt_beyond",
    "kkt_light",
    "kkt_within",
    "perturbed",
    "within",
]

GAMMA, M_POS, M_NEG = 0.5, 24, 40


@cache
def within() -> Dataset:
    """Ten Gaussian samples in two million dimensions: H-3.2 holds at γ = ½ with slack about 2."""
    return samples.gaussian(10, 2_000_000, seed=0)


@cache
def beyond() -> Dataset:
    """Ten samples that all lean towards the other class, far past the point where the signs of F-3.2.3 break (S-5)."""
    return samples.correlated(10, p=0.09, signs="oppose", positive=1)


@cache
def kkt_within() -> tuple[TwoLayer, Dataset]:
    """The exact KKT point on :func:`within`."""
    return kkt_point(within(), M_POS, M_NEG, GAMMA).net, within()


@cache
def kkt_beyond() -> tuple[TwoLayer, Dataset]:
    """The candidate ``Kλ = 1`` on :func:`beyond`: no KKT point there."""
    return kkt_point(beyond(), M_POS, M_NEG, GAMMA).net, beyond()


@cache
def kkt_light() -> tuple[TwoLayer, Dataset]:
    """The candidate on data whose first sample is carried by the others: its multiplier is below the bound of B.2."""
    n, p = 10, 0.06
    agreement = torch.full((n, n), -p, dtype=torch.float64)
    agreement[0, 1:] = agreement[1:, 0] = p
    agreement.fill_diagonal_(1.0)
    y = torch.cat([torch.ones(1), -torch.ones(n - 1)]).double()
    data = samples.from_gram(agreement * torch.outer(y, y), y=y)
    return kkt_point(data, M_NEG, M_POS, GAMMA).net, data


@cache
def perturbed() -> tuple[TwoLayer, Dataset]:
    """The KKT point with every neuron pushed somewhere else: no KKT point, and rows all different."""
    net, data = kkt_within()
    stream = torch.Generator().manual_seed(1)
    noise = torch.randn(net.weights.shape, generator=stream, dtype=torch.float64)
    size = net.weights.norm() / noise.norm()
    return TwoLayer(net.weights + 3 * size * noise, net.a, net.activation), data


@cache
def flow_within() -> tuple[Trajectory]:
    """Gradient flow on :func:`within`, to s = 1000."""
    start = TwoLayer.init(within(), M_POS, M_NEG, leaky_relu(GAMMA), scale=1e-5, seed=1)
    return (gradient_flow(start, within(), 1000.0),)


@cache
def flow_beyond() -> tuple[Trajectory]:
    """Gradient flow on :func:`beyond`, which goes elsewhere."""
    start = TwoLayer.init(beyond(), M_POS, M_NEG, leaky_relu(GAMMA), scale=1e-4, seed=1)
    return (gradient_flow(start, beyond(), 300.0),)
