r"""A million steps of descent: a loop for small smooth networks that makes as few calls as it can."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .._checks import fail, positive, positive_int
from ..data import Dataset
from ..dynamics import record_steps
from ..network import TwoLayer
from ..problem import Problem, Recorder
from ..trajectory import DESCENT, Outcome, Trajectory

__all__ = ["long_descent"]


def long_descent(
    net: TwoLayer, data: Dataset, step_size: float | Tensor, steps: int, record: Sequence[int] | None = None
) -> Trajectory:
    """:func:`implicit_bias.gradient_descent` on the logistic loss for small smooth networks, to rounding the same run.

    A step of a few hundred numbers costs what its calls cost; this loop makes as few as it can, in numpy, and takes a
    third of the time. Made for 10⁶ steps. A batch may have its own data, starts and step sizes.

    Raises
    ------
    ValueError
        If the activation has a kink.
    """
    if not net.activation.smoothed:
        fail("net", "a smoothed leaky ReLU (gradient_descent is faster at kinks)", net.activation.name)
    positive(step_size, "step_size")
    steps = positive_int(steps, "steps", least=0)
    wanted = record_steps(record, steps)
    problem = Problem.of(net, data, "logistic", "cpu", step_size, torch.float64)
    if problem.span.coordinates:
        fail("data", "at most twice as many samples as dimensions", f"{data.n} in {data.d} dimensions")
    recorder, loop = Recorder(problem), _Loop(problem, step_size)
    reached, seen, outcome = 0, [], Outcome("finished", f"ran {steps} steps")
    with tqdm(total=steps, delay=5, unit="step", leave=False) as progress, np.errstate(over="ignore", invalid="ignore"):
        for target in wanted:
            loop.advance(target - reached, progress)
            if not recorder.add(loop.shaped()):
                outcome = Outcome("non-finite", f"numbers overflowed; the records end at step {reached}")
                break
            seen.append(target)
            reached = target
        else:
            loop.advance(steps - reached, progress)
    if not seen:
        fail("net", "finite outputs on the data", "an overflow at the first record")
    end = loop.shaped() if outcome.ok and reached < steps else None
    return recorder.trajectory(
        step=torch.tensor(seen), step_size=step_size, rule=DESCENT, outcome=outcome, _end=end
    )


class _Loop:
    """Descent on one matrix (m, runs · n): the runs side by side, their kernels on the diagonal of one."""

    def __init__(self, problem: Problem, step_size: float | Tensor) -> None:
        runs, n = (problem.batch.numel() if problem.batch else 1), problem.data.n
        self.shape, column = problem.span.state_shape, (runs, 1, n)
        leak = torch.as_tensor(problem.activation.gamma, dtype=torch.float64).reshape(-1, 1, 1)
        a = problem.a.expand(*problem.a.shape[:-1], n).reshape(-1, problem.net.m, n).expand(runs, -1, -1)
        y, rate = problem.y.reshape(-1, 1, n), torch.as_tensor(problem.per_run(step_size), dtype=torch.float64)

        def flat(tensor: Tensor) -> np.ndarray:
            return tensor.double().movedim(-2, 0).reshape(tensor.shape[-2], -1).numpy().copy()

        def row(tensor: Tensor) -> np.ndarray:
            return flat(tensor.broadcast_to(column))[0]

        self.kernel = torch.block_diag(*problem.span.readout.reshape(-1, n, n)).numpy()
        self.start, self.a, self.leak, self.spread = flat(problem.span.preactivation), flat(a), row(leak), row(1 - leak)
        self.rate, self.on_soft, self.on_z = row(y * rate / n), row(y * (1 - leak)), row(y * leak)
        self.shift = -math.log(2) * self.on_soft * self.a.sum(0)
        self.same = self.a[:, 0].copy() if bool((self.a == self.a[:, :1]).all()) else None
        self.state = np.zeros_like(self.start)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """``Σ_j a_j values_j`` (runs · n)."""
        return (self.a * values).sum(0) if self.same is None else self.same @ values

    def shaped(self) -> Tensor:
        """The state (..., m, n), copied."""
        m, n = self.shape[-2:]
        return torch.from_numpy(self.state.copy()).reshape(m, -1, n).movedim(0, -2).reshape(self.shape).contiguous()

    def advance(self, count: int, progress: tqdm) -> None:
        """So many steps."""
        z, e, s, log = (np.empty_like(self.state) for _ in range(4))
        for k in range(count):
            np.dot(self.state, self.kernel, out=z)
            np.add(z, self.start, out=z)
            np.exp(z, out=e)  # past z = 709 this is inf, the state NaN, and the run ends as non-finite
            np.add(e, 1.0, out=s)
            np.log(s, out=log)
            np.divide(e, s, out=s)
            q = self.sum(log)
            q *= self.on_soft
            q += self.on_z * self.sum(z)
            q += self.shift
            np.exp(q, out=q)
            q += 1
            np.divide(self.rate, q, out=q)
            np.multiply(s, self.spread, out=s)
            np.add(s, self.leak, out=s)
            np.multiply(s, self.a, out=s)
            np.multiply(s, q, out=s)
            np.add(self.state, s, out=self.state)
            if k & 4095 == 4095:
                progress.update(4096)
        progress.update(count & 4095)
