"""The stored study of switches comes from the script beside it, and its loop is descent."""

import importlib.util
from pathlib import Path

import pytest
import torch

import implicit_bias as ib

RESULTS = Path(__file__).parents[2] / "book/results"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location(
        "relu_study", RESULTS / "relu_study.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    return ib.stored_result("relu_study")


def test_setting_is_that_of_the_script(study, stored):
    wanted = {
        "n": study.N,
        "m": study.M,
        "p": study.P,
        "d": study.D,
        "step": study.STEP,
        "scale": study.SCALE,
    }
    assert stored["setting"] == wanted | {"runs": study.RUNS, "edges": study.EDGES}
    assert [row["kind"] for row in stored["rows"]] == [
        kind for kind in study.KINDS for _ in range(study.RUNS)
    ]
    assert {"date", "seconds", "made by"} <= stored["about"].keys()


def test_every_run_meets_the_conditions(stored):
    assert all(row["slack"] >= 1 and row["share"] >= 0.4 for row in stored["rows"])


@pytest.mark.parametrize("kind", ["agree", "oppose", "random", "gaussian"])
def test_a_part_of_it_comes_out_again(study, stored, kind):
    edges = study.EDGES[:4]
    rows = [row for row in stored["rows"] if row["kind"] == kind]
    for new, old in zip(study.rows(kind, edges), rows):
        assert new["seed"] == old["seed"]
        for name in ("own switches", "other switches"):
            # a preactivation within rounding of 0 may switch a step sooner or later
            assert new[name] == pytest.approx(old[name][: len(edges)], abs=3, rel=1e-3)
        torch.testing.assert_close(
            torch.tensor(new["ranks"]),
            torch.tensor(old["ranks"][: len(edges)]),
            atol=1e-4,
            rtol=0,
        )
        assert new["log loss"] == pytest.approx(old["log loss"][: len(edges)], abs=1e-4)


def test_its_loop_is_descent_and_misses_no_switch(study):
    found = study.starts("oppose")[:2]
    data = found[0][1]
    net = found[1][2]
    batch = (
        ib.Dataset(data.x[None], data.y[None]),
        ib.TwoLayer(net.weights[None], net.a, net.activation),
    )
    states, counts, last, losses = study.every_switch(*batch, [0, 300])
    run = ib.gradient_descent(net, data, study.STEP, 300, record=range(301))
    torch.testing.assert_close(
        net.weights + states[-1, 0] @ data.x, run.final.weights, atol=1e-12, rtol=0
    )
    pattern = ib.measures.activation_pattern(ib.measures.networks(run), data)
    changed = pattern[1:] != pattern[:-1]
    assert torch.equal(counts.sum(0)[0], changed.sum(0).int())
    steps = torch.arange(1, 301).reshape(-1, 1, 1)
    assert torch.equal(last[0].long(), (changed * steps).amax(0))
    torch.testing.assert_close(losses[:, 0], run.log_loss[[0, -1]])
