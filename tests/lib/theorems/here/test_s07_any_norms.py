"""Found here: S-7, the stable rank on orthogonal data of any norms and any classes."""

import math

import pytest
import torch
from orthogonal_cases import start

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import orthogonal_law, orthogonal_runs


def test_one_class_only():
    run, flow = orthogonal_runs.train(
        ib.data.orthogonal(6, positive=6), 200, seed=1, until=60.0
    )
    verdict = ib.claims["S-7"].check(run, flow)
    assert verdict.verdict == "vacuous" and "both classes" in verdict.why
    assert verdict.conclusion == "holds" and math.isnan(verdict.constants["target W₋₁"])
    assert ib.claims["K-F.3"].check(run, flow).verdict == "vacuous"


def test_bad_input_is_named(rejects):
    lot, net = start()
    with rejects("run", "two records"):
        ib.claims["S-7"].check(ib.gradient_descent(net, lot, 1.0, 1))
    with rejects("delta", "probability"):
        ib.claims["S-7"].check(ib.gradient_descent(net, lot, 1.0, 9), None, 2.0)
    with rejects("norms", "finite number > 0"):
        orthogonal_law.class_law(torch.tensor([1.0, 0.0]), 5)


def test_s7_is_shown_on_lengths_that_all_differ_and_from_a_small_start():
    for make, last in (
        (ib.claims["S-7"].instance, 1),
        (ib.claims["S-7"].counter, 0.02),
    ):
        run, flow = make()
        assert len(set(run.data.norms.tolist())) == run.data.n == 20
        assert float(run.data.R_max / run.data.R_min) == pytest.approx(3, abs=1e-3)
        assert int(run.data.positive.sum()) == 13
        assert float(run.initial.frobenius() / flow.final.frobenius()) < 1e-3 * last
