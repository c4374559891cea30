"""One clock a sample: what decides every ratio of coefficients (S-8)."""

import math

import pytest
import torch
from leaky_constants_cases import trained_long

from implicit_bias.theorems.kou2023 import sample_clocks


def test_constants_of_s8_by_hand():
    run = trained_long(p=0.02, norms=[1, 1, 1, 1.5], scale=0.01, step_size=2.0)
    beta = max(abs(float(w @ x)) for w in run.initial.weights for x in run.data.x)
    h = 2.0 * 2.25 / 16
    g = 0.4
    E = 2 * beta / g + (1 - g) * h
    D = max(3, 2.25 * math.exp(2 * E))
    delta = 3 * 0.02 * D
    k = 1 + g * g
    cut = 2 * min(delta, g / 2)
    ours = sample_clocks.clocks_of(run)
    assert [float(v) for v in (ours.E, ours.D, ours.delta)] == pytest.approx(
        [E, D, delta]
    )
    assert [float(v) for v in (ours.slow, ours.fast)] == pytest.approx(
        [k - cut, k + cut]
    )
    balance_ = min((k - cut) / (k + cut), math.exp(-2 * E) / 2.25)
    assert float(ours.floor) == pytest.approx(g * balance_)
    slack = {
        h_.name: float(h_.slack)
        for h_ in ours.hypotheses
        if h_.name in ("lean", "step")
    }
    assert slack == pytest.approx({"lean": g / (2 * delta), "step": 1 / h})
    t = run.step[1:].double()
    early = (1 - g) * 2 * beta / g
    least = 2.0 / 16
    ahead = g * least * t * math.exp(E) / 2 + early + (1 - g) * least
    behind = (
        ((k + cut) * h * math.exp(-E) * t / 2).log1p() / (k + cut) - early - (1 - g) * h
    )
    top = torch.where(behind > 0, ahead / behind, math.inf).min()
    assert float(sample_clocks.ceiling(run, ours, run.step[1:])) == pytest.approx(
        float(top)
    )
