"""Found here: the formulas of S-5, and the data in which each part of items 1 to 3
breaks first.
"""

import math

import pytest
from claims_cases import GRID, solve

from implicit_bias.theorems.here import s05_formulas


@pytest.mark.parametrize("gamma, kappa, n", GRID)
def test_each_part_breaks_on_its_worst_data_exactly_where_predicted(gamma, kappa, n):
    points = s05_formulas.break_points(gamma, kappa, n)
    N = n - 1
    scarce = (kappa + gamma**2) / (1 + kappa)
    lean = "low" if gamma > scarce else "low, one class"
    if points.sign < 1:
        at = s05_formulas.worst_data(n, points.sign / N)
        assert abs(float(s05_formulas.candidate_signs(at, gamma, kappa))) < 1e-9
    if not math.isnan(points.low):
        assert float(
            solve(s05_formulas.worst_data(n, points.low / N, lean), gamma, kappa).min()
        ) == pytest.approx(0.5)
    if not math.isnan(points.zero):
        assert float(
            solve(s05_formulas.worst_data(n, points.zero / N, lean), gamma, kappa).min()
        ) == pytest.approx(0, abs=1e-9)
    if not math.isnan(points.high) and points.high < 1:
        largest = solve(
            s05_formulas.worst_data(n, points.high / N, "high"), gamma, kappa
        ).max()
        assert float(largest) == pytest.approx(1.5 / gamma**2)


def test_safe_zone_of_all_kkt_points_lies_between_hypothesis_and_break():
    for gamma, kappa, n in GRID:
        assert (
            gamma**3 / 3
            < s05_formulas.every_kkt_point(gamma, kappa)
            <= s05_formulas.break_points(gamma, kappa, n).sign * (1 + 1e-12)
        )


def test_break_points_refuse_what_they_do_not_cover():
    with pytest.raises(ValueError, match="kappa"):
        s05_formulas.break_points(0.5, 1.5, 10)


@pytest.mark.parametrize(
    "gamma, kappa, expected",
    [(0.5, 1.0, 0.5), (0.5, 0.25, 0.25 / 1.0625), (0.2, 0.5, 0.108 / 1.02)],
)
def test_first_order_break_by_hand(gamma, kappa, expected):
    assert s05_formulas.first_order_break(gamma, kappa) == pytest.approx(expected)


@pytest.mark.parametrize(
    "c, root",
    [((0.0, 2.0, -1.0), 0.5), ((1e-16, 2.0, -1.0), 0.5), ((1.0, -1.0, 0.16), 0.2)],
)
def test_the_smallest_root_of_a_line_or_a_parabola(c, root):
    assert s05_formulas._smallest_root(*c, 1.0) == pytest.approx(root)
