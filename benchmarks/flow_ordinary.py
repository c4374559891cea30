"""Gradient flow on ordinary data, where neurons cross thousands of kinks: time, and distance from
small descent steps.

The reference is plain descent, in numpy, with steps so small that halving them moves the net by
less than the distance shown. One core.
"""

import math
import time

import numpy as np
import torch

import implicit_bias as ib

GAMMA = 0.1
CASES = {
    "Gaussian, n = 100, d = 20, to s = 3": (lambda: ib.data.gaussian(100, 20, seed=0), 3.0),
    "digits, n = 357, d = 64, to s = 3": (lambda: ib.data.digits(centre=True), 3.0),
    "Gaussian, n = 300, d = 20, to s = 0.6": (lambda: ib.data.gaussian(300, 20, seed=0), 0.6),
    "Gaussian, n = 300, d = 20, to s = 3": (lambda: ib.data.gaussian(300, 20, seed=0), 3.0),
}


def descend(net: ib.TwoLayer, data: ib.Dataset, goal: float, share: float) -> np.ndarray:
    """The first layer where ``L`` is first below ``e^-goal``; a step moves no preactivation by more
    than ``share`` of the largest.
    """
    weights = net.weights.numpy().copy()
    x = data.x.numpy()
    y = data.y.numpy()
    a = net.a.numpy()
    while True:
        z = weights @ x.T
        slopes = np.where(z >= 0, 1.0, GAMMA)
        q = y * (a @ (slopes * z))
        if -math.log(np.logaddexp(0, -q).mean()) >= goal:
            return weights
        step = (a[:, None] * slopes * (y / (1 + np.exp(q)))) @ x
        weights += share * np.abs(z).max() / np.abs(step @ x.T).max() * step


def apart(left: np.ndarray, right: np.ndarray) -> float:
    """Relative distance of two first layers."""
    return float(np.linalg.norm(left - right) / np.linalg.norm(right))


def main() -> None:
    """Print one line a case."""
    torch.set_num_threads(1)
    for name, (make, goal) in CASES.items():
        data = make()
        net = ib.TwoLayer.init(data, 16, 16, ib.leaky_relu(GAMMA), 0.1, seed=0)
        start = time.perf_counter()
        run = ib.gradient_flow(net, data, goal)
        seconds = time.perf_counter() - start
        coarse = descend(net, data, goal, 2e-4)
        fine = descend(net, data, goal, 1e-4)
        print(f"{name}: {seconds:.1f} s, {run.outcome}")
        distance = apart(run.final.weights.numpy(), fine)
        print(
            f"  from descent with small steps {distance:.1e} (two such runs: {apart(coarse, fine):.1e})"
        )


if __name__ == "__main__":
    main()
