"""Kou et al., Lemma E.2: coefficients of the other class stay small."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...measures.outputs import own_class
from ...training.trajectory import Trajectory, recorded_steps
from ..claim import register
from ..setting import active_at_start, largest_start, strictly_positive
from ..verdict import Finding, Verdict, decide, worst_of
from .instances import opposing
from .relu_setting import (
    C_PROVED,
    OPEN,
    both_classes,
    paper_correlation,
    pulls,
    rate_h,
    setting_of_relu,
)

__all__ = ["other_class_small"]


CHAPTER = "relu_patterns"


def _least_and_most(run: Trajectory) -> tuple[Tensor, Tensor]:
    """For the neurons of each sign, ``|ρ|`` at its smallest over ``S_i(0)``, i of that
    class, and at its largest over samples of the other; each (2, T, ...).
    """
    data = run.data
    net = run.initial
    own = own_class(net, data)
    kept = active_at_start(net, data)
    size = pulls(run) * data.norms.unsqueeze(-2) ** 2
    sides = [net.positive.unsqueeze(-1), ~net.positive.unsqueeze(-1)]
    least = torch.stack(
        [size.masked_fill(~(kept & side), math.inf).amin((-2, -1)) for side in sides]
    )
    most = torch.stack(
        [size.masked_fill(own | ~side, 0).amax((-2, -1)) for side in sides]
    )
    return least, most


@register(
    "K-E.2",
    "Coefficients of the other class are small",
    "There is T₂ with |ρ_{-y_i,r,i}(t)| ≤ c R_min⁻² p n |ρ_{y_i',r',i'}(t)| for t ≥ "
    "T₂, r' ∈ S_i'(0), y_i' = -y_i, "
    "if p > 0.",
    "Lemma E.2",
    chapter=CHAPTER,
    positive=opposing,
    negative=lambda: opposing(p=0.0),
)
def other_class_small(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-E.2 along a run, with ``c = 8R²`` and ``T₂`` the first record with
    ``β + hR_max² ≤ 4R² P ρ``; the best c is measured. A run past that c is undecided,
    for the lemma leaves its own open.
    """
    data = run.data
    net = run.initial
    P = paper_correlation(data)
    R2 = data.R.double() ** 2
    least, most = _least_and_most(run)
    late = (
        (4 * R2 * P * least)
        >= largest_start(net, data) + rate_h(run) * data.R_max.double() ** 2
    ).all(0)
    reached = bool(late[-1].all())
    seen = (
        late
        if reached
        else torch.zeros_like(late).index_fill(0, torch.tensor(len(run) - 1), True)
    )
    slack_at = torch.where(seen, (8 * R2 * P * least / most).amin(0), math.inf)
    slack, place = worst_of(slack_at, "record")
    best = float(torch.where(seen, (most / (P * least)).amax(0), 0).max())
    began = int(late.reshape(len(run), -1).all(1).int().argmax())
    first = int(recorded_steps(run)[began])
    numbers = {
        "best c": best,
        "c": float(8 * R2.max()),
        "T2": float(first) if reached else math.inf,
    }
    positive = strictly_positive("p", "p > 0", P)
    when = f"from step {first} on" if reached else "at the last record"
    finding = Finding(
        slack,
        f"{when} the best c is {best:.3f}; proved: {float(8 * R2.max()):.3g}.",
        place,
        numbers,
    )
    short = "" if reached or not bool((P > 0).all()) else "The run ends before T₂:"
    given = (*setting_of_relu(run, C), positive, both_classes(data))
    return decide(
        "K-E.2", finding, given, unsettled=short or ("" if finding.true else OPEN)
    )
