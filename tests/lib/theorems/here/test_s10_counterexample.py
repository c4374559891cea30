"""Found here: S-10, Proposition E.10 of Frei et al. is false as printed."""

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import gradients
from implicit_bias.theorems.frei2023.smooth_instances import (
    counterexample,
    with_margins,
)


def test_counterexample_by_autograd():
    net, data, step = counterexample()
    seen = literal.autograd_descent(
        net.weights, net.a, "smoothed_leaky_relu", 0.9995, data.x, data.y, step, 1
    )
    q = [ib.measures.margins(ib.TwoLayer(w, net.a, net.activation), data) for w in seen]
    ratios = [float((each.max() - each.min()).exp()) for each in q]
    assert ratios[0] == pytest.approx(9.98, rel=1e-6) and ratios[1] == pytest.approx(
        348.4, rel=1e-3
    )
    H = (1 - 0.9995) / 4
    c = float(gradients.persistence(net, data).min())
    assert step <= 1 / (5 * H * 2 * (10 / c + 10)) and max(ratios[0], 5 / c + 5) < 10.01
    verdict = ib.claims["S-10"].check(net, data, step)
    assert verdict.verdict == "holds" and verdict.constants["ratio"] == pytest.approx(
        ratios[1]
    )
    assert all(bool(h.holds.all()) for h in verdict.hypotheses)


def test_counterexample_needs_each_of_its_hypotheses():
    net, data, step = counterexample()
    assert ib.claims["S-10"].check(net, data, 41.0).verdict == "vacuous"
    assert ib.claims["S-10"].check(net, data, step, rho=9.9).verdict == "vacuous"
    flipped = ib.Dataset(data.x, -data.y)
    assert "fitted" in ib.claims["S-10"].check(net, flipped, step).why


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.975])
def test_printed_condition_is_enough_for_smaller_leaks(gamma):
    H = (1 - gamma) / 4
    assert 1 / (5 * H * 2 * 20) <= 0.4 * 2 * (1 + 1e-9)
    for gap in torch.linspace(0.1, 2.3, 12).tolist():
        net, data = with_margins([1e-9, gap], gamma)
        K = float(
            gradients.contraction_constant(
                data, float(gradients.persistence(net, data).min())
            )
        )
        verdict = ib.claims["S-10"].check(net, data, 0.999 / (5 * H * 2 * K))
        assert (verdict.verdict, verdict.conclusion) == ("undecided", "fails")
        assert "no counterexample" in verdict.why
