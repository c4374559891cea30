"""Figures 1, 4 and 5 of Frei et al., and what lies beyond them. Writes
rank_figures.json into the library.

    python book/results/rank_figures.py

The setting is the paper's: m = 512 neurons, half of them positive, smoothed leaky ReLU
with γ = 0.1, n = 100 samples of two clusters with means of norm d^0.26, 15 % of the
labels flipped, five starts. The paper does not give the number of steps; chosen here:
1000, and 3000 for Figure 5. Every panel runs as one batched tensor, all starts,
dimensions, scales and step sizes at once. Some six minutes on one core.
"""

import datetime
import json
import sys
import time
from pathlib import Path

import torch

import implicit_bias as ib

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import files  # noqa: E402

N = 100
M = 512
GAMMA = 0.1
NOISE = 0.15
EXPONENT = 0.26
SEEDS = [1, 2, 3, 4, 5]
STEPS = 1000
LONG = 3000
TIMES = [0, 1, 2, 3, 6, 10, 20, 40, 80, 160, 300, 600, 1000]
DIMS = [200, 500, 1000, 2500, 5000, 10_000]
FAR = [10**4, 10**5, 10**6, 10**7, 10**8]
SCALES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
STEP_SIZES = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32]
TEST = 2000


def clusters(d):
    """The paper's data in d dimensions, in span coordinates: the same shape for every d
    > n.
    """
    return ib.data.gaussian_mixture(N, d, d**EXPONENT, NOISE, seed=0, space="span")


def default_scale(d):
    """ω_TF, TensorFlow's default standard deviation."""
    return (2 / (M + d)) ** 0.5


def start(d, seeds, scale=1.0):
    """Starts (seeds, ...) for the data in d dimensions; ``scale`` in units of ω_TF."""
    scale = torch.as_tensor(scale, dtype=torch.float64) * default_scale(d)
    return ib.TwoLayer.init(
        clusters(d), M // 2, M // 2, ib.smoothed_leaky_relu(GAMMA), scale, seed=seeds
    )


def over_dimensions(dims, step_sizes, seeds=SEEDS, times=TIMES):
    """Runs (T, dims, seeds) from ω_TF/50, one batch for all dimensions."""
    sets = [clusters(d) for d in dims]
    nets = [start(d, seeds, 1 / 50) for d in dims]
    data = ib.Dataset(
        torch.stack([s.x for s in sets])[:, None],
        torch.stack([s.y for s in sets])[:, None],
    )
    weights = torch.stack([w.weights for w in nets])
    frozen = torch.stack([w.frozen_gram for w in nets])
    net = ib.TwoLayer(weights, nets[0].a, nets[0].activation, frozen)
    step = torch.tensor(step_sizes, dtype=torch.float64)[:, None]
    return ib.gradient_descent(net, data, step, times[-1], record=times)


def over_scales(scales, seeds=SEEDS, times=TIMES):
    """Runs (T, seeds, scales) at d = 10⁴, α = 0.16."""
    return ib.gradient_descent(
        start(10**4, seeds, scales), clusters(10**4), 0.16, times[-1], record=times
    )


def over_step_sizes(step_sizes, scales=(0.02, 1.0), seeds=SEEDS[:3], times=TIMES):
    """Runs (T, step sizes, seeds, scales) at d = 10⁴."""
    step = torch.tensor(step_sizes, dtype=torch.float64)[:, None, None]
    return ib.gradient_descent(
        start(10**4, list(seeds), list(scales)),
        clusters(10**4),
        step,
        times[-1],
        record=times,
    )


def generalisation(scales=(1.0, 0.02), seeds=SEEDS, times=(*TIMES, LONG)):
    """Runs (T, seeds, scales) at d = 10⁴, α = 0.01, and their accuracy on the samples
    and on fresh points.
    """
    data = clusters(10**4)
    run = ib.gradient_descent(
        start(10**4, list(seeds), list(scales)),
        data,
        0.01,
        times[-1],
        record=list(times),
    )
    test = ib.data.fresh(data, TEST, seed=7, label_noise=NOISE)
    outputs = (
        ib.measures.fresh_outputs(run.net(k), test, seed=7) for k in range(len(run))
    )
    right = torch.stack([(f * test.y > 0).double().mean(-1) for f in outputs])
    return run, (run.margins > 0).double().mean(-1), right


def best_accuracy(d):
    """0.85 - 0.7 Φ(-‖μ‖): no rule does better on fresh points with 15 % of the labels
    flipped.
    """
    miss = torch.special.ndtr(torch.tensor(-(d**EXPONENT), dtype=torch.float64))
    return 1 - NOISE - (1 - 2 * NOISE) * float(miss)


def section(run, setting, axes=None):
    """What is kept of a panel; ``axes`` brings the batch dimensions into the order
    [time][parameter][seed].
    """

    def ordered(tensor):
        return rounded(tensor if axes is None else tensor.permute(*axes))

    return {
        "setting": setting,
        "steps": run.step.tolist(),
        "stable_rank": ordered(run.stable_rank),
        "log_loss": ordered(run.log_loss),
    }


def rounded(tensor):
    """Six significant digits, so that the file stays small."""
    if tensor.ndim:
        return [rounded(part) for part in tensor]
    return float(f"{float(tensor):.6g}")


def setting():
    """What all panels share."""
    return {
        "n": N,
        "m": M,
        "gamma": GAMMA,
        "label_noise": NOISE,
        "exponent": EXPONENT,
        "seeds": SEEDS,
        "times": TIMES,
        "test_points": TEST,
    }  # fmt: skip


def panels():
    """Name and content of every section."""
    yield (
        "left",
        section(
            over_dimensions(DIMS, [0.01] * len(DIMS)),
            {"dims": DIMS, "step_size": 0.01, "scale": 0.02},
        ),
    )
    yield (
        "dimension",
        section(
            over_dimensions(FAR, [0.01] * len(FAR)),
            {"dims": FAR, "step_size": 0.01, "scale": 0.02},
        ),
    )
    scaled = [0.01 * 10**4 / d for d in FAR]
    setting = {"dims": FAR, "step_size_times_d": 100.0, "scale": 0.02}
    yield "dimension_scaled_step", section(over_dimensions(FAR, scaled), setting)
    scale = section(
        over_scales(SCALES),
        {"scales": SCALES, "step_size": 0.16, "d": 10**4},
        (0, 2, 1),
    )
    yield "scale", scale
    right = {
        name: [row[2:] for row in scale[name]] for name in ("stable_rank", "log_loss")
    }
    yield (
        "right",
        {
            **scale,
            **right,
            "setting": {"scales": SCALES[2:], "step_size": 0.16, "d": 10**4},
        },
    )
    run = over_step_sizes(STEP_SIZES)
    yield (
        "steps_by_size",
        section(
            run,
            {"step_sizes": STEP_SIZES, "scales": [0.02, 1.0], "d": 10**4},
            (0, 1, 3, 2),
        ),
    )
    run, train, test = generalisation()
    part = section(
        run, {"scales": [1.0, 0.02], "step_size": 0.01, "d": 10**4}, (0, 2, 1)
    )
    accuracy = {
        "train": rounded(train.permute(0, 2, 1)),
        "test": rounded(test.permute(0, 2, 1)),
    }
    yield "generalisation", part | accuracy | {"bayes": best_accuracy(10**4)}


def main():
    torch.set_num_threads(1)
    begin = time.perf_counter()
    stored = {}
    for name, content in panels():
        stored[name] = content
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    about = {
        "made by": "book/results/rank_figures.py",
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - begin),
        "torch": torch.__version__,
        "axes": "[time][dimension, scale, or step size and scale][seed]",
    }
    path = Path(__file__).parents[2] / "lib/implicit_bias/results/rank_figures.json"
    files.write(
        path,
        json.dumps(
            {"about": about, "setting": setting(), **stored}, ensure_ascii=False
        ),
    )
    print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
