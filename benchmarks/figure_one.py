"""Both panels of F's first figure, each as one tensor, against plain loops.
``python benchmarks/figure_one.py``.

Smoothed leaky ReLU with γ = 0.1, m = 512, n = 100, five starts; left, six dimensions at
once; right, five scales. The plain loops run in the full space, one run after the
other. A GPU is taken where there is one. About two minutes.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import torch
from plain import PlainLoop, apart, header, race, row, smoothed
from torch import Tensor

import implicit_bias as ib

STEPS = 20
RECORD = [0, 1, 20]


def rank_figures():
    """The script that makes the figures of the book."""
    path = Path(__file__).parents[1] / "book/results/rank_figures.py"
    spec = importlib.util.spec_from_file_location("rank_figures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def full_space(net: ib.TwoLayer, data: ib.Dataset) -> tuple[ib.TwoLayer, ib.Dataset]:
    """A network and data in d coordinates with the inner products of those given in the
    span.
    """
    d = data.ambient_dim
    m = net.m
    x = torch.nn.functional.pad(data.x, (0, d - data.d))
    values, vectors = torch.linalg.eigh(net.frozen_gram)
    root = (
        vectors * values.clamp_min(0).sqrt()
    )  # the frozen rows, in at most m further coordinates
    keep = min(m, d - data.d)
    outside = torch.nn.functional.pad(root[:, m - keep :], (0, d - data.d - keep))
    return ib.TwoLayer(
        torch.cat([net.weights, outside], dim=1), net.a, net.activation
    ), ib.Dataset(x, data.y)


def ends(plain: PlainLoop) -> tuple[Tensor, Tensor]:
    """Log-loss and stable rank of a plain loop where it stands."""
    squares = torch.linalg.eigvalsh(plain.weights @ plain.weights.mT)
    return torch.nn.functional.softplus(
        -plain.margins
    ).mean().log(), squares.sum() / squares[-1]


def seconds_a_step(run) -> float:
    """Time of a step of a whole panel, from two lengths of run, records and set-up left
    out: processor time as for the plain loops, wall time on a GPU.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    times = []
    for steps in (1, STEPS + 1):
        start = clock()
        run(steps)
        times.append(clock() - start)
    return (times[1] - times[0]) / STEPS


def panel(
    name: str,
    runs: list[tuple[ib.TwoLayer, ib.Dataset, float, Tensor, Tensor]],
    ours: float,
) -> None:
    """One line of the table; ``runs``: the networks to compare, with their log-loss and
    rank from the batch.
    """
    taken = []
    off = 0.0
    for net, data, step_size, log_loss, rank in runs:
        loop = PlainLoop(*full_space(net, data), smoothed(0.1), step_size)
        taken.append(race([loop], [STEPS], rounds=1)[0])
        off = max(
            off, *(apart(one, two) for one, two in zip(ends(loop), (log_loss, rank)))
        )
    row(
        name, ours, sum(taken) / len(taken), None, f"log-loss and stable rank {off:.0e}"
    )


def main() -> None:
    script = rank_figures()
    print(
        "device:",
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else "CPU, one thread",
    )
    header("plain, each", "batch, each")

    dims = script.DIMS
    seeds = script.SEEDS
    steps = [0.01] * len(dims)
    left = script.over_dimensions(dims, steps, times=RECORD)
    ours = seconds_a_step(lambda t: script.over_dimensions(dims, steps, times=[t])) / (
        len(dims) * len(seeds)
    )
    runs = []
    for k in (0, 2, len(dims) - 1):
        net = script.start(dims[k], seeds[0], 1 / 50)
        runs.append(
            (
                net,
                script.clusters(dims[k]),
                0.01,
                left.log_loss[-1, k, 0],
                left.stable_rank[-1, k, 0],
            )
        )
    panel("left: six dimensions, five starts (mean of three d)", runs, ours)

    scales = script.SCALES[2:]
    right = script.over_scales(scales, times=RECORD)
    ours = seconds_a_step(lambda t: script.over_scales(scales, times=[t])) / (
        len(scales) * len(seeds)
    )
    runs = []
    for k in (0, 4):
        net = script.start(10**4, seeds[0], scales[k])
        runs.append(
            (
                net,
                script.clusters(10**4),
                0.16,
                right.log_loss[-1, 0, k],
                right.stable_rank[-1, 0, k],
            )
        )
    panel("right: five scales, five starts, d = 10,000", runs, ours)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
