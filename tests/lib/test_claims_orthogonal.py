"""Orthogonal data: the end read off the start, against loops, plain recursions and
drawn signs.
"""

import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import (
    orthogonal_law,
    orthogonal_limit,
    orthogonal_runs,
)
from implicit_bias.theorems.setting import active_at_start

IDS = ["K-F.2", "K-F.3", "K-F.3.k", "S-7"]


def start(n=6, m=8, scale=0.05, seed=0, **data):
    lot = ib.data.orthogonal(n, **data)
    return lot, ib.TwoLayer.init(lot, m, m, ib.relu(), scale, output="1/m", seed=seed)


def loop_limit(net, lot):
    """The pattern at the end, |S_i| and the limit of W/log t, pair by pair."""
    M = net.m
    n = lot.n
    awake = [[False] * n for _ in range(M)]
    for j in range(M):
        for i in range(n):
            z = float(net.weights[j] @ lot.x[i])
            awake[j][i] = z >= 0 and float(net.a[j]) * float(lot.y[i]) > 0
    size = [sum(awake[j][i] for j in range(M)) for i in range(n)]
    W = torch.zeros(M, lot.d, dtype=torch.float64)
    for j in range(M):
        for i in range(n):
            if awake[j][i]:
                W[j] += (M / 2) / size[i] * lot.x[i] / float(lot.x[i] @ lot.x[i])
    return torch.tensor(awake), size, W


# -- the prediction --------


@pytest.mark.parametrize("seed", range(4))
def test_prediction_is_the_loop(seed):
    lot, net = start(seed=seed, norms=[1, 2, 3, 1, 2, 3], positive=4)
    awake, size, W = loop_limit(net, lot)
    assert torch.equal(active_at_start(net, lot), awake)
    torch.testing.assert_close(orthogonal_limit.limit_network(net, lot).weights, W)
    expected = [
        literal.stable_rank(W[:8]),
        literal.stable_rank(W[8:]),
        literal.stable_rank(W),
    ]
    assert orthogonal_limit.ranks(
        orthogonal_limit.limit_network(net, lot)
    ).tolist() == pytest.approx(expected)
    grams = [
        orthogonal_law.limit_gram(awake[rows][:, mask], lot.norms[mask])
        for rows, mask in ((slice(0, 8), lot.y > 0), (slice(8, 16), lot.y < 0))
    ]
    assert orthogonal_law.ranks_of_grams(*grams).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_autograd_descent_ends_as_predicted(seed):
    lot, net = start(n=4, m=5, seed=seed, norms=[1, 2, 1, 3])
    seen = literal.autograd_descent(
        net.weights, net.a, "leaky_relu", 0.0, lot.x, lot.y, 3.0, 400
    )
    pattern = seen[-1] @ lot.x.T >= 0
    predicted, size, W = loop_limit(net, lot)
    assert torch.equal(pattern, predicted)
    slope = (seen[400] - seen[300]) / math.log(400 / 300)
    fitted = torch.tensor([s > 0 for s in size])
    assert float(((slope - W) * fitted).norm() / W.norm()) < 0.05


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


# -- freezing --------


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


# -- the frozen regime --------


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


@given(st.floats(-5, 5), st.floats(1e-2, 5.0))
def test_descent_obeys_the_squeeze(q0, beta):
    q = q0
    steps = 300
    for _ in range(steps):
        q += beta / (1 + math.exp(q))
    excess = q + math.exp(q) - q0 - math.exp(q0) - beta * steps
    assert (
        -1e-9 * (1 + math.exp(q))
        <= excess
        <= beta * math.exp(beta) / 2 * (q - q0) * (1 + 1e-9)
    )


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


def test_a_sample_without_neurons_is_never_fitted():
    lot = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[-1.0, 0.3], [0.2, 0.4]]).double(), [1.0, -1.0], ib.relu()
    )
    run = ib.gradient_descent(net, lot, 5.0, 200)
    assert float(run.margins[-1][0]) == 0 and float(run.margins[-1][1]) > 3
    late = orthogonal_limit.trained_at(run.final, lot, 50.0)
    torch.testing.assert_close(late.weights[:, 0], run.final.weights[:, 0])
    verdict = ib.claims["K-F.2"].check(run)
    assert verdict.verdict == "vacuous" and "awake" in verdict.why
    assert (
        float(orthogonal_limit.limit_network(net, lot).weights[:, 0].abs().max()) == 0
    )


# -- the law of the limit --------


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_law_at_equal_norms(k):
    law = orthogonal_law.class_law(torch.full((k,), 3.0), 70)
    assert law.rank == pytest.approx(2 * k / (k + 1))
    assert law.rank_sd == pytest.approx(
        2 * math.sqrt(k * (k - 1) / ((k + 1) ** 3 * 70)), abs=1e-12
    )
    assert law.rank_bias == pytest.approx(
        law.rank * (k - 1) * (k - 2) / (k**2 * 70), abs=1e-12
    )


@pytest.mark.parametrize("norms", [[1.0] * 6, [1, 1.5, 2, 2.5, 3, 4]])
def test_law_is_that_of_drawn_signs(norms):
    m = 300
    norms = torch.tensor(norms).double()
    law = orthogonal_law.class_law(norms, m)
    grams = [
        orthogonal_law.limit_gram(orthogonal_law.draw_signs(m, 6, 4000, seed), norms)
        for seed in (1, 2)
    ]
    ranks = orthogonal_law.ranks_of_grams(*grams)
    mean = float(ranks[:, 0].mean())
    sd = float(ranks[:, 0].std())
    assert sd == pytest.approx(law.rank_sd, rel=0.08)
    assert mean == pytest.approx(
        law.rank + law.rank_bias, abs=4 * sd / 4000**0.5 + 0.1 * sd
    )
    limit, reach = orthogonal_law.whole_spread(law, law, 0.05)
    assert limit == pytest.approx(2 * law.rank)
    inside = float(((ranks[:, 2] - limit).abs() <= reach).double().mean())
    assert inside > 0.94
    inside = float(((ranks[:, 0] - law.rank).abs() <= law.reach(0.05)).double().mean())
    assert 0.93 < inside < 0.98


@given(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=8))
def test_no_norms_give_more_than_equal_ones(norms):
    k = len(norms)
    rank = orthogonal_law.class_law(torch.tensor(norms).double(), 10).rank
    assert 1 - 1e-12 <= rank <= 2 * k / (k + 1) * (1 + 1e-12)
    d = [1 / r for r in norms]
    top = literal.np.linalg.eigvalsh(
        [[d[i] * d[l] * (2 if i == l else 1) for l in range(k)] for i in range(k)]
    )[-1]
    assert rank == pytest.approx(2 * sum(x * x for x in d) / top)


def test_whole_matrix_of_unbalanced_classes():
    for n, positive in ((20, 15), (9, 3), (7, 6)):
        lot = ib.data.orthogonal(n, positive=positive)
        targets, _ = orthogonal_runs.chance(lot, 100, 0.01)
        assert targets[2] == pytest.approx(2 * n / (max(positive, n - positive) + 1))


# -- checks that can fail --------


@pytest.fixture(scope="module")
def equal():
    return orthogonal_runs.train(ib.data.orthogonal(12), 120, seed=5, until=60.0)


def test_checks_hold_on_a_run_and_its_start(equal):
    assert [
        ib.claims[id].check(*equal).verdict for id in ("K-F.2", "K-F.3.k", "S-7")
    ] == ["holds"] * 3
    narrow = ib.claims["K-F.3"].check(*equal)
    assert (
        narrow.verdict == "vacuous"
        and narrow.conclusion == "holds"
        and "width" in narrow.why
    )


def test_a_flow_from_elsewhere_is_refused(equal, rejects):
    descent, flow = equal
    stranger = ib.TwoLayer.init(
        descent.data, 120, 120, ib.relu(), 1e-3, output="1/m", seed=6
    )
    other = ib.gradient_descent(stranger, descent.data, 360.0, 50, record=[0, 50])
    for id in IDS:
        with rejects("flow", "starts where the descent ended"):
            ib.claims[id].check(other, flow)


def test_the_flow_alone_has_another_start(equal):
    # Neurons of the other class sleep there: the limit is the same, and the pattern was
    # final before.
    _, flow = equal
    assert [
        ib.claims[id].check(flow).verdict for id in ("K-F.2", "K-F.3.k", "S-7")
    ] == ["holds"] * 3


def test_descent_may_go_on(equal):
    start = equal[0].initial
    descent = ib.gradient_descent(start, equal[0].data, 360.0, 50, record=range(51))
    more = ib.gradient_descent(
        descent.final, descent.data, 360.0, 20_000, record=[0, 5, 1000, 5000, 20_000]
    )
    verdict = ib.claims["K-F.2"].check(descent, more)
    same = [
        torch.equal(
            ib.measures.activation_pattern(descent.net(k), descent.data),
            active_at_start(start, descent.data),
        )
        for k in range(51)
    ]
    assert verdict.verdict == "holds" and verdict.constants["settled at"] == same.index(
        True
    )


@pytest.mark.parametrize("wrong", [1.02, 0.98])
def test_a_limit_two_per_cent_off_is_seen(equal, monkeypatch, wrong):
    right = orthogonal_limit.limit_network
    monkeypatch.setattr(
        orthogonal_runs, "limit_network", lambda *args: right(*args).scaled(wrong)
    )
    assert ib.claims["K-F.2"].check(*equal).verdict == "fails"


def test_two_is_no_limit_at_k_5():
    run, flow = orthogonal_runs.train(ib.data.orthogonal(10), 400, seed=1, until=60.0)
    found = orthogonal_runs.reached(run, flow)
    _, spread = orthogonal_runs.chance(run.data, 400, 0.01)
    assert orthogonal_runs.rank_finding(found, [5 / 3, 5 / 3, 10 / 3], spread)[0].true
    assert not orthogonal_runs.rank_finding(found, [2.0, 2.0, 10 / 3], spread)[0].true
    assert not orthogonal_runs.rank_finding(found, [5 / 3, 5 / 3, 4.0], spread)[0].true


def test_descent_alone_decides_once_it_is_long_enough():
    lot, net = start(n=6, m=30, seed=2)
    short = ib.gradient_descent(net, lot, 45.0, 12)
    long = ib.gradient_descent(
        net, lot, 45.0, 20_000, record=[0, 5, 1000, 5000, 20_000]
    )
    assert ib.claims["K-F.2"].check(short).verdict == "undecided"
    assert ib.claims["K-F.2"].check(long).verdict == "holds"
    young = ib.gradient_descent(net, lot, 0.01, 3)
    verdict = ib.claims["K-F.2"].check(young)
    assert verdict.verdict == "undecided" and "still awake" in verdict.why


@pytest.mark.parametrize("step", [3.0, 45.0, 2000.0])
@pytest.mark.parametrize("norms", [1.0, [1, 2, 4, 1, 2, 4]])
def test_slopes_stay_within_what_the_proof_allows(step, norms):
    lot, net = start(n=6, m=20, scale=0.02, seed=3, norms=norms)
    run = ib.gradient_descent(
        net, lot, step, 4000, record=[0, 50, 200, 500, 1000, 1100, 2000, 4000]
    )
    for last in range(4, 9):
        part = ib.gradient_descent(
            net, lot, step, int(run.step[last - 1]), record=run.step[:last]
        )
        found = orthogonal_runs.reached(part)
        assert found.error <= found.bound


def test_one_class_only():
    run, flow = orthogonal_runs.train(
        ib.data.orthogonal(6, positive=6), 200, seed=1, until=60.0
    )
    verdict = ib.claims["S-7"].check(run, flow)
    assert verdict.verdict == "vacuous" and "both classes" in verdict.why
    assert verdict.conclusion == "holds" and math.isnan(verdict.constants["target W₋₁"])
    assert ib.claims["K-F.3"].check(run, flow).verdict == "vacuous"


@pytest.mark.parametrize("id", IDS)
def test_exponential_loss_is_not_theirs(id):
    lot, net = start(n=6, m=30, seed=2)
    verdict = ib.claims[id].check(
        ib.gradient_descent(net, lot, 1.0, 3000, "exponential", record=[0, 1000, 3000])
    )
    assert verdict.verdict == "vacuous" and not bool(named(verdict, "loss").holds)


@pytest.mark.parametrize("id", IDS)
def test_a_preactivation_at_its_kink_was_not_drawn(id):
    lot, net = start(n=6, m=30, seed=2)
    weights = net.weights.clone()
    weights[3] -= (weights[3] @ lot.x[2]) * lot.x[2]
    assert float(weights[3] @ lot.x[2]) == 0
    at = ib.TwoLayer(weights, net.a, net.activation)
    verdict = ib.claims[id].check(
        ib.gradient_descent(at, lot, 45.0, 3000, record=[0, 1000, 3000])
    )
    assert verdict.verdict == "vacuous" and not bool(named(verdict, "start").holds)


@pytest.mark.parametrize("id", IDS)
def test_zero_samples_are_refused(id, rejects):
    lot, net = start(n=4, m=5)
    x = lot.x.clone()
    x[1] = 0
    run = ib.gradient_descent(net, ib.Dataset(x, lot.y), 1.0, 30)
    with rejects("data", "zero sample"):
        ib.claims[id].check(run)


def named(verdict, name):
    return next(h for h in verdict.hypotheses if h.name == name)


def test_dependent_samples_get_a_verdict():
    lot = ib.Dataset(torch.eye(3).double()[[0, 0, 1]], [1, 1, -1])
    net = ib.TwoLayer.init(lot, 4, 4, ib.relu(), 0.1, output="1/m")
    run = ib.gradient_descent(net, lot, 1.0, 300)
    assert ib.claims["K-F.2"].check(run).verdict == "vacuous"


def test_bad_input_is_named(rejects):
    lot, net = start()
    with rejects("run", "two records"):
        ib.claims["S-7"].check(ib.gradient_descent(net, lot, 1.0, 1))
    with rejects("delta", "probability"):
        ib.claims["S-7"].check(ib.gradient_descent(net, lot, 1.0, 9), None, 2.0)
    with rejects("norms", "finite number > 0"):
        orthogonal_law.class_law(torch.tensor([1.0, 0.0]), 5)
