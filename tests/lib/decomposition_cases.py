"""What several tests of decomposition share."""

import math

import torch
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems.setting import largest_start

LEAKY_03 = ib.leaky_relu(0.3)


def plain(id):
    """A check without the guard that first asks whether a run is what it says."""
    return ib.claims[id].check.__wrapped__


SEEDS = st.integers(0, 10_000)


def uneven(n=5, p=0.02, seed=0):
    return ib.data.correlated(
        n, p=p, signs="random", norms=torch.linspace(1, 2, n).tolist(), seed=seed
    )


def trained(
    activation=LEAKY_03,
    data=None,
    m=3,
    scale=0.02,
    step_size=1.5,
    steps=60,
    record=None,
    seed=1,
):
    data = uneven() if data is None else data
    net = ib.TwoLayer.init(data, m, m, activation, scale, "1/m", seed=seed)
    return ib.gradient_descent(
        net,
        data,
        step_size,
        steps,
        record=range(steps + 1) if record is None else record,
    )


def drawn(seed):
    """A stream of uniform numbers on [a, b]."""
    stream = torch.Generator().manual_seed(seed)
    return lambda a, b: float(
        a + (b - a) * torch.rand((), generator=stream, dtype=torch.float64)
    )


def at_the_edge(seed, relu):
    """A run whose data, step and start are random, with p as large as the theorem
    allows.
    """
    U = drawn(seed)
    n = int(U(2, 8))
    m = int(U(2, 8))
    gamma = math.exp(U(math.log(0.02), 0))
    norms = [math.exp(U(0, 1)) for _ in range(n)]
    R_min = min(norms)
    R_max = max(norms)
    h = math.exp(U(math.log(0.003), 0)) * (3 if relu else 1)
    beta = U(0, 0.5) * (1 if relu else gamma)
    E = beta if relu else 2 * beta / gamma + (1 - gamma) * h
    D = max(5 if relu else 3, (R_max / R_min) ** 2 * math.exp(2 * E))
    p = R_min**2 / (n - 1) / D * (0.1 if relu else gamma / 2) * (1 - 1e-9)
    signs = ("random", "oppose", "agree")[seed % 3]
    data = ib.data.correlated(
        n, p=p, signs=signs, norms=norms, seed=seed, positive=max(1, n // 2)
    )
    net = ib.TwoLayer.init(
        data, m, m, ib.relu() if relu else ib.leaky_relu(gamma), 1.0, "1/m", seed=seed
    )
    net = net.scaled(beta / float(largest_start(net, data)))
    return ib.gradient_descent(
        net, data, h * n * m / R_max**2, 1500, record=ib.dynamics.log_spaced(1500, 80)
    )
