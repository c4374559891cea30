"""What the claims on the rank of smooth networks share: accumulated pulls, bounds on
rank and loss, what has moved.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from literal import stable_rank
from low_rank_cases import small_run

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import rank_bounds as low_rank_tools
from implicit_bias.theorems.frei2023 import rank_bounds as tools

SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


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


def test_pulls_are_summed_from_step_zero_on_only(rejects):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 0.1, seed=0)
    run = ib.gradient_descent(net, data, 0.1, 20, record=[5, 7, 20])
    with rejects("run", "a record of step 0", "records from step 5 on"):
        low_rank_tools.pull_sums(run)


@pytest.mark.parametrize("seed", range(12))
def test_dependent_samples_bound_no_rank(seed):
    data = ib.data.gaussian(5, 3, seed=seed, space="full")
    assert float(low_rank_tools.moved_rank_bound(data, 0.5)) == float("inf")
