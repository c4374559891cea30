"""Mean slopes of pairs that are held at their kink: against every choice of bounds, one
by one, and against flows whose sliding is known.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.training import flow_across, flow_rough, flow_sliding
from implicit_bias.training.flow_sliding import mean_slopes
from implicit_bias.training.flow_watch import Watch
from implicit_bias.training.problem import Problem

BELOW = -1
FREE = 0
ABOVE = 1


def one_by_one(K, b, p, low, high):
    """Try each pair at its lower bound, free, at its upper one, until all conditions
    are met.
    """
    for choice in itertools.product((BELOW, FREE, ABOVE), repeat=len(b)):
        choice = np.array(choice)
        free = choice == FREE
        sigma = np.where(choice == BELOW, low, high)
        if free.any():
            right = b[free] - K[np.ix_(free, ~free)] @ (p * sigma)[~free]
            sigma[free] = np.linalg.solve(K[np.ix_(free, free)], right) / p[free]
        end = b - K @ (p * sigma)
        inside = (sigma >= low - 1e-9) & (sigma <= high + 1e-9)
        signs = np.where(
            free, True, np.where(choice == BELOW, end <= 1e-9, end >= -1e-9)
        )
        if inside.all() and signs.all():
            return sigma, free
    raise AssertionError("no choice fits")


def instance(seed, m=4, n=5):
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, n + 2))
    pairs = stream.random((m, n)) < 0.6
    pairs[0] = True
    low = stream.uniform(0, 0.4, (m, n))
    high = low + stream.uniform(0.1, 0.6, (m, n))
    push = stream.uniform(0.2, 2.0, (m, n))
    end = 4 * stream.normal(size=(m, n)) + ((low + high) / 2 * push * pairs) @ (x @ x.T)
    return x @ x.T, pairs, end, push, low, high


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_slopes_are_those_found_by_trying_all(seed):
    gram, pairs, end, push, low, high = instance(seed)
    slopes, held = mean_slopes(gram, pairs, end, push, low, high)
    assert not slopes[~pairs].any() and not held[~pairs].any()
    for j, row in enumerate(pairs):
        if row.any():
            some = gram[np.ix_(row, row)]
            sigma, free = one_by_one(
                some, end[j][row], push[j][row], low[j][row], high[j][row]
            )
            assert slopes[j][row] == pytest.approx(sigma, abs=1e-8)
            assert (held[j][row] == free).all()


def test_one_change_at_a_time_ends_there_too(monkeypatch):
    monkeypatch.setattr(flow_sliding, "BLOCK_TURNS", 0)
    for seed in range(20):
        test_slopes_are_those_found_by_trying_all.hypothesis.inner_test(seed)


def test_samples_on_one_kink_may_be_dependent():
    gram = np.ones((2, 2))
    bounds = np.zeros((1, 2)), np.ones((1, 2))
    slopes, held = mean_slopes(
        gram, np.ones((1, 2), bool), np.ones((1, 2)), np.ones((1, 2)), *bounds
    )
    assert held.any() and slopes.sum() == pytest.approx(1.0, abs=1e-9)
    assert (slopes >= 0).all() and (slopes <= 1).all()


# -- flows --------


def passage(net, data, goal, delta):
    problem = Problem.of(net, data, "logistic", "cpu", dtype=torch.float64)
    member = flow_across.Member(problem, 0)
    state = np.zeros(tuple(problem.span.state_shape))
    seen = flow_rough.pass_through(member, state, 0.0, [goal], delta, Watch(goal, None))
    return member.net(seen.states[-1]), float(seen.tL[-1])


@pytest.fixture(scope="module")
def exact():
    """A flow with sliding neurons, followed with a stop at each crossing."""
    data = ib.data.correlated(6, p=0.12, signs="oppose")
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.2), 0.1, seed=1)
    run = ib.gradient_flow(net, data, 4.0, record=[4.0])
    assert run.resolution is None
    z = run.final.preactivations(data.x)
    assert int((z.abs() < 1e-9 * z.abs().max()).sum()) > 3
    return net, data, run


def test_the_order_is_two_with_sliding(exact):
    net, data, run = exact
    truth = run.final.weights.numpy()
    time = float(run.log_time[-1])
    errors = []
    for delta in (8e-3, 4e-3, 2e-3, 1e-3):
        weights, tL = passage(net, data, 4.0, delta)
        apart = np.linalg.norm(weights - truth) / np.linalg.norm(truth)
        errors.append((apart, abs(math.log(tL) + 4.0 - time)))
    for name, series in zip(("net", "time"), zip(*errors)):
        assert series[-1] < 2e-6, name
        # Order one would end at an eighth of the first.
        assert series[-1] < series[0] / 24, name


def test_what_slides_stays_at_its_kink(exact):
    net, data, run = exact
    weights, _ = passage(net, data, 4.0, 2e-3)
    size = np.abs(weights @ data.x.numpy().T)
    there = run.final.preactivations(data.x).abs().numpy() < 1e-9 * size.max()
    assert size[there].max() < 1e-9 * size.max()
