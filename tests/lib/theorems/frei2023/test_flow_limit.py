"""Gradient flow read at its end, for Theorem 3.1 and Corollary 3.5: which records
count, and what leaves a limit open.
"""

import math
from dataclasses import replace

import mpmath
import pytest
import torch
from direction_cases import flow_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023.flow_limit import (
    START_EXPLAINS,
    _records,
    _says_nothing_yet,
    start_share,
)
from implicit_bias.theorems.verdict import Finding

GAMMA_05 = 0.5


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_smoothed_margin_against_sixty_digits(loss):
    data = ib.data.orthogonal(3)
    start = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(GAMMA_05), 0.1, seed=1)
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
    exact = ib.kkt_point(run.data, 2, 3, GAMMA_05).net.weights
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


def test_shares_settle_at_the_predicted_rate():
    data = ib.data.correlated(6, p=0.06, signs="oppose", positive=2)
    K = ib.margin.kkt_matrix(data, 3, 3, GAMMA_05)
    lam = torch.linalg.solve(K, torch.ones(6, dtype=torch.float64))
    theta = float(torch.linalg.eigvals(lam[:, None] * K).real.sort().values[1])
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA_05), 1e-3, seed=0)
    run = ib.gradient_flow(start, data, 10.0, "exponential", [7.0, 10.0])
    off = (torch.softmax(-run.margins, -1) - lam / lam.sum()).abs().amax(-1)
    assert float((off[0] / off[1]).log() / 3) == pytest.approx(theta, rel=5e-3)
    assert theta != pytest.approx(1, abs=0.1)


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
            left * torch.eye(2).double(), [1.0, -1.0], ib.leaky_relu(GAMMA_05)
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
