"""Kou et al., Definition 5.1: the data-correlated decomposition, read off the weights."""

import pytest
import torch
from decomposition_cases import trained

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_1

LEAKY_03 = ib.leaky_relu(0.3)


LEAKY_04 = ib.leaky_relu(0.4)


f64 = torch.float64


def test_rebuilt_weights_are_the_weights():
    run = trained()
    rho = ib.measures.rho_along(run)
    assert torch.allclose(
        lemma_5_1.rebuilt(rho, run.initial, run.data), ib.measures.networks(run).weights
    )


def test_zero_sample_is_dependent():
    data = ib.Dataset(torch.tensor([[1.0, 0], [0, 0]]).double(), [1, -1])
    assert not ib.measures.independent(data)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1, "1/m")
    assert ib.claims["K-5.1"].check(net, net, data).verdict == "vacuous"


def test_span_is_left_by_weight_decay_and_by_another_frozen_part():
    data = ib.data.gaussian(4, 50, seed=0)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1, "1/m")
    check = ib.claims["K-5.1"].check
    assert check(net, net, data).verdict == "vacuous"  # nothing has moved
    along = ib.TwoLayer(net.weights + data.x.sum(0), net.a, LEAKY_03)
    assert check(along, net, data).verdict == "holds"
    left = check(net.scaled(0.99), net, data)
    assert (left.verdict, left.conclusion) == (
        "vacuous",
        "fails",
    ) and "trained" in left.why
    hidden = ib.data.gaussian(4, 50, seed=0, space="span")
    net = ib.TwoLayer.init(hidden, 2, 2, LEAKY_03, 0.1, "1/m")
    moved = ib.TwoLayer(net.weights, net.a, LEAKY_03, 1.1 * net.frozen_gram)
    along = ib.TwoLayer(net.weights + hidden.x.sum(0), net.a, LEAKY_03, net.frozen_gram)
    assert (
        check(along, net, hidden).verdict == "holds"
        and check(moved, net, hidden).conclusion == "fails"
    )
    bare = ib.TwoLayer(net.weights, net.a, LEAKY_03)
    assert (
        check(along, bare, hidden).conclusion
        == check(bare, along, hidden).conclusion
        == "fails"
    )
    square = ib.data.orthogonal(4)
    any_net, other = (
        ib.TwoLayer.init(square, 2, 2, LEAKY_03, 0.1, "1/m", seed=k) for k in (0, 1)
    )
    assert (
        check(any_net, other, square).verdict == "vacuous"
    )  # every matrix is in the span


def test_missed_span_is_relative_to_what_moved():
    data = ib.data.gaussian(3, 40, seed=1)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_04, 1.0, "1/m", seed=2)
    basis = torch.linalg.qr(data.x.T).Q
    away = torch.randn(4, 40, generator=torch.Generator().manual_seed(0), dtype=f64)
    away = away - away @ basis @ basis.T
    step = torch.ones(4, 3, dtype=f64) @ data.x
    moved = ib.TwoLayer(net.weights + step + 1e-3 * away, net.a, LEAKY_04)
    verdict = ib.claims["K-5.1"].check(moved, net, data)
    size = (step + 1e-3 * away).norm() + 1e-4 * moved.weights.norm()
    assert verdict.constants["error"] == pytest.approx(
        float(1e-3 * away.norm() / size), rel=1e-6
    )
    assert verdict.slack == pytest.approx(1e-9 / verdict.constants["error"])


def test_zero_samples_carry_nothing():
    data = ib.Dataset(torch.tensor([[2.0, 0, 0], [0, 0, 0]], dtype=f64), [1, -1])
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_04, 1.0, "1/m", seed=2)
    moved = ib.TwoLayer(net.weights + data.x[0], net.a, LEAKY_04)
    rho = lemma_5_1._projected(moved, net, data)
    assert torch.allclose(rho[:, 0], torch.full((4,), 4.0, dtype=f64))
    assert torch.allclose(lemma_5_1.rebuilt(rho, net, data), moved.weights)


def test_five_samples_one_of_them_twice_span_four_dimensions():
    net, initial, data = ib.claims["K-5.1"].counter()
    assert data.n == 5 and data.x[0].equal(data.x[1])
    assert float(data.y[0]) == float(data.y[1])
    assert ib.claims["K-5.1"].check(net, initial, data).constants["rank"] == 4
