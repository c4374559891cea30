"""Kou et al., Lemma H.4: a ratio of logarithms only rises."""

import math

import torch
from decomposition_cases import SEEDS, drawn
from hypothesis import given

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import h04_log_ratio

f64 = torch.float64


@given(SEEDS)
def test_ratio_of_logarithms_rises_from_a_over_b_to_one(seed):
    U = drawn(seed)
    a = math.exp(U(-8, 8))
    b = a * math.exp(U(1e-3, 6))
    t = torch.logspace(-8, 10, 60, dtype=torch.float64)
    assert ib.claims["K-H.4"].check(a, b, t).verdict == "holds"
    assert ib.claims["K-H.4"].check(b, a, t).conclusion == "fails"
    f = h04_log_ratio.ratio_of_logs(a, b, t)
    assert bool((f > a / b * (1 - 1e-12)).all()) and bool((f < 1).all())


def test_equal_rates_are_vacuous():
    assert (
        ib.claims["K-H.4"].check(1.0, 1.0, torch.tensor([1.0, 2.0])).verdict
        == "vacuous"
    )


def test_a_ratio_that_does_not_move_is_open():
    tiny = torch.tensor([1e-14, 2e-14], dtype=f64)
    assert ib.claims["K-H.4"].check(1.0, 2.0, tiny).verdict == "undecided"
    assert (
        ib.claims["K-H.4"]
        .check(1.0, 2.0, torch.tensor([1e-9, 2e-9], dtype=f64))
        .verdict
        == "holds"
    )
    pair = torch.tensor([1.0, 1.0], dtype=f64)
    near = torch.tensor([2.0, 1.0 + 1e-13], dtype=f64)
    assert (
        ib.claims["K-H.4"].check(pair, near, torch.tensor([1.0, 2.0])).verdict
        == "undecided"
    )
    huge = torch.tensor([1e100, 1e250, 1e308], dtype=f64)
    assert ib.claims["K-H.4"].check(1e90, 1e200, huge).verdict == "holds"
