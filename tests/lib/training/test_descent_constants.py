"""Where descent calls a run diverged, and how many records it keeps, each from both
sides.
"""

import math
from types import SimpleNamespace

import pytest
import torch

from implicit_bias.training import descent as dynamics


def drawn(last, number):
    grid = torch.logspace(0, math.log10(last), number, dtype=torch.float64)
    return {round(float(step)) for step in grid}


def test_log_spaced_draws_no_more_than_it_needs():
    """Twenty draws up to 300 give eighteen whole steps, which is enough: one fewer
    would ask for five more draws.
    """
    assert len(drawn(300, 20)) == 18 < len(drawn(300, 25))
    assert dynamics.log_spaced(300, 20) == sorted(drawn(300, 20) | {0, 300})


@pytest.mark.parametrize("last", [20, 25, 50, 100])
def test_log_spaced_adds_a_quarter_until_enough_are_different(last):
    number = next(k for k in range(20, 1000, 5) if len(drawn(last, k)) >= 18)
    assert number > 20
    assert dynamics.log_spaced(last, 20) == sorted(drawn(last, number) | {0, last})


def test_log_spaced_takes_every_step_below_its_count(rejects):
    assert dynamics.log_spaced(19, 20) == list(range(20))
    assert dynamics.log_spaced(1, 20) == [0, 1]
    assert dynamics.log_spaced(0, 20) == [0]
    with rejects("last", "-1"):
        dynamics.log_spaced(-1, 20)


@pytest.mark.parametrize(
    "rise, status", [(2.99, "finished"), (3.0, "finished"), (3.01, "diverged")]
)
@pytest.mark.parametrize("member", [None, 0, 2])
def test_a_run_diverges_when_its_loss_has_risen_by_e_cubed(rise, status, member):
    ends = torch.full((3,), 0.5) if member is not None else torch.tensor(0.0)
    ends = (
        ends.index_fill(0, torch.tensor([member]), rise)
        if member is not None
        else ends + rise
    )
    outcome = dynamics._ending(
        SimpleNamespace(log_loss=torch.stack([ends * 0, ends + 9, ends])), 7
    )
    assert outcome.status == status
    if status == "diverged":
        assert "e^3.0 times above its start after 7 steps" in outcome.message
        assert ("in 1 of 3 runs the loss" in outcome.message) is (member is not None)


def test_only_the_runs_beyond_the_limit_are_counted():
    log_loss = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 5.0]])
    assert (
        "in 2 of 3 runs"
        in dynamics._ending(SimpleNamespace(log_loss=log_loss), 1).message
    )
