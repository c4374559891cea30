"""Theorem 3.2 of Frei et al. item by item, and KKT points in general: what each claim rests on."""

import pytest
import torch

import implicit_bias as ib
from implicit_bias.claims import instances, optimum
from implicit_bias.claims.at_point import AtPoint
from implicit_bias.claims.kkt_items import (
    convex_optimum,
    global_optimum,
    linear_boundary,
    margin_factor,
    multipliers,
    support_vectors,
    two_rows,
)

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
    both = ib.Dataset(torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets]))
    net = ib.TwoLayer(torch.stack([n.weights for n in nets]), nets[0].a, nets[0].activation)
    together = finding(AtPoint.of(net, both))
    apart = [finding(AtPoint.of(net, data)) for net, data in zip(nets, sets)]
    if finding is multipliers:
        assert together.slack == pytest.approx(min(each.slack for each in apart))
        for name in ("lambda low", "lambda high"):
            worst = min(each.constants[name] for each in apart)
            assert together.constants[name] == pytest.approx(worst)
    assert together.true is True and together.constants["error"] < 1e-12


def test_the_room_of_a_batch_of_data_sets_is_that_of_its_members():
    sets = [ib.data.correlated(5, p=0.1, norms=[1, 2, 1, 1, size]) for size in (1, 2, 3)]
    sets[1] = ib.Dataset(sets[1].x, sets[1].y.flip(0))
    both = ib.Dataset(torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets]))
    lam = torch.rand(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    members = torch.stack([optimum.room(data, row, 0.4) for data, row in zip(sets, lam)])
    torch.testing.assert_close(optimum.room(both, lam, 0.4), members)
