"""Frei et al., Theorem 3.1 (Lyu & Li; Ji & Telgarsky): once ``L < log(2)/n``, gradient
flow converges in direction to a KKT point.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...hypotheses.hypothesis import Hypothesis
from ...margin.residual import kkt_residual
from ...training.trajectory import FLOW, Trajectory, recorded_clock
from ..claim import register
from ..limits import limit
from ..setting import known_loss, yes_or_no
from ..verdict import Finding, Verdict, decide, sentences
from . import instances
from .flow_limit import _blind, _decided, _records, stuck_flow

__all__ = ["converges_to_a_kkt_point"]


GROWTH = 0.5
"""The least powers of growth that count: half of what is expected."""


def _grows(run: Trajectory) -> tuple[float, float]:
    """Powers (the least of a batch) at which ``1/L`` grows with t and ``‖W - W(0)‖``
    with s, over the last decade of s.

    Both are 1 in the limit.
    """
    clock, log_time = recorded_clock(run)
    begun = log_time.reshape(len(clock), -1).isfinite().all(-1)
    late = (
        ((clock >= clock[-1] / 10) & (clock > 0) & begun).nonzero().flatten().tolist()
    )
    if len(late) < 3:
        return math.nan, math.nan
    start = run.initial.weights
    added = torch.stack(
        [(run.net(k).weights - start).flatten(-2).norm(dim=-1) for k in late]
    ).clamp_min(1e-300)
    in_time = _least_slope(log_time[late], -run.log_loss[late])
    in_clock = _least_slope(clock[late].log(), added.log())
    return in_time, in_clock


def _least_slope(x: Tensor, y: Tensor) -> float:
    """The least slope of a batch y (T, ...) against x, (T, ...) or (T,)."""
    records = len(x)
    return float(_slope(x.reshape(records, -1), y.reshape(records, -1)).amin())


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Slopes of the least-squares lines through the columns of y (T, b) against those
    of x (T, b) or (T, 1).
    """
    x = x - x.mean(0)
    return (x * y).sum(0) / (x * x).sum(0)


@register(
    "F-3.1",
    "Flow converges in direction to a KKT point",
    "If L < log(2)/n at some time, the flow of a homogeneous network converges in "
    "direction to a KKT point of "
    "Problem (1), L → 0, ‖W‖ → ∞.",
    "Theorem 3.1",
    chapter="direction",
    positive=instances.flow_beyond,
    negative=stuck_flow,
    rules={"run": (FLOW,)},
)
def converges_to_a_kkt_point(run: Trajectory) -> Verdict:
    """F-3.1 on a run of gradient flow, its three conclusions: the worst of the four KKT
    residuals falls against the clock ``s = log(1/L)`` (expected: like 1/s), ``1/L``
    grows with t, and ``‖W - W(0)‖`` with s (expected: both like first powers).
    """
    clock, _ = recorded_clock(run)
    net = run.initial
    n = run.data.n
    lowest = run.log_loss.amin(0).exp()
    # Strictly below: the number just under log(2)/n is the largest that will do.
    bound = torch.nextafter(
        torch.full_like(lowest, math.log(2) / n), torch.zeros_like(lowest)
    )
    small = Hypothesis("small loss", "L < log(2)/n at some time", bound, lowest)
    homogeneous = yes_or_no(
        "homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous
    )
    hypotheses = (homogeneous, small, known_loss(run.loss))
    if not net.activation.piecewise_linear:
        why = "Problem (1) is no limit of this network."
        if net.activation.homogeneous:
            why = "KKT residuals are known for (leaky) ReLU only."
        return decide("F-3.1", Finding(math.nan, why), hypotheses)
    kept = _records(run)
    worst = torch.stack([kkt_residual(run.net(k), run.data).worst.max() for k in kept])
    finding, _ = limit(clock[kept], worst, "the KKT residual", "s", law=1.0)
    loss, norm = _grows(run)
    grown = min(loss, norm) / GROWTH
    growth = f"1/L grows like t^{loss:.3f} and ‖W - W(0)‖ like s^{norm:.3f}."
    numbers = finding.constants | {"loss power": loss, "norm power": norm}
    slack = math.nan if math.isnan(grown + finding.slack) else min(finding.slack, grown)
    why = (
        finding.why
        if math.isnan(grown)
        else sentences(finding.why, growth, _blind(finding))
    )
    return _decided(
        "F-3.1", Finding(slack, why, finding.worst, numbers), hypotheses, run
    )
