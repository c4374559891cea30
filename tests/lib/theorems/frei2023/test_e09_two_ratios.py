"""Frei et al., Fact E.9: ratios of pulls and of exponentials tell the same."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e09_two_ratios


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_pull_ratio_lies_between_one_and_the_exponential_ratio(z1, z2):
    log_A, log_ratio = e09_two_ratios.pull_ratio_bounds(
        torch.tensor([z1, z2], dtype=torch.float64)
    )
    A = float(log_A[0, 1])
    ratio = float(log_ratio[0, 1])
    assert A == pytest.approx(z2 - z1)
    assert min(0, A) - 1e-9 <= ratio <= max(0, A) + 1e-9
    if z1 > 0 and z2 > 0:
        assert A <= math.log(2) + ratio + 1e-9


def test_e9_slacks_are_the_suprema():
    near = torch.tensor([1e-9, 40.0], dtype=torch.float64)
    far = torch.tensor([3.0], dtype=torch.float64)
    assert ib.claims["F-E.9"].check(near).constants["second"] == pytest.approx(
        1, abs=1e-8
    )
    assert ib.claims["F-E.9"].check(far).constants["first"] == pytest.approx(2)
    assert ib.claims["F-E.9"].check([-5.0, -1.0]).verdict == "holds"


def test_e9_refuses(rejects):
    with rejects("z", "finite"):
        ib.claims["F-E.9"].check([0.0, math.nan])
    with rejects("z", "at least one"):
        ib.claims["F-E.9"].check([])
