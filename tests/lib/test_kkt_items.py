"""Each item of Theorem 3.2 against literal formulas, and on both sides of what it is
judged to.
"""

import math
from dataclasses import replace

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import (
    instances,
    lemma_b1_b2,
    theorem_3_2,
    theorem_3_2_boundary,
    theorem_3_2_items,
)
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum
from implicit_bias.theorems.frei2023.at_point import KKT_TOLERANCE, AtPoint
from implicit_bias.theorems.here import s01_no_ratio, s05_formulas

M1 = 3
M2 = 5
GAMMA = 0.4


@pytest.fixture(scope="module")
def data():
    return ib.data.correlated(
        5, p=0.004, signs="random", norms=[1.0, 1.2, 1.5, 1.1, 1.3], seed=1
    )


@pytest.fixture(scope="module")
def point(data):
    return AtPoint.of(ib.kkt_point(data, M1, M2, GAMMA).net, data)


def changed(point, weights=None, lam=None):
    net = point.net if weights is None else replace(point.net, weights=weights)
    residual = point.residual if lam is None else replace(point.residual, lam=lam)
    return AtPoint(net, point.data, residual)


SIDES = pytest.mark.parametrize(
    "factor, true", [(0.99, True), (1.01, False), (-0.99, True), (-1.01, False)]
)


@SIDES
def test_margins_from_both_sides(point, factor, true):
    finding = theorem_3_2_items.support_vectors(
        changed(point, point.net.weights * (1 + factor * point.outputs))
    )
    assert finding.true is true and finding.slack == pytest.approx(
        1 / abs(factor), rel=1e-6
    )


@pytest.mark.parametrize("row", [0, M1 - 1, M1, M1 + M2 - 1])
@pytest.mark.parametrize("factor, true", [(0.99, True), (1.01, False)])
def test_a_row_of_its_own_from_both_sides(point, factor, true, row):
    weights = point.net.weights.clone()
    kind = M1 if row < M1 else M2
    largest = weights.norm(dim=-1).max()
    direction = torch.ones(point.net.d).double() / point.net.d**0.5
    weights[row] += factor * point.rows * kind / (kind - 1) * largest * direction
    finding = theorem_3_2_items.two_rows(changed(point, weights))
    assert finding.true is true and finding.slack == pytest.approx(1 / factor, rel=1e-4)


def test_a_third_direction_is_seen_by_its_singular_value():
    """Rows all the same but for a sign have rank 1; three directions have rank 3,
    whatever their spread.
    """
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer(
        torch.eye(3).double(),
        [1 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5],
        ib.leaky_relu(0.5),
    )
    finding = theorem_3_2_items.two_rows(AtPoint.of(net, data))
    assert finding.constants["error"] == pytest.approx(1.0)


@SIDES
def test_combinations_from_both_sides(point, factor, true):
    finding = theorem_3_2_items.multipliers(
        changed(point, point.net.weights * (1 + factor * point.rows))
    )
    assert finding.true is true and finding.constants["error"] == pytest.approx(
        abs(factor) * point.rows, rel=1e-6
    )
    assert ("off the stated" in finding.why) is not true
    if not true:
        assert finding.slack == pytest.approx(1 / abs(factor), rel=1e-6)


def test_the_interval_of_the_multipliers(point, data):
    finding = theorem_3_2_items.multipliers(point)
    lam = point.lam
    x = point.data.x
    low = min(2 * float(x.norm(dim=-1).max()) ** 2 * float(v) for v in lam)
    high = min(
        3 / (2 * GAMMA**2 * float(x.norm(dim=-1).min()) ** 2 * float(v)) for v in lam
    )
    assert finding.constants["lambda low"] == pytest.approx(low)
    assert finding.constants["lambda high"] == pytest.approx(high)
    assert finding.slack == pytest.approx(min(low, high))


@pytest.mark.parametrize("sample", [0, 4])
@pytest.mark.parametrize("side", ["v", "u"])
@pytest.mark.parametrize("factor, slack", [(-2.0, 0.0), (-0.5, math.nan)])
def test_a_sample_on_the_wrong_side(point, sample, side, factor, slack):
    """Past the line by twice, and by half, what a residual could have moved it."""
    weights = point.net.weights.clone()
    x = point.data.x[sample]
    y = point.data.y[sample]
    blur = KKT_TOLERANCE * point.net.frobenius() * x.norm()
    rows = slice(0, M1) if side == "v" else slice(M1, None)
    goal = factor * blur * (y if side == "v" else -y)
    weights[rows] += (goal - weights[rows] @ x).unsqueeze(-1) * x / x.square().sum()
    seen = theorem_3_2_items._wrong_side(changed(point, weights))
    assert seen.slack == slack or math.isnan(seen.slack) and math.isnan(slack)
    assert seen.worst in (f"sample {sample}", "") and "1 sample(s)" in seen.why


def test_the_right_side_says_nothing(point):
    assert theorem_3_2_items._wrong_side(point) is None


@pytest.mark.parametrize("factor, true", [(0.99, True), (1.01, False)])
def test_the_gap_of_the_convex_problem_from_both_sides(point, factor, true):
    finding = theorem_3_2_items.convex_optimum(
        changed(point, point.net.weights * (1 + factor * optimum.GAP) ** 0.5)
    )
    assert finding.true is true and finding.constants["gap"] == pytest.approx(
        factor * optimum.GAP, rel=1e-6
    )
    assert finding.slack == pytest.approx(1 / factor, rel=1e-6)


@pytest.mark.parametrize("factor, true", [(0.99, True), (1.01, False)])
def test_its_constraints_from_both_sides(point, factor, true):
    """Shrunk by less and more than is judged, with multipliers at which the gap is 0
    all the same.
    """
    short = factor * point.outputs
    share = 1 - (1 - (1 - short) ** 2) ** 0.5
    smaller = changed(point, point.net.weights * (1 - short), point.lam * share)
    finding = theorem_3_2_items.convex_optimum(smaller)
    assert finding.constants["gap"] < optimum.GAP / 10
    assert finding.true is true and finding.slack == pytest.approx(
        smaller.outputs / short, rel=1e-6
    )


@pytest.mark.parametrize("size, true", [(1e-9, True), (1e-6, False)])
def test_a_bent_boundary_is_seen_at_the_boundary(point, size, true):
    weights = point.net.weights.clone()
    weights[0] += size * weights.norm() * torch.ones(5).double()
    finding = theorem_3_2_boundary.linear_boundary(changed(point, weights))
    assert finding.true is true


def test_the_range_of_the_boundary(point):
    numbers = theorem_3_2_boundary.linear_boundary(point).constants
    assert numbers["smallest"] == pytest.approx(GAMMA) and numbers[
        "largest"
    ] == pytest.approx(1.0)
    assert numbers["wrong"] == 0
    wrong = theorem_3_2_boundary.linear_boundary(AtPoint.of(*instances.kkt_bent()))
    assert wrong.slack == 0 and wrong.constants["wrong"] > 100


def test_in_its_row_space_the_function_is_the_same(data):
    wide = ib.TwoLayer.init(
        ib.data.gaussian(3, 50, space="full"), 2, 2, ib.leaky_relu(0.5), 1.0, seed=0
    )
    small = theorem_3_2_boundary._in_its_row_space(wide)
    basis = torch.linalg.qr(wide.weights.mT)[0]
    x = torch.randn(
        20, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert small.d == 4
    torch.testing.assert_close(small(x @ basis), wide(x))


def test_the_predictor_against_its_bound(point):
    finding = theorem_3_2_items.margin_factor(point)
    v = point.net.weights[0]
    u = point.net.weights[-1]
    z = (M1 * v - M2 * u) / 8**0.5
    best = 1 / float(ib.max_margin(point.data).margin)
    assert finding.constants["factor"] == pytest.approx(float(z.norm()) / best)
    assert finding.constants["allowed"] == pytest.approx(2 / (3 / 5 + GAMMA))
    smallest = float((point.data.y * (point.data.x @ z)).min())
    assert finding.constants["smallest margin"] == pytest.approx(smallest)
    assert finding.slack == pytest.approx(
        min(smallest, 2 / (3 / 5 + GAMMA) * best / float(z.norm()))
    )


def test_both_bounds_on_weights_of_samples(point):
    weight = []
    for i in range(5):
        z = point.net.weights @ point.data.x[i]
        weight.append(
            float(point.lam[i]) * sum(1.0 if float(v) > 0 else GAMMA for v in z)
        )
    low = float(point.data.R_min) ** 2
    high = float(point.data.R_max) ** 2
    assert lemma_b1_b2.upper_bound(point).slack == pytest.approx(
        3 * 8 / (2 * GAMMA * low) / max(weight)
    )
    assert lemma_b1_b2.lower_bound(point).slack == pytest.approx(
        min(weight) / (8 / (2 * high))
    )
    assert lemma_b1_b2.upper_bound(point).worst == f"sample {weight.index(max(weight))}"
    assert lemma_b1_b2.lower_bound(point).worst == f"sample {weight.index(min(weight))}"


@pytest.mark.parametrize("bound", [lemma_b1_b2.upper_bound, lemma_b1_b2.lower_bound])
@pytest.mark.parametrize("factor, true", [(0.9, True), (1.1, False)])
def test_weights_beyond_their_bound_by_less_and_more_than_is_judged(
    point, bound, factor, true
):
    slack = bound(point).slack
    share = slack if bound is lemma_b1_b2.upper_bound else 1 / slack
    judged = changed(point, lam=point.lam * share).multipliers
    off = (
        1 + factor * judged if bound is lemma_b1_b2.upper_bound else 1 - factor * judged
    )
    assert bound(changed(point, lam=point.lam * share * off)).true is true


def test_own_weight_of_s1(point):
    slack = float((point.lam * point.data.norms**2).min()) / (1 - GAMMA**2 / 2)
    assert s01_no_ratio._own_weight(point).slack == pytest.approx(slack)


def test_s1_is_the_tightest_and_open_where_one_is_open(point, monkeypatch):
    finding = s01_no_ratio._all_items(point)
    assert finding.slack == pytest.approx(min(finding.constants.values()))
    assert set(finding.constants) == {f"item {k}" for k in range(1, 8)} | {"λ_i‖x_i‖²"}
    open_ = ib.claims["S-1"].check.__wrapped__.__globals__["Finding"](math.nan, "open.")
    monkeypatch.setattr(
        s01_no_ratio,
        "ITEMS",
        (*theorem_3_2.ITEMS[:3], lambda _: open_, *theorem_3_2.ITEMS[4:]),
    )
    assert math.isnan(s01_no_ratio._all_items(point).slack)
    monkeypatch.setattr(
        s01_no_ratio, "ITEMS", (lambda _: replace(open_, slack=0.5), lambda _: open_)
    )
    assert s01_no_ratio._all_items(point).slack == 0.5


# -- the controls, and F-B.8 --------


@pytest.mark.parametrize(
    "id", [*[f"F-3.2.{k}" for k in range(1, 8)], "F-B.1", "F-B.2", "S-1"]
)
def test_the_negative_control_is_a_kkt_point_on_data_that_break_the_condition(id):
    negative = ib.claims[id].negative()
    broken = [h.name for h in negative.hypotheses if not bool(h.holds.all())]
    assert negative.conclusion == "fails" and broken == (
        ["H-S1"] if id == "S-1" else ["H-3.2"]
    )
    assert ib.claims[id].positive().verdict == "holds"


def test_rows_of_the_positive_control_are_those_of_a_run():
    net, data = instances.limit_within()
    spread = (net.weights[: instances.M_POS] - net.weights[0]).norm(dim=-1)
    assert 0 < float(spread.max()) < 1e-6 * float(net.weights[0].norm())
    assert float(ib.kkt_residual(net, data).worst) < KKT_TOLERANCE / 4


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


# -- S-5 --------


@pytest.mark.parametrize(
    "gamma, kappa, expected",
    [(0.5, 1.0, 0.5), (0.5, 0.25, 0.25 / 1.0625), (0.2, 0.5, 0.108 / 1.02)],
)
def test_first_order_break_by_hand(gamma, kappa, expected):
    assert s05_formulas.first_order_break(gamma, kappa) == pytest.approx(expected)


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
