import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from literal import mp_loss

import implicit_bias.losses as losses

MARGINS = [
    -1e4,
    -745.0,
    -40.0,
    -1.0,
    0.0,
    1e-9,
    1.0,
    19.999,
    20.0,
    20.001,
    37.0,
    745.0,
    1e4,
]


@pytest.mark.parametrize("q", MARGINS)
@pytest.mark.parametrize("name", ["logistic", "exponential"])
def test_losses_agree_with_sixty_digits(name, q):
    loss = losses.get(name)
    tensor = torch.tensor(q, dtype=torch.float64)
    value, log_value, g, log_g = mp_loss(q, name)
    got = loss.value(tensor), loss.log_value(tensor), loss.g(tensor), loss.log_g(tensor)
    for ours, exact in zip(got, (value, log_value, g, log_g)):
        if exact > 1e308:
            assert ours == float("inf")
        else:
            assert ours.item() == pytest.approx(float(exact), rel=4e-15, abs=1e-307)


@pytest.mark.parametrize("name", ["logistic", "exponential"])
def test_logarithms_are_finite_and_monotone_far_out(name):
    q = torch.linspace(-1e4, 1e4, 4001, dtype=torch.float64)
    for curve in (losses.get(name).log_value(q), losses.get(name).log_g(q)):
        assert torch.isfinite(curve).all()
        assert (curve.diff() <= 0).all()


@pytest.mark.parametrize("name", ["logistic", "exponential"])
@given(q=st.floats(-700, 700))
def test_g_is_minus_the_derivative_and_logs_are_logs(name, q):
    loss = losses.get(name)
    q = torch.tensor(q, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss.value(q), q)
    torch.testing.assert_close(loss.g(q), -slope, rtol=1e-13, atol=0)
    torch.testing.assert_close(
        loss.log_value(q).exp(), loss.value(q), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(loss.log_g(q).exp(), loss.g(q), rtol=1e-12, atol=0)


@given(q=st.floats(-1e4, 1e4))
def test_logistic_slopes_at_opposite_margins_add_to_one(q):
    q = torch.tensor(q, dtype=torch.float64)
    assert losses.LOGISTIC.g(q) + losses.LOGISTIC.g(-q) == pytest.approx(1, abs=1e-15)
    assert losses.LOGISTIC.value(-q) - losses.LOGISTIC.value(q) == pytest.approx(
        float(q), rel=1e-13, abs=1e-13
    )


@given(
    q=st.lists(st.floats(-30, 30), min_size=1, max_size=8), shift=st.floats(-1e4, 1e4)
)
def test_log_mean_is_the_log_of_the_mean_and_shifts_with_it(q, shift):
    q = torch.tensor(q, dtype=torch.float64)
    for loss in (losses.LOGISTIC, losses.EXPONENTIAL):
        torch.testing.assert_close(
            loss.log_mean(q), loss.value(q).mean().log(), rtol=1e-12, atol=1e-12
        )
    shifted = losses.EXPONENTIAL.log_mean(q + shift)
    torch.testing.assert_close(
        shifted, losses.EXPONENTIAL.log_mean(q) - shift, rtol=1e-12, atol=1e-9
    )


def test_unknown_loss_is_refused(rejects):
    with rejects("loss", "'logistic' or 'exponential'", "'hinge'"):
        losses.get("hinge")
