"""Runs on orthogonal samples against the limit that their start predicts (K-F.2, K-F.3,
S-7).
"""

import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from orthogonal_cases import start

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import (
    orthogonal_law,
    orthogonal_limit,
    orthogonal_runs,
)
from implicit_bias.theorems.kou2023.orthogonal_law import class_law
from implicit_bias.theorems.kou2023.orthogonal_runs import chance
from implicit_bias.theorems.setting import active_at_start

IDS = ["K-F.2", "K-F.3", "K-F.3.k", "S-7"]


def loop_limit(net, lot):
    """The pattern at the end, |S_i| and the limit of W/log t, pair by pair."""
    M = net.m
    n = lot.n
    awake = [[False] * n for _ in range(M)]
    for j in range(M):
        for i in range(n):
            z = float(net.weights[j] @ lot.x[i])
            awake[j][i] = z >= 0 and float(net.a[j]) * float(lot.y[i]) > 0
    size = [sum(awake[j][i] for j in range(M)) for i in range(n)]
    W = torch.zeros(M, lot.d, dtype=torch.float64)
    for j in range(M):
        for i in range(n):
            if awake[j][i]:
                W[j] += (M / 2) / size[i] * lot.x[i] / float(lot.x[i] @ lot.x[i])
    return torch.tensor(awake), size, W


@pytest.mark.parametrize("seed", range(4))
def test_prediction_is_the_loop(seed):
    lot, net = start(seed=seed, norms=[1, 2, 3, 1, 2, 3], positive=4)
    awake, size, W = loop_limit(net, lot)
    assert torch.equal(active_at_start(net, lot), awake)
    torch.testing.assert_close(orthogonal_limit.limit_network(net, lot).weights, W)
    expected = [
        literal.stable_rank(W[:8]),
        literal.stable_rank(W[8:]),
        literal.stable_rank(W),
    ]
    assert orthogonal_limit.ranks(
        orthogonal_limit.limit_network(net, lot)
    ).tolist() == pytest.approx(expected)
    grams = [
        orthogonal_law.limit_gram(awake[rows][:, mask], lot.norms[mask])
        for rows, mask in ((slice(0, 8), lot.y > 0), (slice(8, 16), lot.y < 0))
    ]
    assert orthogonal_law.ranks_of_grams(*grams).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_autograd_descent_ends_as_predicted(seed):
    lot, net = start(n=4, m=5, seed=seed, norms=[1, 2, 1, 3])
    seen = literal.autograd_descent(
        net.weights, net.a, "leaky_relu", 0.0, lot.x, lot.y, 3.0, 400
    )
    pattern = seen[-1] @ lot.x.T >= 0
    predicted, size, W = loop_limit(net, lot)
    assert torch.equal(pattern, predicted)
    slope = (seen[400] - seen[300]) / math.log(400 / 300)
    fitted = torch.tensor([s > 0 for s in size])
    assert float(((slope - W) * fitted).norm() / W.norm()) < 0.05


@given(st.floats(-5, 5), st.floats(1e-2, 5.0))
def test_descent_obeys_the_squeeze(q0, beta):
    q = q0
    steps = 300
    for _ in range(steps):
        q += beta / (1 + math.exp(q))
    excess = q + math.exp(q) - q0 - math.exp(q0) - beta * steps
    assert (
        -1e-9 * (1 + math.exp(q))
        <= excess
        <= beta * math.exp(beta) / 2 * (q - q0) * (1 + 1e-9)
    )


def test_whole_matrix_of_unbalanced_classes():
    for n, positive in ((20, 15), (9, 3), (7, 6)):
        lot = ib.data.orthogonal(n, positive=positive)
        targets, _ = orthogonal_runs.chance(lot, 100, 0.01)
        assert targets[2] == pytest.approx(2 * n / (max(positive, n - positive) + 1))


def test_a_flow_from_elsewhere_is_refused(equal, rejects):
    descent, flow = equal
    stranger = ib.TwoLayer.init(
        descent.data, 120, 120, ib.relu(), 1e-3, output="1/m", seed=6
    )
    other = ib.gradient_descent(stranger, descent.data, 360.0, 50, record=[0, 50])
    for id in IDS:
        with rejects("flow", "starts where the descent ended"):
            ib.claims[id].check(other, flow)


def test_two_is_no_limit_at_k_5():
    run, flow = orthogonal_runs.train(ib.data.orthogonal(10), 400, seed=1, until=60.0)
    found = orthogonal_runs.reached(run, flow)
    _, spread = orthogonal_runs.chance(run.data, 400, 0.01)
    assert orthogonal_runs.rank_finding(found, [5 / 3, 5 / 3, 10 / 3], spread)[0].true
    assert not orthogonal_runs.rank_finding(found, [2.0, 2.0, 10 / 3], spread)[0].true
    assert not orthogonal_runs.rank_finding(found, [5 / 3, 5 / 3, 4.0], spread)[0].true


@pytest.mark.parametrize("step", [3.0, 45.0, 2000.0])
@pytest.mark.parametrize("norms", [1.0, [1, 2, 4, 1, 2, 4]])
def test_slopes_stay_within_what_the_proof_allows(step, norms):
    lot, net = start(n=6, m=20, scale=0.02, seed=3, norms=norms)
    run = ib.gradient_descent(
        net, lot, step, 4000, record=[0, 50, 200, 500, 1000, 1100, 2000, 4000]
    )
    for last in range(4, 9):
        part = ib.gradient_descent(
            net, lot, step, int(run.step[last - 1]), record=run.step[:last]
        )
        found = orthogonal_runs.reached(part)
        assert found.error <= found.bound


@pytest.mark.parametrize("id", IDS)
def test_exponential_loss_is_not_theirs(id):
    lot, net = start(n=6, m=30, seed=2)
    verdict = ib.claims[id].check(
        ib.gradient_descent(net, lot, 1.0, 3000, "exponential", record=[0, 1000, 3000])
    )
    assert verdict.verdict == "vacuous" and not bool(named(verdict, "loss").holds)


@pytest.mark.parametrize("id", IDS)
def test_a_preactivation_at_its_kink_was_not_drawn(id):
    lot, net = start(n=6, m=30, seed=2)
    weights = net.weights.clone()
    weights[3] -= (weights[3] @ lot.x[2]) * lot.x[2]
    assert float(weights[3] @ lot.x[2]) == 0
    at = ib.TwoLayer(weights, net.a, net.activation)
    verdict = ib.claims[id].check(
        ib.gradient_descent(at, lot, 45.0, 3000, record=[0, 1000, 3000])
    )
    assert verdict.verdict == "vacuous" and not bool(named(verdict, "start").holds)


@pytest.mark.parametrize("id", IDS)
def test_zero_samples_are_refused(id, rejects):
    lot, net = start(n=4, m=5)
    x = lot.x.clone()
    x[1] = 0
    run = ib.gradient_descent(net, ib.Dataset(x, lot.y), 1.0, 30)
    with rejects("data", "zero sample"):
        ib.claims[id].check(run)


def named(verdict, name):
    return next(h for h in verdict.hypotheses if h.name == name)


@pytest.mark.parametrize("positive", [0, 6])
def test_chance_with_one_class_is_that_of_its_law(positive):
    norms = [1, 2, 3, 1, 2, 1.5]
    data = ib.data.orthogonal(6, norms=norms, positive=positive)
    law = class_law(data.norms, 40)
    for delta in (0.3, 0.03):
        targets, reach = chance(data, 40, delta)
        seen, absent = (0, 1) if positive else (1, 0)
        assert targets[seen] == targets[2] == law.rank
        assert reach[seen] == reach[2] == law.reach(delta / 3)
        assert math.isnan(targets[absent]) and math.isnan(reach[absent])
