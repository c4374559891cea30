"""The library on a GPU against itself on the processor: `make test-gpu`. Without a GPU
the same code runs on a second device that stands for one (:mod:`second_device`).

Everything is in float64 and agrees to 1e-10, except where rounding is known to grow.
"""

import json
import time
from pathlib import Path

import pytest
import second_device
import torch

import implicit_bias as ib

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else str(second_device.DEVICE)
KIND = torch.device(DEVICE).type
BOOK = Path(__file__).parents[2] / "book"
ACTIVATIONS = {
    "leaky": ib.leaky_relu(0.3),
    "ReLU": ib.relu(),
    "smoothed": ib.smoothed_leaky_relu(0.3),
}


@pytest.fixture(autouse=True)
def a_device_of_some_kind():
    """The GPU, or the device that stands for it."""
    if GPU:
        yield
        return
    with second_device.second_device():
        yield


def pair(phi=ACTIVATIONS["leaky"], n=24, d=60, m=8, scale=1e-2):
    """A network and data on the processor, and the same on the device."""
    data = ib.data.gaussian(n, d, seed=1, space="full")
    net = ib.TwoLayer.init(data, m, m, phi, scale, seed=2)
    return (net, data), (net.to(DEVICE), data.to(DEVICE))


def close(here, there, rtol=1e-10, atol=1e-11):
    """Equal numbers, the second ones on the device."""
    assert there.device.type == KIND
    torch.testing.assert_close(there.cpu(), here, rtol=rtol, atol=atol, equal_nan=True)


def same_run(here, there, rtol=1e-10):
    assert here.outcome.status == there.outcome.status
    for name in ("log_loss", "margins", "frobenius", "spectral", "stable_rank"):
        close(getattr(here, name), getattr(there, name), rtol, 1e-10)
    close(here.final.weights, there.final.weights, rtol, 1e-10)


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("n, d", [(24, 60), (60, 12)])
def test_descent(phi, n, d):
    here, there = pair(phi, n, d)
    same_run(
        ib.gradient_descent(*here, 0.3, 300), ib.gradient_descent(*there, 0.3, 300)
    )


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_minibatches(phi):
    here, there = pair(phi)
    same_run(ib.sgd(*here, 0.3, 200, 5, seed=3), ib.sgd(*there, 0.3, 200, 5, seed=3))


@pytest.mark.parametrize(
    "rule", [ib.Momentum(0.9), ib.SignDescent()], ids=lambda rule: rule.name
)
@pytest.mark.parametrize("n, d", [(24, 60), (60, 12)])
def test_other_rules(rule, n, d):
    here, there = pair(ACTIVATIONS["smoothed"], n, d)
    one, other = (
        ib.gradient_descent(*each, 0.02, 40, rule=rule) for each in (here, there)
    )
    same_run(one, other)
    one, other = (
        ib.sgd(*each, 0.02, 40, 5, seed=3, rule=rule) for each in (here, there)
    )
    same_run(one, other)


@pytest.mark.parametrize(
    "phi", [ACTIVATIONS["leaky"], ACTIVATIONS["smoothed"]], ids=["leaky", "smoothed"]
)
def test_flow(phi):
    here, there = pair(phi, n=8, d=400, m=4)
    same_run(ib.gradient_flow(*here, 6.0), ib.gradient_flow(*there, 6.0), rtol=1e-7)


def test_flow_across_kinks():
    here, there = pair(n=40, d=6, m=4, scale=0.1)
    one = ib.gradient_flow(*here, 0.8, record=[0.8])
    other = ib.gradient_flow(*there, 0.8, record=[0.8])
    apart = (
        other.final.weights.cpu() - one.final.weights
    ).norm() / one.final.weights.norm()
    assert float(apart) < 5e-3
    assert (one.resolution is None) == (other.resolution is None)


def test_a_run_may_be_sent_to_the_device_and_comes_home():
    (net, data), _ = pair()
    there = ib.gradient_descent(net, data, 0.3, 50, device=DEVICE)
    assert there.final.weights.device.type == "cpu"
    torch.testing.assert_close(
        there.margins,
        ib.gradient_descent(net, data, 0.3, 50).margins,
        rtol=1e-10,
        atol=1e-11,
    )


def test_a_batch_of_slopes_and_steps():
    slopes = torch.tensor([0.1, 0.4], dtype=torch.float64)
    here, there = pair(ib.leaky_relu(slopes))
    steps = torch.tensor([0.2, 0.3], dtype=torch.float64)
    same_run(
        ib.gradient_descent(*here, steps, 100),
        ib.gradient_descent(*there, steps.to(DEVICE), 100),
    )


def test_margins_and_kkt_points():
    (_, data), (_, moved) = pair()
    here = ib.max_margin(data)
    there = ib.max_margin(moved)
    close(here.z, there.z)
    close(here.lam, there.lam)
    close(here.margin, there.margin)
    here = ib.kkt_point(data, 3, 3, 0.9)
    there = ib.kkt_point(moved, 3, 3, 0.9)
    close(here.lam, there.lam)
    close(here.net.weights, there.net.weights)
    assert bool(here.is_kkt) == bool(there.is_kkt)


def test_residuals():
    here, there = pair()
    one = ib.kkt_residual(*here)
    other = ib.kkt_residual(*there)
    for name in ("stationarity", "feasibility", "slackness", "dual", "lam", "scale"):
        close(getattr(one, name), getattr(other, name), rtol=1e-9)


def test_measures():
    here, there = pair()
    close(ib.stable_rank(here[0]), ib.stable_rank(there[0]))
    close(ib.stable_rank(here[0].weights), ib.stable_rank(there[0].weights))
    close(ib.measures.margins(*here), ib.measures.margins(*there))
    close(ib.measures.gradient(*here), ib.measures.gradient(*there))


@pytest.mark.parametrize(
    "id",
    ["F-3.2.1", "F-3.2.2", "F-3.2.3", "F-3.2.5", "F-3.2.6", "F-3.2.7", "F-B.2", "S-1"],
)
def test_claims_at_a_point(id):
    data = ib.data.gaussian(6, 10**4, seed=1)
    moved = data.to(DEVICE)
    point = ib.kkt_point(moved, 4, 4, 0.5)
    verdict = ib.claims[id].check(point.net, moved)
    expected = ib.claims[id].check(ib.kkt_point(data, 4, 4, 0.5).net, data)
    assert verdict.verdict == expected.verdict


@pytest.mark.parametrize(
    "id", ["F-E.4", "F-4.2.3", "K-5.1", "K-5.2", "K-5.4", "K-4.1.c"]
)
def test_claims_on_a_run(id):
    phi = ACTIVATIONS["smoothed"] if id.startswith("F") else ACTIVATIONS["leaky"]
    output = "1/sqrt(m)" if id.startswith("F") else "1/m"
    data = ib.data.orthogonal(5)
    net = ib.TwoLayer.init(data, 4, 4, phi, 1e-3, output=output, seed=1)
    runs = [
        ib.gradient_descent(net.to(place), data.to(place), 0.2, 400)
        for place in ("cpu", DEVICE)
    ]
    checks = [
        ib.claims[id].check(run.final, run.initial, run.data)
        if id == "K-5.1"
        else ib.claims[id].check(run)
        for run in runs
    ]
    assert checks[0].verdict == checks[1].verdict
    assert checks[1].slack == pytest.approx(checks[0].slack, rel=1e-6)


def test_results_are_saved_from_the_device(tmp_path):
    _, there = pair()
    run = ib.gradient_descent(*there, 0.3, 20)
    run.save(tmp_path / "run.pt")
    assert ib.Trajectory.load(tmp_path / "run.pt") == run


def test_a_notebook_runs_with_large_runs_on_the_device(monkeypatch):
    """The code of the preface, where every run counts as large."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.setattr("implicit_bias.problem.GPU_WORTHWHILE", 1)
    monkeypatch.chdir(BOOK)
    cells = json.loads((BOOK / "preface.ipynb").read_text())["cells"]
    names = {"__name__": "notebook", "display": print}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and "google.colab" not in source:
            exec(compile(source, "preface", "exec"), names)


SIZES = [
    (10, 64, 1000),
    (100, 512, 10_000),
    (500, 512, 784),
    (2000, 1000, 784),
    (4000, 2000, 784),
]


@pytest.mark.parametrize("n, m, d", SIZES)
def test_step_times(n, m, d, capsys):
    """Prints, asserts nothing of speed."""
    data = ib.data.gaussian(n, d, seed=0, space="full")
    net = ib.TwoLayer.init(data, m // 2, m // 2, ACTIVATIONS["smoothed"], 1e-2, seed=0)
    lines = []
    for place in ("cpu", DEVICE) if GPU else ("cpu",):
        # Long enough on either that the difference of two runs is no noise.
        count = 100 if place != "cpu" else max(4, int(2e7 / (n * m)))
        ib.gradient_descent(net, data, 0.01, 1, record=[1], device=place)
        seconds = []
        for length in (count, 2 * count):
            start = time.perf_counter()
            ib.gradient_descent(net, data, 0.01, length, record=[length], device=place)
            seconds.append(time.perf_counter() - start)
        lines.append(
            f"{place} {(seconds[1] - seconds[0]) / count * 1e6:,.0f} µs a step"
        )
    with capsys.disabled():
        print(f"\n  n = {n}, m = {m}, d = {d}: " + ", ".join(lines))
