"""The claims found here (S-2, S-3, S-4, S-9): each number of a finding, and each word
that tells it.
"""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances, proxy_pl, proxy_pl_attack
from implicit_bias.theorems.here import s03_rank_gap
from implicit_bias.theorems.here import s09_settle_or_flicker as found_relu
from implicit_bias.values.wording import format_error

LEAKY = ib.leaky_relu(0.5)
f64 = torch.float64


def relu_run(kind="oppose", steps=60):
    data = ib.data.correlated(4, p=0.1, signs=kind)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 0.01, output="1/m", seed=0)
    return ib.gradient_descent(net, data, 0.5, steps, record=range(steps + 1))


# -- S-2 and S-3 --------


def test_s2_names_the_time_that_it_was_read_at():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY, 0.03, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 0.5, 300, record=[0, 10, 100, 200, 300])
    why = ib.claims["S-2"].check(run).why
    assert f"at log t = {math.log(300):.4g}." in why


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_whole_rows_have_the_inner_products_of_the_whole_space(rank):
    stream = torch.Generator().manual_seed(rank)
    inside = torch.randn(6, 4, generator=stream)
    outside = torch.randn(6, rank, generator=stream)
    frozen = outside.double() @ outside.double().mT
    net = ib.TwoLayer(inside.double(), [1.0] * 3 + [-1.0] * 3, LEAKY, frozen)
    rows = s03_rank_gap._whole_rows(net)
    torch.testing.assert_close(rows @ rows.mT, net.weight_gram())


# -- S-4 --------


@pytest.mark.parametrize("norms", [[1, 2, 3, 1, 4], [0.1, 0.2, 0.3, 0.1, 0.4]])
def test_s4_tells_how_close_construction_and_adversary_come(norms):
    data = ib.data.orthogonal(5, norms=norms)
    verdict = ib.claims["S-4"].check(data, 0.3, 2, 3)
    built = verdict.constants["construction"]
    found = verdict.constants["adversary"]
    assert (
        f"construction comes within {format_error(abs(built - 1))} of the constant"
        in verdict.why
    )
    assert (
        f"adversary comes within {format_error(found - 1)} from "
        f"{proxy_pl_attack.ATTACK_STARTS} starts" in verdict.why
    )


def test_s4_below_its_constant_is_refuted_with_slack_zero():
    data = ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4])
    wrong = 2 * float(proxy_pl.best_constant(data, 0.3))
    verdict = ib.claims["S-4"].check(data, 0.3, constant=wrong)
    assert (
        verdict.slack == 0
        and "a network reaches 0.5000 times the constant" in verdict.why
    )


def test_s4_takes_four_neurons_of_each_sign():
    data = ib.data.orthogonal(3, norms=[1, 2, 3])
    default, given = (
        ib.claims["S-4"].check(data, 0.3, *width) for width in ((), (4, 4))
    )
    assert default.constants == given.constants
    assert default.constants != ib.claims["S-4"].check(data, 0.3, 3, 4).constants


# -- S-9 --------


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


# -- S-7 --------


def test_s7_is_shown_on_lengths_that_all_differ_and_from_a_small_start():
    for make, last in (
        (ib.claims["S-7"].instance, 1),
        (ib.claims["S-7"].counter, 0.02),
    ):
        run, flow = make()
        assert len(set(run.data.norms.tolist())) == run.data.n == 20
        assert float(run.data.R_max / run.data.R_min) == pytest.approx(3, abs=1e-3)
        assert int(run.data.positive.sum()) == 13
        assert float(run.initial.frobenius() / flow.final.frobenius()) < 1e-3 * last


# -- the ledger --------


def test_claims_and_rows_of_the_ledger_are_what_they_were_made():
    row = ib.ledger(["F-D.1"])[0]
    for thing, field in (
        (row, "verdict"),
        (row, "slack"),
        (ib.claims["F-D.1"], "statement"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, "other")


# -- the instances of controls --------


def test_the_instances_are_what_they_say():
    assert instances.within().n == instances.beyond().n == 10
    assert instances.within().ambient_dim == 2_000_000
    net, data = instances.kkt_heavy()
    assert data.n == 10 and bool(data.positive.all())
    apart = ~torch.eye(10, dtype=torch.bool)
    assert bool((data.gram[apart] < 0).all())
