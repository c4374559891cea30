"""Kou et al., Theorem 4.3: for ReLU the stable rank stays bounded, and the loss falls
like a power of t.
"""

import math

import pytest
from killed_relu_cases import descend_narrow

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import theorem_4_3


def test_the_scaled_loss_is_that_of_the_last_record():
    data = ib.data.orthogonal(4, norms=[1, 1, 1, 2])
    run = descend_narrow(data, steps=400, record=[0, 1, 50, 100, 200, 400])
    seen = ib.claims["K-4.3.b"].check(run).constants
    gain = 0.5 / (4 * 6)
    assert seen["h t L"] == pytest.approx(gain * 400 * float(run.log_loss[-1].exp()))
    assert seen["last step"] == 400


def test_an_exponent_that_is_not_positive_promises_no_power():
    data = ib.data.correlated(4, p=0.3, signs="oppose")
    exponent, part = theorem_4_3.loss_exponent(data)
    assert float(part) > 1 and float(exponent) < 0
    verdict = ib.claims["K-4.3.b"].check(
        descend_narrow(data, record=[0, 20, 50, 100, 150, 200])
    )
    assert verdict.constants["rate"] > 0
    assert math.isnan(verdict.slack) and verdict.conclusion == "undecided"
