"""Frei et al., Proposition E.10, corrected: the exponential loss ratio stays below ρ
(as printed it is false, S-10).
"""

import math

import pytest
import torch
from smooth_constants_cases import slack_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e10_invariant, gradients
from implicit_bias.theorems.frei2023 import smooth_instances as cases
from implicit_bias.theorems.frei2023.smooth_instances import run_uneven, with_margins


def test_invariant_takes_a_rho_and_says_when_it_is_too_small():
    run = cases.run_within()[0]
    assert ib.claims["F-E.10"].check(run, rho=100.0).slack == pytest.approx(
        100, rel=1e-3
    )
    late = ib.gradient_descent(run.net(5), run.data, run.step_size, 3)
    assert "ρ fails" in ib.claims["F-E.10"].check(late, rho=3.0).why


def test_invariant_keeps_a_ratio_that_is_large_already():
    net, data = with_margins([0.5, 5.0], 0.5)
    run = ib.gradient_descent(net, data, 1e-4, 1, record=[0, 1])
    verdict = ib.claims["F-E.10"].check(run)
    assert verdict.verdict == "holds" and verdict.constants["ρ"] == pytest.approx(
        math.exp(4.5), rel=1e-4
    )
    assert 1 < verdict.slack < 1.01


def test_the_statement_says_which_smoothness_it_uses():
    run = run_uneven()[0]
    text = next(
        h.statement
        for h in ib.claims["F-E.10"].check(run).hypotheses
        if h.name == "step"
    )
    assert "5 max(1,H) R_max²" in text
    text = next(
        h.statement for h in ib.claims["S-10"].positive().hypotheses if h.name == "step"
    )
    assert "5 H R_max²" in text
    net = run.initial
    data = run.data
    for H, name in (
        (1.0, "max(1,H)"),
        (0.99, "H"),
        (torch.tensor([0.5, 1.0]), "H"),
        (torch.tensor([2.0, 1.0]), "max(1,H)"),
    ):
        parts = e10_invariant.invariant_parts(
            net, data, torch.tensor(1e-4), None, None, "logistic", H
        )[0]
        assert f"5 {name} R" in next(h.statement for h in parts if h.name == "step")


@pytest.mark.parametrize("factor, true", [(0.999, True), (1.001, False)])
def test_e10_at_the_edge_of_its_step(factor, true):
    data = run_uneven()[0].data
    late = run_uneven()[0].net(30)
    c = float(gradients.persistence(late, data).min())
    step = factor / (5 * 1 * 2.25 * 2 * (10 * 2.25 / c + 10))
    run = ib.gradient_descent(late, data, step, 1, record=[0, 1])
    assert slack_of(
        ib.claims["F-E.10"].check(run, c=c * (1 - 1e-9)), "step"
    ) == pytest.approx(1 / factor, rel=1e-6)
    assert (ib.claims["F-E.10"].check(run, c=c * (1 - 1e-9)).verdict == "holds") is true
