"""Frei et al., (13) and (14) in the proof of Lemma D.2: one direction,
``μ̂ = Σ_i y_i x_i``, fits every sample.
"""

import math
import time
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from proxy_pl_cases import leaning, random_data

import implicit_bias as ib
from implicit_bias.theorems.frei2023.lemma_d1 import alignment


def test_ledger_counts_seconds(monkeypatch):
    ticks = iter([5.0, 7.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks, 0.0))
    assert ib.ledger(["F-D.1"])[0].seconds == 2.5


def test_alignment_is_a_double_sum():
    data = random_data(0)
    for k in range(data.n):
        total = sum(
            float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k]))
            for i in range(data.n)
        )
        assert float(alignment(data)[k]) == pytest.approx(total)


@pytest.mark.parametrize(
    "P, conclusion", [(1 / 3 - 1e-6, "holds"), (1 / 3 + 1e-6, "fails")]
)
def test_d1_breaks_at_one_third(P, conclusion):
    assert ib.claims["F-D.1"].check(leaning(P), 0.9).conclusion == conclusion


def test_d1_sees_a_long_mu():
    # All samples lean towards their class: aligned more than enough, but too long.
    data = ib.data.correlated(8, p=0.3, signs="agree")
    verdict = ib.claims["F-D.1"].check(data, 0.9)
    assert (
        verdict.conclusion == "fails"
        and verdict.constants["length"] < 1 < verdict.constants["alignment"]
    )


def test_d1_against_literal_numbers():
    data = random_data(3)
    mu = sum(data.y[i] * data.x[i] for i in range(5))
    low = float(data.norms.min())
    high = float(data.norms.max())
    along = [float(data.y[k] * (mu @ data.x[k])) for k in range(5)]
    numbers = ib.claims["F-D.1"].check(data, 0.3).constants
    assert numbers["alignment"] == pytest.approx(min(along) / (2 / 3 * low**2))
    assert numbers["length"] == pytest.approx(2 * 5 * high**2 / float(mu @ mu))
    bound = math.sqrt(2) * low / (3 * (high / low) * math.sqrt(5))
    assert numbers["margin"] == pytest.approx(min(along) / float(mu.norm()) / bound)


def test_numbers_of_d1_by_hand():
    data = ib.data.correlated(4, p=0.05, signs="random", norms=[1, 1.5, 1.2, 2], seed=3)
    x = data.x.numpy()
    y = data.y.numpy()
    mu = (y[:, None] * x).sum(0)
    along = min(label * float(row @ mu) for row, label in zip(x, y))
    verdict = ib.claims["F-D.1"].check(data, 0.5)
    size = np.linalg.norm(mu)
    wanted = {
        "alignment": along / (2 / 3),
        "length": 2 * 4 * 4 / size**2,
        "margin": along / size / (math.sqrt(2) / (3 * 2 * 2)),
    }
    assert verdict.constants == pytest.approx(wanted)
    assert verdict.slack == pytest.approx(min(wanted.values()))


def test_claims_and_rows_of_the_ledger_are_what_they_were_made():
    row = ib.ledger(["F-D.1"])[0]
    for thing, field in (
        (row, "verdict"),
        (row, "slack"),
        (ib.claims["F-D.1"], "statement"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, "other")
