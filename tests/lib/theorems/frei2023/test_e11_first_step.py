"""Frei et al., E.11: outputs start near 0, one step fits every sample, and every margin
rises.
"""

import math

import mpmath
import pytest
from loss_ratio_cases import mp_phi, nearly_orthogonal
from smooth_constants_cases import leaning, net_on, short, slack_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients, one_step
from implicit_bias.theorems.frei2023 import smooth_instances as cases
from implicit_bias.theorems.setting import rms_scale

GAMMA_03 = 0.3


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


GAMMA_04 = 0.4


def test_first_margins_are_36_times_their_bound():
    net, data, step = cases.start_within()
    assert ib.claims["F-E.11.c"].check(net, data, step).slack == pytest.approx(
        36, rel=1e-3
    )
    assert float(rms_scale(net, data)) == pytest.approx(
        0.5 * float(ib.hypotheses.A2(data, 0.5, 8, step, 1.0).lhs), rel=1e-3
    )


def test_margins_rise_by_the_literal_bound():
    data = nearly_orthogonal(3, p=1e-5)
    run = ib.gradient_descent(
        ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 0.3, seed=1),
        data,
        1e-3,
        5,
        record=[0, 5],
    )
    worst = math.inf
    for k in range(2):
        net = run.net(k)
        made = one_step.one_step(net, data, 1e-3)
        ratio = float(made.g.max() / made.g.min())
        bound = (
            1e-3
            * GAMMA_03**2
            * float(data.R_min) ** 2
            / (4 * ratio * 4)
            * float(made.G)
        )
        worst = min(worst, float(made.dq.min()) / bound)
    verdict = ib.claims["F-E.11.b"].check(run)
    assert verdict.verdict == "holds" and verdict.slack == pytest.approx(worst)


def test_outputs_at_a_tiny_start_are_not_lost_in_rounding():
    net, data, _ = cases.start_within()
    size = ib.claims["F-E.11.a"].check(net, data, 1e-6).constants["output"]
    with mpmath.workdps(60):
        z = net.preactivations(data.x)
        f = [
            sum(
                mpmath.mpf(a) * mp_phi(mpmath.mpf(w), mpmath.mpf(0.5))
                for a, w in zip(net.a.tolist(), column)
            )
            for column in z.T.tolist()
        ]
        assert size == pytest.approx(float(max(abs(v) for v in f)), rel=1e-9)


def test_numbers_of_e11_by_hand():
    data = leaning()
    net = net_on(data, 1e-6)
    best = float(gradients.best_orthogonality(data))
    assert best == pytest.approx(1 / (4 * 1e-4))
    verdict = ib.claims["F-E.11.c"].check(net, data, 1e-4)
    assert slack_of(verdict, "data") == pytest.approx(best / (8 / 0.16))
    made = one_step.one_step(net, data, 1e-4)
    bound = 0.16 * 1e-4 * 1 / (32 * 4)
    assert verdict.slack == pytest.approx(float((made.q + made.dq).min()) / bound)
    assert verdict.constants["margin"] == pytest.approx(float((made.q + made.dq).min()))
    outputs = float(net(data.x).abs().max())
    verdict = ib.claims["F-E.11.a"].check(net, data, 1e-4)
    assert verdict.slack == pytest.approx(0.02 / outputs, rel=1e-6)
    assert verdict.constants["output"] == pytest.approx(outputs, rel=1e-6)


@pytest.mark.parametrize("factor, true", [(1.001, True), (0.999, False)])
def test_e11_c_at_the_edge_of_its_data(factor, true):
    p = 0.16 / (8 * 4 * factor)
    data = ib.data.correlated(4, p=p)
    net = net_on(data, 1e-12)
    step = 0.5 * float(ib.hypotheses.A1(data, GAMMA_04, 1.0, 1.0).lhs)
    assert (ib.claims["F-E.11.c"].check(net, data, step).verdict == "holds") is true


def test_conditions_of_e11_b_by_hand():
    data = leaning(1e-3)
    run = short(data)
    verdict = ib.claims["F-E.11.b"].check(run)
    ratio = max(float((1 + q.exp()).max() / (1 + q.exp()).min()) for q in run.margins)
    assert verdict.constants["C′_R"] == pytest.approx(ratio)
    assert slack_of(verdict, "data") == pytest.approx(
        1 / (4 * 1e-3) / (2 / 0.16 * ratio)
    )
    assert slack_of(verdict, "step") == pytest.approx(
        0.16 / (2 * 0.15 * ratio * 4 * 4 * 4) / 1e-4
    )
