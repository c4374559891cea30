"""Where descent takes a ReLU network: a candidate for the limit of ``W/log t``."""

import pytest
import torch
from relu_cases import descend

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import relu_limit

KINDS = ["agree", "oppose", "equal", "random"]


@pytest.mark.parametrize("kind", KINDS)
def test_limit_is_a_kkt_point_with_all_margins_one_and_the_run_goes_there(kind):
    data = ib.data.correlated(6, p=0.02, signs=kind, seed=2)
    run = descend(
        data, m=20, step_size=1.0, steps=20_000, scale=1e-4, record=[0, 10_000, 20_000]
    )
    limit, share = relu_limit.limit_of_late_net(run.final, data)
    assert float(ib.kkt_residual(limit, data).worst) < 1e-9
    torch.testing.assert_close(
        ib.measures.margins(limit, data), torch.ones(6).double(), atol=1e-12, rtol=0
    )
    assert bool((share >= 0).all()) and bool((share <= 1).all())
    assert not bool(share[ib.measures.own_class(limit, data)].any())
    moved = ib.TwoLayer(
        run.net(-1).weights - run.net(1).weights, limit.a, limit.activation
    )
    assert float(ib.measures.direction_distance(moved, limit)) < 0.01


def test_limit_on_orthogonal_data_is_that_of_the_first_pattern():
    data = ib.data.orthogonal(10)
    net = ib.TwoLayer.init(data, 50, 50, ib.relu(), 1e-4, output="1/m", seed=1)
    limit, share = relu_limit.limit_of_late_net(net, data)
    awake = (
        ib.measures.own_class(net, data) & (net.preactivations(data.x) >= 0)
    ).double()
    wanted = awake / (awake.sum(0) / 50)
    torch.testing.assert_close(limit.weights @ data.x.T, wanted, atol=1e-12, rtol=0)
    assert not bool(share.any())


@pytest.mark.parametrize("k, p", [(2, 0.1), (5, 0.03)])
def test_limit_rank_formula_of_opposing_data(k, p):
    data = ib.data.correlated(2 * k, p=p, signs="oppose")
    codes = torch.tensor(
        [[(c >> b) & 1 for b in range(k)] for c in range(2**k)], dtype=torch.float64
    )
    # every own-class pattern once: the law of m → ∞ exactly
    rows = torch.cat(
        [
            torch.cat([2 * codes - 1, -torch.ones_like(codes)], 1),
            torch.cat([-torch.ones_like(codes), 2 * codes - 1], 1),
        ]
    )
    weights = torch.linalg.solve(data.x, rows.T).T
    a = torch.cat([torch.ones(2**k), -torch.ones(2**k)]).double() / 2**k
    limit, share = relu_limit.limit_of_late_net(
        ib.TwoLayer(weights, a, ib.relu()), data
    )
    b = 1 - (k - 1) * p - k**2 * p**2 / (1 - (k - 1) * p)
    wanted = 1 + (k - 1) * (1 + p) / ((k + 1) * b)
    assert ib.measures.class_stable_rank(limit).tolist() == pytest.approx(
        [wanted, wanted]
    )
    living = codes.sum(1) > 0
    wanted = (
        p * codes.sum(1) / (1 - (k - 1) * p)
    )  # the share of time awake, K of its class awake
    torch.testing.assert_close(
        share[: 2**k, k:],
        wanted[:, None].expand(-1, k) * living[:, None],
        atol=1e-9,
        rtol=0,
    )


def test_limit_takes_one_network(rejects):
    data = ib.data.correlated(4, p=0.1)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 0.1, output="1/m", seed=[0, 1])
    with rejects("net", "one network"):
        relu_limit.limit_of_late_net(net, data)


def test_the_limit_is_sought_for_one_network_on_one_data_set(rejects):
    data = ib.data.orthogonal(3)
    twice = ib.Dataset(torch.stack([data.x, data.x]), torch.stack([data.y, data.y]))
    one = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1, output="1/m", seed=0)
    both = ib.TwoLayer(torch.stack([one.weights, one.weights]), one.a, one.activation)
    for net, sets in ((one, twice), (both, data), (both, twice)):
        with rejects("net", "one network and one data set"):
            relu_limit.limit_of_late_net(net, sets)
    assert relu_limit.limit_of_late_net(one, data)[0].m == 4
