"""Kou et al., Lemma H.3: the norm of a random matrix, with a constant."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from leaky_constants_cases import hypothesis

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import h03_matrix_norm
from implicit_bias.theorems.kou2023 import h03_matrix_norm as random_matrix

f64 = torch.float64


@pytest.mark.parametrize("law", h03_matrix_norm.LAWS)
def test_subgaussian_norms(law):
    K = h03_matrix_norm.subgaussian_norm(law)
    draw = h03_matrix_norm.random_matrices(law, 1, 1000, 1000)[0]
    assert float(draw.mean()) == pytest.approx(0, abs=0.01)
    assert float(draw.square().mean()) == pytest.approx(1, abs=0.01)
    if law == "gaussian":
        value = (1 - 2 / K**2) ** -0.5
    elif law == "uniform":
        nodes = np.linspace(-math.sqrt(3), math.sqrt(3), 100_001)
        value = float(scipy.integrate.trapezoid(np.exp(nodes**2 / K**2), nodes)) / (
            2 * math.sqrt(3)
        )
    else:
        value = float(torch.exp(draw**2 / K**2).mean())
    assert value == pytest.approx(2, rel=1e-2 if law == "sparse" else 1e-6)


@pytest.mark.parametrize("law", h03_matrix_norm.LAWS)
def test_moment_generating_function_obeys_the_proofs_variance(law):
    K = h03_matrix_norm.subgaussian_norm(law)
    tau2 = 1 + math.log(2)
    theta = np.linspace(0.05, 6, 60) / K
    exact = {
        "gaussian": np.exp(theta**2 / 2),
        "signs": np.cosh(theta),
        "uniform": np.sinh(theta * math.sqrt(3)) / (theta * math.sqrt(3)),
        "sparse": 0.9 + 0.1 * np.cosh(theta * math.sqrt(10)),
    }[law]
    assert (exact <= np.exp(theta**2 * tau2 * K**2 / 2)).all()


def test_norm_check_is_the_formula_and_small_constants_fail():
    A = h03_matrix_norm.random_matrices("signs", 1, 30, 20)[0]
    K = h03_matrix_norm.subgaussian_norm("signs")
    t = math.sqrt(math.log(2 / 0.05))
    norm = float(np.linalg.norm(A.numpy(), 2))
    verdict = ib.claims["K-H.3"].check(A, K, constant=1.0)
    assert verdict.slack == pytest.approx(
        K * (math.sqrt(30) + math.sqrt(20) + t) / norm
    )
    assert verdict.constants["best"] == pytest.approx(1 / verdict.slack)
    refuted = ib.claims["K-H.3"].check(
        h03_matrix_norm.random_matrices("signs", 4, 30, 20), K, constant=0.5
    )
    assert (refuted.verdict, refuted.conclusion) == (
        "undecided",
        "fails",
    )  # C is open, and 0.5 nobody's
    assert ib.claims["K-H.3"].check(A, K, constant=0.5).verdict == "undecided"
    assert (
        ib.claims["K-H.3"].check(A, K / 3).verdict == "vacuous"
    )  # tails too heavy for that norm


def test_constant_of_the_nets():
    assert random_matrix.NET_CONSTANT == pytest.approx(
        2 * math.sqrt(2 * (1 + math.log(2)) * math.log(9))
    )
    assert random_matrix.NET_CONSTANT == pytest.approx(5.456, abs=1e-3)


def test_tests_on_entries_are_their_formulas():
    A = random_matrix.random_matrices("uniform", 3, 7, 5, seed=4) + 0.01
    verdict = ib.claims["K-H.3"].check(A, 1.3)
    allowed = 1.3 * math.sqrt(2 * (1 + math.log(2)) * math.log(2000) / 105)
    assert float(hypothesis(verdict, "centred").slack) == pytest.approx(
        allowed / abs(float(A.mean()))
    )
    B = A - A.mean()
    blocks = [
        float(
            B[d, 2 * i, 2 * k]
            * B[d, 2 * i + 1, 2 * k]
            * B[d, 2 * i, 2 * k + 1]
            * B[d, 2 * i + 1, 2 * k + 1]
        )
        for d in range(3)
        for i in range(3)
        for k in range(2)
    ]
    size = abs(sum(blocks)) / math.sqrt(sum(b * b for b in blocks))
    assert float(hypothesis(verdict, "independent").slack) == pytest.approx(
        math.sqrt(2 * math.log(2e9)) / size
    )


@pytest.mark.parametrize("extra, fine", [(7, True), (8, False)])
def test_tails_are_counted(extra, fine):
    # A hundred entries: at level 2 one expects 3.7 at most, and 15 are allowed.
    A = torch.full((10, 10), 0.1, dtype=f64)
    A[::2] *= -1
    expected = 200 * math.exp(-4.0)
    allowed = math.floor(expected + 4 * math.sqrt(expected) + 4)
    assert allowed == 15
    A.flatten()[: 8 + extra] = 2.0
    tails = hypothesis(ib.claims["K-H.3"].check(A, 1.0), "tails")
    assert bool(tails.holds) is fine


@pytest.mark.parametrize("size, refused", [(12, False), (40, True)])
def test_dependent_entries_are_told(size, refused):
    u = random_matrix.random_matrices("signs", 1, size, 1, seed=1)[0]
    v = random_matrix.random_matrices("signs", 1, 1, size, seed=2)[0]
    A = u @ v - (u @ v).mean()
    holds = bool(hypothesis(ib.claims["K-H.3"].check(A, 2.0), "independent").holds)
    assert holds is (not refused)


def test_a_zero_matrix_says_nothing():
    assert ib.claims["K-H.3"].check(torch.zeros(3, 3), 1.0).verdict == "vacuous"
    one = torch.zeros(2, 3, 3)
    one[0, 0, 0] = 1e-3
    assert ib.claims["K-H.3"].check(one, 1.0).verdict == "holds"


@pytest.mark.parametrize(
    "draws, delta, place", [(40, 0.05, 7), (10, 0.05, 3), (1, 0.05, 0), (3, 0.9, 2)]
)
def test_best_constant_sets_four_deviations_aside(draws, delta, place):
    ratios = torch.arange(draws, dtype=f64)
    assert random_matrix._best(ratios, delta) == draws - 1 - place
