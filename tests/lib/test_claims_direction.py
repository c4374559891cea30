"""F-3.1 and F-3.5: the smoothed margin, the velocity on the loss clock, and checks that
know when a run is short.
"""

import math
from dataclasses import replace

import mpmath
import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances
from implicit_bias.theorems.frei2023.flow_limit import (
    START_EXPLAINS,
    _records,
    _says_nothing_yet,
    start_share,
)
from implicit_bias.theorems.verdict import Finding

GAMMA = 0.5


@pytest.fixture(scope="module")
def run():
    """Two scales of one draw on small nearly orthogonal data; the larger start is not
    forgotten at the end.
    """
    data = ib.data.correlated(4, p=0.003)
    start = ib.TwoLayer.init(
        data, 2, 3, ib.leaky_relu(GAMMA), torch.tensor([1e-2, 300.0]).double(), seed=[0]
    )
    return ib.gradient_flow(start, data, 200.0)


# -- measures --------


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_smoothed_margin_against_sixty_digits(loss):
    data = ib.data.orthogonal(3)
    start = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(GAMMA), 0.1, seed=1)
    run = ib.gradient_flow(
        start, data, 900.0, loss, [0.5, 3.0, 8.0, 38.9, 39.5, 41.5, 300.0, 900.0]
    )
    for k, value in enumerate(ib.measures.smoothed_margin(run).tolist()):
        with mpmath.workdps(600):
            total = sum(
                mpmath.log1p(mpmath.exp(-q)) if loss == "logistic" else mpmath.exp(-q)
                for q in map(mpmath.mpf, run.margins[k].tolist())
            )
            inverse = (
                -mpmath.log(mpmath.expm1(total))
                if loss == "logistic"
                else -mpmath.log(total)
            )
        assert value == pytest.approx(
            float(inverse) / float(run.frobenius[k]), rel=1e-12, abs=1e-14
        )


def test_smoothed_margin_is_below_the_margin_and_rises(run):
    smooth = ib.measures.smoothed_margin(run)
    assert (smooth <= run.margins.amin(-1) / run.frobenius + 1e-12).all()
    low = run.s > math.log(run.data.n / math.log(2))
    # A run that has not begun yet stands still.
    assert (smooth.diff(dim=0)[low[1:]] >= -1e-12).all()


def test_velocity_is_the_kkt_point_at_its_own_scale(run):
    exact = ib.kkt_point(run.data, 2, 3, GAMMA).net.weights
    assert torch.allclose(
        ib.measures.clock_velocity(run.member(0, 0)).weights, exact, atol=1e-6
    )


def test_velocity_needs_a_flow_and_an_interval(run):
    with pytest.raises(ValueError, match="index"):
        ib.measures.clock_velocity(run, 0)
    for beyond in (len(run), -len(run) - 1, 99_999):
        with pytest.raises(ValueError, match="index"):
            ib.measures.clock_velocity(run, beyond)
    descent = ib.gradient_descent(run.member(0, 0).initial, run.data, 0.1, 3)
    with pytest.raises(ValueError, match="gradient_flow"):
        ib.measures.clock_velocity(descent)


def test_member_is_the_run_on_its_own(run):
    one = run.member(0, 0)
    alone = ib.gradient_flow(
        run.member(0, 0).initial, run.data, 200.0, record=run.s.tolist()
    )
    assert torch.allclose(one.final.weights, alone.final.weights, rtol=1e-7)
    assert torch.allclose(one.margins[-1], alone.margins[-1], rtol=1e-7)
    assert one.frobenius.shape == one.s.shape and torch.equal(
        one.net(5).weights, run.net(5).weights[0, 0]
    )
    with pytest.raises(ValueError, match="index"):
        run.member(0)


def test_member_picks_leaks_frozen_parts_and_data_sets():
    data = ib.data.gaussian(3, 10**7, seed=0)
    leaks = torch.tensor([0.25, 0.5]).double()
    start = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(leaks), 1e-4, seed=[0, 1])
    run = ib.gradient_flow(start, data, 5.0)
    one = run.member(1)
    assert float(one.initial.activation.gamma) == 0.5
    assert torch.equal(one.initial.frozen_gram, start.frozen_gram[1])
    assert torch.allclose(one.final.frobenius(), run.frobenius[-1, 1])


# -- the late law --------


def test_shares_settle_at_the_predicted_rate():
    data = ib.data.correlated(6, p=0.06, signs="oppose", positive=2)
    K = ib.margin.kkt_matrix(data, 3, 3, GAMMA)
    lam = torch.linalg.solve(K, torch.ones(6, dtype=torch.float64))
    theta = float(torch.linalg.eigvals(lam[:, None] * K).real.sort().values[1])
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA), 1e-3, seed=0)
    run = ib.gradient_flow(start, data, 10.0, "exponential", [7.0, 10.0])
    off = (torch.softmax(-run.margins, -1) - lam / lam.sum()).abs().amax(-1)
    assert float((off[0] / off[1]).log() / 3) == pytest.approx(theta, rel=5e-3)
    assert theta != pytest.approx(1, abs=0.1)


def test_distance_is_the_start_over_the_clock():
    flow = instances.flow_within()[0]
    star = ib.kkt_point(
        flow.data, instances.M_POS, instances.M_NEG, instances.GAMMA
    ).net
    gap = float(ib.measures.direction_distance(flow.final, star))
    assert gap * 1000 == pytest.approx(
        float(flow.initial.frobenius() / star.frobenius()), rel=2e-3
    )
    assert float((flow.log_time[-1] + flow.log_loss[-1]).exp()) == pytest.approx(
        float(star.frobenius()) ** 2, rel=1e-6
    )


# -- the checks --------


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


def test_start_left_by_hand(run):
    for k in (0, 1):
        one = run.member(0, k)
        moved = (
            sum(
                float(v) ** 2
                for v in (one.final.weights - one.initial.weights).flatten()
            )
            ** 0.5
        )
        assert start_share(one) == pytest.approx(
            float(one.initial.weights.norm()) / moved
        )


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
    start = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(GAMMA), 0.1, seed=0)
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


def test_starts_on_xor_reach_different_kkt_points():
    data = ib.data.xor(n=4, d=8, mean_norm=3.0, seed=1)
    start = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.1), 0.1, seed=list(range(6)))
    limits = ib.measures.clock_velocity(
        ib.gradient_flow(start, data, until=200, record=[199, 200])
    )
    found = ib.kkt_residual(limits, data)
    margin = 1 / (found.scale * limits.frobenius())
    assert float(found.worst.max()) < 1e-6
    assert float(margin.max() / margin.min()) > 1.05


@pytest.mark.parametrize(
    "scale, expected", [(10.0, ("undecided", "vacuous")), (1e-3, ("holds", "vacuous"))]
)
def test_a_distance_that_the_start_explains_refutes_nothing(scale, expected):
    # A pattern that changes late: the residual has not begun to fall like 1/s, but is
    # no larger than the start's share.
    data = ib.data.correlated(6, p=0.1, signs="oppose", positive=1)
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA), scale, seed=1)
    run = ib.gradient_flow(start, data, 200.0)
    assert (
        tuple(ib.claims[id].check(run).verdict for id in ("F-3.1", "F-3.5")) == expected
    )


def test_vacuous_and_short_says_both():
    data = ib.data.correlated(6, p=0.03, signs="oppose", positive=1)
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA), 100.0, seed=1)
    verdict = ib.claims["F-3.5"].check(ib.gradient_flow(start, data, 200.0))
    assert (
        verdict.verdict == "vacuous"
        and "The conclusion is open. At s = 200 the start still shows" in verdict.why
    )


# -- what is no instance, and what a run can say --------


def flow_of(m_pos=2, m_neg=2, activation=None, data=None, record=None, until=50.0):
    data = ib.data.orthogonal(3) if data is None else data
    start = ib.TwoLayer.init(
        data, m_pos, m_neg, activation or ib.leaky_relu(GAMMA), 1e-2, seed=1
    )
    return ib.gradient_flow(start, data, until, record=record)


@pytest.mark.parametrize("id", ["F-3.1", "F-3.5"])
def test_two_records_decide_nothing(id):
    verdict = ib.claims[id].check(flow_of(record=[30.0, 50.0]))
    assert verdict.verdict == verdict.conclusion == "undecided"
    assert "Too few records" in verdict.why


@pytest.mark.parametrize(
    "id, change, expected",
    [
        ("F-3.5", dict(activation=ib.relu()), "activation"),
        ("F-3.5", dict(data=ib.data.correlated(3, p=0.2, signs="agree")), "H-3.2"),
        (
            "F-3.5",
            dict(
                data=ib.Dataset([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]], [1, 1, -1]),
                until=1.0,
            ),
            "H-3.2",
        ),
        ("F-3.1", dict(until=0.5), "small loss"),
    ],
)
def test_each_hypothesis_alone(id, change, expected):
    verdict = ib.claims[id].check(flow_of(**change))
    assert verdict.verdict == "vacuous" and expected in {
        h.name for h in verdict.hypotheses if not bool(h.holds.all())
    }


def test_neurons_of_one_sign_have_no_limit_of_f35():
    data = ib.Dataset(torch.eye(2).double(), [1.0, 1.0])
    rows = torch.rand(2, 2, generator=torch.Generator().manual_seed(0)).double()
    start = ib.TwoLayer(rows, torch.full((2,), 0.5**0.5).double(), ib.leaky_relu(GAMMA))
    verdict = ib.claims["F-3.5"].check(ib.gradient_flow(start, data, 20.0))
    assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")


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


@pytest.mark.parametrize("end, first", [(200.0, 1.0), (20.0, 1.0), (5.0, 0.5)])
def test_records_are_a_few_of_each_decade(end, first):
    flow = flow_of(
        until=end,
        record=torch.logspace(-0.4, math.log10(end), 60).tolist()[:-1] + [end],
    )
    kept = _records(flow)
    clock = flow.s[kept]
    before = flow.s[: kept[0]]
    assert float(clock[0]) >= first and (len(before) == 0 or float(before[-1]) < first)
    assert kept[-1] == len(flow) - 1 and bool(
        (clock[1:-1].log10().diff() >= 1 / 6 - 1e-9).all()
    )


@pytest.mark.parametrize(
    "left, clock, expected",
    [(1.0, 200.0, "start still"), (1e-3, 99.9, "short"), (1e-3, 100.0, "")],
)
def test_why_a_run_says_nothing(left, clock, expected):
    class Run:
        s = torch.tensor([1.0, clock])
        log_time = s
        initial = ib.TwoLayer(
            left * torch.eye(2).double(), [1.0, -1.0], ib.leaky_relu(GAMMA)
        )
        final = replace(initial, weights=(1 + left) * torch.eye(2).double())

        @classmethod
        def net(cls, index):
            return cls.final

    for last, start_shows in (
        (START_EXPLAINS * left * 0.999, True),
        (START_EXPLAINS * left * 1.001, False),
    ):
        said = _says_nothing_yet(Run, Finding(0.5, "", "", {"last": last}))
        assert ("start still" in said) is start_shows
    said = _says_nothing_yet(Run, Finding(0.5, "", "", {"last": 4.0}))
    assert expected in said and (said == "") is (expected == "")
    assert _says_nothing_yet(Run, Finding(1.0, "", "", {"last": 1e-9})) == ""
    assert "Too few" in _says_nothing_yet(
        Run, Finding(math.nan, "", "", {"last": 1e-9})
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
