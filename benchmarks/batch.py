"""Five seeds at five scales as one tensor against 25 plain loops.
``python benchmarks/batch.py``, about a minute.

The setting of F's first figure in kind: smoothed leaky ReLU, m = 512, n = 100, stable
rank along the run.
"""

from __future__ import annotations

import time

import torch
from plain import LibraryLoop, PlainLoop, header, race, row, smoothed
from torch import Tensor

import implicit_bias as ib

GAMMA = 0.1
STEPS = 100
RECORD = [0, 1, 2, 5, 10, 20, 50, 100]


def curves(plain: PlainLoop) -> tuple[Tensor, Tensor]:
    """Log-loss and stable rank (T,) of a plain loop at the steps of ``RECORD``."""
    log_loss = []
    rank = []
    here = 0
    for step in RECORD:
        plain(step - here)
        here = step
        squares = torch.linalg.eigvalsh(plain.weights @ plain.weights.mT)
        rank.append(squares.sum() / squares[-1])
        log_loss.append(torch.nn.functional.softplus(-plain.margins).mean().log())
    return torch.stack(log_loss), torch.stack(rank)


def main() -> None:
    n = 100
    d = 10**4
    m = 512
    data = ib.data.gaussian(n, d, seed=0, space="full")
    scales = torch.logspace(-5, -3, 5, dtype=torch.float64)
    net = ib.TwoLayer.init(
        data,
        m // 2,
        m // 2,
        ib.smoothed_leaky_relu(GAMMA),
        scales,
        seed=[0, 1, 2, 3, 4],
    )
    step_size = 0.01

    def plain(seed: int, scale: int) -> PlainLoop:
        one = ib.TwoLayer(net.weights[seed, scale], net.a, net.activation)
        return PlainLoop(one, data, smoothed(GAMMA), step_size)

    header("plain torch", "library")
    loops = [plain(0, 0), LibraryLoop(net, data, step_size)]
    race(loops, [4, 4], rounds=1)
    theirs, ours = race(loops, [8, 8])
    row(
        f"25 runs at once, n={n}, d={d:,}, m={m}, for each",
        ours / 25,
        theirs,
        None,
        "see below",
    )

    start = time.process_time()
    run = ib.gradient_descent(net, data, step_size, STEPS, record=RECORD)
    seconds = time.process_time() - start
    print(
        f"\nall 25 runs, {STEPS} steps, {len(RECORD)} records, set-up included: "
        f"{seconds:.1f} s"
    )
    print("curves of the plain loop and of the batch, largest relative difference:")
    for seed, scale in ((0, 0), (2, 2), (4, 4)):
        log_loss, rank = curves(plain(seed, scale))
        off = [
            float(((theirs - ours[:, seed, scale]) / theirs).abs().max())
            for theirs, ours in ((log_loss, run.log_loss), (rank, run.stable_rank))
        ]
        name = (
            f"seed {seed}, scale {scales[scale]:.0e}, stable rank {rank[-1]:.2f} in "
            "the end"
        )
        print(f"  {name}: log-loss {off[0]:.0e}, stable rank {off[1]:.0e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
