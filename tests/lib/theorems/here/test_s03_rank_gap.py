"""Found here: S-3, the stable rank of a class goes to one like ``1/log² t``."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leaky_constants_cases import trained_long

import implicit_bias as ib
from implicit_bias.theorems.here import s03_rank_gap

LEAKY_04 = ib.leaky_relu(0.4)


f64 = torch.float64


LEAKY_05 = ib.leaky_relu(0.5)


def grown(seed, size, m=5, d=4):
    stream = torch.Generator().manual_seed(seed)
    weights = torch.randn(2 * m, d, generator=stream, dtype=f64)
    direction = torch.randn(2, d, generator=stream, dtype=f64)
    a = torch.cat([torch.ones(m), -torch.ones(m)])
    moved = weights + size * direction.repeat_interleave(m, dim=0)
    return ib.TwoLayer(weights, a, LEAKY_04), ib.TwoLayer(moved, a, LEAKY_04), direction


@given(seed=st.integers(0, 10**6), size=st.floats(-1e3, 1e3))
def test_the_two_bounds_hold_at_any_growth(seed, size):
    before, after, _ = grown(seed, size)
    box = s03_rank_gap.rank_sandwich(before)
    gap = s03_rank_gap.rank_gap(after)
    assert bool((gap >= box.floor * (1 - 1e-8)).all()) and bool(
        (gap <= box.ceiling * (1 + 1e-8)).all()
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_by_singular_values_and_its_limit(seed):
    before, after, direction = grown(seed, 1e5)
    box = s03_rank_gap.rank_sandwich(before, direction)
    for j in range(2):
        rows = after.weights[5 * j : 5 * j + 5].numpy()
        values = np.linalg.svd(rows, compute_uv=False)
        assert float(s03_rank_gap.rank_gap(after)[j]) == pytest.approx(
            float((values[1:] ** 2).sum()), rel=1e-4
        )
        spread = before.weights[5 * j : 5 * j + 5] - before.weights[
            5 * j : 5 * j + 5
        ].mean(0)
        e = direction[j] / direction[j].norm()
        limit = float((spread - torch.outer(spread @ e, e)).square().sum())
        assert float(box.limit[j]) == pytest.approx(limit)
        assert float((values[1:] ** 2).sum()) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize(
    "rate, true", [(0.99, False), (1.01, True), (2.99, True), (3.01, False)]
)
def test_powers_of_the_gap(rate, true, monkeypatch):
    run = trained_long(steps=3000)
    monkeypatch.setattr(s03_rank_gap, "fitted_rate", lambda clock, gap: rate)
    monkeypatch.setattr(s03_rank_gap, "start_shows", lambda joined: "")
    assert (ib.claims["S-3"].check(run).conclusion == "holds") is true


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_whole_rows_have_the_inner_products_of_the_whole_space(rank):
    stream = torch.Generator().manual_seed(rank)
    inside = torch.randn(6, 4, generator=stream)
    outside = torch.randn(6, rank, generator=stream)
    frozen = outside.double() @ outside.double().mT
    net = ib.TwoLayer(inside.double(), [1.0] * 3 + [-1.0] * 3, LEAKY_05, frozen)
    rows = s03_rank_gap._whole_rows(net)
    torch.testing.assert_close(rows @ rows.mT, net.weight_gram())
