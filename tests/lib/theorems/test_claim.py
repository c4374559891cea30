"""A claim as an object, and the mapping that holds them all."""

from pathlib import Path

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.claim import ORDER
from implicit_bias.theorems.limits import fitted_rate, limit

IDS = list(ib.claims)


@pytest.mark.parametrize("id", IDS)
def test_claim_describes_itself(id):
    claim = ib.claims[id]
    assert claim.id == id and claim.statement and claim.source and claim.check.__doc__
    assert (Path(__file__).parents[3] / "book/text" / f"{claim.chapter}.md").exists()


def test_no_claims_no_rows():
    assert ib.ledger([]) == []


def test_every_claim_of_the_register_is_here_and_in_its_order():
    assert IDS == ORDER and len(set(ORDER)) == 70


def test_fitted_rate_reads_a_power_law():
    clock = torch.logspace(0, 3, 40, dtype=torch.float64)
    assert fitted_rate(clock, 5 / clock**1.5) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "error, true",
    [
        (lambda s: 3 / s, True),
        (lambda s: 0.2 + 0 * s, False),
        (lambda s: s**-0.2, False),
        (lambda s: 300 / s, False),  # falling, and far
        (lambda s: 0.01 + 0 * s, False),  # near, and not falling
        (lambda s: 49.9 / s, True),
        (lambda s: 50.1 / s, False),
        (lambda s: 0.04 * (s / 1000) ** -0.501, True),
        (lambda s: 0.04 * (s / 1000) ** -0.499, False),
    ],
)
def test_limit_needs_a_rate(error, true):
    clock = torch.logspace(0, 3, 40, dtype=torch.float64)
    finding, unsettled = limit(clock, error(clock), "x", "s", law=1.0)
    assert finding.true is true and bool(unsettled) is not true


def test_limit_of_a_short_run_is_unsettled():
    clock = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert limit(clock, 1 / clock, "x", "s", law=1.0)[1]
