"""Found here: S-1, the factor R² in H-3.2 is superfluous."""

import math
from dataclasses import replace

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import theorem_3_2
from implicit_bias.theorems.here import s01_no_ratio

GAMMA_04 = 0.4


def test_own_weight_of_s1(point):
    slack = float((point.lam * point.data.norms**2).min()) / (1 - GAMMA_04**2 / 2)
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


@pytest.mark.parametrize("id", [f"F-3.2.{item}" for item in range(1, 8)] + ["S-1"])
def test_members_of_a_batch_may_have_their_neurons_in_another_order(id):
    data = ib.data.orthogonal(3)
    net = ib.kkt_point(data, 2, 2, 0.5).net
    other = [2, 0, 3, 1]
    weights = torch.stack([net.weights, net.weights[other]])
    both = ib.TwoLayer(weights, torch.stack([net.a, net.a[other]]), net.activation)
    verdict = ib.claims[id].check(both, data)
    assert verdict.verdict == ib.claims[id].check(net, data).verdict == "holds"
