r"""Frei et al., Theorem 3.1 (Lyu & Li; Ji & Telgarsky) and Corollary 3.5: where gradient flow goes.

Each check takes a :class:`Trajectory` of :func:`implicit_bias.gradient_flow`. A limit is read off a finite run: the verdict says at
which clock it was seen and with what fitted rate, and is ``undecided`` on a run too short for a fit.
"""

from __future__ import annotations

import math

import torch

from .._checks import fail
from ..data import from_gram
from ..dynamics import gradient_flow
from ..hypotheses import H_3_2, Hypothesis
from ..margin import kkt_residual
from ..network import TwoLayer, leaky_relu
from ..trajectory import Trajectory
from . import instances
from .common import _fact, limit, setting_of_F
from .frei_kkt import _leak, same_as_exact
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["converges_to_a_kkt_point", "converges_to_the_kkt_point"]


def _records(trajectory: Trajectory, per_decade: int = 6) -> list[int]:
    """A few recorded times of each decade of the clock past s = 1: KKT residuals are not free."""
    clock, kept, last = trajectory.s, [], -math.inf
    for index, s in enumerate(clock.tolist()):
        if s >= 1 and math.log10(s) - last >= 1 / per_decade - 1e-9:
            kept.append(index)
            last = math.log10(s)
    return kept if kept and kept[-1] == len(clock) - 1 else [*kept, len(clock) - 1]


def _checked(trajectory: Trajectory) -> Trajectory:
    if trajectory.s is None:
        fail("trajectory", "a run of gradient_flow", "one of descent, which has no loss clock")
    return trajectory


def _short(trajectory: Trajectory, finding: Finding, unsettled: str) -> str:
    """A run that stops before s = 100 refutes no limit."""
    return unsettled or ("" if finding.true or float(trajectory.s[-1]) >= 100 else "The run is short.")


def _stuck() -> tuple[Trajectory]:
    """A flow that can never pass log(2)/n: two equal samples with opposite labels."""
    gram = torch.ones(2, 2, dtype=torch.float64)
    data = from_gram(gram, y=torch.tensor([1.0, -1.0]))
    start = TwoLayer.init(data, 1, 1, leaky_relu(0.99), scale=0.1, seed=0)
    return (gradient_flow(start, data, 5.0),)


@register(
    "F-3.1",
    "Flow converges in direction to a KKT point",
    "If L < log(2)/n at some time, the flow of a homogeneous network converges in direction to a KKT point of Problem (1), L → 0, ‖W‖ → ∞.",
    "Theorem 3.1",
    positive=instances.flow_beyond,
    negative=_stuck,
)
def converges_to_a_kkt_point(trajectory: Trajectory) -> Verdict:
    """F-3.1 on a run of gradient flow: the worst of the four KKT residuals against the clock ``s = log(1/L)``, expected like 1/s."""
    net, n = _checked(trajectory).final, trajectory.data.n
    lowest = trajectory.log_loss.amin(0).exp()
    small = Hypothesis("small loss", "L < log(2)/n at some time", torch.full_like(lowest, math.log(2) / n), lowest)
    hypotheses = (_fact("homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous), small)
    kept = _records(trajectory)
    worst = torch.stack([kkt_residual(trajectory.net(k), trajectory.data).worst.max() for k in kept])
    finding, unsettled = limit(trajectory.s[kept], worst, "the KKT residual", "s", law=1.0)
    return decide("F-3.1", finding, hypotheses, unsettled=_short(trajectory, finding, unsettled))


@register(
    "F-3.5",
    "Every start, one limit",
    "Under H-3.2 the flow converges in direction to the KKT point of Theorem 3.2, from every initialisation.",
    "Corollary 3.5",
    positive=instances.flow_within,
    negative=instances.flow_beyond,
)
def converges_to_the_kkt_point(trajectory: Trajectory) -> Verdict:
    """F-3.5 on a run of gradient flow: ``‖W/‖W‖ - W*/‖W*‖‖`` against the clock, expected like 1/s, that is 1/log t."""
    net, data = _checked(trajectory).initial, trajectory.data
    hypotheses = (*setting_of_F(net), H_3_2(data, _leak(net)))
    kept = _records(trajectory, per_decade=20)
    distance = torch.stack([same_as_exact(trajectory.net(k), data).max() for k in kept])
    finding, unsettled = limit(trajectory.s[kept], distance, "the distance in direction to W*", "s", law=1.0)
    return decide("F-3.5", finding, hypotheses, unsettled=_short(trajectory, finding, unsettled))
