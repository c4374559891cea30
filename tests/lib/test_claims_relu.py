"""The claims on ReLU against literal twins, on both sides of their hypotheses, and the
theorems of their chapter.
"""

import math

import literal
import pytest
import torch
from changed import first
from hypothesis import given, settings
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems.here import s09_settle_or_flicker as found_relu
from implicit_bias.theorems.kou2023 import instances as kou_instances
from implicit_bias.theorems.kou2023 import lemma_5_8, relu_limit, relu_setting
from implicit_bias.theorems.setting import active_shares, largest_start
from implicit_bias.training.descent import log_spaced

KINDS = ["agree", "oppose", "equal", "random"]


def descend(data, m=12, step_size=0.5, steps=200, scale=0.01, seed=0, record=None):
    net = ib.TwoLayer.init(data, m, m, ib.relu(), scale, output="1/m", seed=seed)
    return ib.gradient_descent(
        net,
        data,
        step_size,
        steps,
        record=range(steps + 1) if record is None else record,
    )


def covered(kind, R=1.0, n=6, m=80, steps=3000, step_size=None, seed=0, record=None):
    """A run that meets the conditions proved for C = 40, with samples of lengths 1 to R."""
    norms = torch.linspace(1, R, n, dtype=torch.float64)[
        torch.randperm(n, generator=torch.Generator().manual_seed(3))
    ]
    data = ib.data.correlated(
        n, p=0.999 / (40 * n * R**2), signs=kind, norms=norms, seed=seed
    )
    step_size = 0.999 * n * m / (40 * R**2) if step_size is None else step_size
    while True:
        net = ib.TwoLayer.init(data, m, m, ib.relu(), 5e-3 / R, output="1/m", seed=seed)
        if float(active_shares(net, data).min()) >= relu_setting.SHARE:
            run = ib.gradient_descent(
                net, data, step_size, steps, record=record or log_spaced(steps, 60)
            )
            assert all(
                bool(part.holds.all()) for part in relu_setting.setting_of_relu(run)
            )
            return run
        seed += 1


# -- the objects the proofs are made of --------


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


@pytest.mark.parametrize("seed", range(8))
def test_persistence_is_one_exactly_where_a_pair_is_about_to_sleep(seed):
    n = 2 + seed % 3
    data = ib.data.correlated(
        n,
        p=0.9 / max(n - 1, 1),
        signs="random",
        norms=[1.0, 4.0, 2.0, 1.0][:n],
        seed=seed,
    )
    run = descend(data, step_size=0.8, steps=60, scale=0.2, seed=seed)
    z = ib.measures.networks(run).preactivations(data.x)
    kept = ib.measures.own_class(run.initial, data) & (z[0] >= 0)
    awake = (z >= 0).logical_or(~kept).flatten(1).all(1)
    assert torch.equal(lemma_5_8.push_ratios(run)[0] >= 1, awake)


def test_far_records_leave_once_on_undecided_and_near_ones_do_not():
    data = ib.data.correlated(4, p=0.006, signs="oppose")
    few = [0, 2000]
    many = log_spaced(2000, 40)
    at = {}
    for name, record in (("few", few), ("many", many)):
        net = ib.TwoLayer.init(data, 60, 60, ib.relu(), 1e-4, output="1/m", seed=0)
        at[name] = ib.claims["K-5.8"].check(
            ib.gradient_descent(net, data, 5.0, 2000, record=record)
        )
    assert at["few"].verdict == "undecided" and at["many"].verdict == "holds"


def test_bound_between_records_is_below_every_step_between():
    data = ib.data.correlated(6, p=0.1, signs="random", seed=1)
    dense = lemma_5_8.push_ratios(descend(data, steps=300))[0]
    sparse = descend(data, steps=300, record=[0, 20, 60, 150, 300])
    between = lemma_5_8.push_ratios(sparse)[1]
    for k, (a, b) in enumerate(
        zip(sparse.step[:-1].tolist(), sparse.step[1:].tolist())
    ):
        assert float(between[k]) <= float(dense[a + 1 : b].min()) * (1 + 1e-9)


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


# -- the theorems with C = 40 --------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("R", [1.0, 1.6])
def test_pulls_stay_in_balance_at_the_edge_of_the_conditions(kind, R):
    run = covered(kind, R)
    kept = ib.measures.own_class(run.initial, run.data) & (
        run.initial.preactivations(run.data.x) >= 0
    )
    gamma = relu_setting.pulls(run).masked_fill(~kept, 0).amax(-2)[1:]
    assert float((gamma.amax(-1) / gamma.amin(-1)).max()) <= 4 * R**2
    assert ib.claims["K-5.8"].check(run).verdict == "holds"
    assert ib.claims["K-E.2"].check(run).verdict == "holds"
    bounded = ib.claims["K-4.3.a"].check(run)
    assert (
        bounded.verdict == "vacuous" and "says nothing" in bounded.why
    )  # six samples: no rank exceeds 6


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


# -- G.1, 4.3.b, E.2: formulas --------


def test_loss_bound_by_loops():
    data = ib.data.correlated(4, p=0.01, signs="random", norms=[1, 1.2, 1, 1])
    run = descend(data, m=6, steps=50, seed=4)
    net = run.initial
    n = 4
    m = 6
    eta = 0.5
    z = net.preactivations(data.x)
    size = [
        sum(
            1
            for j in range(12)
            if float(net.a[j] * data.y[i]) > 0 and float(z[j, i]) >= 0
        )
        for i in range(n)
    ]
    b = float(z.abs().max())
    P = float(relu_setting.paper_correlation(data))
    assert P == pytest.approx(n * 0.01)
    c1 = float(relu_setting.balance_of_active(run)[0].min())
    cp = m / min(size)
    alpha = (1 - (1 + cp) * P / c1) / (cp**2 * (1 + P / c1))
    slack = math.inf
    for k, t in enumerate(run.step.tolist()):
        if t:
            terms = [
                (
                    1
                    + eta
                    * size[i]
                    * float(data.norms[i]) ** 2
                    * math.exp(-b)
                    * t
                    / (2 * n * m**2)
                )
                ** -alpha
                for i in range(n)
            ]
            slack = min(
                slack, math.exp(2 * b) * sum(terms) / n / float(run.log_loss[k].exp())
            )
    assert ib.claims["K-G.1"].check(run).slack == pytest.approx(slack)


def test_other_class_best_constant_by_loops():
    run = kou_instances.opposing()[0]
    verdict = ib.claims["K-E.2"].check(run)
    data = run.data
    rho = ib.measures.rho_along(run).abs()
    z = run.initial.preactivations(data.x)
    first = run.step.tolist().index(int(verdict.constants["T2"]))
    worst = 0.0
    for t in range(first, len(run)):
        for sign in (1.0, -1.0):
            rows = (run.initial.a.sign() == sign).unsqueeze(-1)
            mine = rows & (data.y == sign)
            least = rho[t][mine & (z >= 0)].min()
            worst = max(
                worst,
                float(rho[t][rows & (data.y != sign)].max() / least / (10 * data.p)),
            )
    assert verdict.constants["best c"] == pytest.approx(worst)


def test_short_runs_decide_nothing():
    run = covered("oppose", steps=5, step_size=0.01, record=range(6))
    assert ib.claims["K-E.2"].check(run).verdict == "undecided"
    one = covered("oppose", steps=1, record=[0, 1])
    assert ib.claims["K-4.3.b"].check(one).verdict == "undecided"


# -- hypotheses and bad input --------


@pytest.mark.parametrize(
    "name, change",
    [
        ("activation", {"activation": ib.leaky_relu(0.1)}),
        ("second layer", {"a": 2.0}),
        ("H-K4.3", {"p": 0.02}),
        ("step", {"step_size": 10.0}),
        ("start", {"scale": 0.1}),
        ("width", {"m": 3}),
        ("loss", {"loss": "exponential"}),
    ],
)
def test_each_hypothesis_minds_its_own_business(name, change):
    data = ib.data.correlated(4, p=change.get("p", 0.005), signs="agree")
    m = change.get("m", 60)
    net = ib.TwoLayer.init(
        data, m, m, ib.relu(), change.get("scale", 1e-4), output="1/m", seed=0
    )
    net = ib.TwoLayer(
        net.weights,
        net.a * change.get("a", 1.0),
        change.get("activation", net.activation),
    )
    step_size = change.get("step_size", 1.0 if m == 60 else 0.01)
    run = ib.gradient_descent(
        net, data, step_size, 5, loss=change.get("loss", "logistic")
    )
    broken = [
        h.name for h in relu_setting.setting_of_relu(run) if not bool(h.holds.all())
    ]
    assert broken == [name]
    assert name in ib.claims["K-5.8"].check(run).why


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


# -- S-9 and the limit --------


def test_agreeing_signs_hold():
    run = covered("agree", steps=20_000)
    verdict = ib.claims["S-9"].check(run)
    assert verdict.verdict == "holds" and verdict.constants["most switches"] == 1


def test_opposing_signs_without_a_window_are_undecided():
    verdict = ib.claims["S-9"].check(
        covered("oppose", steps=1000, record=[0, 10, 100, 1000])
    )
    assert verdict.verdict == "undecided" and verdict.constants["window"] == 0


def test_mixed_signs_are_vacuous():
    verdict = ib.claims["S-9"].check(covered("equal", steps=100))
    assert verdict.verdict == "vacuous" and "signs" in verdict.why


def test_switches_by_loops():
    data = ib.data.correlated(4, p=0.1, signs="oppose")
    run = descend(data, m=4, steps=80, record=[0, 5, 9, *range(20, 81)])
    pattern = [
        (run.net(k).weights @ data.x.T >= 0).int().tolist() for k in range(len(run))
    ]
    total, late, window = found_relu.switches(run)
    assert window == 60
    for j in range(8):
        for i in range(4):
            series = [p[j][i] for p in pattern]
            assert int(total[j, i]) == sum(a != b for a, b in zip(series, series[1:]))
            assert int(late[j, i]) == sum(
                a != b for a, b in zip(series[3:], series[4:])
            )


@pytest.mark.parametrize("kind", KINDS)
def test_limit_is_a_kkt_point_with_all_margins_one_and_the_run_goes_there(kind):
    data = ib.data.correlated(6, p=0.02, signs=kind, seed=2)
    run = descend(
        data, m=20, step_size=1.0, steps=20_000, scale=1e-4, record=[0, 10_000, 20_000]
    )
    limit, share = relu_limit.limit_of_late_net(run.final, data)
    assert float(ib.kkt_residual(limit, data).worst) < 1e-9
    torch.testing.assert_close(
        ib.measures.margins(limit, data), torch.ones(6).double(), atol=1e-12, rtol=0
    )
    assert bool((share >= 0).all()) and bool((share <= 1).all())
    assert not bool(share[ib.measures.own_class(limit, data)].any())
    moved = ib.TwoLayer(
        run.net(-1).weights - run.net(1).weights, limit.a, limit.activation
    )
    assert float(ib.measures.direction_distance(moved, limit)) < 0.01


def test_limit_on_orthogonal_data_is_that_of_the_first_pattern():
    data = ib.data.orthogonal(10)
    net = ib.TwoLayer.init(data, 50, 50, ib.relu(), 1e-4, output="1/m", seed=1)
    limit, share = relu_limit.limit_of_late_net(net, data)
    awake = (
        ib.measures.own_class(net, data) & (net.preactivations(data.x) >= 0)
    ).double()
    wanted = awake / (awake.sum(0) / 50)
    torch.testing.assert_close(limit.weights @ data.x.T, wanted, atol=1e-12, rtol=0)
    assert not bool(share.any())


@pytest.mark.parametrize("k, p", [(2, 0.1), (5, 0.03)])
def test_limit_rank_formula_of_opposing_data(k, p):
    data = ib.data.correlated(2 * k, p=p, signs="oppose")
    codes = torch.tensor(
        [[(c >> b) & 1 for b in range(k)] for c in range(2**k)], dtype=torch.float64
    )
    # every own-class pattern once: the law of m → ∞ exactly
    rows = torch.cat(
        [
            torch.cat([2 * codes - 1, -torch.ones_like(codes)], 1),
            torch.cat([-torch.ones_like(codes), 2 * codes - 1], 1),
        ]
    )
    weights = torch.linalg.solve(data.x, rows.T).T
    a = torch.cat([torch.ones(2**k), -torch.ones(2**k)]).double() / 2**k
    limit, share = relu_limit.limit_of_late_net(
        ib.TwoLayer(weights, a, ib.relu()), data
    )
    b = 1 - (k - 1) * p - k**2 * p**2 / (1 - (k - 1) * p)
    wanted = 1 + (k - 1) * (1 + p) / ((k + 1) * b)
    assert ib.measures.class_stable_rank(limit).tolist() == pytest.approx(
        [wanted, wanted]
    )
    living = codes.sum(1) > 0
    wanted = (
        p * codes.sum(1) / (1 - (k - 1) * p)
    )  # the share of time awake, K of its class awake
    torch.testing.assert_close(
        share[: 2**k, k:],
        wanted[:, None].expand(-1, k) * living[:, None],
        atol=1e-9,
        rtol=0,
    )


def test_limit_takes_one_network(rejects):
    data = ib.data.correlated(4, p=0.1)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 0.1, output="1/m", seed=[0, 1])
    with rejects("net", "one network"):
        relu_limit.limit_of_late_net(net, data)


@pytest.mark.parametrize("change", ["one class", "one sample"])
def test_switching_for_ever_needs_both_classes(change):
    data = ib.data.correlated(
        10, p=0.0024, signs="equal" if change == "one class" else "oppose"
    )
    data = (
        ib.Dataset(data.x, torch.ones(10))
        if change == "one class"
        else ib.Dataset(data.x[:1], data.y[:1])
    )
    net = ib.TwoLayer.init(data, 20, 20, ib.relu(), 1e-4, output="1/m", seed=0)
    verdict = ib.claims["S-9"].check(ib.gradient_descent(net, data, 5.0, 2000))
    assert verdict.verdict == "vacuous"
    assert not all(
        bool(hypothesis.holds)
        for hypothesis in verdict.hypotheses
        if hypothesis.name == "both classes"
    )


def test_one_switch_in_the_window_may_be_a_settling():
    run = ib.claims["S-9"].instance()[0]
    assert ib.claims["S-9"].check(first(run, 4)).verdict == "undecided"
