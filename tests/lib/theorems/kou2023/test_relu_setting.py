"""What the claims on ReLU share: own-class pairs, accumulated pulls, K-4.3's hypotheses
at one start, the limit.
"""

import math

import literal
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relu_cases import covered, descend

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import relu_setting
from implicit_bias.theorems.setting import active_shares, largest_start
from implicit_bias.training.descent import log_spaced

KINDS = ["agree", "oppose", "equal", "random"]


@pytest.mark.parametrize("kind", KINDS)
def test_pulls_are_what_each_neuron_felt_step_by_step(kind):
    data = ib.data.correlated(4, p=0.1, signs=kind, norms=[1, 2, 1, 1.5])
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.3, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 0.7, 30, record=range(31))
    seen = literal.autograd_descent(
        net.weights, net.a, "relu", 0.0, data.x, data.y, 0.7, 30
    )
    felt = torch.zeros(6, 4, dtype=torch.float64)
    for t, weights in enumerate(seen):
        torch.testing.assert_close(relu_setting.pulls(run)[t], felt, atol=1e-11, rtol=0)
        for j in range(6):
            for i in range(4):
                z = [float(weights[r] @ data.x[i]) for r in range(6)]
                q = float(data.y[i]) * sum(
                    float(net.a[r]) * max(z[r], 0.0) for r in range(6)
                )
                if z[j] >= 0:
                    felt[j, i] += 0.7 / (4 * 3) / (1 + math.exp(q))


def test_own_class_shares_and_signed_gram_by_loops():
    data = ib.data.gaussian(5, 7, seed=2)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 1.0, output="1/m", seed=3)
    for i in range(5):
        mine = [j for j in range(8) if float(net.a[j]) * float(data.y[i]) > 0]
        awake = [j for j in mine if float(net.weights[j] @ data.x[i]) >= 0]
        assert float(active_shares(net, data)[i]) == len(awake) / 4
        assert (
            ib.measures.own_class(net, data)[:, i].nonzero().flatten().tolist() == mine
        )
        for k in range(5):
            wanted = float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k]))
            assert float(ib.measures.signed_gram(data)[i, k]) == pytest.approx(wanted)
    assert float(largest_start(net, data)) == pytest.approx(
        float((net.weights @ data.x.T).abs().max())
    )


def test_balance_by_loops():
    data = ib.data.correlated(4, p=0.05, signs="random", norms=[1, 2, 1, 1])
    run = descend(data, m=6, steps=40)
    rho = ib.measures.rho_along(run)
    kept = run.initial.preactivations(data.x) >= 0
    for t in (1, 7, 40):
        ours = []
        all_of_them = [abs(float(r)) for r in rho[t].flatten()]
        for i in range(4):
            for j in range(12):
                if float(run.initial.a[j] * data.y[i]) > 0 and bool(kept[j, i]):
                    ours.append(abs(float(rho[t, j, i])))
        ratio, least = relu_setting.balance_of_active(run)
        assert float(least[t - 1]) == pytest.approx(min(ours))
        assert float(ratio[t - 1]) == pytest.approx(min(ours) / max(all_of_them))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("R", [1.0, 1.6])
def test_loss_falls_by_a_third_of_the_squared_pulls_every_step(kind, R):
    run = covered(kind, R, steps=400, record=range(401))
    g = torch.sigmoid(-run.margins[:-1])
    h = float(relu_setting.rate_h(run))
    fall = run.log_loss[:-1].exp() - run.log_loss[1:].exp()
    assert bool((fall >= h / (3 * run.data.n) * g.square().sum(-1)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_loss_bound_past_its_first_time(kind):
    run = covered(kind, n=4, steps=6000)
    h = float(relu_setting.rate_h(run))
    t = run.step.double()
    first = 3 * run.data.n**2 * float(run.log_loss[0].exp()) / h
    late = t > first
    assert bool(late.any())
    assert bool((run.log_loss[late].exp() <= 4.2 / (h * (t[late] - first))).all())


@settings(max_examples=25, deadline=None)
@given(
    step_size=st.floats(1e-3, 1e4),
    scale=st.floats(1e-6, 10),
    P=st.floats(0, 0.95),
    seed=st.integers(0, 1000),
)
def test_agreeing_signs_switch_once_at_any_step_and_start(step_size, scale, P, seed):
    data = ib.data.correlated(4, p=P, signs="agree")
    run = descend(data, m=5, step_size=step_size, steps=60, scale=scale, seed=seed)
    awake = ib.measures.activation_pattern(ib.measures.networks(run), data)
    own = ib.measures.own_class(run.initial, data)
    assert bool((awake[1:] >= awake[:-1])[:, own].all()) and bool(
        (awake[1:] <= awake[:-1])[:, ~own].all()
    )


@settings(max_examples=25, deadline=None)
@given(
    step_size=st.floats(1e-3, 1e3),
    scale=st.floats(1e-6, 10),
    P=st.floats(0, 0.33),
    seed=st.integers(0, 1000),
)
def test_opposing_signs_never_wake_their_own_class(step_size, scale, P, seed):
    data = ib.data.correlated(4, p=P, signs="oppose")
    run = descend(data, m=5, step_size=step_size, steps=60, scale=scale, seed=seed)
    z = side(run) * ib.measures.networks(run).preactivations(data.x)
    asleep = ib.measures.own_class(run.initial, data) & (z[0] < 0)
    assert bool((z[:, asleep] < 1e-12).all())


def side(run):
    return run.initial.a.sign().unsqueeze(-1) * run.data.y


def test_rank_constant_is_the_number_in_the_text():
    assert (
        62 < float(relu_setting.class_rank_constant(ib.data.orthogonal(10)).max()) < 63
    )
    assert float(relu_setting.pull_ratio(1.0, 0.0)) == pytest.approx(2.5)


def test_flow_is_refused(rejects):
    data = ib.data.correlated(4, p=0.005)
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.5), 0.1, output="1/m")
    for id in ("K-5.8", "K-E.2", "K-4.3.a", "K-4.3.b", "K-G.1", "S-9"):
        with rejects("run", "gradient descent"):
            ib.claims[id].check(ib.gradient_flow(net, data, 1.0))


def test_a_batch_is_checked_as_its_worst_member():
    data = ib.data.correlated(4, p=0.006, signs="oppose")
    net = ib.TwoLayer.init(data, 60, 60, ib.relu(), 1e-4, output="1/m", seed=[0, 2])
    run = ib.gradient_descent(
        net, data, 5.0, 2000, record=[*log_spaced(1600, 30), *range(1601, 2001)]
    )
    for id in ("K-5.8", "K-E.2", "K-4.3.a", "K-4.3.b", "K-G.1", "S-9"):
        check = ib.claims[id].check
        both = check(run).slack
        one = min(check(run.member(k)).slack for k in range(2))
        assert both == pytest.approx(one, rel=1e-9), id
