"""Random signs: the law of the limit's stable rank on orthogonal samples (S-7)."""

import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from implicit_bias.theorems.kou2023 import orthogonal_law
from implicit_bias.theorems.kou2023.orthogonal_law import class_law


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_law_at_equal_norms(k):
    law = orthogonal_law.class_law(torch.full((k,), 3.0), 70)
    assert law.rank == pytest.approx(2 * k / (k + 1))
    assert law.rank_sd == pytest.approx(
        2 * math.sqrt(k * (k - 1) / ((k + 1) ** 3 * 70)), abs=1e-12
    )
    assert law.rank_bias == pytest.approx(
        law.rank * (k - 1) * (k - 2) / (k**2 * 70), abs=1e-12
    )


@pytest.mark.parametrize("norms", [[1.0] * 6, [1, 1.5, 2, 2.5, 3, 4]])
def test_law_is_that_of_drawn_signs(norms):
    m = 300
    norms = torch.tensor(norms).double()
    law = orthogonal_law.class_law(norms, m)
    grams = [
        orthogonal_law.limit_gram(orthogonal_law.draw_signs(m, 6, 4000, seed), norms)
        for seed in (1, 2)
    ]
    ranks = orthogonal_law.ranks_of_grams(*grams)
    mean = float(ranks[:, 0].mean())
    sd = float(ranks[:, 0].std())
    assert sd == pytest.approx(law.rank_sd, rel=0.08)
    assert mean == pytest.approx(
        law.rank + law.rank_bias, abs=4 * sd / 4000**0.5 + 0.1 * sd
    )
    limit, reach = orthogonal_law.whole_spread(law, law, 0.05)
    assert limit == pytest.approx(2 * law.rank)
    inside = float(((ranks[:, 2] - limit).abs() <= reach).double().mean())
    assert inside > 0.94
    inside = float(((ranks[:, 0] - law.rank).abs() <= law.reach(0.05)).double().mean())
    assert 0.93 < inside < 0.98


@given(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=8))
def test_no_norms_give_more_than_equal_ones(norms):
    k = len(norms)
    rank = orthogonal_law.class_law(torch.tensor(norms).double(), 10).rank
    assert 1 - 1e-12 <= rank <= 2 * k / (k + 1) * (1 + 1e-12)
    d = [1 / r for r in norms]
    top = literal.np.linalg.eigvalsh(
        [[d[i] * d[l] * (2 if i == l else 1) for l in range(k)] for i in range(k)]
    )[-1]
    assert rank == pytest.approx(2 * sum(x * x for x in d) / top)


@pytest.mark.parametrize("norms", [[], [[1.0, 2.0]], 3.0])
def test_the_law_of_a_class_takes_one_length_a_sample(rejects, norms):
    with rejects("norms", "a vector"):
        class_law(norms, 5)
