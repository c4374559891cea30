"""Theorem 3.2 at networks that are nearly KKT points, or none: nothing true is refuted,
and nothing open holds.
"""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import setting, verdict
from implicit_bias.theorems.frei2023 import at_point
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum
from implicit_bias.theorems.frei2023.at_point import (
    COARSEST_JUDGED,
    KKT_TOLERANCE,
    AtPoint,
)

ITEMS = [f"F-3.2.{k}" for k in range(1, 8)]
IDS = [*ITEMS, "F-B.1", "F-B.2", "S-1"]
LEAKY = ib.leaky_relu(0.5)


def leaning(n, p, **options):
    return ib.data.correlated(n, p=p, signs="oppose", **options)


CASES = {
    "two": (ib.data.orthogonal(2), 1, 1, 0.5),
    "one sample": (ib.data.orthogonal(1), 2, 2, 0.3),
    "one class": (ib.Dataset(torch.eye(4).double(), torch.ones(4)), 2, 3, 0.5),
    "six": (ib.data.gaussian(6, 10**6, seed=1), 4, 4, 0.5),
    "thirty": (ib.data.orthogonal(30), 2, 3, 0.5),
    "nearly linear": (leaning(5, 0.01), 3, 4, 0.999),
    "small leak": (leaning(5, 1e-6), 3, 4, 0.05),
    "wide": (ib.data.orthogonal(3), 300, 4, 0.5),
    "uneven": (ib.data.orthogonal(4, norms=[1, 10, 1e2, 1e3]), 2, 2, 0.5),
    "tiny": (ib.data.orthogonal(3, norms=1e-150), 2, 2, 0.5),
    "huge": (ib.data.orthogonal(3, norms=1e150), 2, 2, 0.5),
}


def exact(name):
    data, m_pos, m_neg, gamma = CASES[name]
    return ib.kkt_point(data, m_pos, m_neg, gamma), data


def moved(net, size, seed=0):
    stream = torch.Generator().manual_seed(seed)
    noise = torch.randn(net.weights.shape, generator=stream, dtype=torch.float64)
    return ib.TwoLayer(
        net.weights + size * net.weights.norm() / noise.norm() * noise,
        net.a,
        net.activation,
    )


def reweighted(point, data, size):
    """The network of multipliers of which the first is larger: exactly stationary, and
    not tight.
    """
    lam = point.lam.clone()
    lam[0] *= 1 + size
    s, t = ib.margin.class_slopes(data, point.net.activation.gamma)
    v = ((lam * data.y * s)[:, None] * data.x).sum(0) / point.net.m**0.5
    u = -((lam * data.y * t)[:, None] * data.x).sum(0) / point.net.m**0.5
    rows = torch.cat([v.expand(point.net.m_pos, -1), u.expand(point.net.m_neg, -1)])
    return ib.TwoLayer(rows, point.net.a, point.net.activation)


def verdicts(net, data, ids=IDS):
    """Of the claims that say something: one margin is 1 by scaling, and two rows are at
    most two.
    """
    silent = {"F-3.2.1"} if data.n == 1 else set()
    silent |= {"F-3.2.2", "F-3.2.6"} if net.m == 2 else set()
    return {
        id: ib.claims[id].check(net, data).verdict for id in ids if id not in silent
    }


# -- near a KKT point --------


@pytest.mark.parametrize("name", CASES)
def test_exact_points_hold(name):
    point, data = exact(name)
    assert set(verdicts(point.net, data).values()) == {"holds"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-8, 1e-7, 1e-6, 1e-4, 1e-2])
def test_moved_points_are_never_refuted(name, size):
    point, data = exact(name)
    for net in (moved(point.net, size), reweighted(point, data, size)):
        worst = float(ib.kkt_residual(net, data).worst)
        # Competitors for item 4 take their time: S-1, which asks it too, and item 4
        # have their own tests.
        seen = set(
            verdicts(
                net,
                data,
                [id for id in IDS if size <= 1e-9 or id not in ("F-3.2.4", "S-1")],
            ).values()
        )
        assert "fails" not in seen and "vacuous" not in seen - (
            {"vacuous"} if worst > 0.09 else set()
        )
        assert worst <= 1.001 * KKT_TOLERANCE or seen <= {"undecided", "vacuous"}


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


@pytest.mark.parametrize("name", ["two", "six", "thirty"])
def test_a_better_competitor_refutes_no_point_that_is_only_near(name):
    point, data = exact(name)
    seen = verdicts(moved(point.net, 1e-7), data, ["F-3.2.4", "S-1"])
    assert set(seen.values()) == {"undecided"}


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 6),
    m=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    gamma=st.floats(0.1, 0.95),
    size=st.floats(-13, -1),
    unit=st.floats(-100, 100),
    seed=st.integers(0, 99),
)
def test_any_point_moved_by_anything(n, m, gamma, size, unit, seed):
    data = leaning(n, 0.9 * gamma**3 / (3 * n)) if n > 1 else ib.data.orthogonal(1)
    data = ib.Dataset(10.0**unit * data.x, data.y)
    net = moved(ib.kkt_point(data, *m, gamma).net, 10**size, seed)
    worst = float(ib.kkt_residual(net, data).worst)
    seen = set(verdicts(net, data, ITEMS[:3] + ITEMS[4:] + ["F-B.1", "F-B.2"]).values())
    assert "fails" not in seen
    assert worst <= 1.001 * KKT_TOLERANCE or "holds" not in seen


def test_a_flow_on_its_way_is_undecided():
    data = ib.data.gaussian(6, 10**6, seed=1)
    start = ib.TwoLayer.init(data, 4, 4, LEAKY, 1e-4, seed=0)
    net = ib.measures.clock_velocity(
        ib.gradient_flow(start, data, 15.0, record=[14.0, 15.0])
    )
    assert KKT_TOLERANCE < float(ib.kkt_residual(net, data).worst) < 0.1
    assert set(verdicts(net, data).values()) == {"undecided"}


# -- not a KKT point --------


def no_points():
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5]).double()
    slopes = torch.where(a > 0, 1.0, 0.5)
    one = (a * slopes * data.y[0])[:, None] * data.x[0]
    point = ib.kkt_point(data, 2, 2, 0.5).net
    alone = data.x.clone()
    alone[0] = 0
    yield "zero network", ib.TwoLayer(torch.zeros(4, 4), a, LEAKY), data
    yield "fits one sample", ib.TwoLayer(one, a, LEAKY), data
    yield "wrong way", ib.TwoLayer(-point.weights, a, LEAKY), data
    yield "zero row", point, ib.Dataset(alone, data.y)
    yield "zero data", point, ib.Dataset(0 * alone, data.y)
    yield "one sign", ib.TwoLayer(point.weights, a.abs(), LEAKY), data
    yield "one neuron", ib.TwoLayer(point.weights[:1], [1.0], LEAKY), data
    yield "ReLU", ib.TwoLayer(point.weights, a, ib.relu()), data
    yield "second layer", ib.TwoLayer(point.weights, 2 * a, LEAKY), data
    yield "linear", ib.TwoLayer(point.weights, a, ib.leaky_relu(1.0)), data
    yield "random", ib.TwoLayer.init(data, 2, 2, LEAKY, 1.0, seed=3), data


@pytest.mark.parametrize(
    "name, net, data", list(no_points()), ids=[name for name, _, _ in no_points()]
)
@pytest.mark.parametrize("id", IDS)
def test_what_is_no_instance_is_vacuous(id, name, net, data):
    verdict = ib.claims[id].check(net, data)
    assert verdict.verdict == "vacuous"
    if name in ("one sign", "one neuron", "ReLU", "second layer", "linear"):
        assert verdict.conclusion == "undecided"


def test_a_margin_of_zero_is_named():
    _, net, data = next(no_points())
    broken = {
        h.name
        for h in ib.claims["F-3.2.2"].check(net, data).hypotheses
        if not bool(h.holds.all())
    }
    assert "feasible" in broken


@pytest.mark.parametrize("id", [*IDS, "F-D.2", "F-E.14"])
def test_other_things_are_refused_by_name(id):
    point, data = exact("six")
    for net in (torch.nn.Linear(2, 2), data, None):
        with pytest.raises(TypeError, match="net: expected a TwoLayer"):
            ib.claims[id].check(net, data)
    with pytest.raises(TypeError, match="data: expected a Dataset"):
        ib.claims[id].check(point.net, point.net)
    with pytest.raises(ValueError, match="net: expected weights with"):
        ib.claims[id].check(point.net, ib.data.orthogonal(2))


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


# -- the resolutions --------


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
        ib.TwoLayer(torch.zeros(2, 2), [0.7, -0.7], LEAKY), ib.data.orthogonal(2)
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
