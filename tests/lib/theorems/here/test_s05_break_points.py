"""Found here: S-5, how strongly samples may be correlated before Theorem 3.2 breaks."""

import math

import pytest
import torch
from claims_cases import GRID, solve

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances
from implicit_bias.theorems.here import s05_break_points, s05_formulas


@pytest.mark.parametrize("gamma, kappa, n", [case for case in GRID if case[2] <= 10])
def test_no_random_data_lose_a_sign_before(gamma, kappa, n):
    points = s05_formulas.break_points(gamma, kappa, n)
    p = (
        0.999
        * min(points.sign, points.zero if points.zero == points.zero else 1.0)
        / (n - 1)
    )
    stream = torch.Generator().manual_seed(n)
    assert bool(
        (
            s05_formulas.candidate_signs(
                s05_break_points._random_data(n, p, 500, stream), gamma, kappa
            )
            > 0
        ).all()
    )


@pytest.mark.parametrize("gamma, kappa, n", [case for case in GRID if case[2] <= 10])
def test_no_multiplier_of_random_data_exceeds_the_proved_bound(gamma, kappa, n):
    P = 0.6
    stream = torch.Generator().manual_seed(n)
    data = s05_break_points._random_data(n, P / (n - 1), 500, stream)
    K = ib.margin.kkt_matrix(data, 1.0, kappa, gamma)
    lam = torch.linalg.solve(K, torch.ones(500, n, 1, dtype=torch.float64)).squeeze(-1)
    largest = lam.amax(-1)[(lam >= 0).all(-1)] * data.R_min[(lam >= 0).all(-1)] ** 2
    bound = (1 + kappa) / ((kappa + gamma**2) * (1 - P))
    assert len(largest) and float(largest.max()) <= bound * (1 + 1e-12)
    attained = solve(s05_formulas.worst_data(n, P / (n - 1), "high"), gamma, kappa)
    assert float(attained.min()) == pytest.approx(bound) == float(attained.max())


@pytest.mark.parametrize(
    "arguments, name",
    [
        (("a", 1.0, 3), "gamma"),
        ((1.0, 1.0, 3), "gamma"),
        ((math.nan, 1.0, 3), "gamma"),
        ((0.5, 0.0, 3), "kappa"),
        ((0.5, 1.5, 3), "kappa"),
        ((0.5, 1.0, 1), "n"),
        ((0.5, 1.0, 2.5), "n"),
        ((0.5, 1.0, 3, 0.0), "predicted"),
        ((0.5, 1.0, 3, 0.5), "predicted"),
        ((0.5, 1.0, 3, None, 0), "trials"),
        ((torch.zeros(2), 1.0, 3), "gamma"),
    ],
)
def test_s5_names_what_it_refuses(arguments, name, rejects):
    with rejects(name, "expected"):
        ib.claims["S-5"].check(*arguments)


def test_s5_s6_on_a_network_and_data():
    net, data = instances.kkt_within()
    with pytest.raises(ValueError, match="gamma"):
        ib.claims["S-5"].check(net, data, 3)
    with pytest.raises(TypeError, match="run: expected a Trajectory"):
        ib.claims["S-6"].check(net, data)


@pytest.mark.parametrize(
    "factor, verdict", [(1 - 1e-8, "vacuous"), (1.0, "holds"), (1 + 1e-8, "vacuous")]
)
def test_s5_speaks_of_no_other_number(factor, verdict):
    p = factor * s05_formulas.break_points(0.4, 0.5, 6).sign / 5
    seen = ib.claims["S-5"].check(0.4, 0.5, 6, p, trials=50)
    assert seen.verdict == verdict and seen.conclusion == (
        "holds" if factor == 1 else "fails"
    )


def test_s5_has_another_number_for_a_negative_control():
    """The first-order estimate solves another equation, and the signs break elsewhere."""
    negative = ib.claims["S-5"].negative()
    assert (negative.verdict, negative.conclusion) == ("vacuous", "fails")
    assert [h.name for h in negative.hypotheses if not bool(h.holds)] == ["root"]


@pytest.mark.parametrize("n", [2, 10])
def test_s5_past_a_vanishing_multiplier_is_vacuous(n):
    assert ib.claims["S-5"].check(0.95, 1.0, n, trials=50).verdict == (
        "vacuous" if n == 10 else "holds"
    )
