"""The decomposition, the log lemma, balance and random starts, against literal twins
and adversaries.
"""

import itertools
import math
from dataclasses import replace

import literal
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import draws
from implicit_bias.theorems.kou2023 import (
    a01_start,
    a02_active,
    b03_growth,
    balances,
    coefficient_sums,
    h03_matrix_norm,
    h04_log_ratio,
    lemma_5_1,
    lemma_5_3,
    sample_clocks,
)
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.setting import active_at_start, largest_start

LEAKY = ib.leaky_relu(0.3)


def plain(id):
    """A check without the guard that first asks whether a run is what it says."""
    return ib.claims[id].check.__wrapped__


SEEDS = st.integers(0, 10_000)


def uneven(n=5, p=0.02, seed=0):
    return ib.data.correlated(
        n, p=p, signs="random", norms=torch.linspace(1, 2, n).tolist(), seed=seed
    )


def trained(
    activation=LEAKY,
    data=None,
    m=3,
    scale=0.02,
    step_size=1.5,
    steps=60,
    record=None,
    seed=1,
):
    data = uneven() if data is None else data
    net = ib.TwoLayer.init(data, m, m, activation, scale, "1/m", seed=seed)
    return ib.gradient_descent(
        net,
        data,
        step_size,
        steps,
        record=range(steps + 1) if record is None else record,
    )


def drawn(seed):
    """A stream of uniform numbers on [a, b]."""
    stream = torch.Generator().manual_seed(seed)
    return lambda a, b: float(
        a + (b - a) * torch.rand((), generator=stream, dtype=torch.float64)
    )


# -- K-5.1, K-5.2 --------


@pytest.mark.parametrize(
    "activation",
    [LEAKY, ib.relu(), ib.leaky_relu(1.0)],
    ids=["leaky", "relu", "linear"],
)
def test_rho_of_autograd_in_the_full_space_obeys_the_update_rule(activation):
    data = ib.data.gaussian(4, 30, seed=2)
    net = ib.TwoLayer.init(data, 2, 2, activation, 0.1, "1/m", seed=3)
    path = literal.autograd_descent(
        net.weights,
        net.a,
        activation.name,
        activation.gamma,
        data.x,
        data.y,
        0.2,
        steps=12,
    )
    x = data.x.numpy()
    n = 4
    m = 2
    units = x / np.sum(x**2, axis=1, keepdims=True)
    rho = [
        np.linalg.lstsq(units.T, (W - net.weights).numpy().T, rcond=None)[0].T
        for W in path
    ]
    run = ib.gradient_descent(net, data, 0.2, 12, record=range(13))
    assert np.allclose(ib.measures.rho_along(run).numpy(), rho, atol=1e-12)
    for t in range(12):
        W = path[t].numpy()
        for j, i in itertools.product(range(2 * m), range(n)):
            z = [[float(W[r] @ x[k]) for k in range(n)] for r in range(2 * m)]
            f = sum(
                float(net.a[r])
                * literal.phi(z[r][i], activation.name, activation.gamma)
                for r in range(2 * m)
            )
            g = 1 / (1 + math.exp(float(data.y[i]) * f))
            slope = 1.0 if z[j][i] >= 0 else activation.gamma
            sign = (1 if net.a[j] > 0 else -1) * float(data.y[i])
            step = sign * 0.2 / (n * m) * g * slope * float(x[i] @ x[i])
            assert rho[t + 1][j, i] - rho[t][j, i] == pytest.approx(step, abs=1e-12)
            assert float(coefficient_sums.increments(run)[t, j, i]) == pytest.approx(
                step, abs=1e-12
            )
    assert ib.claims["K-5.2"].check(run).verdict == "holds"


def test_rebuilt_weights_are_the_weights():
    run = trained()
    rho = ib.measures.rho_along(run)
    assert torch.allclose(
        lemma_5_1.rebuilt(rho, run.initial, run.data), ib.measures.networks(run).weights
    )


@pytest.mark.parametrize(
    "factor, verdict", [(1.0, "holds"), (1.001, "fails"), (1 + 1e-6, "undecided")]
)
def test_update_rule_notices_another_step_size(factor, verdict):
    run = trained()
    assert plain("K-5.2")(replace(run, step_size=factor * 1.5)).verdict == verdict


def test_update_rule_notices_minibatches_and_a_wrong_start():
    data = uneven(6)
    net = ib.TwoLayer.init(data, 3, 3, LEAKY, 0.02, "1/m")
    assert (
        plain("K-5.2")(ib.sgd(net, data, 1.0, 20, 2, record=range(21))).verdict
        == "fails"
    )
    run = trained()
    elsewhere = replace(
        run, initial=ib.TwoLayer.init(run.data, 3, 3, LEAKY, 0.02, "1/m", seed=9)
    )
    assert plain("K-5.2")(elsewhere).verdict == "fails"


def test_update_rule_looks_at_its_start():
    run = trained(record=[0, 1, 2])
    late = replace(run, step=run.step + 1)  # says that ρ is 0 nowhere
    assert plain("K-5.2")(late).verdict == "holds"
    moved = replace(
        run, initial=run.net(1), _states=run._states[1:], step=run.step[:2], _end=None
    )
    moved = replace(moved, margins=run.margins[1:], log_loss=run.log_loss[1:])
    assert plain("K-5.2")(moved).verdict == "holds"
    assert plain("K-5.2")(replace(moved, initial=run.initial)).verdict == "fails"


def test_update_rule_needs_two_records_one_step_apart():
    verdict = ib.claims["K-5.2"].check(trained(record=[0, 7, 60]))
    assert verdict.verdict == "undecided" and "one step apart" in verdict.why


def test_dependent_samples_have_no_rho():
    data = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1]], [1, 1, -1])
    run = trained(data=data)
    assert ib.claims["K-5.2"].check(run).verdict == "vacuous"
    verdict = ib.claims["K-5.1"].check(run.final, run.initial, data)
    assert verdict.verdict == "vacuous" and verdict.constants["rank"] == 2


def test_zero_sample_is_dependent():
    data = ib.Dataset(torch.tensor([[1.0, 0], [0, 0]]).double(), [1, -1])
    assert not ib.measures.independent(data)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1, "1/m")
    assert ib.claims["K-5.1"].check(net, net, data).verdict == "vacuous"


def test_span_is_left_by_weight_decay_and_by_another_frozen_part():
    data = ib.data.gaussian(4, 50, seed=0)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1, "1/m")
    check = ib.claims["K-5.1"].check
    assert check(net, net, data).verdict == "vacuous"  # nothing has moved
    along = ib.TwoLayer(net.weights + data.x.sum(0), net.a, LEAKY)
    assert check(along, net, data).verdict == "holds"
    left = check(net.scaled(0.99), net, data)
    assert (left.verdict, left.conclusion) == (
        "vacuous",
        "fails",
    ) and "trained" in left.why
    hidden = ib.data.gaussian(4, 50, seed=0, space="span")
    net = ib.TwoLayer.init(hidden, 2, 2, LEAKY, 0.1, "1/m")
    moved = ib.TwoLayer(net.weights, net.a, LEAKY, 1.1 * net.frozen_gram)
    along = ib.TwoLayer(net.weights + hidden.x.sum(0), net.a, LEAKY, net.frozen_gram)
    assert (
        check(along, net, hidden).verdict == "holds"
        and check(moved, net, hidden).conclusion == "fails"
    )
    bare = ib.TwoLayer(net.weights, net.a, LEAKY)
    assert (
        check(along, bare, hidden).conclusion
        == check(bare, along, hidden).conclusion
        == "fails"
    )
    square = ib.data.orthogonal(4)
    any_net, other = (
        ib.TwoLayer.init(square, 2, 2, LEAKY, 0.1, "1/m", seed=k) for k in (0, 1)
    )
    assert (
        check(any_net, other, square).verdict == "vacuous"
    )  # every matrix is in the span


def test_shapes_and_flows_are_refused(rejects):
    data = uneven()
    two, three = (ib.TwoLayer.init(data, m, m, LEAKY, 0.1, "1/m") for m in (2, 3))
    with rejects("initial", "shape"):
        ib.claims["K-5.1"].check(two, three, data)
    flow = ib.gradient_flow(two, data, 2.0)
    for id in ("K-5.2", "K-5.4", "K-B.3", "S-8"):
        with rejects("run", "gradient descent"):
            ib.claims[id].check(flow)
        with rejects("run", "gradient_descent"):
            plain(id)(flow)
    with rejects("run", "after step 0"):
        ib.claims["K-5.4"].check(trained(steps=3, record=[0]))


# -- K-5.3, K-H.4 --------


@pytest.mark.parametrize(
    "x0, C1, C2", [(0.0, 0.1, 4.0), (0.0, 3.0, 6.0), (1.5, 0.5, 0.9), (0.3, 1.2, 1.2)]
)
def test_extremes_enclose_a_brute_force_tree_and_are_nearly_met(x0, C1, C2):
    low, high = lemma_5_3.extremes(x0, C1, C2, 3)
    reached = {0: [x0]}
    shares = np.linspace(0, 1, 101)
    for t in range(3):
        many = np.concatenate(
            [x + (C1 + (C2 - C1) * shares) * np.exp(-x) for x in reached[t]]
        )
        thinned = np.unique(np.round(many, 3))
        exact = [
            x + (C1 + (C2 - C1) * s) * math.exp(-x)
            for x in (min(reached[t]), max(reached[t]))
            for s in (0, 1)
        ]
        reached[t + 1] = [*thinned, *exact]
        assert min(reached[t + 1]) >= float(low[t + 1]) - 2e-3
        assert max(reached[t + 1]) <= float(high[t + 1]) + 2e-3
        assert min(reached[t + 1]) == pytest.approx(float(low[t + 1]), abs=0.05)
        assert max(reached[t + 1]) == pytest.approx(float(high[t + 1]), abs=0.05)


@given(SEEDS)
def test_no_sequence_leaves_the_bounds(seed):
    U = drawn(seed)
    x0 = U(0, 3)
    C1 = math.exp(U(-4, 1))
    C2 = C1 * math.exp(U(0, 2))
    low, high = lemma_5_3.extremes(x0, C1, C2, 300)
    t = torch.arange(301, dtype=torch.float64)
    below, above = lemma_5_3.log_bounds(x0, C1, C2, t)
    assert bool((low >= below - 1e-12).all()) and bool((high <= above + 1e-12).all())
    sharp = lemma_5_3.sharp_bound(x0, C2, t)
    assert bool((high <= sharp + 1e-9).all()) and bool((sharp <= above + 1e-12).all())
    # The largest first step meets the sharper bound.
    assert float(sharp[1]) == pytest.approx(x0 + C2 * math.exp(-x0))
    x = lemma_5_3.climb(x0, C1, C2, 300, lambda t, x: U(0, 1))
    assert bool((x >= low - 1e-12).all()) and bool((x <= high + 1e-12).all())
    assert ib.claims["K-5.3"].check(x, C1, C2).verdict == "holds"


def test_bounds_are_the_formulas():
    low, high = lemma_5_3.log_bounds(1.0, 0.5, 2.0, torch.tensor([7.0]))
    assert float(low) == pytest.approx(math.log(math.e + 3.5))
    assert float(high) == pytest.approx(math.log(math.e + 2 * math.exp(2) * 7))
    low, high = lemma_5_3.log_bounds(1.0, 0.5, 2.0, torch.tensor([7.0]), sign=-1)
    assert float(low) == pytest.approx(math.log(1 / math.e + 3.5))
    assert math.isfinite(
        float(lemma_5_3.log_bounds(900.0, 1.0, 2.0, torch.tensor([1.0]))[1])
    )


@given(SEEDS)
def test_printed_sign_is_false_for_every_positive_start(seed):
    U = drawn(seed)
    x = lemma_5_3.climb(U(0.01, 5), 0.1, 0.1, 5, lambda t, x: 0.0)
    assert ib.claims["K-5.3"].check(x, 0.1, 0.1).verdict == "holds"
    assert ib.claims["K-5.3"].check(x, 0.1, 0.1, sign=-1).verdict == "fails"


def test_log_lemma_sees_broken_steps_on_either_side():
    x = lemma_5_3.climb(0.0, 1.0, 1.0, 50, lambda t, x: 0.0)
    check = ib.claims["K-5.3"].check
    assert check(x, 1.0, 1.0).verdict == "holds"
    assert check(x, 1.01, 1.01).verdict == "vacuous"
    assert check(x, 0.5, 0.99).verdict == "vacuous"
    assert check(torch.stack([x, x], -1), 1.0, 1.0).verdict == "holds"
    assert check(x - 1, 1e-9, 9.0).verdict == "vacuous"  # below zero


def test_log_lemma_refuses_nonsense(rejects):
    with rejects("x", "two numbers"):
        ib.claims["K-5.3"].check(torch.zeros(1), 1.0, 2.0)
    with rejects("sign"):
        ib.claims["K-5.3"].check(torch.zeros(3), 1.0, 2.0, sign=2)
    with rejects("C1", "at most C2"):
        lemma_5_3.extremes(0.0, 2.0, 1.0, 5)
    with rejects("choose"):
        lemma_5_3.climb(0.0, 1.0, 2.0, 5, lambda t, x: 2.0)
    with rejects("t", "increasing"):
        ib.claims["K-H.4"].check(1.0, 2.0, torch.tensor([2.0, 1.0]))
    with rejects("a"):
        ib.claims["K-H.4"].check(-1.0, 2.0, torch.tensor([1.0, 2.0]))


@given(SEEDS)
def test_ratio_of_logarithms_rises_from_a_over_b_to_one(seed):
    U = drawn(seed)
    a = math.exp(U(-8, 8))
    b = a * math.exp(U(1e-3, 6))
    t = torch.logspace(-8, 10, 60, dtype=torch.float64)
    assert ib.claims["K-H.4"].check(a, b, t).verdict == "holds"
    assert ib.claims["K-H.4"].check(b, a, t).conclusion == "fails"
    f = h04_log_ratio.ratio_of_logs(a, b, t)
    assert bool((f > a / b * (1 - 1e-12)).all()) and bool((f < 1).all())


def test_equal_rates_are_vacuous():
    assert (
        ib.claims["K-H.4"].check(1.0, 1.0, torch.tensor([1.0, 2.0])).verdict
        == "vacuous"
    )


# -- balance --------


@pytest.mark.parametrize("which", ["sums", "neurons", "active"])
def test_ratios_are_loops(which):
    run = trained(ib.relu() if which == "active" else LEAKY, steps=5, m=4)
    rho = ib.measures.rho_along(run)
    z = run.initial.preactivations(run.data.x)
    step, ratio = balances.balance_along(run, which)
    assert step.tolist() == [1, 2, 3, 4, 5]
    for t in range(1, 6):
        small = []
        large = []
        for j, i in itertools.product((1, -1), range(5)):
            rows = [r for r in range(8) if (run.initial.a[r] > 0) == (j > 0)]
            sizes = [abs(float(rho[t, r, i])) for r in rows]
            large += [sum(sizes)] if which == "sums" else sizes
            if which == "active":
                small += [
                    s
                    for r, s in zip(rows, sizes)
                    if j == int(run.data.y[i]) and float(z[r, i]) >= 0
                ]
        assert float(ratio[t - 1]) == pytest.approx(min(small or large) / max(large))


def test_means_put_the_own_class_first():
    run = trained(steps=3)
    means = balances.own_class_means(run)
    rho = ib.measures.rho_along(run)
    for i in range(5):
        own = rho[2, :3, i] if run.data.y[i] > 0 else rho[2, 3:, i]
        other = rho[2, 3:, i] if run.data.y[i] > 0 else rho[2, :3, i]
        assert float(means[1, 0, i]) == pytest.approx(float(own.abs().mean()))
        assert float(means[1, 1, i]) == pytest.approx(float(other.abs().mean()))


def test_constants_of_the_papers_proofs():
    run = trained(steps=1, scale=0.01)
    beta = max(abs(float(w @ x)) for w in run.initial.weights for x in run.data.x)
    g = 0.3
    early = 1 / (1 + math.exp((1 + g) * (1 + beta))) / 4
    late = (
        min(
            1,
            math.log1p(math.exp(-(1 + g) * beta) / 4)
            / math.log1p(g * math.exp(2 * beta)),
        )
        / 6
    )
    assert float(balances.paper_constant(run)) == pytest.approx(min(early, late))
    relu = trained(ib.relu(), steps=1, scale=0.01)
    early = 1 / (1 + math.exp(1 + beta)) / 4
    late = (
        0.16 * math.log1p(math.exp(-beta) / 20) / math.log1p(1.2 * math.exp(2 * beta))
    )
    assert float(balances.relu_constant(relu)) == pytest.approx(min(early, late))


def test_growth_bounds_are_the_four_lines():
    run = trained(steps=9, scale=0.01)
    below, above = b03_growth.growth_bounds(run)
    beta = float(largest_start(run.initial, run.data))
    g = 0.3
    for t, i in itertools.product((1, 9), range(5)):
        h = 1.5 * float(run.data.norms[i]) ** 2 / (5 * 3)
        slow = 1.5 * h * math.exp(-(1 + g) * beta) * t
        fast = 0.5 * h * math.exp(2 * beta) * t
        assert float(kou_setting.gains(run)[i]) == pytest.approx(h)
        assert below[t - 1, :, i].tolist() == pytest.approx(
            [math.log1p(g * slow) / 3, g * math.log1p(slow) / 3]
        )
        assert above[t - 1, :, i].tolist() == pytest.approx(
            [2 * math.log1p(fast), 2 / g * math.log1p(g * fast)]
        )


def test_limit_reads_an_intercept():
    step = torch.tensor([1, 10, 100, 1000, 10_000, 100_000])
    unit = torch.tensor(0.3, dtype=torch.float64)
    ratio = 0.4 + 0.7 / torch.log1p(0.3 * step.double())
    assert float(balances.limit_of(step, ratio, unit)) == pytest.approx(0.4)
    assert math.isnan(float(balances.limit_of(step[:2], ratio[:2], unit)))


def test_a_ratio_that_heads_below_the_floor_is_unsettled():
    data = ib.data.gaussian(10, 200_000_000, seed=0)
    run = balances.descent_of_K(data, 20, ib.leaky_relu(0.5), 20_000)
    finding, unsettled = balances._constant(
        run, "sums", 2, torch.tensor(2.004).double()
    )
    assert finding.true and "still falls" in unsettled
    assert not balances._constant(run, "sums", 2, torch.tensor(1.9).double())[1]
    finding, unsettled = balances._constant(run, "sums", 2, torch.tensor(2.1).double())
    assert not finding.true and "refutes nothing" in unsettled


@pytest.mark.parametrize("id", ["K-5.4", "K-B.4", "K-B.3", "S-8"])
def test_a_batch_is_as_tight_as_its_tightest_run(id):
    leaks = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    run = trained(
        ib.leaky_relu(leaks),
        steps=3000,
        record=ib.dynamics.log_spaced(3000, 30),
        scale=1e-3,
    )
    alone = [ib.claims[id].check(run.member(k)).slack for k in range(3)]
    assert ib.claims[id].check(run).slack == pytest.approx(min(alone))


def test_member_of_a_batch_whose_parts_have_fewer_dimensions():
    leaks = torch.tensor([0.2, 0.5]).double()
    steps = torch.tensor([[0.1], [0.2], [0.3]]).double()
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(leaks), 0.1, "1/m")
    one = ib.gradient_descent(net, data, steps, 30).member(2, 1)
    alone = ib.TwoLayer(net.weights, net.a, ib.leaky_relu(0.5))
    assert torch.allclose(
        one.final.weights, ib.gradient_descent(alone, data, 0.3, 30).final.weights
    )
    assert float(one.step_size) == pytest.approx(0.3) and one.initial.weights.shape == (
        4,
        4,
    )


def test_data_as_a_batch_with_slopes_inside():
    leaks = torch.tensor([0.2, 0.5], dtype=torch.float64)
    x = (
        torch.stack([torch.eye(4), torch.diag(torch.tensor([1.0, 1, 2, 2]))])
        .double()
        .unsqueeze(1)
    )
    data = ib.Dataset(x, torch.tensor([1.0, -1, 1, -1]).expand(2, 1, 4))
    net = ib.TwoLayer.init(
        ib.data.orthogonal(4), 2, 2, ib.leaky_relu(leaks), 1e-3, "1/m"
    )
    run = ib.gradient_descent(
        net, data, 0.3, 500, record=ib.dynamics.log_spaced(500, 20)
    )
    assert kou_setting.gains(run).shape == (2, 2, 4)
    for id in ("K-5.4", "K-B.3", "S-8"):
        assert ib.claims[id].check(run).conclusion == "holds"


def test_relu_is_not_for_the_leaky_lemmas_nor_the_other_way_round():
    relu = trained(ib.relu())
    leaky = trained()
    for id in ("K-5.4", "K-B.4", "K-B.3"):
        assert ib.claims[id].check(relu).verdict == "vacuous"
    assert ib.claims["K-5.5"].check(leaky).verdict == "vacuous"


def test_conditions_are_read_off_the_run():
    data = ib.data.orthogonal(4)
    for C, verdict in ((9.9, "holds"), (10.1, "vacuous")):
        run = balances.descent_of_K(data, 5, LEAKY, 300)
        step = next(
            h
            for h in ib.claims["K-5.4"].check(run, C=C).hypotheses
            if h.name == "H-K4.1"
        ).parts[0]
        assert ("holds" if bool(step.holds) else "vacuous") == verdict


# -- S-8 --------


@given(SEEDS)
def test_the_slower_climber_keeps_its_share(seed):
    U = drawn(seed)
    alpha = math.exp(U(-5, math.log(4)))
    other = math.exp(U(-5, 3))
    share = min(1, alpha / other)
    X = 0.0
    Y = 0.0
    for _ in range(200):
        X += alpha / (1 + math.exp(X)) * (1 + U(0, 1) * (seed % 2))
        Y += other / (1 + math.exp(Y)) * (1 - U(0, 1) * (seed % 3 == 0))
        assert X >= share * Y * (1 - 1e-12)


def at_the_edge(seed, relu):
    """A run whose data, step and start are random, with p as large as the theorem
    allows.
    """
    U = drawn(seed)
    n = int(U(2, 8))
    m = int(U(2, 8))
    gamma = math.exp(U(math.log(0.02), 0))
    norms = [math.exp(U(0, 1)) for _ in range(n)]
    R_min = min(norms)
    R_max = max(norms)
    h = math.exp(U(math.log(0.003), 0)) * (3 if relu else 1)
    beta = U(0, 0.5) * (1 if relu else gamma)
    E = beta if relu else 2 * beta / gamma + (1 - gamma) * h
    D = max(5 if relu else 3, (R_max / R_min) ** 2 * math.exp(2 * E))
    p = R_min**2 / (n - 1) / D * (0.1 if relu else gamma / 2) * (1 - 1e-9)
    signs = ("random", "oppose", "agree")[seed % 3]
    data = ib.data.correlated(
        n, p=p, signs=signs, norms=norms, seed=seed, positive=max(1, n // 2)
    )
    net = ib.TwoLayer.init(
        data, m, m, ib.relu() if relu else ib.leaky_relu(gamma), 1.0, "1/m", seed=seed
    )
    net = net.scaled(beta / float(largest_start(net, data)))
    return ib.gradient_descent(
        net, data, h * n * m / R_max**2, 1500, record=ib.dynamics.log_spaced(1500, 80)
    )


@given(SEEDS)
def test_theorem_holds_at_the_edge_of_its_hypotheses(seed):
    run = at_the_edge(seed, relu=False)
    verdict = ib.claims["S-8"].check(run)
    assert verdict.verdict == "holds"
    assert float(
        next(h for h in verdict.hypotheses if h.name == "lean").slack
    ) == pytest.approx(1, abs=1e-6)


@given(SEEDS)
def test_relu_theorem_holds_at_the_edge_and_no_active_neuron_sleeps(seed):
    run = at_the_edge(seed, relu=True)
    verdict = ib.claims["S-8"].check(run)
    if all(bool(h.holds) for h in verdict.hypotheses):
        assert verdict.verdict == "holds"
        active = active_at_start(run.initial, run.data)
        assert bool(
            (ib.measures.networks(run).preactivations(run.data.x)[:, active] >= 0).all()
        )
    else:
        assert verdict.verdict == "vacuous"


def test_every_step_of_the_proof():
    run = at_the_edge(3, relu=False)
    run = ib.gradient_descent(
        run.initial, run.data, run.step_size, 1500, record=range(1501)
    )
    ours = sample_clocks.clocks_of(run)
    h = kou_setting.gains(run)
    gamma = float(run.initial.activation.gamma)
    g = ib.losses.LOGISTIC.g(run.margins)
    B = h * (g.cumsum(0) - g)
    rho = ib.measures.rho_along(run)
    slope = torch.where(ib.measures.own_class(run.initial, run.data), 1.0, gamma)
    beta = float(largest_start(run.initial, run.data))
    eps = (1 - gamma) * (2 * beta / gamma + float(h.max()))
    lean = run.data.p * (run.data.n - 1) / run.data.R_min**2 * ours.D
    assert float(lean) == pytest.approx(float(ours.delta))
    z = ib.measures.networks(run).preactivations(run.data.x)
    rounding = 1e-12
    assert bool((rho.abs() <= B[:, None] + rounding).all()) and bool(
        (rho.abs() >= gamma * B[:, None] - rounding).all()
    )
    assert bool(((z - z[0] - rho).abs() <= ours.delta * B[:, None] + rounding).all())
    assert bool(((rho.abs() - slope * B[:, None]).abs() <= eps + rounding).all())
    assert float(ours.E) == pytest.approx(2 * beta + eps)
    assert bool(
        (
            (run.margins - (1 + gamma**2) * B).abs()
            <= 2 * ours.delta * B + ours.E + rounding
        ).all()
    )
    assert bool((B[1:].amin(-1) >= ours.balance * B[1:].amax(-1)).all())
    t = run.step[1:, None].double()
    under = torch.log1p(ours.fast * h * torch.exp(-ours.E) * t / 2) / ours.fast
    alpha = ours.slow * h * torch.exp(ours.E)
    assert bool((B[1:] >= under).all()) and bool(
        (B[1:] <= torch.log1p(alpha * alpha.exp() * t) / ours.slow).all()
    )


def test_exponents_of_the_leak_and_of_the_lengths():
    leaks = torch.tensor([0.05, 0.1, 0.2, 0.4, 0.8], dtype=torch.float64)
    data = ib.data.orthogonal(6, norms=torch.linspace(1, 2, 6, dtype=torch.float64))
    verdict = ib.claims["S-8"].check(
        balances.descent_of_K(data, 8, ib.leaky_relu(leaks), 8000, C=300.0)
    )
    assert verdict.verdict == "holds"
    assert verdict.constants["exponent"] == pytest.approx(1, abs=0.01)
    assert verdict.constants["sharp"] == pytest.approx(
        1, abs=0.01
    )  # R = 2 there: γ/R² itself
    leaks = torch.tensor([0.1, 0.3, 0.9], dtype=torch.float64)
    for R in (1.0, 3.0):
        data = ib.data.orthogonal(4, norms=[1, 1, R, R])
        run = balances.descent_of_K(data, 4, ib.leaky_relu(leaks), 8000, C=300.0)
        assert ib.claims["S-8"].check(run).constants["sharp"] == pytest.approx(
            1, abs=0.01
        )


@pytest.mark.parametrize("C", [30.0, 3000.0])
def test_ceiling_comes_down_to_the_sharp_value(C):
    run = balances.descent_of_K(
        ib.data.orthogonal(4, norms=[1, 1, 2, 2]), 4, ib.leaky_relu(0.5), 3000, C=C
    )
    step, _ = balances.balance_along(run, "neurons")
    top = float(sample_clocks.ceiling(run, sample_clocks.clocks_of(run), step)) / (
        0.5 / 4
    )
    assert top < {30.0: 3.0, 3000.0: 1.2}[C]


def test_relu_ratio_is_that_of_the_active_counts():
    data = ib.data.orthogonal(6)
    run = trained(
        ib.relu(),
        data,
        m=20,
        scale=1e-6,
        step_size=60.0,
        steps=100_000,
        record=[1, 1000, 10_000, 100_000],
    )
    counts = a02_active.active_counts(run.initial, data).double()
    step, ratio = balances.balance_along(run, "active")
    limit = balances.limit_of(step, ratio, kou_setting.gains(run).amax(-1))
    assert float(limit) == pytest.approx(float(counts.min() / counts.max()), abs=0.02)
    assert ib.claims["S-8"].check(run).verdict == "holds"


# -- random starts --------


@pytest.mark.parametrize("m", [1, 3, 10, 49, 50, 265])
def test_chance_of_a_lopsided_draw_is_a_binomial_sum(m):
    outside = sum(
        math.comb(m, k) for k in range(m + 1) if 10 * k < 4 * m or 10 * k > 6 * m
    )
    assert a01_start.chance_outside(m) == pytest.approx(outside / 2**m, rel=1e-9)
    assert a01_start.chance_outside(m) <= a01_start.hoeffding(m)


def test_least_width_is_the_last_failure_plus_one():
    least = a01_start.least_width(10, 0.1)
    assert 10 * a01_start.chance_outside(least - 1) > 0.1
    assert all(10 * a01_start.chance_outside(m) <= 0.1 for m in range(least, 400))


@pytest.mark.parametrize("d", [1, 5, 20, 100, 500])
def test_chernoff_rate_bounds_both_tails_of_chi_square(d):
    assert scipy.stats.chi2.sf(1.5 * d, d) <= math.exp(-a01_start.RATE * d)
    assert scipy.stats.chi2.cdf(0.5 * d, d) <= math.exp(-a01_start.RATE * d)


def test_slacks_of_a_start_are_loops():
    data = ib.data.gaussian(3, 40, seed=1)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.3, "1/m", seed=2)
    norms, products = a01_start.start_slacks(net, data, 0.3, 0.2)
    sizes = [float(w @ w) / (0.09 * 40) for w in net.weights]
    assert float(norms) == pytest.approx(min(2 * min(sizes), 1.5 / max(sizes)))
    largest = max(abs(float(w @ x)) for w in net.weights for x in data.x)
    root = math.sqrt(2 * math.log(8 * 2 * 3 / 0.2))
    assert float(products) == pytest.approx(root * 0.3 * float(data.R_max) / largest)


def test_a_frozen_part_counts_in_the_norms():
    data = ib.data.gaussian(3, 4000, seed=1, space="span")
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.3, "1/m", seed=2)
    assert ib.claims["K-A.1"].check(net, data, 0.3).verdict == "holds"
    bare = ib.TwoLayer(net.weights, net.a, LEAKY)
    verdict = ib.claims["K-A.1"].check(bare, data, 0.3)
    assert verdict.verdict == "vacuous" and "law" in verdict.why


@pytest.mark.parametrize("id, arguments", [("K-A.1", (1e-3,)), ("K-A.2", ())])
def test_another_start_is_vacuous(id, arguments):
    data = ib.data.orthogonal(10, d=1000, space="full")
    net = ib.TwoLayer.init(data, 300, 300, ib.relu(), 1e-3, "1/m", seed=5)
    check = ib.claims[id].check
    assert check(net, data, *arguments, delta=0.1).verdict == "holds"
    assert check(net, data, *arguments, delta=0.1, gaussian=False).verdict == "vacuous"
    lifted = ib.TwoLayer(net.weights + data.x.sum(0), net.a, net.activation)
    verdict = check(lifted, data, *arguments, delta=0.1)
    assert verdict.verdict == "vacuous" and "law" in verdict.why
    silent = ib.TwoLayer(torch.zeros_like(net.weights), net.a, net.activation)
    assert check(silent, data, *arguments, delta=0.1).verdict == "vacuous"


@pytest.mark.parametrize(
    "broken, delta, state",
    [(60, 0.15, 1), (61, 0.15, 0), (83, 0.15, 0), (90, 0.15, -1)],
)
def test_draws_are_counted_against_a_binomial_law(broken, delta, state):
    slack = torch.ones(400, dtype=torch.float64) * 2
    slack[100 : 100 + broken] = 0.5
    count = draws.Count.of(slack, delta)
    assert (count.broken, count.draws) == (broken, 400)
    chance = scipy.stats.binom.sf(broken - 1, 400, delta)
    assert draws._at_least(broken, 400, delta) == pytest.approx(chance, rel=1e-9)
    assert count.refuted is bool(chance <= 1e-4) is (state < 0)
    assert (count.slack >= 1) is (state > 0)
    finding = count.finding("", {})
    assert finding.conclusion == {1: "holds", 0: "undecided", -1: "fails"}[state]
    assert bool(count.unsettled()) is (state == 0)
    assert finding.worst.split()[1].isdigit()


def test_one_draw_refutes_nothing_unless_it_is_next_to_impossible():
    assert (
        draws.Count.of(torch.tensor(0.5), 0.1).finding("", {}).conclusion == "undecided"
    )
    assert draws.Count.of(torch.tensor(0.5), 9e-5).finding("", {}).conclusion == "fails"
    assert draws.Count.of(torch.tensor(1.0), 0.1).finding("", {}).conclusion == "holds"


@given(SEEDS, st.floats(0.5, 3))
def test_law_of_entries_as_scipy_tests_it(seed, stretch):
    values = torch.randn(
        3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    law = draws.follows_normal(values, torch.tensor(stretch))
    assert float(law.rhs) == pytest.approx(
        scipy.stats.kstest((values / stretch).flatten().numpy(), "norm").statistic
    )
    assert float(law.lhs) == pytest.approx(math.sqrt(math.log(2e9) / 120))
    values[1, 2] = 0
    assert not bool(draws.follows_normal(values, torch.tensor(1.0)).holds)


@pytest.mark.parametrize("law", h03_matrix_norm.LAWS)
def test_subgaussian_norms(law):
    K = h03_matrix_norm.subgaussian_norm(law)
    draw = h03_matrix_norm.random_matrices(law, 1, 1000, 1000)[0]
    assert float(draw.mean()) == pytest.approx(0, abs=0.01)
    assert float(draw.square().mean()) == pytest.approx(1, abs=0.01)
    if law == "gaussian":
        value = (1 - 2 / K**2) ** -0.5
    elif law == "uniform":
        nodes = np.linspace(-math.sqrt(3), math.sqrt(3), 100_001)
        value = float(scipy.integrate.trapezoid(np.exp(nodes**2 / K**2), nodes)) / (
            2 * math.sqrt(3)
        )
    else:
        value = float(torch.exp(draw**2 / K**2).mean())
    assert value == pytest.approx(2, rel=1e-2 if law == "sparse" else 1e-6)


@pytest.mark.parametrize("law", h03_matrix_norm.LAWS)
def test_moment_generating_function_obeys_the_proofs_variance(law):
    K = h03_matrix_norm.subgaussian_norm(law)
    tau2 = 1 + math.log(2)
    theta = np.linspace(0.05, 6, 60) / K
    exact = {
        "gaussian": np.exp(theta**2 / 2),
        "signs": np.cosh(theta),
        "uniform": np.sinh(theta * math.sqrt(3)) / (theta * math.sqrt(3)),
        "sparse": 0.9 + 0.1 * np.cosh(theta * math.sqrt(10)),
    }[law]
    assert (exact <= np.exp(theta**2 * tau2 * K**2 / 2)).all()


def test_norm_check_is_the_formula_and_small_constants_fail():
    A = h03_matrix_norm.random_matrices("signs", 1, 30, 20)[0]
    K = h03_matrix_norm.subgaussian_norm("signs")
    t = math.sqrt(math.log(2 / 0.05))
    norm = float(np.linalg.norm(A.numpy(), 2))
    verdict = ib.claims["K-H.3"].check(A, K, constant=1.0)
    assert verdict.slack == pytest.approx(
        K * (math.sqrt(30) + math.sqrt(20) + t) / norm
    )
    assert verdict.constants["best"] == pytest.approx(1 / verdict.slack)
    refuted = ib.claims["K-H.3"].check(
        h03_matrix_norm.random_matrices("signs", 4, 30, 20), K, constant=0.5
    )
    assert (refuted.verdict, refuted.conclusion) == (
        "undecided",
        "fails",
    )  # C is open, and 0.5 nobody's
    assert ib.claims["K-H.3"].check(A, K, constant=0.5).verdict == "undecided"
    assert (
        ib.claims["K-H.3"].check(A, K / 3).verdict == "vacuous"
    )  # tails too heavy for that norm


def test_no_constant_below_one_is_right():
    C = 0.95
    t = 60.0
    K = 1.3
    s = C * (2 + t) + 1e-6
    # The entry is ±sK with chance 1/(e^{s²} - 1): sub-gaussian norm K, and beyond the
    # bound more often than 2e^{-t²}.
    assert -(s**2) > math.log(2) - t**2
    low = 2.0
    chance = 1 / math.expm1(low**2)
    assert 1 - chance + chance * math.exp((low * K) ** 2 / K**2) == pytest.approx(2)


def test_bad_input_is_named(rejects):
    data = uneven()
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1, "1/m")
    for delta in (0.0, 1.0, -1):
        with rejects("delta"):
            ib.claims["K-A.1"].check(net, data, 0.1, delta=delta)
        with rejects("delta"):
            ib.claims["K-A.2"].check(net, data, delta=delta)
    with rejects("scale"):
        ib.claims["K-A.1"].check(net, data, 0.0)
    for wrong in (
        torch.zeros(3),
        torch.zeros(0, 3),
        torch.full((2, 2), math.nan),
        [[1.0, math.inf]],
        "ab",
    ):
        with rejects("A"):
            ib.claims["K-H.3"].check(wrong, 1.0)
    several = {"K": 1.0, "constant": [1.0, 2.0]}
    for name, wrong in (
        ("K", {"K": torch.ones(2)}),
        ("constant", several),
        ("K", {"K": math.nan}),
    ):
        with rejects(name):
            ib.claims["K-H.3"].check(torch.eye(2), **wrong)
    with rejects("scale", "one for each draw"):
        ib.claims["K-A.1"].check(net, data, torch.ones(3))
    with rejects("law"):
        h03_matrix_norm.random_matrices("cauchy", 1, 2, 2)
    with rejects("law"):
        h03_matrix_norm.subgaussian_norm("cauchy")
