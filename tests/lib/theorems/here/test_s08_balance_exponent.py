"""S-8: how balanced the coefficients really are. The true exponent in γ is 1, in R it
is -2, and the constant is known.
"""

import pytest
import torch
from decomposition_cases import SEEDS, at_the_edge, trained
from hypothesis import given

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import a02_active, balances
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.setting import active_at_start


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
