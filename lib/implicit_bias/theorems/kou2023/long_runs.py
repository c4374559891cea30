r"""What the claims on long runs share: descent joined with the flow that goes on from
it, and ordered patterns.

``a_j`` has the sign ``j = ±1`` of a neuron's class. *Ordered* means
``j y_i ⟨w_{j,r}, x_i⟩ > 0`` for all neurons and samples. Time is counted in descent
steps; a flow that goes on from a descent counts as steps of the same size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...losses import Loss
from ...measures.runs import networks
from ...networks.two_layer import TwoLayer
from ...training.trajectory import FLOW, Trajectory, recorded_clock, step_size_of
from ...values.checks import fail

__all__ = [
    "KINK",
    "LongRun",
    "at_kink",
    "disorder",
    "goes_on",
    "long_run",
    "ordered",
    "right",
]


KINK = 1e-6
"""Preactivations smaller than this, relative to the largest of their sample, count as
sitting at their kink: they have no sign to speak of.
"""


def disorder(net: TwoLayer, data: Dataset) -> Tensor:
    """``-j y_i ⟨w_j, x_i⟩`` (..., m, n): how far a preactivation is on its wrong side,
    negative on the right one.
    """
    return (
        -torch.sign(net.a).unsqueeze(-1)
        * data.y.unsqueeze(-2)
        * net.preactivations(data.x)
    )


def at_kink(net: TwoLayer, data: Dataset) -> Tensor:
    """Which preactivations (..., m, n) sit at their kink, up to :data:`KINK`."""
    z = net.preactivations(data.x).abs()
    return z <= KINK * z.amax(-2, keepdim=True)


def right(net: TwoLayer, data: Dataset) -> Tensor:
    """Which preactivations (..., m, n) are clearly on the side ``sign(a_j) y_i`` where
    they should be.
    """
    return (disorder(net, data) < 0) & ~at_kink(net, data)


def ordered(net: TwoLayer, data: Dataset) -> Tensor:
    """Whether ``sign⟨w_j, x_i⟩ = sign(a_j) y_i`` for all neurons and samples (...)
    (K-5.6).
    """
    return right(net, data).all(-1).all(-1)


@dataclass(frozen=True)
class LongRun:
    """One run over all its recorded times: descent, then perhaps the flow from where
    descent ended.

    ``log_step`` (T,) is the logarithm of the time in descent steps, -inf at the start;
    ``nets`` are all networks as one batch, time first; ``log_loss`` (T,), ``margins``
    (T, n); ``step_size`` is None for a flow alone, whose time is its own.
    """

    data: Dataset
    initial: TwoLayer
    nets: TwoLayer
    log_step: Tensor
    log_loss: Tensor
    margins: Tensor
    step_size: float | None
    loss: Loss

    def at(self, index: int) -> TwoLayer:
        """The network at a recorded time."""
        return replace(self.nets, weights=self.nets.weights[index])

    @property
    def late(self) -> Tensor:
        """Records (T,) past step 2, from which on log t is a clock."""
        return self.log_step > math.log(2)

    def frozen_at(self) -> int | None:
        """Index of the first record from which on every pattern is ordered; None where
        the last one is not.
        """
        good = ordered(self.nets, self.data)
        if not bool(good[-1]):
            return None
        wrong = (~good).nonzero()
        return int(wrong[-1]) + 1 if len(wrong) else 0


def long_run(run: Trajectory, flow: Trajectory | None = None) -> LongRun:
    """Join a run of descent (or of flow) and, if given, the flow that starts at its
    final network.

    Raises
    ------
    ValueError
        If a run is a batch, or ``flow`` does not start where ``run`` ends.
    """
    for name, part in (("run", run), ("flow", flow)):
        if part is not None and part.log_loss.ndim != 1:
            fail(
                name,
                "one run",
                f"a batch of shape {tuple(part.log_loss.shape[1:])}; take one with "
                "member(...)",
            )
    clock = _clock(run)
    parts = [(networks(run).weights, run.log_loss, run.margins)]
    if flow is not None:
        if flow.rule != FLOW or run.step is None:
            fail(
                "flow",
                "a run of gradient_flow after one of gradient_descent",
                f"{flow.rule} after {run.rule}",
            )
        goes_on(run, flow)
        parts.append((networks(flow).weights[1:], flow.log_loss[1:], flow.margins[1:]))
        later = _clock(flow)[1:] - math.log(_largest_step(run))
        clock = torch.cat([clock, torch.logaddexp(clock[-1], later)])
    weights, log_loss, margins = (torch.cat(pieces) for pieces in zip(*parts))
    nets = replace(run.initial, weights=weights)
    step = None if run.step_size is None else _largest_step(run)
    return LongRun(
        run.data, run.initial, nets, clock, log_loss, margins, step, run.loss
    )


def _clock(run: Trajectory) -> Tensor:
    """The logarithm of the time (T,) at each record, in descent's steps or a flow's own."""
    if run.step is not None:
        return run.step.double().log()
    _, log_time = recorded_clock(run)
    return log_time


def _largest_step(run: Trajectory) -> float:
    """The step size; of several, the largest."""
    return float(torch.as_tensor(step_size_of(run), dtype=torch.float64).max())


def goes_on(run: Trajectory, flow: Trajectory) -> None:
    """Refuse a ``flow`` that is not the continuation of ``run``: same data, loss and
    network, starting where it ended.
    """
    if flow.loss != run.loss:
        fail(
            "flow",
            f"a run on the {run.loss.name} loss, like the descent",
            f"one on the {flow.loss.name} loss",
        )
    same = torch.equal(flow.data.x, run.data.x) and torch.equal(flow.data.y, run.data.y)
    if not same:
        fail("flow", "a run on the data of the descent", "one on other data")
    if not run.ends_recorded:
        fail(
            "run",
            "a record of the last step, where the flow goes on",
            "a run that went on after its last record",
        )
    end = run.net(-1)
    start = flow.initial
    if end.activation != start.activation or not torch.equal(end.a, start.a):
        fail(
            "flow",
            "a run of the descent's network",
            "one with another activation or second layer",
        )
    if not float((start.weights - end.weights).norm()) <= 1e-9 * float(
        end.weights.norm()
    ):
        fail("flow", "a run that starts where the descent ended", "another start")
