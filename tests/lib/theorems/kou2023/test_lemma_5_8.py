"""Kou et al., Lemma 5.8: a ReLU neuron of the right class that starts active stays
active.
"""

import pytest
import torch
from killed_relu_cases import descend_narrow
from relu_cases import covered, descend

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import lemma_5_8, relu_setting
from implicit_bias.training.descent import log_spaced

KINDS = ["agree", "oppose", "equal", "random"]


@pytest.mark.parametrize("seed", range(8))
def test_persistence_is_one_exactly_where_a_pair_is_about_to_sleep(seed):
    n = 2 + seed % 3
    data = ib.data.correlated(
        n,
        p=0.9 / max(n - 1, 1),
        signs="random",
        norms=[1.0, 4.0, 2.0, 1.0][:n],
        seed=seed,
    )
    run = descend(data, step_size=0.8, steps=60, scale=0.2, seed=seed)
    z = ib.measures.networks(run).preactivations(data.x)
    kept = ib.measures.own_class(run.initial, data) & (z[0] >= 0)
    awake = (z >= 0).logical_or(~kept).flatten(1).all(1)
    assert torch.equal(lemma_5_8.push_ratios(run)[0] >= 1, awake)


def test_far_records_leave_once_on_undecided_and_near_ones_do_not():
    data = ib.data.correlated(4, p=0.006, signs="oppose")
    few = [0, 2000]
    many = log_spaced(2000, 40)
    at = {}
    for name, record in (("few", few), ("many", many)):
        net = ib.TwoLayer.init(data, 60, 60, ib.relu(), 1e-4, output="1/m", seed=0)
        at[name] = ib.claims["K-5.8"].check(
            ib.gradient_descent(net, data, 5.0, 2000, record=record)
        )
    assert at["few"].verdict == "undecided" and at["many"].verdict == "holds"


def test_bound_between_records_is_below_every_step_between():
    data = ib.data.correlated(6, p=0.1, signs="random", seed=1)
    dense = lemma_5_8.push_ratios(descend(data, steps=300))[0]
    sparse = descend(data, steps=300, record=[0, 20, 60, 150, 300])
    between = lemma_5_8.push_ratios(sparse)[1]
    for k, (a, b) in enumerate(
        zip(sparse.step[:-1].tolist(), sparse.step[1:].tolist())
    ):
        assert float(between[k]) <= float(dense[a + 1 : b].min()) * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("R", [1.0, 1.6])
def test_pulls_stay_in_balance_at_the_edge_of_the_conditions(kind, R):
    run = covered(kind, R)
    kept = ib.measures.own_class(run.initial, run.data) & (
        run.initial.preactivations(run.data.x) >= 0
    )
    gamma = relu_setting.pulls(run).masked_fill(~kept, 0).amax(-2)[1:]
    assert float((gamma.amax(-1) / gamma.amin(-1)).max()) <= 4 * R**2
    assert ib.claims["K-5.8"].check(run).verdict == "holds"
    assert ib.claims["K-E.2"].check(run).verdict == "holds"
    bounded = ib.claims["K-4.3.a"].check(run)
    assert (
        bounded.verdict == "vacuous" and "says nothing" in bounded.why
    )  # six samples: no rank exceeds 6


@pytest.mark.parametrize(
    "name, change",
    [
        ("activation", {"activation": ib.leaky_relu(0.1)}),
        ("second layer", {"a": 2.0}),
        ("H-K4.3", {"p": 0.02}),
        ("step", {"step_size": 10.0}),
        ("start", {"scale": 0.1}),
        ("width", {"m": 3}),
        ("loss", {"loss": "exponential"}),
    ],
)
def test_each_hypothesis_minds_its_own_business(name, change):
    data = ib.data.correlated(4, p=change.get("p", 0.005), signs="agree")
    m = change.get("m", 60)
    net = ib.TwoLayer.init(
        data, m, m, ib.relu(), change.get("scale", 1e-4), output="1/m", seed=0
    )
    net = ib.TwoLayer(
        net.weights,
        net.a * change.get("a", 1.0),
        change.get("activation", net.activation),
    )
    step_size = change.get("step_size", 1.0 if m == 60 else 0.01)
    run = ib.gradient_descent(
        net, data, step_size, 5, loss=change.get("loss", "logistic")
    )
    broken = [
        h.name for h in relu_setting.setting_of_relu(run) if not bool(h.holds.all())
    ]
    assert broken == [name]
    assert name in ib.claims["K-5.8"].check(run).why


def test_persistence_without_a_record_of_the_start_is_that_with_one():
    data = ib.data.correlated(4, p=0.1, signs="oppose")
    with_start = descend_narrow(data, steps=60, record=[0, 10, 20, 60])
    without = descend_narrow(data, steps=60, record=[10, 20, 60])
    at, between = lemma_5_8.push_ratios(with_start)
    at_too, between_too = lemma_5_8.push_ratios(without)
    torch.testing.assert_close(at_too, at[1:])
    torch.testing.assert_close(between_too, between)
