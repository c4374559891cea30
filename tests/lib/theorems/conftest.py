"""Runs and points that tests of several statements look at."""

import pytest
import torch
from patterns_cases import start

import implicit_bias as ib
from implicit_bias.theorems.frei2023.at_point import AtPoint
from implicit_bias.theorems.kou2023 import orthogonal_runs

GAMMA_05 = 0.5


M1 = 3


M2 = 5


GAMMA_04 = 0.4


@pytest.fixture(scope="module")
def run():
    """Two scales of one draw on small nearly orthogonal data; the larger start is not
    forgotten at the end.
    """
    data = ib.data.correlated(4, p=0.003)
    start = ib.TwoLayer.init(
        data,
        2,
        3,
        ib.leaky_relu(GAMMA_05),
        torch.tensor([1e-2, 300.0]).double(),
        seed=[0],
    )
    return ib.gradient_flow(start, data, 200.0)


@pytest.fixture(scope="module")
def equal():
    return orthogonal_runs.train(ib.data.orthogonal(12), 120, seed=5, until=60.0)


@pytest.fixture(scope="module")
def pieces():
    """Descent and flow on correlated data, with frozen parts of no weight."""
    data = ib.data.correlated(6, p=0.002, norms=[1, 1.1, 1, 1.2, 1, 1])
    net = start(data, m=4, scale=0.05)
    descent = ib.gradient_descent(
        net,
        data,
        2.0,
        5000,
        record=sorted({*range(60), *ib.dynamics.log_spaced(5000, 60)}),
    )
    return descent, ib.gradient_flow(descent.final, data, 400.0)


@pytest.fixture(scope="module")
def data():
    return ib.data.correlated(
        5, p=0.004, signs="random", norms=[1.0, 1.2, 1.5, 1.1, 1.3], seed=1
    )


@pytest.fixture(scope="module")
def point(data):
    return AtPoint.of(ib.kkt_point(data, M1, M2, GAMMA_04).net, data)
