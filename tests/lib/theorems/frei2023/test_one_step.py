"""One step of descent, seen without cancellation."""

import math

import literal
import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_ratio_cases import SEEDS, crowd, mp_phi, nearly_orthogonal, random_pair

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import one_step
from implicit_bias.training.long_descent import long_descent

GAMMA_03 = 0.3


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


LEAKY_03 = ib.leaky_relu(0.3)


@pytest.mark.parametrize("z", [-50.0, -3.0, 0.0, 1e-9, 2.0, 45.0])
@pytest.mark.parametrize("u", [1e-14, -1e-7, 0.05, -0.3, 0.999, 1.001, -30.0, 80.0])
def test_increment_and_remainder_to_high_precision(z, u):
    with mpmath.workdps(60):
        zz = mpmath.mpf(z)
        uu = mpmath.mpf(u)
        gamma = mpmath.mpf(GAMMA_03)
        slope = gamma + (1 - gamma) / (1 + mpmath.exp(-zz))
        rise = float(mp_phi(zz + uu, gamma) - mp_phi(zz, gamma))
        rest = float(mp_phi(zz + uu, gamma) - mp_phi(zz, gamma) - slope * uu)
    at = (
        torch.tensor([[z]], dtype=torch.float64),
        torch.tensor([[u]], dtype=torch.float64),
    )
    assert float(SMOOTH_03.increment(*at)) == pytest.approx(rise, rel=1e-12)
    assert float(SMOOTH_03.remainder(*at)) == pytest.approx(
        rest, rel=1e-5, abs=1e-15 * (abs(z) + abs(u))
    )


@pytest.mark.parametrize("activation", [SMOOTH_03, LEAKY_03], ids=["smooth", "leaky"])
@pytest.mark.parametrize("step", [1e-3, 5.0])
def test_one_step_is_a_step_of_autograd(activation, step):
    net, data = random_pair(0, activation=activation)
    seen = literal.autograd_descent(
        net.weights, net.a, activation.name, GAMMA_03, data.x, data.y, step, 1
    )
    q = [ib.measures.margins(ib.TwoLayer(w, net.a, activation), data) for w in seen]
    made = one_step.one_step(net, data, step)
    torch.testing.assert_close(made.q, q[0])
    torch.testing.assert_close(made.dq, q[1] - q[0], atol=1e-13, rtol=1e-9)
    A = [torch.exp(-each)[:, None] / torch.exp(-each)[None, :] for each in q]
    torch.testing.assert_close(made.log_A.exp(), A[0])
    torch.testing.assert_close(made.log_growth.exp(), A[1] / A[0])


def test_steps_of_a_batch_are_the_steps_of_its_members():
    data = nearly_orthogonal(0)
    start = ib.TwoLayer.init(
        data, 2, 2, SMOOTH_03, torch.tensor([0.1, 1.0]), seed=[1, 2, 3]
    )
    run = ib.gradient_descent(
        start, data, torch.tensor([0.1, 0.2]), 5, record=[0, 2, 4]
    )
    _, made = one_step.steps_of(run)
    alone = one_step.one_step(run.member(2, 1).net(1), data, 0.2)
    torch.testing.assert_close(made.dq[1, 2, 1], alone.dq)


def test_long_descent_is_autograd_in_the_full_space():
    net, data = random_pair(3)
    seen = literal.autograd_descent(
        net.weights, net.a, SMOOTH_03.name, GAMMA_03, data.x, data.y, 0.7, 20
    )
    run = long_descent(net, data, 0.7, 20, record=[0, 5])
    torch.testing.assert_close(run.final.weights, seen[-1], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(run.net(1).weights, seen[5], rtol=1e-11, atol=1e-12)


def test_long_descent_of_networks_with_different_second_layers():
    net, data = random_pair(3)
    a = torch.stack([net.a, -net.a])
    both = long_descent(
        ib.TwoLayer(net.weights.expand(2, -1, -1), a, SMOOTH_03), data, 0.7, 20
    )
    alone = long_descent(ib.TwoLayer(net.weights, -net.a, SMOOTH_03), data, 0.7, 20)
    torch.testing.assert_close(
        both.margins[:, 1], alone.margins, rtol=1e-11, atol=1e-12
    )


def test_long_descent_ends_when_numbers_do(rejects):
    net, data = random_pair(0)
    run = long_descent(net.scaled(1e4), data, 1.0, 10)
    assert run.outcome.status == "non-finite" and "step 0" in run.outcome.message
    with rejects("net", "overflow"):
        long_descent(net.scaled(1e4), data, 1.0, 10, record=[5])


def test_long_descent_refuses(rejects):
    net, data = random_pair(0)
    kinked = ib.TwoLayer(net.weights, net.a, LEAKY_03)
    with rejects("net", "smooth"):
        long_descent(kinked, data, 0.1, 5)
    with rejects("record", "between 0 and 5"):
        long_descent(net, data, 0.1, 5, record=[6])
    with rejects("step_size", "-1"):
        long_descent(net, data, -1.0, 5)
    wide = ib.Dataset(torch.randn(9, 2).double(), [1] * 5 + [-1] * 4)
    with rejects("data", "9 in 2"):
        long_descent(ib.TwoLayer.init(wide, 1, 1, SMOOTH_03, 0.1), wide, 0.1, 5)


def test_kinks_are_vacuous():
    data = nearly_orthogonal(0)
    run = ib.gradient_descent(
        ib.TwoLayer.init(data, 3, 3, LEAKY_03, 1e-3), data, 1e-3, 3
    )
    for id in ("F-E.4", "F-E.8", "F-E.10", "F-E.11.b"):
        assert ib.claims[id].check(run).verdict == "vacuous"
    exponential = ib.gradient_descent(
        ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 1e-3), data, 1e-3, 3, loss="exponential"
    )
    assert "logistic" in ib.claims["F-E.8"].check(exponential).why


def test_runs_need_a_step_size(rejects):
    data = ib.data.orthogonal(3)
    flow = ib.gradient_flow(ib.TwoLayer.init(data, 2, 2, SMOOTH_03, 1e-3), data, 2.0)
    for id in ("F-E.4", "F-E.8", "F-E.10", "F-E.11.b"):
        with rejects("run", "gradient descent"):
            ib.claims[id].check(flow)


@given(SEEDS, st.floats(0.05, 0.9999))
def test_invariant_with_the_lighter_condition_on_the_step(seed, gamma):
    """E.10 as printed with α ≤ 2n/(5 R_max²) added: no violation, on fitted networks of
    any kind.
    """
    data = nearly_orthogonal(seed, p=1e-4)
    nets, c, alpha = crowd(seed, data, gamma, most=0.5)
    alpha = torch.minimum(alpha, 2 * data.n / (5 * data.R_max**2))
    made = one_step.one_step(nets, data, alpha)
    rho = torch.maximum(5 * data.R**2 / c + 5, made.log_A.amax((-2, -1)).exp())
    after = (made.log_A + made.log_growth).amax((-2, -1)).exp()
    fitted = made.q.amin(-1) > 0
    assert bool((after[fitted] <= rho[fitted] * (1 + 1e-12)).all())


def test_a_statement_about_times_counts_where_its_hypotheses_hold():
    holds = ib.hypotheses.Hypothesis(
        "h", "", torch.tensor([2.0, 0.5, 2.0]), torch.ones(3)
    )
    kept, slack, note = one_step.applying([holds], torch.tensor([3.0, 0.1, 1.5]))
    assert (
        slack.tolist() == [3.0, math.inf, 1.5]
        and "2 of 3" in note
        and bool(kept[0].holds.all())
    )
    never = ib.hypotheses.Hypothesis("h", "", torch.zeros(3), torch.ones(3))
    kept, slack, note = one_step.applying([never], torch.tensor([3.0, 0.1, 1.5]))
    assert (
        slack.min() == pytest.approx(0.1)
        and "none" in note
        and not bool(kept[0].holds.any())
    )


@pytest.mark.parametrize(
    "m_pos, m_neg, R", [(2, 2, 1.0), (2, 2, 2.0), (1, 7, 2.0), (7, 1, 1.0)]
)
def test_ratio_goes_where_the_chapter_says(m_pos, m_neg, R):
    gamma = 0.5
    m = m_pos + m_neg
    data = ib.data.orthogonal(2, norms=[1.0, R])
    start = ib.TwoLayer.init(
        data, m_pos, m_neg, ib.smoothed_leaky_relu(gamma), 1e-6, seed=1
    )
    flow = ib.gradient_flow(start, data, 150.0, record=[150.0])
    s = [(m_pos + gamma**2 * m_neg) / m, (m_neg + gamma**2 * m_pos) / m]
    log_g = ib.losses.LOGISTIC.log_g(flow.margins[-1])
    assert float((log_g[0] - log_g[1]).exp()) == pytest.approx(
        R**2 * s[1] / s[0], rel=1e-3
    )
