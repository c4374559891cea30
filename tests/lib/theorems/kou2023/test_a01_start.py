"""Kou et al., Lemma A.1: what a Gaussian start is like with high probability."""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch
from decomposition_cases import uneven

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import a01_start, h03_matrix_norm

LEAKY_03 = ib.leaky_relu(0.3)


LEAKY_04 = ib.leaky_relu(0.4)


@pytest.mark.parametrize("m", [1, 3, 10, 49, 50, 265])
def test_chance_of_a_lopsided_draw_is_a_binomial_sum(m):
    outside = sum(
        math.comb(m, k) for k in range(m + 1) if 10 * k < 4 * m or 10 * k > 6 * m
    )
    assert a01_start.chance_outside(m) == pytest.approx(outside / 2**m, rel=1e-9)
    assert a01_start.chance_outside(m) <= a01_start.hoeffding(m)


def test_least_width_is_the_last_failure_plus_one():
    least = a01_start.least_width(10, 0.1)
    assert 10 * a01_start.chance_outside(least - 1) > 0.1
    assert all(10 * a01_start.chance_outside(m) <= 0.1 for m in range(least, 400))


@pytest.mark.parametrize("d", [1, 5, 20, 100, 500])
def test_chernoff_rate_bounds_both_tails_of_chi_square(d):
    assert scipy.stats.chi2.sf(1.5 * d, d) <= math.exp(-a01_start.RATE * d)
    assert scipy.stats.chi2.cdf(0.5 * d, d) <= math.exp(-a01_start.RATE * d)


def test_slacks_of_a_start_are_loops():
    data = ib.data.gaussian(3, 40, seed=1)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.3, "1/m", seed=2)
    norms, products = a01_start.start_slacks(net, data, 0.3, 0.2)
    sizes = [float(w @ w) / (0.09 * 40) for w in net.weights]
    assert float(norms) == pytest.approx(min(2 * min(sizes), 1.5 / max(sizes)))
    largest = max(abs(float(w @ x)) for w in net.weights for x in data.x)
    root = math.sqrt(2 * math.log(8 * 2 * 3 / 0.2))
    assert float(products) == pytest.approx(root * 0.3 * float(data.R_max) / largest)


def test_a_frozen_part_counts_in_the_norms():
    data = ib.data.gaussian(3, 4000, seed=1, space="span")
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.3, "1/m", seed=2)
    assert ib.claims["K-A.1"].check(net, data, 0.3).verdict == "holds"
    bare = ib.TwoLayer(net.weights, net.a, LEAKY_03)
    verdict = ib.claims["K-A.1"].check(bare, data, 0.3)
    assert verdict.verdict == "vacuous" and "law" in verdict.why


@pytest.mark.parametrize("id, arguments", [("K-A.1", (1e-3,)), ("K-A.2", ())])
def test_another_start_is_vacuous(id, arguments):
    data = ib.data.orthogonal(10, d=1000, space="full")
    net = ib.TwoLayer.init(data, 300, 300, ib.relu(), 1e-3, "1/m", seed=5)
    check = ib.claims[id].check
    assert check(net, data, *arguments, delta=0.1).verdict == "holds"
    assert check(net, data, *arguments, delta=0.1, gaussian=False).verdict == "vacuous"
    lifted = ib.TwoLayer(net.weights + data.x.sum(0), net.a, net.activation)
    verdict = check(lifted, data, *arguments, delta=0.1)
    assert verdict.verdict == "vacuous" and "law" in verdict.why
    silent = ib.TwoLayer(torch.zeros_like(net.weights), net.a, net.activation)
    assert check(silent, data, *arguments, delta=0.1).verdict == "vacuous"


def test_bad_input_is_named(rejects):
    data = uneven()
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1, "1/m")
    for delta in (0.0, 1.0, -1):
        with rejects("delta"):
            ib.claims["K-A.1"].check(net, data, 0.1, delta=delta)
        with rejects("delta"):
            ib.claims["K-A.2"].check(net, data, delta=delta)
    with rejects("scale"):
        ib.claims["K-A.1"].check(net, data, 0.0)
    for wrong in (
        torch.zeros(3),
        torch.zeros(0, 3),
        torch.full((2, 2), math.nan),
        [[1.0, math.inf]],
        "ab",
    ):
        with rejects("A"):
            ib.claims["K-H.3"].check(wrong, 1.0)
    several = {"K": 1.0, "constant": [1.0, 2.0]}
    for name, wrong in (
        ("K", {"K": torch.ones(2)}),
        ("constant", several),
        ("K", {"K": math.nan}),
    ):
        with rejects(name):
            ib.claims["K-H.3"].check(torch.eye(2), **wrong)
    with rejects("scale", "one for each draw"):
        ib.claims["K-A.1"].check(net, data, torch.ones(3))
    with rejects("law"):
        h03_matrix_norm.random_matrices("cauchy", 1, 2, 2)
    with rejects("law"):
        h03_matrix_norm.subgaussian_norm("cauchy")


@pytest.mark.parametrize(
    "which, factor", [("norms", 0.69), ("norms", 1.24), ("products", 1.0)]
)
def test_shares_of_broken_parts(which, factor):
    data = ib.data.orthogonal(4, d=3000, space="full")
    net = ib.TwoLayer.init(data, 3, 3, LEAKY_04, 1.0, "1/m", seed=list(range(5)))
    weights = net.weights.clone()
    if which == "norms":
        weights[1] *= factor  # squares 0.476 and 1.54
    else:
        weights[1, 0] += 10 * data.x[0]
    moved = ib.TwoLayer(weights, net.a, LEAKY_04)
    seen = ib.claims["K-A.1"].check(moved, data, 1.0).constants
    assert seen == {
        "norms": 0.2 * (which == "norms"),
        "products": 0.2 * (which == "products"),
    }
