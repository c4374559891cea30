"""Smooth descent and its conditions: constants, batches and edge cases."""

from dataclasses import replace

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import hunts as loss_ratio_search
from implicit_bias.theorems.frei2023 import rank_bounds as low_rank_tools
from implicit_bias.theorems.frei2023 import smooth_setting
from implicit_bias.theorems.here import s05_formulas
from implicit_bias.training.long_descent import long_descent
from implicit_bias.training.problem import Problem
from implicit_bias.training.stepper import Stepper

SMOOTH = ib.smoothed_leaky_relu(0.4)


@pytest.mark.parametrize("gamma", [0.2, 0.6])
def test_the_smoothness_of_a_kinked_activation_is_that_of_its_smoothed_version(gamma):
    smooth = ib.smoothed_leaky_relu(gamma)
    assert smooth_setting.smoothness(ib.leaky_relu(gamma)) == pytest.approx(
        (1 - gamma) / 4
    )
    z = torch.linspace(-5, 5, 10_001, dtype=torch.float64)
    steepest = (smooth.derivative(z).diff() / z.diff()).max()
    assert float(smooth_setting.smoothness(smooth)) == pytest.approx(
        float(steepest), rel=1e-4
    )


def test_a_long_descent_may_take_no_step_but_not_fewer(rejects):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH, 0.1, seed=0)
    run = long_descent(net, data, 0.1, 0)
    assert run.step.tolist() == [0] and torch.allclose(run.final.weights, net.weights)
    with rejects("steps", "at least 0|>= 0|0"):
        long_descent(net, data, 0.1, -1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_gradients_of_a_batch_are_judged_by_its_worst_member(order):
    data = ib.data.correlated(5, p=0.02, norms=[1, 2, 1, 1, 3])
    nets = [
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1.0, seed=k) for k in order
    ]
    both = ib.TwoLayer(
        torch.stack([n.weights for n in nets]), nets[0].a, nets[0].activation
    )
    check = ib.claims["F-E.7"].check
    apart = [check(net, data, search=False) for net in nets]
    together = check(both, data, search=False)
    for name in ("E.5", "E.6"):
        assert together.constants[name] == pytest.approx(
            min(v.constants[name] for v in apart)
        )


def test_gradients_are_sought_in_the_span_of_samples_in_few_dimensions():
    data = ib.data.gaussian(6, 3, seed=0)
    found = loss_ratio_search.hunt_gradient(data, 1, 2, SMOOTH, starts=3, steps=5)
    assert [part.shape[-2:] for part in found.parts] == [(3, 3), (3, 3)]


@pytest.mark.parametrize("constant, name", [(None, "C_2"), (1.5, "the constant given")])
def test_the_bound_on_the_rank_is_called_by_its_name(constant, name):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH, 0.01, seed=0)
    run = ib.gradient_descent(net, data, 0.1, 20, record=[0, 1, 20])
    verdict = ib.claims["F-4.2.3"].check(run, constant=constant)
    bound = verdict.constants["C_2"] if constant is None else constant
    assert f"from step 1 on; {name} is {bound:.4g}." in verdict.why


def test_pulls_are_summed_from_step_zero_on_only(rejects):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH, 0.1, seed=0)
    run = ib.gradient_descent(net, data, 0.1, 20, record=[5, 7, 20])
    with rejects("run", "a record of step 0", "records from step 5 on"):
        low_rank_tools.pull_sums(run)


@pytest.mark.parametrize("seed", range(12))
def test_dependent_samples_bound_no_rank(seed):
    data = ib.data.gaussian(5, 3, seed=seed, space="full")
    assert float(low_rank_tools.moved_rank_bound(data, 0.5)) == float("inf")


@pytest.mark.parametrize(
    "moved, kept", [(0.0, True), (-0.9, True), (-1.1, False), (5.0, True)]
)
def test_signs_are_kept_where_no_preactivation_can_pass_zero(moved, kept):
    data = ib.data.orthogonal(3, d=9, space="full")
    net = ib.TwoLayer(data.x.new_ones(2, 9), [1.0, -1.0], ib.leaky_relu(0.5))
    stepper = Stepper(
        Problem.of(net, data, "logistic", "cpu", dtype=torch.float64), 0.1, None
    )
    z = torch.ones(2, 3, dtype=torch.float64)
    change = torch.zeros(2, 3, dtype=torch.float64)
    change[1, 2] = moved
    assert stepper.keeps_signs(z, change) is kept
    assert stepper.keeps_signs(-z, -change) is kept


def test_a_loss_of_ones_own_moves_weights_as_its_twin_here_does():
    twin = replace(ib.losses.LOGISTIC, name="own")
    data = ib.data.correlated(4, p=0.1, signs="oppose")
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH, 1.0, seed=0)
    own, here = (
        ib.gradient_descent(net, data, 0.5, 30, loss) for loss in (twin, "logistic")
    )
    torch.testing.assert_close(own.final.weights, here.final.weights)


@pytest.mark.parametrize(
    "c, root",
    [((0.0, 2.0, -1.0), 0.5), ((1e-16, 2.0, -1.0), 0.5), ((1.0, -1.0, 0.16), 0.2)],
)
def test_the_smallest_root_of_a_line_or_a_parabola(c, root):
    assert s05_formulas._smallest_root(*c, 1.0) == pytest.approx(root)


def test_the_gradient_is_measured_against_a_loss_of_at_most_one():
    data = ib.data.orthogonal(3)
    nets = [ib.TwoLayer.init(data, 2, 2, SMOOTH, 5.0, seed=seed) for seed in range(2)]
    expected = []
    losses = []
    for net in nets:
        q = ib.measures.margins(net, data)
        losses.append(float(torch.nn.functional.softplus(-q).mean()))
        expected.append(min(losses[-1], 1.0) / float(torch.sigmoid(-q).mean()))
    assert max(losses) > 1
    seen = ib.claims["F-E.3"].check(*nets, data, search=False).constants
    assert seen["G"] == pytest.approx(min(expected))


def test_the_error_of_the_linear_part_is_told_in_units_of_its_bound():
    data = ib.data.orthogonal(3)
    nets = [ib.TwoLayer.init(data, 2, 2, SMOOTH, 1.0, seed=seed) for seed in range(2)]
    verdict = ib.claims["F-E.2"].check(*nets, data, search=False)
    share = 1 / verdict.constants["given"]
    assert 0 < share < 0.99
    assert (
        f"the error is {share:.3f} times its bound at the networks given" in verdict.why
    )


@pytest.mark.parametrize(
    "activation, leaks",
    [(SMOOTH, True), (ib.leaky_relu(1.0), True), (ib.relu(), False)],
)
def test_the_setting_asks_for_a_leak(activation, leaks):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, activation, 1.0, seed=0)
    assert bool(smooth_setting.smooth_leaky_setting(net)[0].holds) is leaks


def test_gradients_of_a_batch_of_leaks_are_judged_each_by_its_own():
    data = ib.data.correlated(5, p=0.02, norms=[1, 2, 1, 1, 3])
    weights = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 1.0, seed=[0, 1]).weights
    a = [0.5, 0.5, -0.5, -0.5]
    leaks = [0.3, 0.6]
    check = ib.claims["F-E.7"].check
    slopes = ib.leaky_relu(torch.tensor(leaks, dtype=torch.float64))
    together = check(ib.TwoLayer(weights, a, slopes), data, search=False).constants
    apart = [
        check(ib.TwoLayer(rows, a, ib.leaky_relu(leak)), data, search=False).constants
        for rows, leak in zip(weights, leaks)
    ]
    for name in ("E.5", "E.6"):
        assert together[name] == pytest.approx(min(one[name] for one in apart))
