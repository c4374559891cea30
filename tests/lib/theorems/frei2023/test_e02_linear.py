"""Frei et al., Lemma E.2: the output is nearly linear in the weights."""

import math

import literal
import pytest
import torch
from loss_ratio_cases import random_pair

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e03_smoothness
from implicit_bias.theorems.frei2023 import hunts as search

GAMMA_03 = 0.3


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


def test_output_error_is_the_literal_one():
    (net, data), (other, _) = random_pair(0), random_pair(1)
    worst = math.inf
    for x in data.x:
        f = [
            sum(
                a * literal.phi(float(w @ x), SMOOTH_03.name, GAMMA_03)
                for a, w in zip(n.a.tolist(), n.weights)
            )
            for n in (net, other)
        ]
        slope = [
            a * literal.phi_slope(float(w @ x), SMOOTH_03.name, GAMMA_03)
            for a, w in zip(net.a.tolist(), other.weights)
        ]
        linear = sum(
            s * float((w - v) @ x) for s, w, v in zip(slope, net.weights, other.weights)
        )
        size = float(torch.linalg.svdvals(net.weights - other.weights)[0])
        bound = SMOOTH_03.H * float(x @ x) / (2 * math.sqrt(5)) * size**2
        worst = min(worst, bound / abs(f[0] - f[1] - linear))
    assert ib.claims["F-E.2"].check(
        net, other, data, search=False
    ).slack == pytest.approx(worst)


def test_adversaries_reach_what_is_sharp_and_no_more():
    found = search.hunt_output(3, 3, SMOOTH_03)
    V, D, x = found.parts
    assert 0.999 < found.ratio <= 1 + 1e-9
    # what it reports is really there: the same ratio from the library's own check
    W, V = (
        ib.TwoLayer(rows, torch.tensor([1.0] * 3 + [-1.0] * 3) / 6**0.5, SMOOTH_03)
        for rows in (V + D, V)
    )
    data = ib.Dataset(x[None], [1.0])
    assert ib.claims["F-E.2"].check(W, V, data, search=False).slack == pytest.approx(
        1 / found.ratio, rel=1e-6
    )
    one = search.hunt_gradient(ib.data.orthogonal(1), 32, 32, SMOOTH_03)
    sharp = e03_smoothness.sharp_gradient_constant(SMOOTH_03, 64) / (
        1 + SMOOTH_03.H / 8
    )
    assert 0.85 * sharp < one.ratio <= sharp


def test_a_smaller_H_is_refuted_by_the_adversary():
    net, data = random_pair(0)
    other, _ = random_pair(1)
    assert (
        ib.claims["F-E.2"].check(net, other, data, H=0.9 * SMOOTH_03.H).conclusion
        == "fails"
    )


def test_networks_compared_must_be_alike(rejects):
    net, data = random_pair(0)
    other = ib.TwoLayer.init(data, 2, 3, SMOOTH_03, 1.0)
    with rejects("other", "same shape"):
        ib.claims["F-E.2"].check(net, other, data)


def test_the_error_of_the_linear_part_is_told_in_units_of_its_bound():
    data = ib.data.orthogonal(3)
    nets = [
        ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 1.0, seed=seed) for seed in range(2)
    ]
    verdict = ib.claims["F-E.2"].check(*nets, data, search=False)
    share = 1 / verdict.constants["given"]
    assert 0 < share < 0.99
    assert (
        f"the error is {share:.3f} times its bound at the networks given" in verdict.why
    )
