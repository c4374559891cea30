"""The setting of Frei et al.'s appendix E: γ-leaky smooth activations, ``a_j = ±1/√m``,
logistic loss, small steps and starts.
"""

import math
from dataclasses import replace

import pytest
import torch
from smooth_constants_cases import net_on

import implicit_bias as ib
from implicit_bias.theorems import draws
from implicit_bias.theorems.frei2023 import smooth_setting
from implicit_bias.theorems.frei2023.smooth_setting import slopes_fit
from implicit_bias.training.long_descent import long_descent
from implicit_bias.training.problem import Problem
from implicit_bias.training.stepper import Stepper

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


f64 = torch.float64


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


@pytest.mark.parametrize(
    "low, high, fits", [(0.3, 1.0, True), (0.29, 1.0, False), (0.3, 1.01, False)]
)
def test_slopes_of_an_activation_are_looked_at(low, high, fits):
    class Other(ib.Activation):
        def value(self, z):
            return z * self.derivative(z)

        def derivative(self, z):
            return torch.where(z >= 0, high, low).to(z)

    assert slopes_fit(Other("other", 0.3)) is fits
    assert not slopes_fit(Other("other", 0.0))
    assert slopes_fit(SMOOTH_03) and slopes_fit(
        ib.leaky_relu(torch.tensor([0.2, 0.5]).double())
    )


@pytest.mark.parametrize(
    "count, delta, wanted",
    [(100, 0.1, 22), (100, 0.01, 5), (10, 0.5, 9), (1, 0.9, 0), (400, 0.01, 12)],
)
def test_draws_that_may_fail(count, delta, wanted):
    """δ of them and four standard deviations, but never all."""
    assert draws.excused(count, delta) == wanted


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_time_between_records_by_hand(share):
    from implicit_bias.theorems.frei2023.theorem_3_4 import passing_time

    data = ib.data.orthogonal(3)
    run = ib.gradient_flow(
        net_on(data, 0.01, 2, ib.leaky_relu(0.3)), data, 4.0, record=[1.0, 2.0, 4.0]
    )
    high, low = run.log_loss[1:].tolist()
    for times, wanted in (
        ([1.0, 3.0, 7.0], 3 + 4 * share),
        ([-math.inf, -math.inf, 7.0], 7 + math.log(share)),
    ):
        moved = replace(run, log_time=torch.tensor(times, dtype=f64))
        assert float(passing_time(moved, high + share * (low - high))) == pytest.approx(
            wanted
        )


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
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 0.1, seed=0)
    run = long_descent(net, data, 0.1, 0)
    assert run.step.tolist() == [0] and torch.allclose(run.final.weights, net.weights)
    with rejects("steps", "at least 0|>= 0|0"):
        long_descent(net, data, 0.1, -1)


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
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 1.0, seed=0)
    own, here = (
        ib.gradient_descent(net, data, 0.5, 30, loss) for loss in (twin, "logistic")
    )
    torch.testing.assert_close(own.final.weights, here.final.weights)


@pytest.mark.parametrize(
    "activation, leaks",
    [(SMOOTH_04, True), (ib.leaky_relu(1.0), True), (ib.relu(), False)],
)
def test_the_setting_asks_for_a_leak(activation, leaks):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, activation, 1.0, seed=0)
    assert bool(smooth_setting.smooth_leaky_setting(net)[0].holds) is leaks
