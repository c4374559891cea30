"""Kou et al., Lemma 5.6: the activation pattern of a leaky ReLU network freezes,
perfectly ordered.
"""

import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from patterns_cases import small_data, start

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_6
from implicit_bias.theorems.kou2023.long_runs import long_run, ordered

GAMMA_04 = 0.4


f64 = torch.float64


LEAKY_04 = ib.leaky_relu(0.4)


LEAKY_05 = ib.leaky_relu(0.5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p, step", [(0.0, 0.2), (0.05, 1.0), (0.15, 30.0)])
def test_freezing_step_is_that_of_a_literal_descent(seed, p, step):
    data = small_data(p, signs="random", seed=seed) if p else small_data(0.0)
    net = start(data, seed=seed)
    path = literal.autograd_descent(
        net.weights, net.a, "leaky_relu", GAMMA_04, data.x, data.y, step, 150
    )
    wrong = [
        any(
            math.copysign(1, float(a)) * float(y) * float(w @ x) <= 0
            for a, w in zip(net.a, weights)
            for x, y in zip(data.x, data.y)
        )
        for weights in path
    ]
    expected = (
        math.inf
        if wrong[-1]
        else (max((k for k, bad in enumerate(wrong) if bad), default=-1) + 1)
    )
    assert float(lemma_5_6.freezing_step(net, data, step, 150)) == expected


def test_freezing_step_of_a_batch_is_that_of_its_members():
    data = small_data()
    steps = torch.tensor([0.1, 1.0, 10.0], dtype=f64)
    together = lemma_5_6.freezing_step(start(data), data, steps, 200)
    assert together.tolist() == [
        float(lemma_5_6.freezing_step(start(data), data, float(s), 200)) for s in steps
    ]


@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 2.0),
    step=st.floats(0.05, 100.0),
    gamma=st.floats(0.2, 1.0),
    stretch=st.floats(1.0, 3.0),
)
def test_freezing_bound_holds_from_any_start_for_any_step(
    seed, scale, step, gamma, stretch
):
    data = ib.data.orthogonal(3, norms=[1.0, stretch, 1.5])
    net = start(data, m=2, scale=scale, seed=seed, activation=ib.leaky_relu(gamma))
    bound = float(lemma_5_6.freezing_bound(net, data, step))
    horizon = min(math.floor(bound) + 1, 400)
    seen = float(lemma_5_6.freezing_step(net, data, step, horizon))
    assert seen <= bound or (math.isinf(seen) and bound > horizon)


def test_freezing_bound_by_hand():
    data = ib.data.orthogonal(2, norms=[1.0, 2.0])  # y = +1, -1
    weights = torch.tensor([[-0.3, 0.5], [0.2, -0.6]], dtype=f64)
    net = ib.TwoLayer(weights, torch.tensor([1.0, -1.0]), LEAKY_04)
    q1 = -0.3 * GAMMA_04 - 0.2
    far1 = max(0.3 / GAMMA_04, 0.2)  # own class counts 1/γ
    q2 = -(0.5 * 2 - (-0.6 * 2) * GAMMA_04)
    far2 = max(0.5 * 2, 0.6 * 2 / GAMMA_04)
    need = [
        2 * 1 / (0.7 * size) * (far + math.exp(q) * math.expm1(2 * far) / 2)
        for size, far, q in ((1, far1, q1), (4, far2, q2))
    ]
    assert float(lemma_5_6.freezing_bound(net, data, 0.7)) == pytest.approx(
        1 + max(need)
    )
    assert float(lemma_5_6.step_unit(data, net, 0.7)) == pytest.approx(
        2 * 1 / (0.7 * 4)
    )


def test_bound_is_zero_for_an_ordered_start():
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double(),
        torch.tensor([1.0, -1.0]),
        LEAKY_04,
    )
    assert (
        float(lemma_5_6.freezing_bound(net, data, 1.0))
        == 0
        == float(lemma_5_6.freezing_step(net, data, 1.0, 20))
    )


def test_joining_refuses_what_does_not_belong(pieces, rejects):
    descent, flow = pieces
    with rejects("flow", "another start"):
        long_run(descent, ib.gradient_flow(descent.initial, descent.data, 2.0))
    with rejects("flow", "gradient_flow"):
        long_run(descent, descent)
    batch = ib.gradient_descent(start(descent.data, seed=[0, 1]), descent.data, 1.0, 3)
    with rejects("run", "member"):
        long_run(batch)
    with rejects("step_size", "> 0"):
        lemma_5_6.freezing_step(descent.initial, descent.data, 0.0, 3)


def test_the_step_part_of_the_hypothesis_from_both_sides():
    data = small_data(0.0)
    for factor, verdict in ((0.999, "holds"), (1.001, "vacuous")):
        run = ib.gradient_descent(start(data, scale=0.01), data, factor * 5 * 3, 50)
        assert ib.claims["K-5.6"].check(run).verdict == verdict


def test_the_measured_constant_is_the_best(pieces):
    numbers = ib.claims["K-5.6"].check(*pieces).constants
    measured = numbers["T R²η/(nm)"]
    unit = float(lemma_5_6.step_unit(pieces[0].data, pieces[0].initial, 2.0))
    joined = long_run(*pieces)
    index = joined.frozen_at()
    assert measured == pytest.approx(float(joined.log_step[index].exp()) / unit)
    # From the record before on, the statement is false; every later one will do.
    before = float(joined.log_step[index - 1].exp()) / unit
    verdicts = [
        ib.claims["K-5.6"].check(*pieces, c)
        for c in (measured, 0.999 * before, 7 * measured)
    ]
    assert [v.conclusion for v in verdicts] == ["holds", "fails", "holds"]
    assert [v.verdict for v in verdicts] == ["holds", "undecided", "holds"]
    assert [round(v.slack, 6) for v in verdicts] == [1.0, round(0.999, 6), 7.0]
    assert "the given C" in verdicts[0].why
    assert numbers["C"] > measured


def test_scale_is_read_off_the_start():
    data = ib.data.gaussian(4, 10**7, seed=0)
    net = ib.TwoLayer.init(data, 5, 5, LEAKY_04, 3e-5, output="1/m", seed=2)
    run = ib.gradient_descent(net, data, 1e-6, 5)
    told, read = (
        ib.claims["K-5.6"].check(run, scale=s).hypotheses[-1].parts[1].slack
        for s in (3e-5, None)
    )
    assert float(told / read) == pytest.approx(1, rel=1e-3)


def test_unordered_run_is_undecided_within_the_hypotheses():
    data = small_data(0.0)
    net = start(data, m=4, scale=0.1)
    run = ib.gradient_descent(net, data, 0.01, 5)
    assert not bool(ordered(run.final, data))
    assert ib.claims["K-5.6"].check(run).verdict == "undecided"
    assert ib.claims["K-5.7"].check(run).verdict == "undecided"
    early = ib.claims["K-5.6"].check(run, None, 1e-4)
    assert (early.verdict, early.conclusion) == ("undecided", "fails")


@pytest.mark.parametrize("sign, step", [(1.0, 0.0), (-1.0, math.inf)])
def test_whether_a_start_is_in_order_takes_no_step_to_see(sign, step):
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5], dtype=torch.float64)
    net = ib.TwoLayer(sign * torch.sign(a)[:, None] * data.y * 0.1, a, LEAKY_05)
    assert float(lemma_5_6.freezing_step(net, data, 0.5, 0)) == step
