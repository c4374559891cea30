"""What several tests of loss ratio share."""

import mpmath
import torch
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients

GAMMA_03 = 0.3


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


SEEDS = st.integers(0, 10_000)


def random_pair(seed, n=4, d=6, activation=SMOOTH_03, size=1.0):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    data = ib.Dataset(x, [1, -1, 1, -1, 1, -1][:n])
    return ib.TwoLayer.init(data, 3, 2, activation, size, seed=seed), data


def nearly_orthogonal(seed, norms=(1, 1.5, 1, 2), p=3e-4):
    return ib.data.correlated(4, p=p, signs="random", norms=list(norms), seed=seed)


def mp_phi(z, gamma):
    return gamma * z + (1 - gamma) * mpmath.log((1 + mpmath.exp(z)) / 2)


def crowd(seed, data, gamma=GAMMA_03, count=200, most=1.5):
    """Random networks of many sizes on which E.5 holds with what E.8 asks, and the
    largest step it allows.
    """
    stream = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(-1, most, count, dtype=torch.float64)[:, None, None]
    rows = sizes * torch.randn(count, 6, data.d, generator=stream, dtype=torch.float64)
    phi = ib.smoothed_leaky_relu(gamma)
    nets = ib.TwoLayer(rows, torch.tensor([1.0, 1, 1, 1, -1, -1]) / 6**0.5, phi)
    c = gradients.persistence(nets, data).amin(-1)
    kept = gradients.orthogonality(nets, data).amin(-1) >= 25 * data.R**2 / c + 25
    nets = ib.TwoLayer(rows[kept], nets.a, phi)
    c = c[kept]
    return (
        nets,
        c,
        1
        / (
            5 * phi.H * data.R_max**2 * data.n * gradients.contraction_constant(data, c)
        ),
    )
