"""Statements of the leaky ReLU claims that a single changed sign or number would break."""

import math
from dataclasses import replace

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_6
from implicit_bias.theorems.kou2023.long_runs import long_run

LEAKY = ib.leaky_relu(0.5)


def trained(steps=300):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 0.03, output="1/m", seed=1)
    return ib.gradient_descent(
        net, data, 0.5, steps, record=ib.dynamics.log_spaced(steps, 40)
    )


def pieces(verdict, name):
    return next(each for each in verdict.hypotheses if each.name == name)


@pytest.mark.parametrize("neuron, sample", [(0, 0), (7, 3)])
def test_one_preactivation_at_its_kink_leaves_the_pattern_unfixed(neuron, sample):
    """Along the whole run it counts as active, and so never changes its sign."""
    run = trained()
    check = ib.claims["S-2"].check.__wrapped__
    assert bool(pieces(check(run), "fixed pattern").holds)
    nets = [run.net(k).weights.clone() for k in range(len(run))]
    for weights in nets:
        x = run.data.x[sample]
        weights[neuron] -= (weights[neuron] @ x) * x / x.square().sum()
    lift = lambda k: replace(run.initial, weights=nets[k])  # noqa: E731
    moved = replace(run, _states=tuple(range(len(run))), _lift=lift, _end=None)
    assert not bool(pieces(check(moved), "fixed pattern").holds)


def test_five_samples_one_of_them_twice_span_four_dimensions():
    net, initial, data = ib.claims["K-5.1"].counter()
    assert data.n == 5 and data.x[0].equal(data.x[1])
    assert float(data.y[0]) == float(data.y[1])
    assert ib.claims["K-5.1"].check(net, initial, data).constants["rank"] == 4


def test_norms_over_log_t_are_read_at_the_last_record():
    run = trained(steps=3000)
    verdict = ib.claims["K-4.1.a"].check(run)
    ratio = run.final.weights.norm(dim=-1) / math.log(3000)
    assert verdict.constants["low"] == pytest.approx(float(ratio.min()))
    assert verdict.constants["high"] == pytest.approx(float(ratio.max()))


def test_a_run_that_starts_in_order_is_frozen_from_its_first_record():
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5], dtype=torch.float64)
    net = ib.TwoLayer(torch.sign(a)[:, None] * data.y * 0.1, a, LEAKY)
    run = ib.gradient_descent(net, data, 0.5, 20, record=range(21))
    assert long_run(run).frozen_at() == 0
    reversed_start = ib.TwoLayer(-net.weights, a, LEAKY)
    run = ib.gradient_descent(reversed_start, data, 0.5, 1, record=[0])
    assert long_run(run).frozen_at() is None


@pytest.mark.parametrize("other", [ib.leaky_relu(0.25), ib.smoothed_leaky_relu(0.5)])
def test_a_flow_of_another_activation_does_not_go_on_from_a_descent(rejects, other):
    run = trained(steps=20)
    same = ib.gradient_flow(run.final, run.data, 2.0)
    assert len(long_run(run, same).log_step) == len(run) + len(same) - 1
    moved = replace(same, initial=replace(same.initial, activation=other))
    with rejects("flow", "another activation"):
        long_run(run, moved)


@pytest.mark.parametrize("sign, step", [(1.0, 0.0), (-1.0, math.inf)])
def test_whether_a_start_is_in_order_takes_no_step_to_see(sign, step):
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5], dtype=torch.float64)
    net = ib.TwoLayer(sign * torch.sign(a)[:, None] * data.y * 0.1, a, LEAKY)
    assert float(lemma_5_6.freezing_step(net, data, 0.5, 0)) == step
