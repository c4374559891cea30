"""S-9: with correlations of one sign, which (neuron, sample) pairs of a ReLU network
settle, and which never do.
"""

import math

import pytest
import torch
from changed import first
from relu_cases import covered, descend

import implicit_bias as ib
from implicit_bias.theorems.here import s09_settle_or_flicker as found_relu


def test_agreeing_signs_hold():
    run = covered("agree", steps=20_000)
    verdict = ib.claims["S-9"].check(run)
    assert verdict.verdict == "holds" and verdict.constants["most switches"] == 1


def test_opposing_signs_without_a_window_are_undecided():
    verdict = ib.claims["S-9"].check(
        covered("oppose", steps=1000, record=[0, 10, 100, 1000])
    )
    assert verdict.verdict == "undecided" and verdict.constants["window"] == 0


def test_mixed_signs_are_vacuous():
    verdict = ib.claims["S-9"].check(covered("equal", steps=100))
    assert verdict.verdict == "vacuous" and "signs" in verdict.why


def test_switches_by_loops():
    data = ib.data.correlated(4, p=0.1, signs="oppose")
    run = descend(data, m=4, steps=80, record=[0, 5, 9, *range(20, 81)])
    pattern = [
        (run.net(k).weights @ data.x.T >= 0).int().tolist() for k in range(len(run))
    ]
    total, late, window = found_relu.switches(run)
    assert window == 60
    for j in range(8):
        for i in range(4):
            series = [p[j][i] for p in pattern]
            assert int(total[j, i]) == sum(a != b for a, b in zip(series, series[1:]))
            assert int(late[j, i]) == sum(
                a != b for a, b in zip(series[3:], series[4:])
            )


@pytest.mark.parametrize("change", ["one class", "one sample"])
def test_switching_for_ever_needs_both_classes(change):
    data = ib.data.correlated(
        10, p=0.0024, signs="equal" if change == "one class" else "oppose"
    )
    data = (
        ib.Dataset(data.x, torch.ones(10))
        if change == "one class"
        else ib.Dataset(data.x[:1], data.y[:1])
    )
    net = ib.TwoLayer.init(data, 20, 20, ib.relu(), 1e-4, output="1/m", seed=0)
    verdict = ib.claims["S-9"].check(ib.gradient_descent(net, data, 5.0, 2000))
    assert verdict.verdict == "vacuous"
    assert not all(
        bool(hypothesis.holds)
        for hypothesis in verdict.hypotheses
        if hypothesis.name == "both classes"
    )


def test_one_switch_in_the_window_may_be_a_settling():
    run = ib.claims["S-9"].instance()[0]
    assert ib.claims["S-9"].check(first(run, 4)).verdict == "undecided"


def relu_run(kind="oppose", steps=60):
    data = ib.data.correlated(4, p=0.1, signs=kind)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 0.01, output="1/m", seed=0)
    return ib.gradient_descent(net, data, 0.5, steps, record=range(steps + 1))


@pytest.mark.parametrize("kind, sign", [("agree", 1), ("oppose", -1), ("equal", -1)])
def test_the_common_sign_of_the_correlations(kind, sign):
    seen, hypothesis = found_relu.coherence(relu_run(kind, steps=1))
    assert seen == sign
    assert (
        float(hypothesis.slack) > 0 if kind != "equal" else float(hypothesis.slack) == 0
    )


@pytest.mark.parametrize(
    "most, words",
    [(0, "than 0 times"), (1, "than once"), (2, "than 2 times"), (5, "than 5 times")],
)
def test_one_switch_a_pair_settles_and_two_do_not(monkeypatch, most, words):
    run = relu_run("agree")
    counts = torch.zeros(8, 4, dtype=torch.int64)
    counts[7, 3] = most
    monkeypatch.setattr(found_relu, "switches", lambda run: (counts, counts, 60))
    finding = found_relu._settles(run)[0]
    assert f"no pair switches more {words};" in finding.why
    assert finding.constants["most switches"] == most
    if most > 1:
        assert finding.slack == 1 / most
    else:
        rank = ib.measures.class_stable_rank(ib.measures.networks(run))
        assert finding.constants["last"] == pytest.approx(float(rank[-1].max()) - 1)
        assert finding.slack not in (1.0, math.inf)


@pytest.mark.parametrize(
    "moved, least, slack", [(0, 3, 3.0), (2, 3, 0.0), (0, 0, 0.0), (1, 1, 0.0)]
)
def test_own_class_pairs_that_switch_refute_and_others_are_counted(
    monkeypatch, moved, least, slack
):
    run = relu_run()
    own = ib.measures.own_class(run.initial, run.data)
    total = torch.full(own.shape, 9)
    total[own] = 0
    total[own.nonzero()[0, 0], own.nonzero()[0, 1]] = moved
    late = torch.where(own, 0, least)
    monkeypatch.setattr(found_relu, "switches", lambda run: (total, late, 60))
    finding = found_relu._flickers(run)[0]
    assert finding.slack == slack
    assert f"own-class pairs switch {moved} times in all" in finding.why
    assert (
        f"in the last 60 steps every living other-class pair switches at least {least}"
        in finding.why
    )
