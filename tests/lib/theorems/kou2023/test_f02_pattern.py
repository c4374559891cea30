"""Kou et al., F.2: on orthogonal samples the pattern at the end is read off the signs
at the start.
"""

import pytest
import torch
from orthogonal_cases import start

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import orthogonal_limit, orthogonal_runs
from implicit_bias.theorems.setting import active_at_start


def test_a_sample_without_neurons_is_never_fitted():
    lot = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[-1.0, 0.3], [0.2, 0.4]]).double(), [1.0, -1.0], ib.relu()
    )
    run = ib.gradient_descent(net, lot, 5.0, 200)
    assert float(run.margins[-1][0]) == 0 and float(run.margins[-1][1]) > 3
    late = orthogonal_limit.trained_at(run.final, lot, 50.0)
    torch.testing.assert_close(late.weights[:, 0], run.final.weights[:, 0])
    verdict = ib.claims["K-F.2"].check(run)
    assert verdict.verdict == "vacuous" and "awake" in verdict.why
    assert (
        float(orthogonal_limit.limit_network(net, lot).weights[:, 0].abs().max()) == 0
    )


def test_the_flow_alone_has_another_start(equal):
    # Neurons of the other class sleep there: the limit is the same, and the pattern was
    # final before.
    _, flow = equal
    assert [
        ib.claims[id].check(flow).verdict for id in ("K-F.2", "K-F.3.k", "S-7")
    ] == ["holds"] * 3


def test_descent_may_go_on(equal):
    start = equal[0].initial
    descent = ib.gradient_descent(start, equal[0].data, 360.0, 50, record=range(51))
    more = ib.gradient_descent(
        descent.final, descent.data, 360.0, 20_000, record=[0, 5, 1000, 5000, 20_000]
    )
    verdict = ib.claims["K-F.2"].check(descent, more)
    same = [
        torch.equal(
            ib.measures.activation_pattern(descent.net(k), descent.data),
            active_at_start(start, descent.data),
        )
        for k in range(51)
    ]
    assert verdict.verdict == "holds" and verdict.constants["settled at"] == same.index(
        True
    )


@pytest.mark.parametrize("wrong", [1.02, 0.98])
def test_a_limit_two_per_cent_off_is_seen(equal, monkeypatch, wrong):
    right = orthogonal_limit.limit_network
    monkeypatch.setattr(
        orthogonal_runs, "limit_network", lambda *args: right(*args).scaled(wrong)
    )
    assert ib.claims["K-F.2"].check(*equal).verdict == "fails"


def test_descent_alone_decides_once_it_is_long_enough():
    lot, net = start(n=6, m=30, seed=2)
    short = ib.gradient_descent(net, lot, 45.0, 12)
    long = ib.gradient_descent(
        net, lot, 45.0, 20_000, record=[0, 5, 1000, 5000, 20_000]
    )
    assert ib.claims["K-F.2"].check(short).verdict == "undecided"
    assert ib.claims["K-F.2"].check(long).verdict == "holds"
    young = ib.gradient_descent(net, lot, 0.01, 3)
    verdict = ib.claims["K-F.2"].check(young)
    assert verdict.verdict == "undecided" and "still awake" in verdict.why


def test_dependent_samples_get_a_verdict():
    lot = ib.Dataset(torch.eye(3).double()[[0, 0, 1]], [1, 1, -1])
    net = ib.TwoLayer.init(lot, 4, 4, ib.relu(), 0.1, output="1/m")
    run = ib.gradient_descent(net, lot, 1.0, 300)
    assert ib.claims["K-F.2"].check(run).verdict == "vacuous"
