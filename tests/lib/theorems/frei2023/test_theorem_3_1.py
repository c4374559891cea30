"""Frei et al., Theorem 3.1 (Lyu & Li; Ji & Telgarsky): once ``L < log(2)/n``, gradient
flow converges in direction to a KKT point.
"""

import math
from dataclasses import replace

import pytest
import torch
from direction_cases import flow_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023.flow_limit import START_EXPLAINS, start_share

GAMMA_05 = 0.5


@pytest.mark.parametrize("ids", [["F-9.9"], "F-3.1", 5, [["F-3.1"]], torch.tensor(3.0)])
def test_the_ledger_names_what_is_no_list_of_claims(ids):
    with pytest.raises(ValueError, match="ids: expected a list of claims' ids, got"):
        ib.ledger(ids)


def tampered(one, change):
    """The run with its weights at every recorded time replaced by ``change(net, k)``."""
    nets = [change(one.net(k), k) for k in range(len(one))]
    frobenius = torch.stack([net.frobenius() for net in nets])
    return replace(
        one,
        _states=tuple(range(len(one))),
        _lift=lambda k: nets[k],
        frobenius=frobenius,
    )


def unguarded(id):
    """The check without its guard, to be shown what no flow does."""
    return ib.claims[id].check.__wrapped__


def test_both_claims_hold_on_a_run_that_forgot_its_start(run):
    for id in ("F-3.1", "F-3.5"):
        assert ib.claims[id].check(run.member(0, 0)).verdict == "holds"


def test_a_start_not_forgotten_is_undecided_not_refuted(run):
    one = run.member(0, 1)
    assert start_share(one) > 1 / START_EXPLAINS
    for id in ("F-3.1", "F-3.5"):
        verdict = ib.claims[id].check(one)
        assert verdict.verdict == "undecided" and "start still shows" in verdict.why


def test_a_direction_that_is_no_kkt_point_is_seen(run):
    def lopsided(net, k):
        weights = net.weights.clone()
        weights[0] *= 1.5
        return replace(net, weights=weights)

    wrong = tampered(run.member(0, 0), lopsided)
    for id in ("F-3.1", "F-3.5"):
        verdict = unguarded(id)(wrong)
        assert verdict.verdict == "undecided" and verdict.conclusion == "fails"
        assert "A finite run refutes no limit" in verdict.why
        with pytest.raises(ValueError, match="^run:"):
            ib.claims[id].check(wrong)


def test_a_norm_that_stays_bounded_is_seen(run):
    one = run.member(0, 0)
    wrong = tampered(one, lambda net, k: net.scaled(1 / net.frobenius()))
    verdict = unguarded("F-3.1")(wrong)
    assert verdict.verdict == "undecided" and verdict.conclusion == "fails"
    assert verdict.constants["norm power"] < 0.1


def test_a_loss_that_stops_falling_is_seen(run):
    one = run.member(0, 0)
    wrong = replace(one, log_loss=one.log_loss.clamp_min(-25.0))
    verdict = unguarded("F-3.1")(wrong)
    assert verdict.verdict == "undecided" and verdict.conclusion == "fails"
    assert verdict.constants["loss power"] < 0.5
    with pytest.raises(ValueError, match="log_loss"):
        ib.claims["F-3.1"].check(wrong)


@pytest.mark.parametrize(
    "factor, expected", [(1 + 1e-12, "vacuous"), (1 - 1e-12, "holds")]
)
def test_the_threshold_from_both_sides(run, factor, expected):
    one = run.member(0, 0)
    # Slopes are read off the late records only; the smallest loss is put at the
    # threshold by a shift.
    shift = math.log(factor * math.log(2) / one.data.n) - float(one.log_loss.amin())
    verdict = unguarded("F-3.1")(replace(one, log_loss=one.log_loss + shift))
    assert verdict.verdict == expected


def test_smooth_activations_are_vacuous():
    data = ib.data.orthogonal(3)
    start = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(GAMMA_05), 0.1, seed=0)
    flow = ib.gradient_flow(start, data, 3.0)
    with pytest.raises(ValueError, match="homogeneous"):
        ib.kkt_residual(flow.final, data)
    for id in ("F-3.1", "F-3.5"):
        verdict = ib.claims[id].check(flow)
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")


def test_relu_that_died_is_vacuous():
    data = ib.data.orthogonal(2)
    weights = torch.tensor([[-1.0, 0.2], [-0.1, 0.5]]).double()
    dead = ib.TwoLayer(weights, torch.tensor([0.7, -0.7]).double(), ib.relu())
    verdict = ib.claims["F-3.1"].check(ib.gradient_flow(dead, data, until=5.0))
    assert verdict.verdict == "vacuous" and verdict.conclusion == "fails"
    assert "nan" not in verdict.why


@pytest.mark.parametrize(
    "scale, expected", [(10.0, ("undecided", "vacuous")), (1e-3, ("holds", "vacuous"))]
)
def test_a_distance_that_the_start_explains_refutes_nothing(scale, expected):
    # A pattern that changes late: the residual has not begun to fall like 1/s, but is
    # no larger than the start's share.
    data = ib.data.correlated(6, p=0.1, signs="oppose", positive=1)
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA_05), scale, seed=1)
    run = ib.gradient_flow(start, data, 200.0)
    assert (
        tuple(ib.claims[id].check(run).verdict for id in ("F-3.1", "F-3.5")) == expected
    )


@pytest.mark.parametrize("id", ["F-3.1", "F-3.5"])
def test_two_records_decide_nothing(id):
    verdict = ib.claims[id].check(flow_of(record=[30.0, 50.0]))
    assert verdict.verdict == verdict.conclusion == "undecided"
    assert "Too few records" in verdict.why


@pytest.mark.parametrize("id", ["F-3.1", "F-3.4", "F-3.5"])
def test_other_things_are_refused(id, run):
    one = run.member(0, 0)
    with pytest.raises(TypeError, match="run: expected a Trajectory"):
        ib.claims[id].check(one.initial)
    with pytest.raises(ValueError, match="gradient flow"):
        ib.claims[id].check(ib.gradient_descent(one.initial, one.data, 0.1, 3))
    flipped = replace(one, data=ib.Dataset(one.data.x, -one.data.y))
    with pytest.raises(ValueError, match="^run:"):
        ib.claims[id].check(flipped)


@pytest.mark.parametrize("id", ["F-3.1", "F-3.4", "F-3.5"])
def test_the_negative_control_breaks_one_hypothesis_and_is_false(id):
    negative = ib.claims[id].negative()
    broken = [h.name for h in negative.hypotheses if not bool(h.holds.all())]
    assert broken == (["small loss"] if id == "F-3.1" else ["H-3.2"])
    assert (negative.verdict, negative.conclusion) == ("vacuous", "fails")


def test_the_verdict_says_what_it_cannot_tell_apart(run):
    for id in ("F-3.1", "F-3.5"):
        verdict = ib.claims[id].check(run.member(0, 0))
        assert (
            f"nearer to it than {verdict.constants['last']:.1e} are not told apart"
            in verdict.why
        )


@pytest.mark.parametrize(
    "loss, norm, slack", [(0.499, 1.0, 0.998), (1.0, 0.499, 0.998), (0.7, 0.8, 1.4)]
)
def test_the_slower_growth_decides(run, monkeypatch, loss, norm, slack):
    monkeypatch.setitem(
        unguarded("F-3.1").__globals__, "_grows", lambda _: (loss, norm)
    )
    verdict = unguarded("F-3.1")(run.member(0, 0))
    assert verdict.slack == pytest.approx(slack) and (verdict.verdict == "holds") is (
        slack >= 1
    )
