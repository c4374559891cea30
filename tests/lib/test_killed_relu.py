"""ReLU: what each number of a verdict is read off, and records that are few."""

import math

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_8, relu_limit, theorem_4_3


def descend(data, m=6, step_size=0.5, steps=200, scale=0.01, record=None):
    net = ib.TwoLayer.init(data, m, m, ib.relu(), scale, output="1/m", seed=0)
    record = range(steps + 1) if record is None else record
    return ib.gradient_descent(net, data, step_size, steps, record=record)


def test_the_scaled_loss_is_that_of_the_last_record():
    data = ib.data.orthogonal(4, norms=[1, 1, 1, 2])
    run = descend(data, steps=400, record=[0, 1, 50, 100, 200, 400])
    seen = ib.claims["K-4.3.b"].check(run).constants
    gain = 0.5 / (4 * 6)
    assert seen["h t L"] == pytest.approx(gain * 400 * float(run.log_loss[-1].exp()))
    assert seen["last step"] == 400


def test_an_exponent_that_is_not_positive_promises_no_power():
    data = ib.data.correlated(4, p=0.3, signs="oppose")
    exponent, part = theorem_4_3.loss_exponent(data)
    assert float(part) > 1 and float(exponent) < 0
    verdict = ib.claims["K-4.3.b"].check(
        descend(data, record=[0, 20, 50, 100, 150, 200])
    )
    assert verdict.constants["rate"] > 0
    assert math.isnan(verdict.slack) and verdict.conclusion == "undecided"


def test_one_record_after_the_start_is_enough_for_the_loss_bound():
    run = descend(ib.data.orthogonal(4), steps=100, record=[0, 100])
    verdict = ib.claims["K-G.1"].check(run)
    assert verdict.conclusion == "holds" and verdict.worst == "record 0"


def test_persistence_without_a_record_of_the_start_is_that_with_one():
    data = ib.data.correlated(4, p=0.1, signs="oppose")
    with_start = descend(data, steps=60, record=[0, 10, 20, 60])
    without = descend(data, steps=60, record=[10, 20, 60])
    at, between = lemma_5_8.push_ratios(with_start)
    at_too, between_too = lemma_5_8.push_ratios(without)
    torch.testing.assert_close(at_too, at[1:])
    torch.testing.assert_close(between_too, between)


def test_the_limit_is_sought_for_one_network_on_one_data_set(rejects):
    data = ib.data.orthogonal(3)
    twice = ib.Dataset(torch.stack([data.x, data.x]), torch.stack([data.y, data.y]))
    one = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1, output="1/m", seed=0)
    both = ib.TwoLayer(torch.stack([one.weights, one.weights]), one.a, one.activation)
    for net, sets in ((one, twice), (both, data), (both, twice)):
        with rejects("net", "one network and one data set"):
            relu_limit.limit_of_late_net(net, sets)
    assert relu_limit.limit_of_late_net(one, data)[0].m == 4
