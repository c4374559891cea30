"""Kou et al., Lemma B.3: class means of the coefficients grow like ``log t``."""

import itertools
import math

import pytest
from decomposition_cases import trained

from implicit_bias.theorems.kou2023 import b03_growth
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.setting import largest_start


def test_growth_bounds_are_the_four_lines():
    run = trained(steps=9, scale=0.01)
    below, above = b03_growth.growth_bounds(run)
    beta = float(largest_start(run.initial, run.data))
    g = 0.3
    for t, i in itertools.product((1, 9), range(5)):
        h = 1.5 * float(run.data.norms[i]) ** 2 / (5 * 3)
        slow = 1.5 * h * math.exp(-(1 + g) * beta) * t
        fast = 0.5 * h * math.exp(2 * beta) * t
        assert float(kou_setting.gains(run)[i]) == pytest.approx(h)
        assert below[t - 1, :, i].tolist() == pytest.approx(
            [math.log1p(g * slow) / 3, g * math.log1p(slow) / 3]
        )
        assert above[t - 1, :, i].tolist() == pytest.approx(
            [2 * math.log1p(fast), 2 / g * math.log1p(g * fast)]
        )
