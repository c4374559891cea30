"""Frei et al., Lemma D.2: the proxy-PL inequality for leaky ReLU, at every network."""

import math

import literal
import pytest
import torch
from at_point_cases import IDS, exact
from proxy_pl_cases import leaning, random_data

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import proxy_pl

LEAKY_03 = ib.leaky_relu(0.3)


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


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


def literal_ratio(net, data, loss):
    gradient = literal.loop_gradient(
        net.weights,
        net.a,
        net.activation.name,
        net.activation.gamma,
        data.x,
        data.y,
        loss,
    )
    total = 0.0
    for i in range(data.n):
        z = [
            sum(w * c for w, c in zip(row, data.x[i].tolist()))
            for row in net.weights.tolist()
        ]
        f = sum(
            a * literal.phi(zj, net.activation.name, net.activation.gamma)
            for a, zj in zip(net.a.tolist(), z)
        )
        q = float(data.y[i]) * f
        total += math.exp(-q) if loss == "exponential" else 1 / (1 + math.exp(q))
    return float(gradient.norm()) / (total / data.n)


@pytest.mark.parametrize("activation", [LEAKY_03, SMOOTH_03], ids=["leaky", "smooth"])
@pytest.mark.parametrize("seed", range(3))
def test_slack_is_the_literal_ratio_over_the_constant(activation, seed, loss):
    data = random_data(seed)
    net = ib.TwoLayer.init(data, 2, 3, activation, 0.5, seed=seed)
    ratio = literal_ratio(net, data, loss)
    for id, constant in (
        ("F-D.2", proxy_pl.d2_constant),
        ("F-E.14", proxy_pl.e14_constant),
    ):
        verdict = ib.claims[id].check(net, data, loss, search=False)
        assert verdict.slack == pytest.approx(
            ratio / float(constant(data, 0.3)), rel=1e-9
        )


@pytest.mark.parametrize(
    "id, breaks, activation", [("F-D.2", 7 / 9, LEAKY_03), ("F-E.14", 7 / 8, SMOOTH_03)]
)
def test_inequality_breaks_where_its_constant_exceeds_the_best(
    id, breaks, activation, loss
):
    for P, conclusion in ((breaks - 1e-6, "holds"), (breaks + 1e-6, "fails")):
        data = leaning(P)
        net = proxy_pl.extremal_network(data, 3, 2, activation, loss)
        verdict = ib.claims[id].check(net, data, loss, search=False)
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", conclusion)


def test_hypothesis_is_probed_from_both_sides():
    limit = 0.3**3 / 3 * 5 / 6  # H-3.2 in terms of P at n = 6
    for P, verdict in ((limit * 0.999, "holds"), (limit * 1.001, "vacuous")):
        data = leaning(P)
        net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1)
        assert ib.claims["F-D.2"].check(net, data, search=False).verdict == verdict


def test_adversary_finds_the_violation_by_itself():
    data = leaning(0.9)
    tame = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 1e-3, seed=3)
    assert ib.claims["F-D.2"].check(tame, data, search=False).conclusion == "holds"
    assert ib.claims["F-D.2"].check(tame, data).conclusion == "fails"


def test_a_batch_is_as_bad_as_its_worst_network():
    data = random_data(1)
    nets = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.5, seed=[0, 1, 2])
    alone = [ib.TwoLayer(w, nets.a, LEAKY_03) for w in nets.weights]
    slacks = [ib.claims["F-D.2"].check(net, data, search=False).slack for net in alone]
    assert ib.claims["F-D.2"].check(nets, data, search=False).slack == pytest.approx(
        min(slacks)
    )


def test_relu_is_vacuous():
    data = leaning(0.0)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1)
    assert ib.claims["F-D.2"].check(net, data, search=False).verdict == "vacuous"
    assert ib.claims["F-E.14"].check(net, data, search=False).verdict == "vacuous"


def test_a_dead_relu_is_an_adversary_of_its_own():
    data = leaning(0.0)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1, seed=0)
    for id in ("F-D.2", "F-E.14"):
        verdict = ib.claims[id].check(net, data)
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", "fails")


@pytest.mark.parametrize("id", ["F-D.2", "F-E.14"])
def test_one_adversary_meets_one_data_set(id, rejects):
    batch = ib.data.gaussian_spectrum(4, [1.0], [100], draws=3)
    nets = ib.TwoLayer.init(batch, 2, 2, LEAKY_03, 0.1, seed=0)
    with rejects("search", "False"):
        ib.claims[id].check(nets, batch)
    assert ib.claims[id].check(nets, batch, search=False).verdict == "vacuous"
    leaks = ib.TwoLayer.init(
        leaning(0.0),
        2,
        2,
        ib.leaky_relu(torch.tensor([0.3, 0.4]).double()),
        0.1,
        seed=[0],
    )
    with rejects("search", "False"):
        ib.claims[id].check(leaks, leaning(0.0))
