"""Kou et al., Lemma 5.3 (H.1 and H.2): sequences that climb by ``e^{-x}``."""

import math

import numpy as np
import pytest
import torch
from decomposition_cases import SEEDS, drawn
from hypothesis import given

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_3

f64 = torch.float64


@pytest.mark.parametrize(
    "x0, C1, C2", [(0.0, 0.1, 4.0), (0.0, 3.0, 6.0), (1.5, 0.5, 0.9), (0.3, 1.2, 1.2)]
)
def test_extremes_enclose_a_brute_force_tree_and_are_nearly_met(x0, C1, C2):
    low, high = lemma_5_3.extremes(x0, C1, C2, 3)
    reached = {0: [x0]}
    shares = np.linspace(0, 1, 101)
    for t in range(3):
        many = np.concatenate(
            [x + (C1 + (C2 - C1) * shares) * np.exp(-x) for x in reached[t]]
        )
        thinned = np.unique(np.round(many, 3))
        exact = [
            x + (C1 + (C2 - C1) * s) * math.exp(-x)
            for x in (min(reached[t]), max(reached[t]))
            for s in (0, 1)
        ]
        reached[t + 1] = [*thinned, *exact]
        assert min(reached[t + 1]) >= float(low[t + 1]) - 2e-3
        assert max(reached[t + 1]) <= float(high[t + 1]) + 2e-3
        assert min(reached[t + 1]) == pytest.approx(float(low[t + 1]), abs=0.05)
        assert max(reached[t + 1]) == pytest.approx(float(high[t + 1]), abs=0.05)


@given(SEEDS)
def test_no_sequence_leaves_the_bounds(seed):
    U = drawn(seed)
    x0 = U(0, 3)
    C1 = math.exp(U(-4, 1))
    C2 = C1 * math.exp(U(0, 2))
    low, high = lemma_5_3.extremes(x0, C1, C2, 300)
    t = torch.arange(301, dtype=torch.float64)
    below, above = lemma_5_3.log_bounds(x0, C1, C2, t)
    assert bool((low >= below - 1e-12).all()) and bool((high <= above + 1e-12).all())
    sharp = lemma_5_3.sharp_bound(x0, C2, t)
    assert bool((high <= sharp + 1e-9).all()) and bool((sharp <= above + 1e-12).all())
    # The largest first step meets the sharper bound.
    assert float(sharp[1]) == pytest.approx(x0 + C2 * math.exp(-x0))
    x = lemma_5_3.climb(x0, C1, C2, 300, lambda t, x: U(0, 1))
    assert bool((x >= low - 1e-12).all()) and bool((x <= high + 1e-12).all())
    assert ib.claims["K-5.3"].check(x, C1, C2).verdict == "holds"


def test_bounds_are_the_formulas():
    low, high = lemma_5_3.log_bounds(1.0, 0.5, 2.0, torch.tensor([7.0]))
    assert float(low) == pytest.approx(math.log(math.e + 3.5))
    assert float(high) == pytest.approx(math.log(math.e + 2 * math.exp(2) * 7))
    low, high = lemma_5_3.log_bounds(1.0, 0.5, 2.0, torch.tensor([7.0]), sign=-1)
    assert float(low) == pytest.approx(math.log(1 / math.e + 3.5))
    assert math.isfinite(
        float(lemma_5_3.log_bounds(900.0, 1.0, 2.0, torch.tensor([1.0]))[1])
    )


@given(SEEDS)
def test_printed_sign_is_false_for_every_positive_start(seed):
    U = drawn(seed)
    x = lemma_5_3.climb(U(0.01, 5), 0.1, 0.1, 5, lambda t, x: 0.0)
    assert ib.claims["K-5.3"].check(x, 0.1, 0.1).verdict == "holds"
    assert ib.claims["K-5.3"].check(x, 0.1, 0.1, sign=-1).verdict == "fails"


def test_log_lemma_sees_broken_steps_on_either_side():
    x = lemma_5_3.climb(0.0, 1.0, 1.0, 50, lambda t, x: 0.0)
    check = ib.claims["K-5.3"].check
    assert check(x, 1.0, 1.0).verdict == "holds"
    assert check(x, 1.01, 1.01).verdict == "vacuous"
    assert check(x, 0.5, 0.99).verdict == "vacuous"
    assert check(torch.stack([x, x], -1), 1.0, 1.0).verdict == "holds"
    assert check(x - 1, 1e-9, 9.0).verdict == "vacuous"  # below zero


def test_log_lemma_refuses_nonsense(rejects):
    with rejects("x", "two numbers"):
        ib.claims["K-5.3"].check(torch.zeros(1), 1.0, 2.0)
    with rejects("sign"):
        ib.claims["K-5.3"].check(torch.zeros(3), 1.0, 2.0, sign=2)
    with rejects("C1", "at most C2"):
        lemma_5_3.extremes(0.0, 2.0, 1.0, 5)
    with rejects("choose"):
        lemma_5_3.climb(0.0, 1.0, 2.0, 5, lambda t, x: 2.0)
    with rejects("t", "increasing"):
        ib.claims["K-H.4"].check(1.0, 2.0, torch.tensor([2.0, 1.0]))
    with rejects("a"):
        ib.claims["K-H.4"].check(-1.0, 2.0, torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("at", [1, 3, 5])
def test_log_lemma_names_the_worst_place_of_the_worst_sequence(at):
    x = torch.stack([lemma_5_3.climb(0.5, 0.3, 0.5, 5, lambda t, x: 0.5)] * 3, -1)
    low, high = lemma_5_3.log_bounds(0.5, 0.3, 0.5, torch.arange(6, dtype=f64))
    x[at, 1] = high[at] - 1e-3
    verdict = ib.claims["K-5.3"].check(x, 0.3, 0.5)
    assert verdict.worst == f"t = {at}" and f"t = {at}," in verdict.why
    assert verdict.slack == pytest.approx(math.exp(1e-3), abs=1e-6)
    x[at, 1] = low[at] - 0.5
    assert ib.claims["K-5.3"].check(x, 0.3, 0.5).slack == pytest.approx(
        math.exp(-0.5), abs=1e-6
    )
    assert ib.claims["K-5.3"].check(x, 0.3, 0.5).worst == f"t = {at}"


def test_log_lemma_at_the_start_only_with_the_printed_sign():
    x = lemma_5_3.climb(2.0, 0.3, 0.5, 5, lambda t, x: 0.5)
    verdict = ib.claims["K-5.3"].check(x, 0.3, 0.5, sign=-1)
    assert verdict.worst == "t = 0" and verdict.slack == pytest.approx(
        math.exp(-4), rel=1e-6
    )
    assert ib.claims["K-5.3"].check(x, 0.3, 0.5).worst != "t = 0"


def test_log_lemma_reports_the_constants_of_the_end():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.9], [1.3, 1.1]], dtype=f64)
    seen = ib.claims["K-5.3"].check(x, 0.1, 3.0).constants
    assert seen == pytest.approx(
        {"C_low": math.exp(1.1) / 2, "C_high": math.exp(1.3) / 2}
    )


def test_log_lemma_and_ratio_name_what_is_wrong(rejects):
    check = ib.claims["K-5.3"].check
    x = torch.rand(5, 3, dtype=f64)
    for wrong in (
        torch.zeros(0),
        torch.zeros(3, 0),
        [1.0, math.nan],
        "ab",
        torch.tensor(1.0),
    ):
        with rejects("x"):
            check(wrong, 1.0, 2.0)
    for name, pair in (
        ("C1", (0.0, 1.0)),
        ("C2", (1.0, -1.0)),
        ("C1", (2.0, 1.0)),
        ("C1", ([1.0, 2], 3.0)),
    ):
        with rejects(name):
            check(x, *pair)
    with rejects("C2"):
        check(x, 1.0, torch.zeros(0))
    assert check(x, torch.tensor([0.1, 0.2, 0.3]), 9.0).verdict == "vacuous"
    ratio = ib.claims["K-H.4"].check
    t = torch.tensor([1.0, 2.0])
    for name, rates in (
        ("a", (0.0, 1.0)),
        ("b", (1.0, math.nan)),
        ("a", (torch.zeros(0), 1.0)),
    ):
        with rejects(name):
            ratio(*rates, t)
    with rejects("b", "shape"):
        ratio(torch.ones(2), torch.ones(3), t)
    for wrong in (
        torch.tensor([1.0]),
        torch.ones(2, 2),
        torch.tensor([1.0, 1.0]),
        torch.tensor([0.0, 1.0]),
        math.nan,
    ):
        with rejects("t"):
            ratio(1.0, 2.0, wrong)
