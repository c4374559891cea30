"""Frei et al., Lemma E.4: no sample's pull ever dwarfs another's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_ratio_cases import SEEDS, nearly_orthogonal
from smooth_constants_cases import leaning

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e04_loss_ratio
from implicit_bias.theorems.frei2023.smooth_instances import run_uneven

GAMMA_03 = 0.3


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


GAMMA_04 = 0.4


def test_loss_ratio_is_a_double_loop_and_a_wrong_constant_fails():
    data = nearly_orthogonal(2)
    run = ib.gradient_descent(
        ib.TwoLayer.init(data, 2, 2, SMOOTH_03, 1.0, seed=1),
        data,
        0.1,
        30,
        record=[0, 7, 30],
    )
    worst = 0.0
    for q in run.margins.tolist():
        pulls = [1 / (1 + math.exp(v)) for v in q]
        worst = max([worst, *(a / b for a in pulls for b in pulls)])
    verdict = ib.claims["F-E.4"].check(run)
    assert verdict.constants["ratio"] == pytest.approx(worst)
    assert verdict.constants["C_R"] == pytest.approx(10 * 4 / GAMMA_03**2 + 10)
    assert ib.claims["F-E.4"].check(run, constant=0.99 * worst).conclusion == "fails"


@given(st.floats(0.2, 1.0), st.floats(1.0, 4.0), st.integers(1, 3), SEEDS)
def test_sharp_constant_bounds_runs_within_the_hypotheses(gamma, R, m_neg, seed):
    """2.6R²/γ² along descent at A1, from starts at A2, on orthogonal data: started
    late, where ratios are large.
    """
    data = ib.data.orthogonal(3, norms=[1.0, R, (1 + R) / 2])
    phi = ib.smoothed_leaky_relu(min(gamma, 0.999))
    start = ib.TwoLayer.init(data, 1, m_neg, phi, 1e-9, seed=seed)
    flow = ib.gradient_flow(start, data, 12.0, record=[0.7, 1.5, 3.0, 6.0, 12.0])
    bound = float(e04_loss_ratio.sharp_constant(data, phi.gamma))
    assert float(e04_loss_ratio.log_ratios(flow).max().exp()) <= bound
    assert bound <= float(ib.hypotheses.loss_ratio_constant(data, phi.gamma))


def test_sharp_constant_is_twenty_six_tenths():
    data = leaning()
    assert float(e04_loss_ratio.sharp_constant(data, GAMMA_04)) == pytest.approx(
        2.6 * 4 / 0.16
    )
    verdict = ib.claims["F-E.4"].check(run_uneven()[0])
    assert verdict.constants["sharp"] == pytest.approx(2.6 * 2.25 / 0.81)
    assert verdict.constants["C_R"] == pytest.approx(10 * 2.25 / 0.81 + 10)
    assert verdict.slack == pytest.approx(
        verdict.constants["C_R"] / verdict.constants["ratio"]
    )
