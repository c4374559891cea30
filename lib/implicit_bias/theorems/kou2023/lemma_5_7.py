"""Kou et al., Lemma 5.7: from then on coefficients rise by equal increments."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ...measures.decomposition import independent, rho
from ...measures.outputs import own_class
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ...values.wording import format_error
from ..claim import register
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, equality
from .instances import leaning_too_far, live
from .long_runs import LongRun, long_run
from .setting import conditions_of_K

__all__ = ["increments_agree"]


CHAPTER = "patterns"


RESOLVED = 1e-7
"""Increments of |ρ| smaller than this, relative to the largest |ρ|, are rounding: they
cannot be told to 1e-6.
"""


def increment_error(run: LongRun, index: int) -> float:
    """How far the increments of |ρ| since a record are from agreeing over neurons, and
    from the ratio γ between the classes; relative to the largest of each sample, the
    worst over later records. NaN where nothing has moved.
    """
    later = replace(run.nets, weights=run.nets.weights[index:])
    sizes = rho(later, run.initial, run.data).abs()
    grown = (sizes - sizes[0])[1:]  # (T, m, n)
    own = own_class(run.initial, run.data).to(grown)
    leak = torch.as_tensor(leak_of(run.initial), dtype=grown.dtype)
    scaled = grown * (own + (1 - own) / leak)
    centre = (scaled * own).sum(-2, keepdim=True) / own.sum(-2, keepdim=True).clamp_min(
        1
    )
    largest = torch.maximum(
        sizes.amax(), run.initial.preactivations(run.data.x).abs().amax()
    )
    told = (centre.abs() > RESOLVED * largest).expand_as(scaled)
    off = ((scaled - centre).abs() / centre.abs().clamp_min(1e-300))[told]
    return float(off.max()) if off.numel() else math.nan


def between_records(run: LongRun, index: int) -> str:
    """A sentence where the pattern may have changed between records since ``index``,
    unseen.
    """
    steps = run.log_step[index:].exp()
    if run.step_size and bool((steps.diff() < 1.5).all()):
        return ""
    return "The pattern may have changed between records:"


@register(
    "K-5.7",
    "Equal increments",
    "For t ≥ T, ρ_{y_i,r,i}(t) - ρ_{y_i,r,i}(T) is the same for all r, and "
    "|ρ_{-y_i,r',i}| rises by γ times as much.",
    "Lemma 5.7 (sign corrected)",
    chapter=CHAPTER,
    positive=live,
    negative=leaning_too_far,
    rules={"run": (DESCENT, FLOW)},
)
def increments_agree(
    run: Trajectory,
    flow: Trajectory | None = None,
    *,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-5.7 on a run of descent (and the flow that goes on from it): the largest
    relative disagreement of increments since the first record from which on all are
    ordered. Where the pattern never becomes ordered, since half the records. Increments
    too small to be told from rounding are left out.
    """
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    index = joined.frozen_at()
    last = len(joined.log_step) - 1
    start = last // 2 if index is None else index
    if start >= last or not independent(joined.data):
        why = "there is no record after T." if start >= last else "ρ is not unique."
        return decide("K-5.7", Finding(math.nan, why), hypotheses)
    error = increment_error(joined, start)
    why = f"increments differ from those of the lemma by {format_error(error)}."
    finding = equality(error, why, f"record {start}")
    unsettled = "The pattern is not ordered yet:" if index is None else ""
    unsettled = unsettled or ("" if finding.true else between_records(joined, start))
    return decide("K-5.7", finding, hypotheses, unsettled=unsettled)
