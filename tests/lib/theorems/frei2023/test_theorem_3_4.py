"""Frei et al., Theorem 3.4: gradient flow reaches small loss in finite time."""

import math
from dataclasses import replace

import literal
import pytest
import torch
from proxy_pl_cases import leaning

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import proxy_pl
from implicit_bias.theorems.frei2023.theorem_3_4 import _bracket, passing_time

LOG2 = math.log(2)


LEAKY_03 = ib.leaky_relu(0.3)


def asleep(n, q, gamma, loss="logistic", depth=1e5):
    """Orthonormal data and a network asleep on all of them, every margin q."""
    data = ib.data.orthogonal(n)
    a = proxy_pl.second_layer(1, 1)
    lift = data.y * q / (2 * gamma * float(a[0]))
    return data, ib.TwoLayer(
        torch.stack([lift - depth, -lift - depth]), a, ib.leaky_relu(gamma)
    )


def flow_to_level(net, data, loss="logistic", past=0.01):
    level = math.log(data.n / LOG2)
    return ib.gradient_flow(net, data, level + past, loss, record=[level, level + past])


def test_passing_time_is_that_of_plain_time(loss):
    data = ib.data.gaussian(3, 5, seed=2)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.9), 0.2, seed=0)
    target = math.log(LOG2 / 3)
    t = float(passing_time(flow_to_level(net, data, loss), target).exp())
    start = (net.weights, net.a, "leaky_relu", 0.9, data.x, data.y)
    log_loss, _, _ = literal.flow_in_plain_time(*start, 2000, t / 2000, loss)
    assert log_loss == pytest.approx(target, abs=1e-4)


def test_passing_time_interpolates_and_knows_never_and_always():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01)
    level = math.log(3 / LOG2)
    exact = passing_time(flow_to_level(net, data), -level)
    between = passing_time(
        ib.gradient_flow(net, data, level + 0.02, record=[level - 0.02, level + 0.02]),
        -level,
    )
    assert float(between) == pytest.approx(float(exact), abs=1e-3)
    short = ib.gradient_flow(net, data, 1.0)
    assert float(passing_time(short, -level)) == math.inf
    assert float(passing_time(short, 1.0)) == -math.inf


def test_sleeping_flow_has_the_closed_form_time():
    data, net = asleep(4, 0.0, 0.2)
    t0 = float(passing_time(flow_to_level(net, data), math.log(LOG2 / 4)).exp())
    q = -math.log(2**0.25 - 1)  # log(1 + e^{-q}) = log(2)/4
    assert t0 == pytest.approx(4 / 0.04 * (math.exp(q) + q - 1), rel=1e-6)


@pytest.mark.parametrize(
    "loss, factor, Y",
    [("logistic", 63.004, 1.9729), ("exponential", 340 * LOG2**2, 2 * LOG2)],
)
def test_never_sharp_theorem_is_attained_at_one_sample(loss, factor, Y):
    q = -math.log(math.expm1(Y)) if loss == "logistic" else -math.log(Y)
    data, net = asleep(1, q, 0.3)
    verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
    assert verdict.verdict == "holds" and verdict.slack == pytest.approx(
        factor, rel=1e-4
    )


@pytest.mark.parametrize("scale", [1e-4, 0.3, 10.0])
def test_both_bounds_hold_from_any_start(scale, loss):
    for seed in range(3):
        data = leaning(0.02, n=5)
        net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), scale, seed=seed)
        verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
        assert (
            verdict.conclusion == "holds"
            and verdict.constants["t0"] <= verdict.constants["repaired"]
        )


def test_loss_at_the_start_is_read_from_the_start():
    data, net = asleep(3, -30.0, 0.5)
    bound = ib.claims["F-3.4"].check(flow_to_level(net, data)).constants["bound"]
    assert bound == pytest.approx(float(proxy_pl.paper_time(data, 0.5, 30.0)), rel=1e-9)


def test_a_run_that_ends_before_the_level_decides_nothing():
    data = ib.data.orthogonal(5)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01)
    assert (
        ib.claims["F-3.4"].check(ib.gradient_flow(net, data, 1.0)).verdict
        == "undecided"
    )


def test_between_records_time_is_interpolated_by_hand():
    """Past the first interval log t is linear in log L; within it t is."""
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01)
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 4.0])
    high, low = run.log_loss[1:3].tolist()
    early, late = run.log_time[1:3].tolist()
    for share in (0.1, 0.5, 0.9):
        level = high + share * (low - high)
        assert float(passing_time(run, level)) == pytest.approx(
            early + share * (late - early)
        )
    start = run.initial
    first = run.log_loss[0]
    zero = ib.gradient_flow(
        start,
        data,
        1.0,
        record=[float(-run.loss.log_mean(ib.measures.margins(start, data))), 1.0],
    )
    assert float(zero.log_time[0]) == -math.inf
    high, low = zero.log_loss.tolist()
    third = passing_time(zero, high + 0.3 * (low - high)).exp()
    assert float(third) == pytest.approx(0.3 * float(zero.log_time[1].exp()))
    assert float(passing_time(run, float(first) + 1e-9)) == float(run.log_time[0])


def test_sparse_records_refute_nothing():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0)
    verdict = ib.claims["F-3.4"].check(
        ib.gradient_flow(net, data, 100.0, record=[50.0, 100.0])
    )
    assert (
        verdict.verdict == verdict.conclusion == "undecided"
        and "too far apart" in verdict.why
    )
    exact = ib.claims["F-3.4"].check(flow_to_level(net, data))
    assert exact.verdict == "holds" and "1 later records agree" in exact.why


@pytest.mark.parametrize("factor, verdict", [(0.999, "fails"), (1.001, "holds")])
def test_the_bound_from_both_sides(factor, verdict, monkeypatch):
    data = ib.data.orthogonal(4)
    run = flow_to_level(
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0), data
    )
    level = math.log(LOG2 / 4)
    t0 = passing_time(run, level).exp()
    check = ib.claims["F-3.4"].check.__wrapped__
    monkeypatch.setitem(check.__globals__, "paper_time", lambda *_: factor * t0)
    # Records right at the level: what lies between is too little to doubt.
    monkeypatch.setitem(check.__globals__, "_bracket", lambda *_: (t0.log(), t0.log()))
    assert check(run).verdict == verdict


@pytest.mark.parametrize(
    "before, after, verdict",
    [(0.0, 1.0, "fails"), (-1.0, 0.0, "holds"), (-1.0, 1.0, "undecided")],
)
def test_a_bound_right_at_a_record(before, after, verdict, monkeypatch):
    data = ib.data.orthogonal(4)
    run = flow_to_level(
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0), data
    )
    check = ib.claims["F-3.4"].check.__wrapped__
    one = torch.ones(()).double()
    parts = tuple(map(torch.tensor, (before, after)))
    monkeypatch.setitem(check.__globals__, "paper_time", lambda *_: one)
    monkeypatch.setitem(check.__globals__, "_bracket", lambda *_: parts)
    middle = 0.5 * (before + after) + (
        1e-3 if verdict == "fails" else -1e-3
    ) * torch.ones(())
    monkeypatch.setitem(check.__globals__, "passing_time", lambda *_: middle.double())
    quiet = replace(run, log_loss=run.log_loss - 100.0)
    assert check(quiet).verdict == verdict


def test_the_bracket_of_the_passing_time():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01)
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 4.0])
    for k, level in ((0, -1.5), (1, -3.0)):
        before, after = _bracket(run, level)
        assert (float(before), float(after)) == tuple(run.log_time[k : k + 2].tolist())
    before, after = _bracket(run, 1.0)
    assert float(before) == -math.inf and float(after) == float(run.log_time[0])


def test_a_run_that_stalls_or_stops_early_decides_nothing():
    data = ib.data.orthogonal(5)
    short = ib.gradient_flow(ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01), data, 1.0)
    check = ib.claims["F-3.4"].check.__wrapped__
    assert ib.claims["F-3.4"].check(short).conclusion == "undecided"
    stalled = check(replace(short, outcome=replace(short.outcome, status="stalled")))
    assert stalled.verdict == "undecided" and "stalls before" in stalled.why
    late = check(replace(short, log_time=short.log_time + 100.0))
    assert late.verdict == "fails" and late.slack == 0


def test_a_loss_that_rises_again_is_seen():
    data = ib.data.orthogonal(3)
    run = flow_to_level(ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.01), data, past=0.5)
    check = ib.claims["F-3.4"].check.__wrapped__
    log_loss = run.log_loss.clone()
    log_loss = torch.cat([log_loss, log_loss[:1] + 1])
    longer = replace(
        run,
        log_loss=log_loss,
        log_time=torch.cat([run.log_time, run.log_time[-1:] + 1]),
    )
    longer = replace(longer, _states=(*run._states, run._states[-1]))
    assert check(longer).verdict == "fails" and "rose above" in check(longer).why
    with pytest.raises(ValueError, match="^run:"):
        ib.claims["F-3.4"].check(replace(run, log_loss=run.log_loss - 5.0))
