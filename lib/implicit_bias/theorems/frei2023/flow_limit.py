"""Gradient flow read at its end, for Theorem 3.1 and Corollary 3.5: which records count,
and what leaves a limit open.

A limit is read off a finite run: the verdict says at which clock it was seen, with what
fitted rate, and which directions it does not tell apart. It is ``undecided`` where the
limit was not seen.
"""

from __future__ import annotations

import math

import torch

from ...data.made_to_order import from_gram
from ...hypotheses.hypothesis import Hypothesis
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.flow import gradient_flow
from ...training.trajectory import Trajectory, recorded_clock
from ...values.wording import format_error
from ..limits import NO_LIMIT_REFUTED
from ..verdict import Finding, Verdict, decide

__all__ = ["start_share"]


def _records(run: Trajectory, per_decade: int = 6) -> list[int]:
    """A few recorded times of each decade of the clock past s = 1 (of a run that ends
    before s = 10, past a tenth of its end): KKT residuals are not free.
    """
    clock, _ = recorded_clock(run)
    kept = []
    last = -math.inf
    first = min(1.0, float(clock[-1]) / 10)
    for index, s in enumerate(clock.tolist()):
        if s > 0 and s >= first and math.log10(s) - last >= 1 / per_decade - 1e-9:
            kept.append(index)
            last = math.log10(s)
    return kept if kept and kept[-1] == len(clock) - 1 else [*kept, len(clock) - 1]


START_EXPLAINS = 5.0
"""A distance up to this many times :func:`start_share` may be the start's doing, and
refutes nothing.
"""


def start_share(run: Trajectory) -> float:
    """``‖W(0)‖_F / ‖W(s) - W(0)‖_F`` where a run ends, the largest of a batch. The
    distance in direction to a limit cannot fall before this is small, whatever the
    limit.
    """
    added = (run.net(-1).weights - run.initial.weights).flatten(-2).norm(dim=-1)
    return float((run.initial.frobenius() / added.clamp_min(1e-300)).max())


def _says_nothing_yet(run: Trajectory, finding: Finding) -> str:
    """Why a run says nothing against a limit: too few records, it stops before s = 100,
    or its start still shows.
    """
    if finding.true:
        return ""
    if math.isnan(finding.slack):
        return "Too few records in the last decade of s to fit a rate:"
    left = start_share(run)
    clock, _ = recorded_clock(run)
    end = float(clock[-1])
    if finding.constants["last"] <= START_EXPLAINS * left:
        return (
            f"At s = {end:g} the start still shows: ‖W(0)‖ is {left:.2g} times "
            "what the flow has added. So far"
        )
    return "" if end >= 100 else "The run is short:"


def _decided(
    claim: str, finding: Finding, hypotheses: tuple[Hypothesis, ...], run: Trajectory
) -> Verdict:
    """As :func:`decide`: no finite run refutes a limit. Where the claim is vacuous and
    the run too short as well, the conclusion is open and the sentence says both.
    """
    short = _says_nothing_yet(run, finding)
    unsettled = short or ("" if finding.true else NO_LIMIT_REFUTED)
    # A stalled run is not too short: it will never go on.
    too_early = short if run.outcome.ok else ""
    return decide(claim, finding, hypotheses, unsettled=unsettled, too_early=too_early)


def _blind(finding: Finding) -> str:
    """What the last record cannot tell from the limit."""
    last = finding.constants["last"]
    return (
        f"Directions nearer to it than {format_error(last)} are not told apart."
        if finding.true
        else ""
    )


def stuck_flow() -> tuple[Trajectory]:
    """A flow that can never pass log(2)/n: two equal samples with opposite labels, a
    network that starts by far on the side of one, and comes to rest where both count
    the same.
    """
    gram = torch.ones(2, 2, dtype=torch.float64)
    data = from_gram(gram, y=torch.tensor([1.0, -1.0]))
    start = TwoLayer.init(data, 1, 1, leaky_relu(0.99), scale=8.0, seed=0)
    return (
        gradient_flow(
            start,
            data,
            5.0,
            record=[0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.33, 0.35, 0.36, 5.0],
        ),
    )
