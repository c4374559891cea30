"""The stored stable-rank figures come from the script beside them."""

import importlib.util
from pathlib import Path

import pytest
import torch

import implicit_bias as ib

RESULTS = Path(__file__).parents[2] / "book/results"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "rank_figures", RESULTS / "rank_figures.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    return ib.stored_result("rank_figures")


def test_setting_is_that_of_the_script(script, stored):
    assert stored["setting"] == script.setting()
    assert stored["left"]["setting"]["dims"] == script.DIMS
    assert stored["scale"]["setting"]["scales"] == script.SCALES
    assert stored["steps_by_size"]["setting"]["step_sizes"] == script.STEP_SIZES
    assert {"date", "seconds", "made by"} <= stored["about"].keys()
    assert stored["generalisation"]["bayes"] == script.best_accuracy(10**4)


def part(stored, section, name, *place):
    """The first records of one run of a section."""
    rows = torch.tensor(stored[section][name], dtype=torch.float64)[:4]
    return rows[(slice(None), *place)]


def test_one_dimension_and_start_come_out_again(script, stored):
    run = script.over_dimensions([200, 10_000], [0.01, 0.01], [1], [0, 1, 2, 3])
    for k, place in enumerate((0, 5)):
        torch.testing.assert_close(
            run.stable_rank[:, k, 0],
            part(stored, "left", "stable_rank", place, 0),
            rtol=1e-4,
            atol=0,
        )
        torch.testing.assert_close(
            run.log_loss[:, k, 0],
            part(stored, "left", "log_loss", place, 0),
            rtol=1e-4,
            atol=0,
        )


def test_scales_and_step_sizes_come_out_again(script, stored):
    run = script.over_scales([0.01, 1.0], [2], [0, 1, 2, 3])
    for section, places in (("scale", (2, 4)), ("right", (0, 2))):
        for k, place in enumerate(places):
            wanted = part(stored, section, "stable_rank", place, 1)
            torch.testing.assert_close(
                run.stable_rank[:, 0, k], wanted, rtol=1e-4, atol=0
            )
    run = script.over_step_sizes([0.32], (0.02,), [1], [0, 1, 2, 3])
    wanted = part(stored, "steps_by_size", "stable_rank", 5, 0, 0)
    torch.testing.assert_close(run.stable_rank[:, 0, 0, 0], wanted, rtol=1e-4, atol=0)


def test_accuracies_come_out_again(script, stored):
    """To one fresh point in five hundred, as rounding may move a point near the
    boundary.
    """
    run, train, test = script.generalisation((0.02,), [1], [0, 1, 2, 3])
    for seen, name in ((train, "train"), (test, "test")):
        torch.testing.assert_close(
            seen[:, 0, 0], part(stored, "generalisation", name, 1, 0), rtol=0, atol=2e-3
        )
