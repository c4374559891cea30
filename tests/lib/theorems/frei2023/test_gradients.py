"""How near to orthogonal, and how long, the gradients of the outputs are (the constants
of E.5 and E.6).
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_ratio_cases import SEEDS, random_pair

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


LEAKY_03 = ib.leaky_relu(0.3)


RELU = ib.Activation("smoothed_relu", 0.0, smooth=True)


GAMMA_03 = 0.3


@pytest.mark.parametrize(
    "activation", [SMOOTH_03, LEAKY_03, RELU], ids=["smooth", "leaky", "smoothed relu"]
)
def test_conditions_are_those_of_autograd_gradients(activation):
    net, data = random_pair(5, activation=activation)
    flat = []
    for x in data.x:
        W = net.weights.clone().requires_grad_()
        # written out: the library's own value would be no twin
        z = W @ x
        soft = torch.logaddexp(z, torch.zeros_like(z)) - math.log(2)
        gamma = activation.gamma
        f = (
            net.a
            * (
                gamma * z + (1 - gamma) * soft
                if activation.smooth
                else torch.maximum(z, gamma * z)
            )
        ).sum()
        flat.append(torch.autograd.grad(f, W)[0].flatten())
    for i in range(data.n):
        others = max(abs(float(flat[i] @ flat[k])) for k in range(data.n) if k != i)
        own = float(flat[i] @ flat[i])
        assert float(gradients.orthogonality(net, data)[i]) == pytest.approx(
            own / (data.n * others)
        )
        assert float(gradients.persistence(net, data)[i]) == pytest.approx(
            own / float(data.x[i] @ data.x[i])
        )


@given(SEEDS, st.floats(0.05, 0.95), st.floats(-2, 2))
def test_leak_gives_orthogonality_with_one_factor_of_gamma_only(seed, gamma, size):
    net, data = random_pair(
        seed, activation=ib.smoothed_leaky_relu(gamma), size=10**size
    )
    C = gradients.best_orthogonality(data)
    assert bool((gradients.orthogonality(net, data) >= C * gamma * (1 - 1e-9)).all())
    assert bool((gradients.persistence(net, data) >= gamma**2 * (1 - 1e-9)).all())


def test_one_factor_of_gamma_is_best():
    # asleep on the first sample, awake on the second
    data = ib.data.from_gram(torch.tensor([[1.0, 0.1], [0.1, 1.0]]))
    rows = torch.linalg.solve(
        data.x, torch.tensor([-60.0, 60.0], dtype=torch.float64)
    ).expand(4, -1)
    net = ib.TwoLayer(rows, torch.tensor([0.5, 0.5, -0.5, -0.5]), SMOOTH_03)
    best = gradients.orthogonality(net, data).min() / gradients.best_orthogonality(data)
    assert float(best) == pytest.approx(GAMMA_03)


def test_best_orthogonality_of_data_is_a_double_loop():
    _, data = random_pair(2)
    values = []
    for i in range(data.n):
        others = max(abs(float(data.x[i] @ data.x[k])) for k in range(data.n) if k != i)
        values.append(float(data.x[i] @ data.x[i]) / (data.n * others))
    assert float(gradients.best_orthogonality(data)) == pytest.approx(min(values))
