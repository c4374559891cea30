"""Theorem 3.2 of Frei et al. item by item, and KKT points in general: what each claim
rests on.
"""

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum
from implicit_bias.theorems.frei2023.at_point import AtPoint
from implicit_bias.theorems.frei2023.theorem_3_2_boundary import linear_boundary
from implicit_bias.theorems.frei2023.theorem_3_2_items import (
    convex_optimum,
    margin_factor,
    multipliers,
    support_vectors,
    two_rows,
)
from implicit_bias.theorems.frei2023.theorem_3_2_optimum import global_optimum
from implicit_bias.theorems.setting import neurons

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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("finding", [multipliers, support_vectors, two_rows])
def test_a_batch_of_data_sets_is_judged_by_its_worst_member(finding, order):
    lengths = ([1.0, 1.2, 1.5, 1.1, 1.3], [3.0, 2.2, 2.5, 2.1, 2.3])
    sets = [ib.data.correlated(5, p=0.004, norms=lengths[k]) for k in order]
    nets = [ib.kkt_point(data, 3, 5, 0.4).net for data in sets]
    both = ib.Dataset(
        torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    )
    net = ib.TwoLayer(
        torch.stack([n.weights for n in nets]), nets[0].a, nets[0].activation
    )
    together = finding(AtPoint.of(net, both))
    apart = [finding(AtPoint.of(net, data)) for net, data in zip(nets, sets)]
    if finding is multipliers:
        assert together.slack == pytest.approx(min(each.slack for each in apart))
        for name in ("lambda low", "lambda high"):
            worst = min(each.constants[name] for each in apart)
            assert together.constants[name] == pytest.approx(worst)
    assert together.true is True and together.constants["error"] < 1e-12


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


@pytest.mark.parametrize("name, power", [("weights", 1), ("a", -1), ("x", -1)])
def test_multipliers_of_a_network_that_fits_not_all_samples_are_those_of_its_weights(
    name, power
):
    """``W ≈ Σ λ_i y_i ∇f_i``: they grow with W, and fall as a or the samples grow."""
    data = ib.data.gaussian(4, 6, seed=0, space="full")
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1.0, seed=1)
    assert float(ib.measures.margins(net, data).min()) < 0
    lam = ib.kkt_residual(net, data).lam
    weights = net.weights
    a = net.a
    x = data.x
    weights, a, x = (
        64 * part if key == name else part
        for key, part in (("weights", weights), ("a", a), ("x", x))
    )
    moved = ib.kkt_residual(
        ib.TwoLayer(weights, a, net.activation), ib.Dataset(x, data.y)
    ).lam
    assert float(lam.max()) > 0
    torch.testing.assert_close(moved, 64.0**power * lam)


@pytest.mark.parametrize("id", [f"F-3.2.{item}" for item in range(1, 8)] + ["S-1"])
def test_members_of_a_batch_may_have_their_neurons_in_another_order(id):
    data = ib.data.orthogonal(3)
    net = ib.kkt_point(data, 2, 2, 0.5).net
    other = [2, 0, 3, 1]
    weights = torch.stack([net.weights, net.weights[other]])
    both = ib.TwoLayer(weights, torch.stack([net.a, net.a[other]]), net.activation)
    verdict = ib.claims[id].check(both, data)
    assert verdict.verdict == ib.claims[id].check(net, data).verdict == "holds"


def test_members_of_a_batch_have_as_many_neurons_of_each_sign(rejects):
    a = torch.tensor([[0.5, 0.5, -0.5, -0.5], [0.5, -0.5, -0.5, -0.5]])
    with rejects("a", "positive neurons"):
        neurons(ib.TwoLayer(torch.ones(2, 4, 3), a, ib.leaky_relu(0.5)))
