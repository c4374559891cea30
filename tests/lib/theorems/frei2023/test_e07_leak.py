"""Frei et al., Fact E.7: a leak is enough for both conditions on gradients."""

import math

import pytest
import torch
from smooth_constants_cases import leaning, net_on, slack_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients
from implicit_bias.theorems.frei2023 import hunts as search

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


RELU = ib.Activation("smoothed_relu", 0.0, smooth=True)


GAMMA_04 = 0.4


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


f64 = torch.float64


def test_e7_on_orthogonal_data_and_without_a_leak(rejects):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH_03, 1.0)
    assert ib.claims["F-E.7"].check(net, data).verdict == "holds"
    relu = ib.TwoLayer(net.weights, net.a, RELU)
    with rejects("gamma", "> 0"):
        ib.claims["F-E.7"].check(relu, data)
    with rejects("c", "> 0"):
        ib.claims["F-E.6"].check(relu, data)


@pytest.mark.parametrize("power", [1, 2])
def test_both_constants_of_e7_by_hand(power):
    data = leaning(0.01)
    net = net_on(data)
    verdict = ib.claims["F-E.7"].check(net, data, power=power)
    norms = [1, 1.5**2, 1, 4]
    C = min(norms) / (4 * 0.01)
    assert verdict.constants["C"] == pytest.approx(C)
    best = float(gradients.orthogonality(net, data).min())
    assert verdict.constants["E.5"] == pytest.approx(best / (C * GAMMA_04**power))
    assert verdict.constants["E.6"] == pytest.approx(
        float(gradients.persistence(net, data).min()) / GAMMA_04**2
    )
    for name, which, constant in (
        ("adversary E.5", "orthogonality", C * GAMMA_04**power),
        ("adversary E.6", "persistence", GAMMA_04**2),
    ):
        found = 1 / search.hunt_slopes(data, 3, 3, SMOOTH_04, which).ratio
        assert verdict.constants[name] == pytest.approx(found / constant)
    assert verdict.slack == min(v for k, v in verdict.constants.items() if k != "C")
    assert slack_of(verdict, "data") == pytest.approx(C * GAMMA_04**2)
    assert ("the paper's" if power == 2 else "proved here") in verdict.why


def test_the_two_constants_of_e7_are_told_apart():
    """Asleep on the first sample, awake on the second: Cγ is met, and Cγ² is loose by
    1/γ.
    """
    data = ib.data.from_gram(torch.tensor([[1.0, 0.05], [0.05, 1.0]]))
    rows = torch.linalg.solve(data.x, torch.tensor([-60.0, 60.0], dtype=f64)).expand(
        4, -1
    )
    net = ib.TwoLayer(rows, torch.tensor([0.5, 0.5, -0.5, -0.5]), SMOOTH_04)
    check = ib.claims["F-E.7"].check
    assert check(net, data, search=False, power=1).constants["E.5"] == pytest.approx(1)
    assert check(net, data, search=False, power=2).constants["E.5"] == pytest.approx(
        1 / GAMMA_04
    )
    searched = {
        power: check(net, data, power=power).constants["adversary E.5"]
        for power in (1, 2)
    }
    assert searched[1] == pytest.approx(1, abs=0.02) and searched[2] == pytest.approx(
        2.5, abs=0.05
    )
    with pytest.raises(ValueError, match="power: expected 2"):
        check(net, data, power=3)


def test_orthogonal_data_leave_only_persistence_to_the_adversary():
    data = ib.data.orthogonal(4)
    numbers = ib.claims["F-E.7"].check(net_on(data), data).constants
    assert (
        "adversary E.6" in numbers
        and "adversary E.5" not in numbers
        and numbers["E.5"] == math.inf
    )


@pytest.mark.parametrize("factor, wide", [(1.001, True), (0.999, False)])
def test_e7_needs_a_constant_above_the_inverse_square_of_the_leak(factor, wide):
    p = 1 / (4 * factor / GAMMA_04**2)
    data = ib.data.correlated(4, p=p)
    verdict = ib.claims["F-E.7"].check(net_on(data), data, search=False)
    assert (verdict.verdict == "holds") is wide


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_gradients_of_a_batch_are_judged_by_its_worst_member(order):
    data = ib.data.correlated(5, p=0.02, norms=[1, 2, 1, 1, 3])
    nets = [
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1.0, seed=k) for k in order
    ]
    both = ib.TwoLayer(
        torch.stack([n.weights for n in nets]), nets[0].a, nets[0].activation
    )
    check = ib.claims["F-E.7"].check
    apart = [check(net, data, search=False) for net in nets]
    together = check(both, data, search=False)
    for name in ("E.5", "E.6"):
        assert together.constants[name] == pytest.approx(
            min(v.constants[name] for v in apart)
        )


def test_gradients_of_a_batch_of_leaks_are_judged_each_by_its_own():
    data = ib.data.correlated(5, p=0.02, norms=[1, 2, 1, 1, 3])
    weights = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1.0, seed=[0, 1]).weights
    a = [0.5, 0.5, -0.5, -0.5]
    leaks = [0.3, 0.6]
    check = ib.claims["F-E.7"].check
    slopes = ib.leaky_relu(torch.tensor(leaks, dtype=torch.float64))
    together = check(ib.TwoLayer(weights, a, slopes), data, search=False).constants
    apart = [
        check(ib.TwoLayer(rows, a, ib.leaky_relu(leak)), data, search=False).constants
        for rows, leak in zip(weights, leaks)
    ]
    for name in ("E.5", "E.6"):
        assert together[name] == pytest.approx(min(one[name] for one in apart))
