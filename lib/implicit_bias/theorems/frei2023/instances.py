"""The instances that controls run on, made once: data that meet H-3.2 with room to
spare, and data that break it.
"""

from __future__ import annotations

from functools import cache

import torch

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...data.made_to_order import correlated, from_gram
from ...data.mixtures import xor
from ...margin.kkt import kkt_point
from ...measures.runs import clock_velocity
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.flow import gradient_flow
from ...training.trajectory import Trajectory

__all__ = [
    "GAMMA",
    "M_NEG",
    "M_POS",
    "beyond",
    "flow_beyond",
    "flow_within",
    "kkt_bent",
    "kkt_heavy",
    "kkt_idle",
    "kkt_light",
    "kkt_within",
    "limit_within",
    "within",
]


GAMMA = 0.5
M_POS = 24
M_NEG = 40


@cache
def within() -> Dataset:
    """Ten Gaussian samples in two million dimensions: H-3.2 holds at γ = ½ with slack
    about 2.
    """
    return gaussian(10, 2_000_000, seed=0)


@cache
def beyond() -> Dataset:
    """Ten samples that all lean towards the other class, far past the point where the
    signs of F-3.2.3 break (S-5).
    """
    return correlated(10, p=0.09, signs="oppose", positive=1)


@cache
def kkt_within() -> tuple[TwoLayer, Dataset]:
    """The exact KKT point on :func:`within`."""
    return kkt_point(within(), M_POS, M_NEG, GAMMA).net, within()


@cache
def limit_within() -> tuple[TwoLayer, Dataset]:
    """The limit of gradient flow on :func:`within`, from a random start: its rows are
    as equal as training made them.
    """
    # So finely that what is left of its errors is far below all tolerances, on any
    # processor.
    flow = gradient_flow(
        _random_start_within(), within(), 1000.0, record=[999.0, 1000.0], rtol=1e-13
    )
    return clock_velocity(flow), within()


def _random_start_within() -> TwoLayer:
    return TwoLayer.init(within(), M_POS, M_NEG, leaky_relu(GAMMA), scale=1e-5, seed=1)


@cache
def kkt_bent() -> tuple[TwoLayer, Dataset]:
    """A limit of gradient flow on XOR clusters: more than two distinct rows, a bent
    boundary, and no global optimum.
    """
    data = xor(n=4, d=8, mean_norm=3.0, seed=1)
    start = TwoLayer.init(data, 4, 4, leaky_relu(0.1), 0.1, seed=5)
    return clock_velocity(
        gradient_flow(start, data, until=200, record=[199, 200])
    ), data


def _kkt_carried(p: float) -> tuple[TwoLayer, Dataset]:
    """The KKT point on ten samples of which the first leans towards its label, and all
    others away from theirs.
    """
    n = 10
    agreement = torch.full((n, n), -p, dtype=torch.float64)
    agreement[0, 1:] = agreement[1:, 0] = p
    agreement.fill_diagonal_(1.0)
    y = torch.cat([torch.ones(1), -torch.ones(n - 1)]).double()
    data = from_gram(agreement * torch.outer(y, y), y=y)
    return kkt_point(data, M_NEG, M_POS, GAMMA).net, data


@cache
def kkt_light() -> tuple[TwoLayer, Dataset]:
    """The first sample is carried by the others: its multiplier is below the bound of
    B.2.
    """
    return _kkt_carried(0.06)


@cache
def kkt_idle() -> tuple[TwoLayer, Dataset]:
    """The first sample is carried so far that it is no support vector."""
    return _kkt_carried(0.1)


@cache
def kkt_heavy() -> tuple[TwoLayer, Dataset]:
    """The KKT point on samples of one class that all lean away from each other: their
    multipliers are above the bound of B.1.
    """
    data = correlated(10, p=0.07, signs="oppose", positive=10)
    return kkt_point(data, M_POS, M_NEG, 0.9).net, data


@cache
def flow_within() -> tuple[Trajectory]:
    """Gradient flow on :func:`within`, to s = 1000."""
    return (gradient_flow(_random_start_within(), within(), 1000.0),)


@cache
def flow_beyond() -> tuple[Trajectory]:
    """Gradient flow on :func:`beyond`, which goes elsewhere."""
    start = TwoLayer.init(beyond(), M_POS, M_NEG, leaky_relu(GAMMA), scale=1e-4, seed=1)
    return (gradient_flow(start, beyond(), 300.0),)
