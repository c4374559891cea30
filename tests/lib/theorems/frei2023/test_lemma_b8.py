"""Frei et al., Lemma B.8: three points on which the linear predictor of the KKT point
is not the max-margin one.
"""

import math

import pytest
import torch

import implicit_bias as ib


def test_b8_holds_for_small_epsilon_and_is_vacuous_past_the_bound():
    check = ib.claims["F-B.8"].check
    assert check(1e-3).verdict == "holds"
    assert check(1 / 73).verdict == "holds"
    assert check(1 / 71).verdict == "vacuous"


@pytest.mark.parametrize("epsilon", [1e-4, 1 / 100, 1 / 72, 0.3])
def test_b8_against_its_closed_forms(epsilon):
    verdict = ib.claims["F-B.8"].check(epsilon)
    lam = torch.tensor([8 / (5 + 4 * epsilon)] * 2 + [8 / 5], dtype=torch.float64)
    data = ib.data.lemma_b8(epsilon)
    # z = (m1 v - m2 u)/√m at m1 = m2: half of Σ λ y (s + t) x, and s + t = 1 + γ.
    z = (lam * data.y * 1.5 / 2) @ data.x
    best = float(torch.linalg.solve(data.gram, data.y) @ data.y) ** 0.5
    numbers = verdict.constants
    assert numbers["⟨z,x_2⟩"] == pytest.approx(6 * (1 + epsilon) / (5 + 4 * epsilon))
    assert numbers["⟨z,x_3⟩"] == pytest.approx(6 / 5)
    lost = float(z.norm()) / float((data.y * (data.x @ z)).min()) / best - 1
    assert numbers["margin lost"] == pytest.approx(lost, rel=1e-6) and lost > 0
    assert verdict.conclusion == "holds" and verdict.verdict == (
        "holds" if epsilon <= 1 / 72 else "vacuous"
    )


@pytest.mark.parametrize(
    "epsilon, verdict, conclusion",
    [(0.0, "vacuous", "fails"), (3e-9, "undecided", "undecided")],
)
def test_b8_where_nothing_differs(epsilon, verdict, conclusion):
    seen = ib.claims["F-B.8"].check(epsilon)
    assert (seen.verdict, seen.conclusion) == (verdict, conclusion)
    assert ib.claims["F-B.8"].check(6e-9).verdict == "holds"


@pytest.mark.parametrize("epsilon", ["a", None, [0.1, 0.2], -0.1, math.nan, 1.0])
def test_b8_names_a_wrong_epsilon(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        ib.claims["F-B.8"].check(epsilon)


def test_b8_is_wrong_for_another_leak(monkeypatch):
    frei_kkt = ib.claims["F-B.8"].check.__wrapped__.__globals__
    monkeypatch.setitem(
        frei_kkt,
        "kkt_point",
        lambda data, m1, m2, gamma: ib.kkt_point(data, m1, m2, 0.51),
    )
    assert ib.claims["F-B.8"].check(1 / 72).conclusion == "fails"
