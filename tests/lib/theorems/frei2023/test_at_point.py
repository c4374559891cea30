"""A network taken as a KKT point of Problem (1): at which scale, and how finely its
residual lets it be judged.
"""

import itertools
import math

import pytest
import torch
from at_point_cases import (
    CASES,
    IDS,
    ITEMS,
    exact,
    moved,
    no_points,
    reweighted,
    verdicts,
)
from kkt_items_cases import changed
from optimum_cases import at

import implicit_bias as ib
from implicit_bias.theorems import setting, verdict
from implicit_bias.theorems.frei2023 import (
    at_point,
    instances,
    theorem_3_2_boundary,
    theorem_3_2_items,
)
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum
from implicit_bias.theorems.frei2023.at_point import (
    COARSEST_JUDGED,
    KKT_TOLERANCE,
    AtPoint,
)
from implicit_bias.theorems.frei2023.theorem_3_2_boundary import linear_boundary
from implicit_bias.theorems.frei2023.theorem_3_2_items import (
    convex_optimum,
    margin_factor,
    multipliers,
    support_vectors,
    two_rows,
)
from implicit_bias.theorems.frei2023.theorem_3_2_optimum import global_optimum

LEAKY_05 = ib.leaky_relu(0.5)


M1 = 3


GAMMA_04 = 0.4


@pytest.mark.parametrize("factor, true", [(0.9, True), (1.1, False)])
def test_the_gap_from_both_sides(factor, true):
    data = ib.data.orthogonal(3)
    point = ib.kkt_point(data, 2, 2, 0.5)
    near = at(point.net, data)
    # The norm is too large by that much, and the multipliers stay.
    stretched = AtPoint(
        near.net.scaled((1 + factor * optimum.GAP) ** 0.5), near.data, near.residual
    )
    finding = optimum.global_optimum(stretched)
    assert finding.true is true
    assert finding.constants["gap"] == pytest.approx(factor * optimum.GAP, rel=1e-6)
    if true:
        assert finding.slack == pytest.approx(1 / factor, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_exact_points_hold(name):
    point, data = exact(name)
    assert set(verdicts(point.net, data).values()) == {"holds"}


@pytest.mark.parametrize(
    "size, expected", [(1e-10, "holds"), (1e-6, "undecided"), (1e-4, "undecided")]
)
@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ("uneven", "one sample")]
)
def test_the_verdict_is_the_same_at_every_size(name, size, expected):
    point, data = exact(name)
    assert set(
        verdicts(moved(point.net, size), data, ITEMS[:3] + ITEMS[4:]).values()
    ) == {expected}


def test_a_flow_on_its_way_is_undecided():
    data = ib.data.gaussian(6, 10**6, seed=1)
    start = ib.TwoLayer.init(data, 4, 4, LEAKY_05, 1e-4, seed=0)
    net = ib.measures.clock_velocity(
        ib.gradient_flow(start, data, 15.0, record=[14.0, 15.0])
    )
    assert KKT_TOLERANCE < float(ib.kkt_residual(net, data).worst) < 0.1
    assert set(verdicts(net, data).values()) == {"undecided"}


@pytest.mark.parametrize(
    "name, net, data", list(no_points()), ids=[name for name, _, _ in no_points()]
)
@pytest.mark.parametrize("id", IDS)
def test_what_is_no_instance_is_vacuous(id, name, net, data):
    verdict = ib.claims[id].check(net, data)
    assert verdict.verdict == "vacuous"
    if name in ("one sign", "one neuron", "ReLU", "second layer", "linear"):
        assert verdict.conclusion == "undecided"


def test_trained_tensors_and_every_scale_are_taken():
    point, data = exact("six")
    for net in (
        ib.TwoLayer(
            point.weights.clone().requires_grad_(), point.net.a, point.net.activation
        ),
        point.net.scaled(1e160),
        point.net.scaled(1e-163),
    ):
        assert set(verdicts(net, data).values()) == {"holds"}


@pytest.mark.parametrize(
    "factor, fits",
    [(-1.0, False), (0.0, False), (0.99, False), (1.01, True), (1e12, True)],
)
def test_a_margin_counts_from_what_rounding_leaves(factor, fits):
    data = ib.data.orthogonal(2)
    a = torch.tensor([0.5, -0.5]).double()
    weights = torch.diag(
        torch.tensor([1.0, factor * at_point.FITTED * 2**0.5])
    ).double()
    net = ib.TwoLayer(weights, 2**0.5 * a, ib.leaky_relu(0.5))
    residual = with_residual(AtPoint.of(net, data), 0.0).residual
    feasible = AtPoint(net, data, residual).hypotheses()[2]
    assert feasible.name == "feasible" and bool(feasible.holds) is fits


def test_each_resolution_by_hand():
    point, data = exact("six")
    at = AtPoint.of(point.net, data)
    load = float(data.R_max**2 * point.lam.sum())
    assert at.load == pytest.approx(load)
    assert at.rows == pytest.approx(2 * 8**0.5 * KKT_TOLERANCE)
    assert at.outputs == pytest.approx(2 * load * KKT_TOLERANCE)
    assert at.multipliers == pytest.approx(10 * load / 0.25 * KKT_TOLERANCE)
    assert (KKT_TOLERANCE, at_point.NEARLY_KKT, COARSEST_JUDGED, at_point.FITTED) == (
        1e-8,
        0.1,
        1e-2,
        1e-12,
    )
    assert optimum.GAP == 4e-8


def test_the_load_is_at_least_one_and_resolutions_have_a_ceiling():
    zero = AtPoint.of(
        ib.TwoLayer(torch.zeros(2, 2), [0.7, -0.7], LEAKY_05), ib.data.orthogonal(2)
    )
    assert zero.load == 1.0
    data = ib.data.orthogonal(2, norms=[1, 1e6])
    steep = AtPoint.of(ib.kkt_point(data, 1, 1, 0.5).net, data)
    assert steep.outputs == steep.multipliers == COARSEST_JUDGED


def with_residual(at, worst):
    zero = torch.zeros(()).double()
    residual = ib.residual.KKTResidual(
        torch.tensor(worst).double(), zero, zero, zero, at.lam, zero + 1
    )
    return AtPoint(at.net, at.data, residual)


@pytest.mark.parametrize(
    "worst, said",
    [
        (0.999e-8, ""),
        (1.001e-8, "only near"),
        (math.nan, "only near"),
        (0.0999, "only near"),
    ],
)
def test_the_tolerance_from_both_sides(worst, said):
    point, data = exact("six")
    at = with_residual(AtPoint.of(point.net, data), worst)
    assert (at.unsettled() == "") is (said == "") and said in at.unsettled()


@pytest.mark.parametrize(
    "worst, holds", [(0.0999, True), (0.1001, False), (math.nan, False)]
)
def test_nearly_from_both_sides(worst, holds):
    point, data = exact("six")
    near = with_residual(AtPoint.of(point.net, data), worst).hypotheses()[-1]
    assert near.name == "KKT" and bool(near.holds) is holds


@pytest.mark.parametrize("factor, open_", [(0.99, False), (1.01, True)])
def test_a_residual_that_leaves_numbers_open(factor, open_):
    data = ib.data.orthogonal(2, norms=[1, 1e6])
    at = AtPoint.of(ib.kkt_point(data, 1, 1, 0.5).net, data)
    coarse = 10 * at.load / 0.25
    assert (
        "leaves these numbers open"
        in with_residual(at, factor * COARSEST_JUDGED / coarse).unsettled()
    ) is open_


@pytest.mark.parametrize("name", ["six", "thirty", "small leak", "uneven"])
def test_bounds_cover_what_a_residual_does(name):
    """Rows, margins and multipliers of moved points against the bounds at the residual
    they have.
    """
    point, data = exact(name)
    for seed, size in itertools.product(range(4), (1e-9, 1e-7, 1e-5)):
        for net in (
            moved(point.net, size, seed),
            reweighted(point, data, size * (1 + seed)),
        ):
            at = AtPoint.of(net, data)
            r = float(at.residual.worst)
            if r * at.load > 0.1:
                continue
            rows = max(
                float(
                    (
                        (part - part.mean(0)).norm(dim=-1)
                        / at.net.weights.norm(dim=-1).max()
                    ).max()
                )
                for part in setting.neurons(at.net)
            )
            true = point.lam * data.norms**2
            assert rows <= 2 * net.m**0.5 * r + 1e-14
            assert float((at.margins - 1).max()) <= 2 * at.load * r + 1e-12
            lam = at.lam * at.data.norms**2
            assert (
                float((lam / true - 1).abs().max())
                <= 10 * at.load / point.net.activation.gamma**2 * r + 1e-12
            )


@pytest.mark.parametrize(
    "slack, expected", [(1.2, 1.2), (1.0, 1.0), (0.9991, 1.0), (0.9989, 0.9989)]
)
def test_to_resolution(slack, expected):
    assert verdict.to_resolution(slack, 1e-3) == expected
    assert math.isnan(verdict.to_resolution(math.nan, 1e-3))


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


def test_the_range_of_the_boundary(point):
    numbers = theorem_3_2_boundary.linear_boundary(point).constants
    assert numbers["smallest"] == pytest.approx(GAMMA_04) and numbers[
        "largest"
    ] == pytest.approx(1.0)
    assert numbers["wrong"] == 0
    wrong = theorem_3_2_boundary.linear_boundary(AtPoint.of(*instances.kkt_bent()))
    assert wrong.slack == 0 and wrong.constants["wrong"] > 100


def test_rows_of_the_positive_control_are_those_of_a_run():
    net, data = instances.limit_within()
    spread = (net.weights[: instances.M_POS] - net.weights[0]).norm(dim=-1)
    assert 0 < float(spread.max()) < 1e-6 * float(net.weights[0].norm())
    assert float(ib.kkt_residual(net, data).worst) < KKT_TOLERANCE / 4


ORDER = (
    support_vectors,
    two_rows,
    multipliers,
    global_optimum,
    convex_optimum,
    linear_boundary,
    margin_factor,
)


@pytest.mark.parametrize("item", range(1, 8))
def test_each_claim_of_theorem_3_2_is_its_own_item(item):
    net, data = instances.kkt_within()
    finding = ORDER[item - 1](AtPoint.of(net, data))
    verdict = ib.claims[f"F-3.2.{item}"].check(net, data)
    assert verdict.constants == finding.constants and verdict.slack == finding.slack
