r"""Frei et al., Theorem 3.1 (Lyu & Li; Ji & Telgarsky) and Corollary 3.5: where gradient flow goes.

Each check takes a :class:`Trajectory` of :func:`implicit_bias.gradient_flow`. A limit is read off a finite run: the
verdict says at which clock it was seen, with what fitted rate, and which directions it does not tell apart. It is
``undecided`` where the limit was not seen: no finite run refutes one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .._checks import fail
from .._format import format_error
from ..data import from_gram
from ..dynamics import gradient_flow
from ..hypotheses import H_3_2, Hypothesis
from ..network import TwoLayer, leaky_relu
from ..residual import kkt_residual
from ..trajectory import FLOW, Trajectory
from . import instances
from .common import NO_LIMIT_REFUTED, known_loss, leak_of, limit, setting_of_F, yes_or_no
from .frei_kkt import same_as_exact
from .registry import register
from .verdict import Finding, Verdict, decide, sentences

__all__ = ["converges_to_a_kkt_point", "converges_to_the_kkt_point", "start_share"]


def _records(run: Trajectory, per_decade: int = 6) -> list[int]:
    """A few recorded times of each decade of the clock past s = 1 (of a run that ends before s = 10, past a tenth of
    its end): KKT residuals are not free.
    """
    clock, kept, last = run.s, [], -math.inf
    first = min(1.0, float(clock[-1]) / 10)
    for index, s in enumerate(clock.tolist()):
        if s > 0 and s >= first and math.log10(s) - last >= 1 / per_decade - 1e-9:
            kept.append(index)
            last = math.log10(s)
    return kept if kept and kept[-1] == len(clock) - 1 else [*kept, len(clock) - 1]


def with_loss_clock(run: Trajectory) -> Trajectory:
    """The run itself, refused where it has no clock ``s = log(1/L)``."""
    if run.s is None:
        fail("run", "a run of gradient_flow", "one of descent, which has no loss clock")
    return run


START_EXPLAINS = 5.0
"""A distance up to this many times :func:`start_share` may be the start's doing, and refutes nothing."""


def start_share(run: Trajectory) -> float:
    """``‖W(0)‖_F / ‖W(s) - W(0)‖_F`` where a run ends, the largest of a batch. The distance in direction to a limit
    cannot fall before this is small, whatever the limit.
    """
    added = (run.net(-1).weights - run.initial.weights).flatten(-2).norm(dim=-1)
    return float((run.initial.frobenius() / added.clamp_min(1e-300)).max())


def _says_nothing_yet(run: Trajectory, finding: Finding) -> str:
    """Why a run says nothing against a limit: too few records, it stops before s = 100, or its start still shows."""
    if finding.true:
        return ""
    if math.isnan(finding.slack):
        return "Too few records in the last decade of s to fit a rate:"
    left, clock = start_share(run), float(run.s[-1])
    if finding.constants["last"] <= START_EXPLAINS * left:
        return f"At s = {clock:g} the start still shows: ‖W(0)‖ is {left:.2g} times what the flow has added. So far"
    return "" if clock >= 100 else "The run is short:"


def _decided(claim: str, finding: Finding, hypotheses: tuple[Hypothesis, ...], run: Trajectory) -> Verdict:
    """As :func:`decide`: no finite run refutes a limit. Where the claim is vacuous and the run too short as well, the
    conclusion is open and the sentence says both.
    """
    short = _says_nothing_yet(run, finding)
    unsettled = short or ("" if finding.true else NO_LIMIT_REFUTED)
    # A stalled run is not too short: it will never go on.
    too_early = short if run.outcome.ok else ""
    return decide(claim, finding, hypotheses, unsettled=unsettled, too_early=too_early)


def _blind(finding: Finding) -> str:
    """What the last record cannot tell from the limit."""
    last = finding.constants["last"]
    return f"Directions nearer to it than {format_error(last)} are not told apart." if finding.true else ""


GROWTH = 0.5
"""The least powers of growth that count: half of what is expected."""


def _grows(run: Trajectory) -> tuple[float, float]:
    """Powers (the least of a batch) at which ``1/L`` grows with t and ``‖W - W(0)‖`` with s, over the last decade of s.

    Both are 1 in the limit.
    """
    clock = run.s
    begun = run.log_time.reshape(len(clock), -1).isfinite().all(-1)
    late = ((clock >= clock[-1] / 10) & (clock > 0) & begun).nonzero().flatten().tolist()
    if len(late) < 3:
        return math.nan, math.nan
    start = run.initial.weights
    added = torch.stack([(run.net(k).weights - start).flatten(-2).norm(dim=-1) for k in late]).clamp_min(1e-300)
    pairs = ((run.log_time[late], -run.log_loss[late]), (clock[late].log(), added.log()))
    return tuple(float(_slope(x.reshape(len(late), -1), y.reshape(len(late), -1)).amin()) for x, y in pairs)


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Slopes of the least-squares lines through the columns of y (T, b) against those of x (T, b) or (T, 1)."""
    x = x - x.mean(0)
    return (x * y).sum(0) / (x * x).sum(0)


def stuck_flow() -> tuple[Trajectory]:
    """A flow that can never pass log(2)/n: two equal samples with opposite labels, a network that starts by far on the
    side of one, and comes to rest where both count the same.
    """
    gram = torch.ones(2, 2, dtype=torch.float64)
    data = from_gram(gram, y=torch.tensor([1.0, -1.0]))
    start = TwoLayer.init(data, 1, 1, leaky_relu(0.99), scale=8.0, seed=0)
    return (gradient_flow(start, data, 5.0, record=[0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.33, 0.35, 0.36, 5.0]),)


@register(
    "F-3.1",
    "Flow converges in direction to a KKT point",
    "If L < log(2)/n at some time, the flow of a homogeneous network converges in direction to a KKT point of "
    "Problem (1), L → 0, ‖W‖ → ∞.",
    "Theorem 3.1",
    chapter="direction",
    positive=instances.flow_beyond,
    negative=stuck_flow,
    rules={"run": (FLOW,)},
)
def converges_to_a_kkt_point(run: Trajectory) -> Verdict:
    """F-3.1 on a run of gradient flow, its three conclusions: the worst of the four KKT residuals falls against the
    clock ``s = log(1/L)`` (expected: like 1/s), ``1/L`` grows with t, and ``‖W - W(0)‖`` with s (expected: both like
    first powers).
    """
    net = with_loss_clock(run).initial
    n = run.data.n
    lowest = run.log_loss.amin(0).exp()
    # Strictly below: the number just under log(2)/n is the largest that will do.
    bound = torch.nextafter(torch.full_like(lowest, math.log(2) / n), torch.zeros_like(lowest))
    small = Hypothesis("small loss", "L < log(2)/n at some time", bound, lowest)
    homogeneous = yes_or_no("homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous)
    hypotheses = (homogeneous, small, known_loss(run.loss))
    if not net.activation.piecewise_linear:
        why = "Problem (1) is no limit of this network."
        if net.activation.homogeneous:
            why = "KKT residuals are known for (leaky) ReLU only."
        return decide("F-3.1", Finding(math.nan, why), hypotheses)
    kept = _records(run)
    worst = torch.stack([kkt_residual(run.net(k), run.data).worst.max() for k in kept])
    finding, _ = limit(run.s[kept], worst, "the KKT residual", "s", law=1.0)
    loss, norm = _grows(run)
    grown = min(loss, norm) / GROWTH
    growth = f"1/L grows like t^{loss:.3f} and ‖W - W(0)‖ like s^{norm:.3f}."
    numbers = finding.constants | {"loss power": loss, "norm power": norm}
    slack = math.nan if math.isnan(grown + finding.slack) else min(finding.slack, grown)
    why = finding.why if math.isnan(grown) else sentences(finding.why, growth, _blind(finding))
    return _decided("F-3.1", Finding(slack, why, finding.worst, numbers), hypotheses, run)


@register(
    "F-3.5",
    "Every start, one limit",
    "Under H-3.2 the flow converges in direction to the KKT point of Theorem 3.2, from every initialisation.",
    "Corollary 3.5",
    chapter="direction",
    positive=instances.flow_within,
    negative=instances.flow_beyond,
    rules={"run": (FLOW,)},
)
def converges_to_the_kkt_point(run: Trajectory) -> Verdict:
    """F-3.5 on a run of gradient flow: ``‖W/‖W‖ - W*/‖W*‖‖`` against the clock, expected like 1/s, that is 1/log t."""
    net, data = with_loss_clock(run).initial, run.data
    hypotheses = (*setting_of_F(net), H_3_2(data, leak_of(net)), known_loss(run.loss))
    if not all(bool(part.holds.all()) for part in hypotheses[:2]):
        nowhere = "W* is known for a leak in (0, 1) and a_j = ±1/√m only."
        return decide("F-3.5", Finding(math.nan, nowhere), hypotheses)
    kept = _records(run, per_decade=20)
    distance = torch.stack([same_as_exact(run.net(k), data).max() for k in kept])
    finding, _ = limit(run.s[kept], distance, "the distance in direction to W*", "s", law=1.0)
    finding = replace(finding, why=sentences(finding.why, _blind(finding)))
    return _decided("F-3.5", finding, hypotheses, run)
