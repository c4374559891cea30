"""Stored results come from the scripts beside them."""

import importlib.util
from pathlib import Path

import pytest
import torch

import implicit_bias as ib

RESULTS = Path(__file__).parents[2] / "book/results"


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("xor_sweep", RESULTS / "xor_sweep.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    return ib.stored_result("xor_sweep")


def test_setting_is_that_of_the_script(sweep, stored):
    wanted = {
        "n": sweep.N,
        "m": sweep.M,
        "step": sweep.STEP,
        "exponent": sweep.EXPONENT,
        "pairs": sweep.PAIRS,
    }
    wanted |= {
        "gammas": sweep.GAMMAS,
        "dims": sweep.DIMS,
        "divisors": sweep.DIVISORS,
        "seeds": sweep.SEEDS,
    }
    assert stored["setting"] == wanted | {"times": sweep.TIMES}
    assert sweep.TIMES[-1] == sweep.STEPS
    places = [(row["divisor"], row["d"], row["seed"]) for row in stored["rows"]]
    assert places == [
        (c, d, s) for c in sweep.DIVISORS for d in sweep.DIMS for s in sweep.SEEDS
    ]
    assert {"date", "seconds", "made by"} <= stored["about"].keys()


@pytest.mark.parametrize("divisor", [1, 50])
def test_a_part_of_it_comes_out_again(sweep, stored, monkeypatch, divisor):
    """The first 100 steps at the largest d, to what rounding may do to points near a
    boundary.
    """
    monkeypatch.setattr(sweep, "STEPS", 100)
    monkeypatch.setattr(sweep, "TIMES", [0, 100])
    d = sweep.DIMS[-1]
    seed = sweep.SEEDS[0]
    row = next(
        r
        for r in stored["rows"]
        if (r["divisor"], r["d"], r["seed"]) == (divisor, d, seed)
    )
    test, wins, train, log_loss, slack = sweep.one_run(d, divisor, seed)
    for part, name in (
        (test, "test"),
        (wins, "even wins"),
        (train, "train"),
        (log_loss, "log loss"),
    ):
        torch.testing.assert_close(
            part, torch.tensor(row[name][:2]).double(), atol=2e-3, rtol=1e-3
        )
    torch.testing.assert_close(
        slack, torch.tensor(row["slack"]).double(), atol=0, rtol=1e-3
    )
