"""Frei et al., Lemma E.12: the Frobenius norm grows slowly."""

import math

import numpy as np
import pytest
from literal import autograd_descent
from low_rank_cases import small_run
from smooth_constants_cases import leaning, short

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e12_frobenius, e13_spectral

GAMMA_04 = 0.4


def test_both_sides_of_e12_and_e13_by_loops():
    run = small_run(record=range(31))
    net = run.initial
    data = run.data
    gamma = 0.4
    seen = autograd_descent(
        net.weights, net.a, "smoothed_leaky_relu", gamma, data.x, data.y, 0.05, 30
    )
    norms = [float(np.linalg.norm(x)) for x in data.x.numpy()]
    low = min(norms)
    high = max(norms)
    R = max(norms) / min(norms)
    C_R = 10 * R**2 / gamma**2 + 10
    total = 0.0
    left, right = e12_frobenius.frobenius_bound(run)
    inner, spectral = e13_spectral.spectral_bound(run)
    mu = sum(y * x for x, y in zip(data.x.numpy(), data.y.numpy()))
    for t in range(1, 31):
        before = seen[t - 1].numpy()
        for x, y in zip(data.x.numpy(), data.y.tolist()):
            z = before @ x
            f = sum(
                a * (gamma * v + (1 - gamma) * math.log((1 + math.exp(v)) / 2))
                for a, v in zip(net.a.tolist(), z)
            )
            total += 1 / (1 + math.exp(y * f)) / 5
        W = seen[t].numpy()
        assert float(left[t - 1]) == pytest.approx(np.linalg.norm(W))
        start = np.linalg.norm(seen[0].numpy())
        assert float(right[t - 1]) == pytest.approx(
            start + math.sqrt(2 * C_R) * high * 0.05 / math.sqrt(5) * total
        )
        assert float(inner[t - 1]) == pytest.approx(
            0.05 * gamma * low**2 / (4 * math.sqrt(7)) * total
        )
        bound = 0.05 * gamma * low / (4 * math.sqrt(2) * R * math.sqrt(5)) * total
        assert float(spectral[t - 1]) == pytest.approx(bound)
        expected = [
            math.copysign(1, a) * float(w @ mu) for a, w in zip(net.a.tolist(), W)
        ]
        np.testing.assert_allclose(e13_spectral.along_mu(run)[t], expected, rtol=1e-9)


def C_R(data, gamma=GAMMA_04):
    return 10 * float(data.R) ** 2 / gamma**2 + 10


def test_the_best_constant_of_e12():
    run = short(leaning(), steps=5, scale=0.01)
    verdict = ib.claims["F-E.12"].check(run)
    pulls = (1 / (1 + run.margins.exp())).mean(-1).numpy()
    total = np.cumsum(pulls)[:-1]
    grown = run.frobenius[1:].numpy() - float(run.frobenius[0])
    assert verdict.constants["best"] == pytest.approx(
        max(grown * 2 / (2 * 1e-4 * total))
    )
    bound = (
        float(run.frobenius[0]) + math.sqrt(2 * C_R(run.data)) * 2 * 1e-4 / 2 * total
    )
    assert verdict.slack == pytest.approx((bound / run.frobenius[1:].numpy()).min())
