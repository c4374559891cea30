"""Kou et al., Lemma A.2: every sample finds about half of its neurons active."""

import math

import pytest
import torch
from leaky_constants_cases import hypothesis

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import a01_start, a02_active, sample_clocks

LEAKY_04 = ib.leaky_relu(0.4)


f64 = torch.float64


def test_numbers_of_the_two_lemmas_on_starts():
    data = ib.data.orthogonal(4, d=300, space="full")
    net = ib.TwoLayer.init(data, 10, 10, LEAKY_04, 1.0, "1/m", seed=0)
    first = ib.claims["K-A.1"].check(net, data, 1.0, delta=0.2)
    rate = (0.5 - math.log(1.5)) / 2
    assert 1 / rate == pytest.approx(21.16, abs=0.01)
    assert float(hypothesis(first, "dimension").slack) == pytest.approx(
        300 / (math.log(8 * 10 / 0.2) / rate)
    )
    second = ib.claims["K-A.2"].check(net, data, delta=0.2)
    assert float(hypothesis(second, "width").slack) == pytest.approx(
        10 / (50 * math.log(8 / 0.2))
    )
    active = [
        sum(float(w @ x) >= 0 for w, a in zip(net.weights, net.a) if a * y > 0)
        for x, y in zip(data.x, data.y)
    ]
    assert a02_active.active_counts(net, data).tolist() == active
    slack = min(min(k / 4, 6 / k) for k in active)
    assert slack < 1 or second.slack == pytest.approx(slack)
    assert (second.constants["least"], second.constants["most"]) == (
        min(active) / 10,
        max(active) / 10,
    )


@pytest.mark.parametrize(
    "count, true", [(8, True), (7, False), (12, True), (13, False)]
)
def test_two_fifths_and_three_fifths(count, true):
    data = ib.Dataset(torch.eye(1, dtype=f64), [1.0])
    weights = torch.tensor([[1.0]] * count + [[-1.0]] * (40 - count), dtype=f64)
    net = ib.TwoLayer(weights, torch.tensor([0.05] * 20 + [-0.05] * 20), ib.relu())
    verdict = ib.claims["K-A.2"].check(net, data, delta=0.1)
    assert (verdict.slack >= 1) is true
    assert verdict.conclusion == ("holds" if true else "undecided")


def test_widths_of_a_sample_are_those_of_its_class():
    data = ib.Dataset(torch.eye(2, dtype=f64), [1.0, -1.0])
    weights = torch.tensor(
        [[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [2.0, -1.0]],
        dtype=f64,
    )
    net = ib.TwoLayer(
        weights, torch.tensor([0.5, 0.5, -0.25, -0.25, -0.25, -0.25]), ib.relu()
    )
    seen = ib.claims["K-A.2"].check(net, data).constants
    assert (seen["least"], seen["most"], seen["broken"]) == (0.5, 0.5, 0.0)


def test_zero_samples_are_on_no_side():
    data = ib.Dataset(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=f64), [1.0, -1.0])
    net = ib.TwoLayer.init(data, 300, 300, ib.relu(), 1.0, "1/m", seed=0)
    verdict = ib.claims["K-A.2"].check(net, data)
    assert verdict.verdict == "vacuous" and "zero" in verdict.why
    norms, products = a01_start.start_slacks(
        net, ib.Dataset(0 * data.x, data.y), 1.0, 0.1
    )
    assert float(products) == math.inf


def test_constants_of_s8_for_relu_by_hand():
    data = ib.data.correlated(4, p=0.005, norms=[1, 1, 1, 1.5])
    net = ib.TwoLayer.init(data, 9, 9, ib.relu(), 0.01, "1/m", seed=1)
    run = ib.gradient_descent(net, data, 2.0, 50)
    beta = max(abs(float(w @ x)) for w in net.weights for x in data.x)
    D = max(5, 2.25 * math.exp(2 * beta))
    delta = 3 * 0.005 * D
    share = min(a02_active.active_counts(net, data).tolist()) / 9
    ours = sample_clocks.clocks_of(run)
    slow = share - (1 + share) * delta
    fast = 1 + delta
    assert [float(v) for v in (ours.E, ours.D, ours.delta)] == pytest.approx(
        [beta, D, delta]
    )
    assert [float(v) for v in (ours.slow, ours.fast)] == pytest.approx([slow, fast])
    assert float(ours.floor) == pytest.approx(
        min(slow / fast, math.exp(-2 * beta) / 2.25)
    )
    slack = {
        h.name: float(h.slack)
        for h in ours.hypotheses
        if h.name in ("lean", "step", "active")
    }
    h = 2.0 * 2.25 / 36
    assert slack == pytest.approx(
        {"lean": 1 / (10 * delta), "step": 3.6 / h, "active": share / 0.4}
    )
    t = run.step[1:].double()
    top = (
        (2.0 / 36 * t * math.exp(beta) / 2)
        / ((fast * h * math.exp(-beta) * t / 2).log1p() / fast)
    ).min()
    assert float(sample_clocks.ceiling(run, ours, run.step[1:])) == pytest.approx(
        float(top)
    )
    free = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(free, 9, 9, ib.relu(), 0.01, "1/m", seed=1)
    shares = a02_active.active_counts(net, free) / 9
    run = ib.gradient_descent(net, free, 2.0, 50)
    ours = sample_clocks.clocks_of(run)
    assert [float(ours.slow), float(ours.fast)] == pytest.approx(
        [float(shares.min()), float(shares.max())]
    )
    active = next(h for h in ours.hypotheses if h.name == "active")
    assert float(active.slack) == pytest.approx(float(shares.min()) * 9)


def test_half_of_the_neurons_is_shown_at_270_where_265_are_needed():
    verdict = ib.claims["K-A.2"].positive()
    wide = next(each for each in verdict.hypotheses if each.name == "width")
    assert float(wide.slack) == pytest.approx(270 / (50 * math.log(2 * 10 / 0.1)))
    assert math.ceil(50 * math.log(2 * 10 / 0.1)) == 265
