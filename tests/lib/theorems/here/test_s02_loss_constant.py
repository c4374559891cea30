"""Found here: S-2, ``η t L(t) → ‖W*‖_F²`` once the pattern is frozen."""

import math
from dataclasses import replace

import literal
import pytest
import torch
from killed_leaky_cases import trained_briefly
from leaky_constants_cases import hypothesis
from patterns_cases import plain, small_data, start

import implicit_bias as ib
from implicit_bias.theorems.here import s02_loss_constant
from implicit_bias.theorems.kou2023.long_runs import long_run

GAMMA_04 = 0.4


f64 = torch.float64


LEAKY_04 = ib.leaky_relu(0.4)


LEAKY_05 = ib.leaky_relu(0.5)


def test_feature_gram_by_autograd():
    data = small_data(0.1)
    net = start(small_data(0.1))
    rows = []
    for x, y in zip(data.x, data.y):
        model = literal.Net(net.weights, net.a, "leaky_relu", GAMMA_04)
        (y * model(x[None])[0]).backward()
        rows.append(model.W.grad.flatten())
    features = torch.stack(rows)
    assert torch.allclose(
        s02_loss_constant.feature_gram(net, data), features @ features.T
    )


def test_gram_of_the_ordered_pattern_as_displayed(pieces):
    data = pieces[0].data
    K = s02_loss_constant.feature_gram(pieces[1].final, pieces[0].data)
    for i in range(data.n):
        for k in range(data.n):
            same = 1 + GAMMA_04**2 if data.y[i] == data.y[k] else 2 * GAMMA_04
            assert float(K[i, k]) == pytest.approx(
                same / 4 * float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k])),
                abs=1e-15,
            )


def test_leads_of_the_margins_are_logarithms_of_multipliers(pieces):
    q = pieces[1].margins[-1]
    lam = s02_loss_constant.pattern_multipliers(pieces[1].final, pieces[1].data)
    assert torch.allclose(q - q[0], -(lam / lam[0]).log(), atol=1e-5)


def test_units_of_the_two_papers(pieces):
    data = pieces[0].data
    net = pieces[1].final
    ours = s02_loss_constant.feature_gram(net, data)
    theirs = ib.margin.kkt_matrix(data, 4, 4, GAMMA_04)
    assert torch.allclose(ours, 2 / 4 * theirs)
    lam = s02_loss_constant.pattern_multipliers(net, data)
    assert torch.allclose(ours @ lam, torch.ones(6, dtype=f64))
    star = ib.kkt_point(data, 4, 4, GAMMA_04)
    assert float(lam.sum()) == pytest.approx(4 / 2 * float(star.weights.square().sum()))


@pytest.mark.parametrize(
    "factor, conclusion",
    [(1 + 9e-4, "holds"), (1 + 1.1e-3, "fails"), (0.9985, "fails")],
)
def test_s2_refuses_any_other_constant(pieces, factor, conclusion):
    moved = tuple(
        replace(part, log_loss=part.log_loss + math.log(factor)) for part in pieces
    )
    assert plain("S-2")(*moved).conclusion == conclusion
    assert plain("S-2")(*moved).verdict == (
        "holds" if conclusion == "holds" else "undecided"
    )


@pytest.mark.parametrize("positive, negative", [(3, 3), (5, 2)])
def test_s2_in_other_units_and_widths_and_for_samples_that_support_nothing(
    positive, negative
):
    gram = torch.tensor([[1.0, 2.9, 0.0], [2.9, 9.0, 0.0], [0.0, 0.0, 1.0]], dtype=f64)
    data = ib.data.from_gram(gram, y=torch.tensor([1.0, 1.0, -1.0]))
    net = ib.TwoLayer.init(data, positive, negative, LEAKY_04, 0.01)
    run = ib.gradient_flow(net, data, 200.0)
    lam = s02_loss_constant.pattern_multipliers(run.final, data)
    assert float(lam[1]) == 0
    assert ib.claims["S-2"].check(run).verdict == "holds"


def test_s2_wants_a_fixed_pattern():
    data = ib.data.correlated(6, p=0.16, signs="oppose")
    run = ib.gradient_flow(start(data, m=4, scale=0.01), data, 30.0)
    verdict = ib.claims["S-2"].check(run)
    assert verdict.verdict == "vacuous" and "kink" in verdict.why


def test_where_preactivations_slide_along_kinks_no_norm_is_told():
    """Their signs are rounding's, and so would be ``W*`` of the pattern they make."""
    data = ib.data.correlated(6, p=0.12, signs="oppose")
    net = ib.TwoLayer.init(data, 6, 6, ib.leaky_relu(0.2), 1e-2, output="1/m", seed=1)
    descent = ib.gradient_descent(
        net, data, 4.0, 1000, record=ib.dynamics.log_spaced(1000, 30)
    )
    verdict = ib.claims["S-2"].check(
        descent, ib.gradient_flow(descent.final, data, until=60)
    )
    assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")
    assert "35 preactivation(s) sit at their kink" in verdict.why


def test_fixed_patterns_are_seen_over_the_last_half_of_log_t():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY_04, 0.03, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 0.5, 300, record=range(301))
    frozen = int(long_run(run).frozen_at())
    assert 1 < frozen < 29
    check = ib.claims["S-2"].check.__wrapped__
    # The last wrong pattern is said to be at step 17, or 18; half of log t is at 17.4
    # to 17.8.
    for last, fixed in ((17, True), (18, False)):
        moved = replace(run, step=run.step + last + 1 - frozen)
        assert bool(hypothesis(check(moved), "fixed pattern").holds) is fixed


@pytest.mark.parametrize("id", ["S-2", "S-3", "S-6"])
def test_clock_of_a_flow_is_its_own_time(id):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY_04, 1e-3, output="1/m", seed=1)
    flow = ib.gradient_flow(net, data, 40.0, record=range(1, 41))
    assert ib.claims[id].check(flow).verdict == "holds"


def test_s2_names_the_time_that_it_was_read_at():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY_05, 0.03, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 0.5, 300, record=[0, 10, 100, 200, 300])
    why = ib.claims["S-2"].check(run).why
    assert f"at log t = {math.log(300):.4g}." in why


def pieces(verdict, name):
    return next(each for each in verdict.hypotheses if each.name == name)


@pytest.mark.parametrize("neuron, sample", [(0, 0), (7, 3)])
def test_one_preactivation_at_its_kink_leaves_the_pattern_unfixed(neuron, sample):
    """Along the whole run it counts as active, and so never changes its sign."""
    run = trained_briefly()
    check = ib.claims["S-2"].check.__wrapped__
    assert bool(pieces(check(run), "fixed pattern").holds)
    nets = [run.net(k).weights.clone() for k in range(len(run))]
    for weights in nets:
        x = run.data.x[sample]
        weights[neuron] -= (weights[neuron] @ x) * x / x.square().sum()
    lift = lambda k: replace(run.initial, weights=nets[k])  # noqa: E731
    moved = replace(run, _states=tuple(range(len(run))), _lift=lift, _end=None)
    assert not bool(pieces(check(moved), "fixed pattern").holds)
