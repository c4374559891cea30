"""Orthogonal samples and ReLU: the end of training, read off the signs at the start
(K-F.2, K-F.3, S-7).
"""

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from orthogonal_cases import start

import implicit_bias as ib
from implicit_bias.theorems.here import s02_loss_constant
from implicit_bias.theorems.kou2023 import orthogonal_limit
from implicit_bias.theorems.kou2023.long_runs import ordered
from implicit_bias.theorems.kou2023.orthogonal_limit import frozen_margins

f64 = torch.float64


LEAKY_04 = ib.leaky_relu(0.4)


def test_limit_network_has_margins_one_and_is_a_kkt_point():
    lot, net = start(m=12, norms=[1, 2, 3, 1, 2, 3])
    limit = orthogonal_limit.limit_network(net, lot)
    torch.testing.assert_close(ib.measures.margins(limit, lot), torch.ones(6).double())
    assert float(ib.kkt_residual(limit, lot).worst) < 1e-9
    optimum = float((12 / lot.norms.square()).sum())
    assert float(limit.weights.square().sum()) > 1.2 * optimum


def test_batches_are_their_members():
    lot = ib.data.orthogonal(5)
    nets = ib.TwoLayer.init(lot, 6, 6, ib.relu(), 0.01, output="1/m", seed=[1, 2, 3])
    together = orthogonal_limit.ranks(orthogonal_limit.limit_network(nets, lot))
    for k in range(3):
        alone = ib.TwoLayer(nets.weights[k], nets.a, nets.activation)
        torch.testing.assert_close(
            together[k],
            orthogonal_limit.ranks(orthogonal_limit.limit_network(alone, lot)),
        )


def test_ranks_count_what_lies_outside_the_span():
    lot = ib.data.orthogonal(3, d=50, space="full")
    net = ib.TwoLayer.init(lot, 4, 4, ib.relu(), 1.0, output="1/m", seed=0)
    inside = ib.TwoLayer(
        net.weights[:, :3],
        net.a,
        net.activation,
        net.weights[:, 3:] @ net.weights[:, 3:].T,
    )
    torch.testing.assert_close(
        orthogonal_limit.ranks(inside), orthogonal_limit.ranks(net)
    )


@pytest.mark.parametrize("scale", [1e-3, 0.1, 0.4])
@pytest.mark.parametrize("step", [20.0, 1e4])
def test_no_neuron_of_the_other_class_is_awake_after_the_bound(scale, step):
    for seed in range(3):
        lot, net = start(scale=scale, seed=seed, norms=[1, 2, 1, 1, 2, 1])
        bound = orthogonal_limit.draining_bound(net, lot, step)
        last = [math.floor(float(b)) for b in bound]
        run = ib.gradient_descent(net, lot, step, max(last), record=sorted({0, *last}))
        other = ~ib.measures.own_class(net, lot)
        for i, when in enumerate(last):
            pattern = ib.measures.activation_pattern(
                run.net(run.step.tolist().index(when)), lot
            )
            assert not bool((pattern & other)[:, i].any())


def test_freezing_bound_is_zero_where_nobody_is_awake():
    lot = ib.data.orthogonal(2)
    net = ib.TwoLayer(-torch.ones(2, 2).double(), [1.0, -1.0], ib.relu())
    assert orthogonal_limit.draining_bound(net, lot, 1.0).tolist() == [0.0, 0.0]


@given(st.floats(-6, 6), st.floats(1e-3, 3.0), st.floats(-3, 29))
def test_frozen_margin_solves_its_equation(q0, rate, log_t):
    q = float(orthogonal_limit.frozen_margins(q0, rate, log_t))
    left = q + math.exp(q)
    right = q0 + math.exp(q0) + rate * math.exp(log_t)
    assert left == pytest.approx(right, rel=1e-9, abs=1e-9)


def test_frozen_margin_far_out_is_the_logarithm():
    assert float(orthogonal_limit.frozen_margins(1.0, 0.5, 1000.0)) == pytest.approx(
        1000 + math.log(0.5), rel=1e-14
    )
    near, past = orthogonal_limit.frozen_margins(
        0.3, 1.0, torch.tensor([30 - 1e-9, 30 + 1e-9]).double()
    )
    assert float(near) == pytest.approx(float(past), abs=1e-8)


def test_closed_form_is_the_flow():
    lot, net = start(m=10, norms=[1, 2, 3, 1, 2, 3])
    frozen = ib.gradient_descent(net, lot, 10.0, 60, record=[0]).final
    flow = ib.gradient_flow(frozen, lot, 40.0, record=[3, 6, 40])
    exact = orthogonal_limit.trained_at(frozen, lot, flow.log_time)
    for k in range(3):
        torch.testing.assert_close(
            exact.weights[k], flow.net(k).weights, rtol=1e-6, atol=1e-6
        )


def test_closed_form_refuses_what_it_does_not_cover(rejects):
    lot, net = start()
    with rejects("net", "other class"):
        orthogonal_limit.trained_at(net, lot, 1.0)
    with rejects("net", "ReLU"):
        orthogonal_limit.trained_at(
            ib.TwoLayer(net.weights, net.a, ib.leaky_relu(0.1)), lot, 1.0
        )
    with rejects("data", "orthogonal"):
        orthogonal_limit.trained_at(net, ib.data.correlated(6, p=0.1), 1.0)


@pytest.mark.parametrize(
    "start_at, rate, time",
    [(0.1, 0.3, 0.0), (-2.0, 1.7, 5.0), (3.0, 0.01, 1e5), (1.0, 2.0, 1e200)],
)
def test_frozen_margins_against_many_digits(start_at, rate, time):
    q = float(frozen_margins(start_at, rate, torch.tensor(time, dtype=f64).log()))
    with mpmath.workdps(300):
        z = (
            mpmath.mpf(rate) * mpmath.mpf(time)
            + mpmath.mpf(start_at)
            + mpmath.exp(mpmath.mpf(start_at))
        )
        exact = mpmath.findroot(lambda v: v - mpmath.log(z - v), q)
    assert q == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


def test_frozen_margins_are_the_flow():
    data = ib.data.orthogonal(3, norms=[1, 2, 3])
    weights = torch.tensor(
        [[0.1, 0.2, -0.1], [0.3, 0.1, -0.2], [-0.1, -0.2, 0.3], [-0.3, -0.1, 0.1]],
        dtype=f64,
    )
    net = ib.TwoLayer(weights, torch.tensor([0.5, 0.5, -0.5, -0.5]), LEAKY_04)
    assert bool(ordered(net, data))
    run = ib.gradient_flow(net, data, 5.0)
    rate = s02_loss_constant.feature_gram(net, data).diag() / 3
    exact = frozen_margins(run.margins[0], rate, run.log_time[:, None])
    assert torch.allclose(run.margins, exact, rtol=1e-6, atol=1e-7)
