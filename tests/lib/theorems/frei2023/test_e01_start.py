"""Frei et al., Lemma E.1: the random start is small."""

import math

import numpy as np
import pytest
import torch
from loss_ratio_cases import random_pair
from smooth_constants_cases import slack_of

import implicit_bias as ib

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


def test_start_is_measured_in_the_full_space():
    data = ib.data.gaussian(5, 40, seed=0)
    net = ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 0.2, seed=4)
    numbers = ib.claims["F-E.1"].check(net, data, 0.2, delta=0.05).constants
    L = math.log(24 / 0.05)
    d = 40
    m = 6
    lengths = [sum(w * w for w in row) for row in net.weights.tolist()]
    assert numbers["row length"] == pytest.approx(5 * 0.04 * d * L / max(lengths))
    mu = (data.y[:, None] * data.x).sum(0)
    along = max(abs(float(row @ mu)) for row in net.weights)
    assert numbers["along μ̂"] == pytest.approx(
        0.4 * float(mu.norm()) * math.sqrt(L) / along
    )
    top = float(torch.linalg.svdvals(net.weights)[0])
    C0 = 1 + math.sqrt(2 * math.log(80)) / (math.sqrt(m) + math.sqrt(d))
    assert numbers["spectral norm"] == pytest.approx(
        C0 * 0.2 * (math.sqrt(m) + math.sqrt(d)) / top
    )


def test_start_of_another_size_is_not_the_law_claimed():
    data = ib.data.gaussian(5, 4000, seed=0)
    net = ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 0.2, seed=4)
    assert ib.claims["F-E.1"].check(net, data, 0.2).verdict == "holds"
    verdict = ib.claims["F-E.1"].check(net, data, 0.1)
    assert verdict.verdict == "vacuous" and verdict.conclusion == "fails"


@pytest.mark.parametrize("id", ["F-E.1", "F-E.11.a"])
def test_delta_excuses_a_few_draws(id):
    """One draw of a hundred may fail at δ = 0.1, and none of them at δ = 10⁻⁶."""
    data = ib.data.gaussian(4, 10**9, seed=0)
    scale = 1e-12
    nets = ib.TwoLayer.init(data, 2, 2, SMOOTH_03, scale, seed=range(100))
    boost = torch.ones(100, dtype=torch.float64)
    boost[7] = 1e12
    nets = nets.scaled(boost)
    third = scale if id == "F-E.1" else 1e-12
    assert ib.claims[id].check(nets, data, third, 0.1).conclusion == "holds"
    assert ib.claims[id].check(nets, data, third, 1e-6).conclusion == "fails"


def test_delta_is_a_probability(rejects):
    net, data = random_pair(0)
    with rejects("delta", "2"):
        ib.claims["F-E.1"].check(net, data, 0.1, delta=2)


@pytest.mark.parametrize("told", [0.2, 0.17, 0.23])
def test_law_of_the_start_by_hand(told):
    data = ib.data.gaussian(5, 30, seed=0)
    net = ib.TwoLayer.init(data, 3, 2, SMOOTH_04, 0.2, seed=[4, 5])
    verdict = ib.claims["F-E.1"].check(net, data, told)
    W = net.weights.numpy()
    t = math.log(4 * 2 * 25 / 1e-9)
    entries = 5 * 30
    share = (W**2).sum((1, 2)) / (told**2 * entries)
    room = 2 * math.sqrt(t / entries) + 2 * t / entries
    assert slack_of(verdict, "size") == pytest.approx(
        ((1 + room) / (1 + abs(share - 1))).min()
    )
    unit = W / np.linalg.norm(W, axis=-1, keepdims=True)
    leaning_ = abs(unit @ unit.transpose(0, 2, 1) - np.eye(5)).max((1, 2))
    assert slack_of(verdict, "rows") == pytest.approx(
        (math.sqrt(2 * t / 30) / leaning_).min()
    )
