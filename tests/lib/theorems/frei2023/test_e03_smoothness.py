"""Frei et al., Lemma E.3: gradients are bounded, and Lipschitz."""

import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_ratio_cases import SEEDS, random_pair

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e03_smoothness

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


GAMMA_03 = 0.3


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


@given(SEEDS, st.floats(-3, 1.5), st.floats(-3, 1.5))
def test_smoothness_on_random_networks(seed, near, far):
    net, data = random_pair(seed, size=10**near)
    D = 10**far * torch.randn(
        net.weights.shape,
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )
    other = ib.TwoLayer(net.weights - D, net.a, SMOOTH_03)
    for id in ("F-E.2", "F-E.3"):
        assert ib.claims[id].check(net, other, data, search=False).slack >= 1 - 1e-9
    sharper = e03_smoothness.sharp_gradient_constant(SMOOTH_03, net.m)
    change = (
        ib.measures.gradient(net, data) - ib.measures.gradient(other, data)
    ).norm()
    assert float(change) <= float(
        data.R_max**2 * sharper * torch.linalg.matrix_norm(D, 2)
    ) * (1 + 1e-6)


def test_gradient_change_is_the_literal_one():
    (net, data), (other, _) = random_pair(0), random_pair(1)
    grads = [
        literal.loop_gradient(n.weights, n.a, SMOOTH_03.name, GAMMA_03, data.x, data.y)
        for n in (net, other)
    ]
    size = float(torch.linalg.svdvals(net.weights - other.weights)[0])
    bound = float(data.R_max) ** 2 * (1 + SMOOTH_03.H / math.sqrt(5)) * size
    numbers = ib.claims["F-E.3"].check(net, other, data, search=False).constants
    assert numbers["Lipschitz"] == pytest.approx(
        bound / float((grads[0] - grads[1]).norm())
    )


def test_the_gradient_is_measured_against_a_loss_of_at_most_one():
    data = ib.data.orthogonal(3)
    nets = [
        ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 5.0, seed=seed) for seed in range(2)
    ]
    expected = []
    losses = []
    for net in nets:
        q = ib.measures.margins(net, data)
        losses.append(float(torch.nn.functional.softplus(-q).mean()))
        expected.append(min(losses[-1], 1.0) / float(torch.sigmoid(-q).mean()))
    assert max(losses) > 1
    seen = ib.claims["F-E.3"].check(*nets, data, search=False).constants
    assert seen["G"] == pytest.approx(min(expected))
