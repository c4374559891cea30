"""The coefficients ρ of the data-correlated decomposition along a run, their sums and
ratios, and what one step adds.
"""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch
from decomposition_cases import SEEDS, drawn, plain, trained, uneven
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import draws

LEAKY_03 = ib.leaky_relu(0.3)


def test_shapes_and_flows_are_refused(rejects):
    data = uneven()
    two, three = (ib.TwoLayer.init(data, m, m, LEAKY_03, 0.1, "1/m") for m in (2, 3))
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


def test_relu_is_not_for_the_leaky_lemmas_nor_the_other_way_round():
    relu = trained(ib.relu())
    leaky = trained()
    for id in ("K-5.4", "K-B.4", "K-B.3"):
        assert ib.claims[id].check(relu).verdict == "vacuous"
    assert ib.claims["K-5.5"].check(leaky).verdict == "vacuous"


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
