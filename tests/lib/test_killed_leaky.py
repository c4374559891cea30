"""Statements of the leaky ReLU claims that a single changed sign or number would break."""

from dataclasses import replace

import pytest

import implicit_bias as ib

LEAKY = ib.leaky_relu(0.5)


def trained(steps=300):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 0.03, output="1/m", seed=1)
    return ib.gradient_descent(net, data, 0.5, steps, record=ib.dynamics.log_spaced(steps, 40))


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
