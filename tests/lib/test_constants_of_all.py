"""Descent, measures and points: statements that a single changed sign or number would
break.
"""

import math
from functools import partial

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023.at_point import KKT_TOLERANCE, AtPoint
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.limits import fitted_rate, limit
from implicit_bias.theorems.setting import neurons
from implicit_bias.training.stepper import Stepper

LEAKY = ib.leaky_relu(0.5)


@pytest.mark.parametrize("member", [0, 1, 2])
def test_one_member_that_overflows_past_the_last_record_makes_the_batch_non_finite(
    member,
):
    data = ib.data.gaussian(4, 10, seed=0, space="full")
    net = ib.TwoLayer(torch.full((3, 2, 10), 0.1), [1.0, -1.0], LEAKY)
    step_size = torch.full((3,), 1e-3).index_fill(0, torch.tensor([member]), 1e5)
    run = ib.gradient_descent(net, data, step_size, 100, "exponential", record=[0])
    assert (
        run.outcome.status == "non-finite"
        and "between steps 0 and 100" in run.outcome.message
    )


def test_a_neuron_orthogonal_to_a_sample_counts_as_active():
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer(torch.tensor([[0.0, 1.0], [1.0, -1.0]]), [1.0, -1.0], LEAKY)
    pattern = ib.measures.activation_pattern(net, data)
    assert pattern.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("power", [-1060, -1030, 1000])
def test_a_kkt_point_is_one_at_any_scale_of_its_weights(power):
    """Below 1e-308 the reciprocal of a weight is no number; the point's own scale is."""
    data = ib.data.orthogonal(3)
    row = torch.tensor([1.0, 1.0, -0.5], dtype=torch.float64)
    other = torch.tensor([-0.5, -0.5, 1.0], dtype=torch.float64)
    weights = torch.stack([row, row, other, other]) * 2.0**power
    point = AtPoint.of(ib.TwoLayer(weights, [0.5, 0.5, -0.5, -0.5], LEAKY), data)
    assert float(point.residual.worst) < KKT_TOLERANCE
    torch.testing.assert_close(point.net.weights[0], 0.8 * row)


def test_a_flow_counts_as_descent_in_infinitely_small_steps():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 1e-3, output="1/m", seed=0)
    step = kou_setting.conditions_of_K(ib.gradient_flow(net, data, 1.0))[-1].parts[0]
    assert "η ≤" in step.statement and float(step.slack) > 1e100


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    "entries, allowed", [(50, 1 + 1e-6), (5000, 0.1 + 1e-6), (5 * 10**19, 1.001e-6)]
)
def test_the_scale_of_a_start_is_known_to_ten_standard_deviations(
    entries, allowed, sign
):
    size = torch.tensor(1.0, dtype=torch.float64)
    kou_setting._is_scale(1.0, size * (1 + 0.99 * sign * allowed), entries)
    with pytest.raises(ValueError, match="^scale: .*root mean square"):
        kou_setting._is_scale(1.0, size * (1 + 1.01 * sign * allowed), entries)
    with pytest.raises(ValueError, match="^scale: "):
        kou_setting._is_scale(1.0, size * math.nan, entries)


@pytest.mark.parametrize("record", [[-3, 2, 5], [0, 2, 9], [-3, 2, 9]])
def test_the_error_of_a_record_names_its_first_and_its_last_step(record):
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer.init(data, 1, 1, LEAKY, 1.0, seed=0)
    seen = (
        rf"^record: expected steps between 0 and 5, got \[{record[0]}, {record[-1]}\]$"
    )
    with pytest.raises(ValueError, match=seen):
        ib.gradient_descent(net, data, 1.0, 5, record=record)


def test_a_limit_names_the_last_time_of_its_clock():
    clock = torch.tensor([1.0, 10.0, 50.0, 200.0, 300.0], dtype=torch.float64)
    finding, _ = limit(clock, 1 / clock, "the error", "s", law=1.0)
    assert (
        f"the error is {1 / 300:.2e} at s = 300, falling like s^-1.000" in finding.why
    )
    assert finding.worst == "s = 300" and finding.constants["s"] == 300
    finding, _ = limit(clock, 0 * clock, "the error", "s", law=1.0)
    assert "at s = 300, zero to rounding" in finding.why


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
def test_rows_of_each_sign_of_a_batch_whose_members_have_their_own_second_layer(batch):
    weights = torch.arange(24.0).reshape(4, 6).expand(*batch, 4, 6)
    a = torch.tensor([0.5, -0.5, 0.5, -0.5]).expand(*batch, 4)
    v, u = neurons(ib.TwoLayer(weights.clone(), a.clone(), LEAKY))
    assert v.equal(weights[..., [0, 2], :].to(v)) and u.equal(
        weights[..., [1, 3], :].to(u)
    )


def test_a_rate_is_fitted_over_the_last_decade_to_errors_above_zero():
    clock = torch.tensor([1.0, 9.9, 10.0, 20.0, 40.0, 50.0, 100.0], dtype=torch.float64)
    error = clock**-1.5
    assert fitted_rate(clock, error) == pytest.approx(1.5)
    error[:2] = 7.0  # before the last decade
    error[4] = 0.0
    assert fitted_rate(clock, error) == pytest.approx(1.5)
    error[3] = -1.0
    assert fitted_rate(clock, error) == pytest.approx(1.5)
    error[5] = 0.0
    assert math.isnan(fitted_rate(clock, error))


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_steps_taken_in_leaps_are_those_taken_one_at_a_time(monkeypatch, batch_size):
    data = ib.data.correlated(
        6, d=30, p=0.01, signs="oppose", norms=[1, 2, 1, 1, 1.5, 1]
    )
    net = ib.TwoLayer.init(data, 40, 40, LEAKY, 1e-3, seed=0)
    leap = Stepper.leap
    taken = []

    def counted(self, count):
        taken.append(leap(self, count))
        return taken[-1]

    monkeypatch.setattr(Stepper, "leap", counted)
    rule = (
        partial(ib.gradient_descent, net, data, 0.05, 3000)
        if batch_size is None
        else partial(ib.sgd, net, data, 0.05, 3000, batch_size, seed=1)
    )
    leaps = rule(record=[0, 3000])
    assert sum(taken) > 2000 and max(taken) == 1024
    taken.clear()
    steps = rule(record=range(3001))
    assert not taken
    assert float((leaps.final.weights - net.weights).norm()) > 1
    torch.testing.assert_close(
        leaps.final.weights, steps.final.weights, rtol=1e-9, atol=1e-12
    )
