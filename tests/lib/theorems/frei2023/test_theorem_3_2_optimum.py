"""Item 4 of Theorem 3.2, decided exactly: Lagrange duality for Problem (1), which is
not convex.
"""

import itertools
import math

import pytest
import torch
from kkt_items_cases import changed
from optimum_cases import at

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import theorem_3_2_items
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum


def random_case(seed, n=5, d=6, gamma=0.4):
    stream = torch.Generator().manual_seed(seed)
    x = (
        torch.randn(n, d, generator=stream, dtype=torch.float64)
        + 2 * torch.eye(n, d).double()
    )
    y = torch.where(torch.rand(n, generator=stream) < 0.5, 1.0, -1.0)
    lam = torch.rand(n, generator=stream, dtype=torch.float64)
    return ib.Dataset(x, y), lam, gamma


def literal_room(data, lam, gamma):
    """Every pattern of slopes of the own class, one at a time."""
    out = []
    for i in range(data.n):
        mates = [k for k in range(data.n) if data.y[k] == data.y[i] and k != i]
        least = math.inf
        for choice in itertools.product((gamma, 1.0), repeat=len(mates)):
            slope = dict(zip(mates, choice))
            total = 0.0
            for k in range(data.n):
                pull = float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k]))
                total += float(lam[k]) * slope.get(k, gamma) * pull
            least = min(least, total)
        out.append(least)
    return torch.tensor(out).double()


@pytest.mark.parametrize("seed", range(6))
def test_room_is_the_least_over_all_patterns(seed):
    data, lam, gamma = random_case(seed)
    torch.testing.assert_close(
        optimum.room(data, lam, gamma), literal_room(data, lam, gamma)
    )


@pytest.mark.parametrize("seed", range(4))
def test_dual_value_is_the_formula(seed):
    data, lam, gamma = random_case(seed)
    net = ib.TwoLayer.init(data, 2, 3, ib.leaky_relu(gamma), 1.0, seed=0)
    value = float(lam.sum())
    for slopes, count in zip(ib.margin.class_slopes(data, gamma), (2, 3)):
        row = sum(
            float(lam[i] * data.y[i] * slopes[i]) * data.x[i] for i in range(data.n)
        )
        value -= count / 5 * float(row @ row) / 2
    assert float(optimum.dual_value(net, data, lam)) == pytest.approx(value)


@pytest.mark.parametrize("seed", range(3))
def test_no_direction_passes_the_neuron(seed):
    """``h(u) ≤ ‖v‖`` at random directions and at its own, where room is positive: the
    heart of the bound.
    """
    data = ib.data.correlated(6, p=0.02, signs="random", seed=seed)
    point = ib.kkt_point(data, 3, 2, 0.5)
    assert float(optimum.room(data, point.lam, 0.5).min()) > 0
    stream = torch.Generator().manual_seed(seed)
    u = torch.randn(20_000, data.d, generator=stream, dtype=torch.float64)
    u = torch.cat(
        [
            u,
            point.v + 0.1 * u[:5000] * point.v.norm(),
            point.u + 0.1 * u[:5000] * point.v.norm(),
        ]
    )
    u = u / u.norm(dim=-1, keepdim=True)
    z = u @ data.x.mT
    h = (point.lam * data.y * torch.where(z >= 0, z, 0.5 * z)).sum(-1) / 5**0.5
    assert float(h.max()) <= float(point.v.norm()) and float((-h).max()) <= float(
        point.u.norm()
    )


def test_the_dual_value_is_below_every_feasible_network():
    data = ib.data.gaussian(5, 10**5, seed=2)
    point = ib.kkt_point(data, 2, 2, 0.5)
    nets = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1e-3, seed=[0, 1, 2])
    trained = ib.gradient_descent(nets, data, 1e-4, 2000).final
    smallest = (data.y * trained(data.x)).amin(-1)
    assert bool((smallest > 0).all())
    least = (trained.frobenius() / smallest).square().amin() / 2
    assert float(optimum.dual_value(point.net, data, point.lam)) < float(least)
    rivals = optimum._ascend_margin(at(point.net, data).net, at(point.net, data).data)
    assert float(rivals.min() / at(point.net, data).net.frobenius()) >= 1 - 1e-9


@pytest.mark.parametrize("n", [10, 40, 100])
def test_it_is_proved_at_once_for_many_samples(n):
    data = ib.data.gaussian(n, 10**9, seed=0)
    finding = optimum.global_optimum(at(ib.kkt_point(data, 4, 4, 0.5).net, data))
    assert (
        finding.true
        and "by duality" in finding.why
        and "rival" not in finding.constants
    )


def test_the_convex_solution_is_a_rival_where_it_fits():
    data = ib.data.orthogonal(3)
    point = ib.kkt_point(data, 2, 3, 0.5)
    random = ib.TwoLayer.init(data, 2, 3, ib.leaky_relu(0.5), 1.0, seed=0)
    assert float(optimum._convex_rival(random, data)) == pytest.approx(
        float(point.net.frobenius())
    )
    clash = ib.Dataset(torch.eye(2).double()[[0, 0]], [1, -1])
    assert float(optimum._convex_rival(random, clash)) == math.inf
    assert (
        float(
            optimum._convex_rival(
                ib.TwoLayer(random.weights, random.a, ib.relu()), data
            )
        )
        == math.inf
    )


def test_a_batch_is_judged_by_its_worst_member():
    data = ib.data.orthogonal(3)
    point = ib.kkt_point(data, 2, 2, 0.5).net
    for order in ((0, 1), (1, 0)):
        both = torch.stack([point.weights, point.weights + 0.01])[list(order)]
        finding = optimum.global_optimum(
            at(ib.TwoLayer(both, point.a, point.activation), data)
        )
        assert math.isnan(finding.slack) and "one network at a time" in finding.why
    same = ib.TwoLayer(
        torch.stack([point.weights, 2 * point.weights]), point.a, point.activation
    )
    assert optimum.global_optimum(at(same, data)).true


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


def test_the_room_of_a_batch_of_data_sets_is_that_of_its_members():
    sets = [
        ib.data.correlated(5, p=0.1, norms=[1, 2, 1, 1, size]) for size in (1, 2, 3)
    ]
    sets[1] = ib.Dataset(sets[1].x, sets[1].y.flip(0))
    both = ib.Dataset(
        torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    )
    lam = torch.rand(
        3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    members = torch.stack(
        [optimum.room(data, row, 0.4) for data, row in zip(sets, lam)]
    )
    torch.testing.assert_close(optimum.room(both, lam, 0.4), members)
