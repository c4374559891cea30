"""Figure 6 of Frei et al. in full: 2-XOR, n = 80, m = 512, step 0.01. Writes
xor_sweep.json into the library.

    python book/results/xor_sweep.py

The paper names n, m and the step. Chosen here: cluster means of norm d^0.26 (the
paper's choice for its two-cluster data), initial scales ω_TF and ω_TF/50 with ω_TF =
sqrt(2/(m + d)), 1000 steps, test points in pairs ±x, and five seeds that draw data and
weights anew. About 15 minutes on one core.
"""

import datetime
import json
import sys
import time
from pathlib import Path

import torch

import implicit_bias as ib
from implicit_bias.measures.outputs import even_odd, fresh_preactivations

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import files  # noqa: E402

N = 80
M = 512
STEP = 0.01
STEPS = 1000
EXPONENT = 0.26
PAIRS = 4000
GAMMAS = [0.1, 0.3, 0.5, 0.7, 0.9]
DIMS = [50, 100, 200, 500, 1000, 2000, 5000, 10_000]
DIVISORS = [1, 50]
SEEDS = [1, 2, 3, 4, 5]
TIMES = [0, 100, 300, 1000]


def one_run(d, divisor, seed):
    """Accuracies on fresh and training points, log losses (T, γ), and slacks of H-3.2
    (γ,) for one draw.
    """
    data = ib.data.xor(N, d, d**EXPONENT, seed=seed, space="span")
    gamma = torch.tensor(GAMMAS, dtype=torch.float64)
    scale = (2 / (M + d)) ** 0.5 / divisor
    start = ib.TwoLayer.init(
        data,
        M // 2,
        M // 2,
        ib.leaky_relu(gamma),
        torch.full((len(GAMMAS),), scale),
        seed=100 + seed,
    )
    run = ib.gradient_descent(start, data, STEP, STEPS, record=TIMES)
    test = ib.data.fresh(data, PAIRS, seed)
    accuracy = []
    turned = []
    for k in range(len(TIMES)):
        net = run.net(k)
        even, odd = even_odd(net, fresh_preactivations(net, test, seed))
        pair = ((even + odd) * test.y > 0).double() + (
            (even - odd) * test.y > 0
        ).double()
        accuracy.append((pair / 2).mean(-1))
        turned.append((even.abs() > odd.abs()).double().mean(-1))
    slack = torch.stack([ib.hypotheses.H_3_2(data, float(g)).slack for g in gamma])
    train = (run.margins > 0).double().mean(-1)
    return torch.stack(accuracy), torch.stack(turned), train, run.log_loss, slack


def main():
    torch.set_num_threads(1)
    begin = time.perf_counter()
    rows = []
    for divisor in DIVISORS:
        for d in DIMS:
            for seed in SEEDS:
                parts = one_run(d, divisor, seed)
                names = ("test", "even wins", "train", "log loss", "slack")
                numbers = {name: rounded(part) for name, part in zip(names, parts)}
                rows.append({"divisor": divisor, "d": d, "seed": seed, **numbers})
            print(
                f"ω_TF/{divisor}, d = {d}: {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    about = {
        "made by": "book/results/xor_sweep.py",
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - begin),
        "threads": 1,
        "torch": torch.__version__,
        "axes": "test, even wins, train, log loss: [time][gamma]; slack: [gamma]",
    }
    setting = {"n": N, "m": M, "step": STEP, "exponent": EXPONENT, "pairs": PAIRS}
    setting |= {
        "gammas": GAMMAS,
        "dims": DIMS,
        "divisors": DIVISORS,
        "seeds": SEEDS,
        "times": TIMES,
    }
    path = Path(__file__).parents[2] / "lib/implicit_bias/results/xor_sweep.json"
    files.write(
        path,
        json.dumps(
            {"about": about, "setting": setting, "rows": rows}, ensure_ascii=False
        ),
    )
    print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


def rounded(tensor):
    """Four significant digits, so that the file stays small."""
    if tensor.ndim:
        return [rounded(part) for part in tensor]
    return float(f"{float(tensor):.4g}")


if __name__ == "__main__":
    main()
