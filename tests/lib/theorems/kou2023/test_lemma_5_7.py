"""Kou et al., Lemma 5.7: from then on coefficients rise by equal increments."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from leaky_constants_cases import trained_long
from patterns_cases import plain, small_data, start, tampered

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_7
from implicit_bias.theorems.kou2023.long_runs import long_run

GAMMA_04 = 0.4


def test_increments_by_an_explicit_loop():
    data = small_data()
    net = start(data, scale=0.1)
    run = ib.gradient_descent(net, data, 1.0, 60, record=range(61))
    joined = long_run(run)
    k = joined.frozen_at()
    before, after = (ib.measures.rho(run.net(t), net, data) for t in (k, 60))
    for i in range(data.n):
        own = [
            float(after[j, i] - before[j, i])
            for j in range(6)
            if float(net.a[j] * data.y[i]) > 0
        ]
        other = [
            float(after[j, i] - before[j, i])
            for j in range(6)
            if float(net.a[j] * data.y[i]) < 0
        ]
        signed = (
            float(data.y[i]) if float(net.a[0] * data.y[i]) > 0 else -float(data.y[i])
        )
        assert max(own) - min(own) < 1e-9 and max(other) - min(other) < 1e-9
        # In the weights both are multiples of y_i j x_i: the own class rises, the other
        # falls by γ times as much.
        assert own[0] * signed > 0
        assert other[0] == pytest.approx(-GAMMA_04 * own[0], rel=1e-9)
    assert lemma_5_7.increment_error(joined, k) < 1e-9
    assert lemma_5_7.increment_error(joined, 0) > 1e-3


def test_one_neuron_out_of_step_breaks_the_increments(pieces):
    def push(net, k):
        weights = net.weights.clone()
        weights[0] *= 1 + 1e-3 * min(k, 100) / 100
        return replace(net, weights=weights)

    verdict = plain("K-5.7")(tampered(pieces[0], push))
    assert (
        verdict.conclusion == "fails" and verdict.verdict == "undecided"
    )  # records are far apart
    early = ib.gradient_descent(
        pieces[0].initial, pieces[0].data, 2.0, 60, record=range(61)
    )
    assert plain("K-5.7")(tampered(early, push)).verdict == "fails"
    with pytest.raises(ValueError, match="not what it says|others at record"):
        ib.claims["K-5.7"].check(tampered(early, push))


def test_disagreement_of_increments_is_relative_to_the_own_class():
    run = trained_long(steps=40)
    run = ib.gradient_descent(run.initial, run.data, 1.0, 40, record=range(41))
    joined = long_run(run)
    k = joined.frozen_at()

    def push(weights, t):
        weights = weights.clone()
        weights[0] += 0.01 * (t > k) * run.data.x[0] / run.data.norms[0] ** 2
        return weights

    nets = replace(
        joined.nets,
        weights=torch.stack([push(w, t) for t, w in enumerate(joined.nets.weights)]),
    )
    grown = np.abs(np.asarray(ib.measures.rho(nets, run.initial, run.data)))
    grown = (grown - grown[k])[k + 1 :, :, 0]
    own = [j for j in range(8) if float(run.initial.a[j] * run.data.y[0]) > 0]
    other = [j for j in range(8) if j not in own]
    worst = 0.0
    for row in grown:
        centre = row[own].mean()
        off = [abs(row[j] - centre) for j in own] + [
            abs(row[j] / 0.4 - centre) for j in other
        ]
        worst = max(worst, max(off) / centre)
    assert lemma_5_7.increment_error(replace(joined, nets=nets), k) == pytest.approx(
        worst, rel=1e-6
    )
