"""Frei et al., Condition E.5: gradients of the outputs are nearly orthogonal."""

import pytest
from loss_ratio_cases import random_pair
from smooth_constants_cases import leaning, net_on

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients


def test_conditions_decide_on_both_sides():
    net, data = random_pair(0)
    best = float(gradients.orthogonality(net, data).min())
    c = float(gradients.persistence(net, data).min())
    for id, value in (("F-E.5", best), ("F-E.6", c)):
        assert ib.claims[id].check(net, data, value * (1 - 1e-9)).verdict == "holds"
        assert ib.claims[id].check(net, data, value * (1 + 1e-9)).verdict == "fails"


def test_what_e8_asks_of_the_gradients():
    data = leaning()
    net = net_on(data)
    c = float(gradients.persistence(net, data).min())
    verdict = ib.claims["F-E.5"].check(net, data)
    wanted = 25 * 4 / c + 25
    assert verdict.constants["C′ wanted"] == pytest.approx(wanted)
    assert verdict.slack == pytest.approx(
        float(gradients.orthogonality(net, data).min()) / wanted
    )
