"""Kou et al., Lemma E.2: coefficients of the other class stay small."""

import pytest
from relu_cases import covered

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import instances as kou_instances


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
