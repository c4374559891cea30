"""Kou et al., Lemma 5.2: how the coefficients of the decomposition move."""

import itertools
import math
from dataclasses import replace

import literal
import numpy as np
import pytest
import torch
from decomposition_cases import plain, trained, uneven
from leaky_constants_cases import trained_long

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import coefficient_sums

LEAKY_03 = ib.leaky_relu(0.3)


@pytest.mark.parametrize(
    "activation",
    [LEAKY_03, ib.relu(), ib.leaky_relu(1.0)],
    ids=["leaky", "relu", "linear"],
)
def test_rho_of_autograd_in_the_full_space_obeys_the_update_rule(activation):
    data = ib.data.gaussian(4, 30, seed=2)
    net = ib.TwoLayer.init(data, 2, 2, activation, 0.1, "1/m", seed=3)
    path = literal.autograd_descent(
        net.weights,
        net.a,
        activation.name,
        activation.gamma,
        data.x,
        data.y,
        0.2,
        steps=12,
    )
    x = data.x.numpy()
    n = 4
    m = 2
    units = x / np.sum(x**2, axis=1, keepdims=True)
    rho = [
        np.linalg.lstsq(units.T, (W - net.weights).numpy().T, rcond=None)[0].T
        for W in path
    ]
    run = ib.gradient_descent(net, data, 0.2, 12, record=range(13))
    assert np.allclose(ib.measures.rho_along(run).numpy(), rho, atol=1e-12)
    for t in range(12):
        W = path[t].numpy()
        for j, i in itertools.product(range(2 * m), range(n)):
            z = [[float(W[r] @ x[k]) for k in range(n)] for r in range(2 * m)]
            f = sum(
                float(net.a[r])
                * literal.phi(z[r][i], activation.name, activation.gamma)
                for r in range(2 * m)
            )
            g = 1 / (1 + math.exp(float(data.y[i]) * f))
            slope = 1.0 if z[j][i] >= 0 else activation.gamma
            sign = (1 if net.a[j] > 0 else -1) * float(data.y[i])
            step = sign * 0.2 / (n * m) * g * slope * float(x[i] @ x[i])
            assert rho[t + 1][j, i] - rho[t][j, i] == pytest.approx(step, abs=1e-12)
            assert float(coefficient_sums.increments(run)[t, j, i]) == pytest.approx(
                step, abs=1e-12
            )
    assert ib.claims["K-5.2"].check(run).verdict == "holds"


@pytest.mark.parametrize(
    "factor, verdict", [(1.0, "holds"), (1.001, "fails"), (1 + 1e-6, "undecided")]
)
def test_update_rule_notices_another_step_size(factor, verdict):
    run = trained()
    assert plain("K-5.2")(replace(run, step_size=factor * 1.5)).verdict == verdict


def test_update_rule_notices_minibatches_and_a_wrong_start():
    data = uneven(6)
    net = ib.TwoLayer.init(data, 3, 3, LEAKY_03, 0.02, "1/m")
    assert (
        plain("K-5.2")(ib.sgd(net, data, 1.0, 20, 2, record=range(21))).verdict
        == "fails"
    )
    run = trained()
    elsewhere = replace(
        run, initial=ib.TwoLayer.init(run.data, 3, 3, LEAKY_03, 0.02, "1/m", seed=9)
    )
    assert plain("K-5.2")(elsewhere).verdict == "fails"


def test_update_rule_looks_at_its_start():
    run = trained(record=[0, 1, 2])
    late = replace(run, step=run.step + 1)  # says that ρ is 0 nowhere
    assert plain("K-5.2")(late).verdict == "holds"
    moved = replace(
        run, initial=run.net(1), _states=run._states[1:], step=run.step[:2], _end=None
    )
    moved = replace(moved, margins=run.margins[1:], log_loss=run.log_loss[1:])
    assert plain("K-5.2")(moved).verdict == "holds"
    assert plain("K-5.2")(replace(moved, initial=run.initial)).verdict == "fails"


def test_update_rule_needs_two_records_one_step_apart():
    verdict = ib.claims["K-5.2"].check(trained(record=[0, 7, 60]))
    assert verdict.verdict == "undecided" and "one step apart" in verdict.why


def test_dependent_samples_have_no_rho():
    data = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1]], [1, 1, -1])
    run = trained(data=data)
    assert ib.claims["K-5.2"].check(run).verdict == "vacuous"
    verdict = ib.claims["K-5.1"].check(run.final, run.initial, data)
    assert verdict.verdict == "vacuous" and verdict.constants["rank"] == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_signs_of_coefficients_are_looked_at(sign):
    run = trained_long(steps=8)
    run = ib.gradient_descent(run.initial, run.data, 1.0, 8, record=range(9))
    check = ib.claims["K-5.2"].check.__wrapped__
    assert check(run).verdict == "holds"
    labels = replace(run, data=ib.Dataset(run.data.x, sign * run.data.y))
    assert check(labels).verdict == ("holds" if sign > 0 else "fails")
