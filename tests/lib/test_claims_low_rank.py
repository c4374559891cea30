"""Theorem 4.2 of F: literal twins of its bounds, the bound on what training adds, and
what breaks each check.
"""

import math

import numpy as np
import pytest
import torch
from changed import first
from hypothesis import given
from hypothesis import strategies as st
from literal import autograd_descent, stable_rank

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import e12_frobenius, e13_spectral, theorem_4_2
from implicit_bias.theorems.frei2023 import rank_bounds as tools
from implicit_bias.theorems.frei2023.smooth_instances import start_within


def small_run(
    activation=None, steps=30, record=None, step_size=0.05, scale=0.1, seed=1
):
    data = ib.data.gaussian(5, 12, seed=seed)
    net = ib.TwoLayer.init(
        data, 3, 4, activation or ib.smoothed_leaky_relu(0.4), scale, seed=seed
    )
    return ib.gradient_descent(net, data, step_size, steps, record=record)


@pytest.fixture(scope="module")
def within():
    net, data, step = start_within()
    return ib.gradient_descent(net, data, step, 60, record=range(61))


def test_both_sides_of_e12_and_e13_by_loops():
    run = small_run(record=range(31))
    net = run.initial
    data = run.data
    gamma = 0.4
    seen = autograd_descent(
        net.weights, net.a, "smoothed_leaky_relu", gamma, data.x, data.y, 0.05, 30
    )
    norms = [float(np.linalg.norm(x)) for x in data.x.numpy()]
    low = min(norms)
    high = max(norms)
    R = max(norms) / min(norms)
    C_R = 10 * R**2 / gamma**2 + 10
    total = 0.0
    left, right = e12_frobenius.frobenius_bound(run)
    inner, spectral = e13_spectral.spectral_bound(run)
    mu = sum(y * x for x, y in zip(data.x.numpy(), data.y.numpy()))
    for t in range(1, 31):
        before = seen[t - 1].numpy()
        for x, y in zip(data.x.numpy(), data.y.tolist()):
            z = before @ x
            f = sum(
                a * (gamma * v + (1 - gamma) * math.log((1 + math.exp(v)) / 2))
                for a, v in zip(net.a.tolist(), z)
            )
            total += 1 / (1 + math.exp(y * f)) / 5
        W = seen[t].numpy()
        assert float(left[t - 1]) == pytest.approx(np.linalg.norm(W))
        start = np.linalg.norm(seen[0].numpy())
        assert float(right[t - 1]) == pytest.approx(
            start + math.sqrt(2 * C_R) * high * 0.05 / math.sqrt(5) * total
        )
        assert float(inner[t - 1]) == pytest.approx(
            0.05 * gamma * low**2 / (4 * math.sqrt(7)) * total
        )
        bound = 0.05 * gamma * low / (4 * math.sqrt(2) * R * math.sqrt(5)) * total
        assert float(spectral[t - 1]) == pytest.approx(bound)
        expected = [
            math.copysign(1, a) * float(w @ mu) for a, w in zip(net.a.tolist(), W)
        ]
        np.testing.assert_allclose(e13_spectral.along_mu(run)[t], expected, rtol=1e-9)


def test_pull_sums_bracket_what_was_not_recorded():
    exact, same = tools.pull_sums(small_run(record=range(31)))
    torch.testing.assert_close(exact, same)
    low, high = tools.pull_sums(small_run(record=[0, 1, 4, 13, 30]))
    for k, t in enumerate((0, 1, 4, 13, 30)):
        assert (
            float(low[k]) <= float(exact[t]) + 1e-12
            and float(exact[t]) <= float(high[k]) + 1e-12
        )
    assert float(low[-1]) < float(exact[-1]) < float(high[-1])


def test_runs_that_do_not_fit_are_refused(rejects):
    run = small_run(record=[3, 30])
    with rejects("run", "step 0"):
        tools.pull_sums(run)
    with rejects("run", "after step 0"):
        tools.steps_after_start(small_run(steps=5, record=[0]))
    flow = ib.gradient_flow(run.initial, run.data, 1.5)
    for check in (tools.pull_sums, tools.steps_after_start, theorem_4_2.rank_bounded):
        with rejects("run", "gradient.descent"):
            check(flow)


# -- the rank of what training adds --------


@given(
    seed=st.integers(0, 10**6),
    gamma=st.floats(0.02, 1.0),
    n=st.integers(1, 6),
    step=st.floats(-3, 3),
    scale=st.floats(-3, 1),
    smooth=st.booleans(),
    loss=st.sampled_from(["logistic", "exponential"]),
)
def test_what_training_adds_has_small_rank_from_every_start(
    seed, gamma, n, step, scale, smooth, loss
):
    data = ib.data.gaussian(n, 8, seed=seed)
    activation = (ib.smoothed_leaky_relu if smooth else ib.leaky_relu)(gamma)
    net = ib.TwoLayer.init(data, 3, 2, activation, 10**scale, seed=seed)
    # The exponential loss overflows at large steps.
    size = 10 ** (step if loss == "logistic" else min(step, -2))
    run = ib.gradient_descent(net, data, size, 12, loss, record=range(13))
    ranks = tools.moved_rank(run)[1:]
    bound = float(tools.moved_rank_bound(data, gamma))
    moved = tools.moved(run)[1:].flatten(-2).norm(dim=-1)
    clear = moved > 1e-9 * net.frobenius()  # else rounding is all that moved
    assert float(ranks[clear].max() if clear.any() else 1.0) <= bound * (1 + 1e-9)


def test_it_covers_minibatches_and_the_flow():
    data = ib.data.gaussian(6, 40, seed=3)
    gamma = 0.2
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(gamma), 0.1, seed=2)
    bound = float(tools.moved_rank_bound(data, gamma))
    for run in (
        ib.sgd(net, data, 0.1, 60, batch_size=2),
        ib.gradient_flow(net, data, 8.0),
    ):
        assert float(tools.moved_rank(run)[1:].max()) <= bound


def test_moved_rank_and_its_bound_literally():
    run = small_run(ib.leaky_relu(0.3))
    added = run.net(7).weights - run.initial.weights
    assert float(tools.moved_rank(run)[7]) == pytest.approx(stable_rank(added))
    x = run.data.x.numpy()
    cosines = np.array(
        [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x] for a in x]
    )
    wanted = np.linalg.cond(cosines) * 1.3**2 / 1.2
    assert float(tools.moved_rank_bound(run.data, 0.3)) == pytest.approx(wanted)


def test_the_bound_is_infinite_for_dependent_samples():
    twice = ib.Dataset(
        torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([1.0, -1.0])
    )
    assert tools.moved_rank_bound(twice, 0.5) == math.inf


@given(gamma=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_slope_spread_bounds_every_set_of_slopes(gamma, seed):
    b = (
        gamma
        + (1 - gamma)
        * torch.rand(
            50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        ** 3
    )
    assert (
        float((b**2).mean() / b.mean() ** 2) <= float(tools.slope_spread(gamma)) + 1e-12
    )


def test_slope_spread_is_attained():
    gamma = 0.25  # a share γ/(1+γ) = 1/5 awake
    b = torch.tensor([1.0, gamma, gamma, gamma, gamma], dtype=torch.float64)
    assert float((b**2).mean() / b.mean() ** 2) == pytest.approx(
        float(tools.slope_spread(gamma))
    )


# -- Theorem 4.2 --------


def test_constants_by_hand():
    data = ib.data.orthogonal(3, norms=[1, 2, 2])
    assert float(tools.rank_constant(data, 0.5)) == pytest.approx(256 * 170 * 16 / 0.25)
    assert float(tools.small_start_rank_bound(0.5)) == pytest.approx(1.04 * 1.125)
    t = torch.tensor([2, 11])
    torch.testing.assert_close(
        tools.fast_loss_bound(data, 0.5, 0.1, t),
        torch.tensor([3 / (0.35 * 0.25 * 0.1), 0.3 / (0.35 * 0.25 * 0.1)]).double(),
    )


def test_the_loss_bound_by_hand():
    run = small_run(record=[0, 3, 30])
    start = math.exp(float(run.log_loss[0]))
    data = run.data
    unit = 16 * start * 5 * float(data.R) ** 2 / (0.16 * float(data.R_min) ** 2 * 0.05)
    expected = [2 * math.sqrt(unit / (t + 1)) for t in (3, 30)]
    np.testing.assert_allclose(tools.log_loss_bound(run, 0.4).exp(), expected)


def test_all_parts_hold_within_and_the_bounds_proved_here_too(within):
    verdicts = {
        id: ib.claims[id].check(within)
        for id in ("F-E.12", "F-E.13", "F-4.2.1", "F-4.2.3")
    }
    assert [v.conclusion for v in verdicts.values()] == ["holds"] * 4
    assert [v.verdict for v in verdicts.values()] == [
        "vacuous",
        "holds",
        "undecided",
        "vacuous",
    ]
    constant = tools.small_start_rank_bound(0.5)
    assert ib.claims["F-4.2.3"].check(within, constant=constant).verdict == "holds"
    assert (
        "says nothing" in verdicts["F-4.2.3"].why
        and "says nothing" in verdicts["F-E.12"].why
    )
    late = within.step >= 2
    bound = tools.fast_loss_bound(within.data, 0.5, within.step_size, within.step[late])
    assert bool((within.log_loss[late].exp() <= bound).all())


def test_the_rate_of_the_neurons_is_undecided_on_a_short_run(within):
    assert ib.claims["F-4.2.2"].check(within).verdict == "undecided"


def test_a_run_of_two_records_refutes_no_growth(within):
    assert ib.claims["F-4.2.2"].check(first(within, 2)).verdict == "undecided"


def test_a_zero_sample_leaves_no_bound_and_no_verdict():
    data = ib.Dataset([[0.0, 0.0], [1.0, 0.0]], [1, -1])
    assert tools.moved_rank_bound(data, 0.5) == math.inf
    net = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(0.5), 1e-3)
    run = ib.gradient_descent(net, data, 0.1, 5)
    for id in ("F-4.2.1", "F-4.2.2", "F-4.2.3", "F-E.12", "F-E.13"):
        assert ib.claims[id].check(run).verdict == "vacuous"


def test_a_batch_is_checked_as_its_worst_member():
    net, data, step = start_within()
    pair = ib.TwoLayer(
        torch.stack([net.weights, 1e14 * net.weights]),
        net.a,
        net.activation,
        torch.stack([net.frozen_gram, 1e28 * net.frozen_gram]),
    )
    run = ib.gradient_descent(pair, data, step, 3, record=range(4))
    for id in ("F-E.13", "F-4.2.3"):
        args = (0.01, 1.17) if id == "F-4.2.3" else ()
        both = ib.claims[id].check(run, *args)
        worse = ib.claims[id].check(run.member(1), *args)
        assert both.slack == pytest.approx(worse.slack) and both.slack < 1


def test_kinks_and_other_second_layers_are_vacuous():
    run = small_run(ib.leaky_relu(0.4))
    assert ib.claims["F-4.2.3"].check(run).verdict == "vacuous"
    assert any(
        h.name == "smoothness" and not h.holds
        for h in ib.claims["F-E.12"].check(run).hypotheses
    )
