"""Frei et al., Theorem 3.2: what each of its seven items asks of a network at a KKT
point, as a finding.
"""

import pytest
import torch
from kkt_items_cases import changed

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import theorem_3_2_items
from implicit_bias.theorems.frei2023.at_point import AtPoint
from implicit_bias.theorems.frei2023.theorem_3_2_items import (
    multipliers,
    support_vectors,
    two_rows,
)
from implicit_bias.theorems.setting import neurons

M1 = 3


M2 = 5


GAMMA_04 = 0.4


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
        3 / (2 * GAMMA_04**2 * float(x.norm(dim=-1).min()) ** 2 * float(v)) for v in lam
    )
    assert finding.constants["lambda low"] == pytest.approx(low)
    assert finding.constants["lambda high"] == pytest.approx(high)
    assert finding.slack == pytest.approx(min(low, high))


def test_the_right_side_says_nothing(point):
    assert theorem_3_2_items._wrong_side(point) is None


def test_the_predictor_against_its_bound(point):
    finding = theorem_3_2_items.margin_factor(point)
    v = point.net.weights[0]
    u = point.net.weights[-1]
    z = (M1 * v - M2 * u) / 8**0.5
    best = 1 / float(ib.max_margin(point.data).margin)
    assert finding.constants["factor"] == pytest.approx(float(z.norm()) / best)
    assert finding.constants["allowed"] == pytest.approx(2 / (3 / 5 + GAMMA_04))
    smallest = float((point.data.y * (point.data.x @ z)).min())
    assert finding.constants["smallest margin"] == pytest.approx(smallest)
    assert finding.slack == pytest.approx(
        min(smallest, 2 / (3 / 5 + GAMMA_04) * best / float(z.norm()))
    )


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


def test_members_of_a_batch_have_as_many_neurons_of_each_sign(rejects):
    a = torch.tensor([[0.5, 0.5, -0.5, -0.5], [0.5, -0.5, -0.5, -0.5]])
    with rejects("a", "positive neurons"):
        neurons(ib.TwoLayer(torch.ones(2, 4, 3), a, ib.leaky_relu(0.5)))
