"""Found here: S-3, the stable rank of a class goes to one like ``1/log² t``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...measures.ranks import class_stable_rank
from ...networks.two_layer import TwoLayer
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ..claim import register
from ..kou2023.instances import live, triangle
from ..kou2023.lemma_5_6 import CHAPTER
from ..kou2023.lemma_5_7 import between_records
from ..kou2023.long_runs import LongRun, long_run
from ..kou2023.starts import start_shows
from ..limits import NO_LIMIT_REFUTED, decade_short, fitted_rate
from ..setting import logistic, neurons, yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = ["Sandwich", "inside_box", "rank_gap", "rank_limits", "rank_sandwich"]


def _whole_rows(net: TwoLayer) -> Tensor:
    """The rows (..., m, d+m) with their frozen parts as further coordinates: what a
    Gram matrix knows, without squares.

    Squares would lose half the digits of the small singular values, and those are what
    S-3 is about.
    """
    if net.frozen_gram is None:
        return net.weights
    values, vectors = torch.linalg.eigh(net.frozen_gram)
    hidden = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
    return torch.cat(
        [net.weights, hidden.expand(*net.weights.shape[:-1], net.m)], dim=-1
    )


def _squares(rows: Tensor) -> Tensor:
    """Squared singular values (..., k) of rows (..., r, d), the largest first."""
    return torch.linalg.svdvals(rows).square()


def rank_gap(net: TwoLayer) -> Tensor:
    """``‖W_j‖_F² - ‖W_j‖_2²`` (..., 2) for j = +1, -1, frozen parts included: all
    squared singular values but the largest.
    """
    whole = _whole_rows(net)
    positive = net.positive
    return torch.stack(
        [
            _squares(whole[..., rows, :])[..., 1:].sum(-1)
            for rows in (positive, ~positive)
        ],
        dim=-1,
    )


@dataclass(frozen=True)
class Sandwich:
    """The bounds of S-3: ``floor ≤ ‖W_j‖_F² - ‖W_j‖_2² ≤ ceiling`` (..., 2) at all
    times of a frozen pattern; ``limit`` is where it tends, for rows that go in a given
    direction.
    """

    floor: Tensor
    ceiling: Tensor
    limit: Tensor | None = None


def rank_sandwich(net: TwoLayer, direction: Tensor | None = None) -> Sandwich:
    """The bounds of S-3 that an ordered network of a run sets for all later ones, from
    the spread of the rows of each class around their mean; ``direction`` (2, d) says
    where the rows of the two classes go.
    """
    whole = _whole_rows(net)
    parts = []
    for k, rows in enumerate((net.positive, ~net.positive)):
        spread = whole[..., rows, :] - whole[..., rows, :].mean(-2, keepdim=True)
        squares = _squares(spread)
        limits = squares.sum(-1)
        if direction is not None:
            along = spread[..., : net.d] @ (direction[k] / direction[k].norm())
            limits = limits - along.square().sum(-1)
        parts.append((squares[..., 1:].sum(-1), squares.sum(-1), limits))
    floor, ceiling, limits = (torch.stack(values, -1) for values in zip(*parts))
    return Sandwich(floor, ceiling, None if direction is None else limits)


def growth(run: LongRun) -> Tensor:
    """``dw̄_j/d log t`` (2, d) over the last records: the mean rows of the two classes
    go along these.
    """
    span = run.log_step[-1] - run.log_step[-2]
    return torch.stack(
        [(rows[-1] - rows[-2]).mean(0) / span for rows in neurons(run.nets)]
    )


BLUR = 1e-11
"""Rounding of many steps in a singular value, relative to the norm of its matrix."""


def inside_box(run: LongRun, start: int, bounds: Sandwich) -> float:
    """How far inside its bounds the gap of S-3 is at its tightest, from record
    ``start`` on: both square roots over one another, the least; ≥ 1 where it is inside,
    to :data:`BLUR`.
    """
    nets = replace(run.nets, weights=run.nets.weights[start:])
    seen = rank_gap(nets).sqrt()
    blur = BLUR * nets.frobenius().unsqueeze(-1)
    below = (seen + blur) / bounds.floor.sqrt().clamp_min(1e-300)
    above = (bounds.ceiling.sqrt() + blur) / seen.clamp_min(1e-300)
    return min(float(below.min()), float(above.min()))


@register(
    "S-3",
    "The rank goes to one like 1/log² t",
    "StableRank(W_j) - 1 is of order 1/log² t for m ≥ 2 (at m = 1 it is 0): ‖W_j‖_F² - "
    "‖W_j‖_2² stays between two "
    "constants set at the freezing time, while ‖W_j‖_2² grows like log² t.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=live,
    negative=triangle,
    status="proved here",
    rules={"run": (DESCENT, FLOW)},
)
def rank_limits(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-3 on a run of descent and the flow that goes on from it: the two bounds at
    every record since the first ordered one, and the power of log t with which the gap
    falls over the last decade of log t (expected: 2; true from 1 to 3).

    The lower bound is 0 unless the rows of each sign spread in two directions or more,
    as at least three random ones do; the claim is about such starts.
    """
    joined = long_run(run, flow)
    index = joined.frozen_at()
    start = 0 if index is None else index
    bounds = rank_sandwich(joined.at(start))
    spread = bool((bounds.floor > 1e-12 * bounds.ceiling).all()) and bool(
        (bounds.ceiling > 0).all()
    )
    hypotheses = (
        yes_or_no("activation", "leaky ReLU", joined.initial.activation.is_leaky_relu),
        logistic(joined.loss),
        yes_or_no(
            "equal output weights",
            "all a_j of one sign are equal",
            _equal_outputs(joined.initial),
        ),
        yes_or_no(
            "ordered",
            "sign⟨w_j, x_i⟩ = sign(a_j) y_i from some record on",
            index is not None,
        ),
        yes_or_no(
            "spread",
            "the rows of each sign differ in at least two directions (three rows or more)",
            spread,
        ),
    )
    late = joined.late
    clock = joined.log_step[late]
    gap = (class_stable_rank(joined.nets)[late] - 1).amax(-1)
    if clock.numel() < 3:
        return decide(
            "S-3",
            Finding(math.nan, "too few records past step 2 to read a power."),
            hypotheses,
        )
    rate = fitted_rate(clock, gap)
    inside = inside_box(joined, start, bounds)
    slack = (
        min(inside, max(rate, 0.0), 3 / rate if rate > 0 else 0.0)
        if not math.isnan(rate)
        else math.nan
    )
    fall = (
        f"StableRank(W_j) - 1 falls like (log t)^-{rate:.3f} up to log t = "
        f"{float(clock[-1]):.4g}"
    )
    fall = "The gap does not fall" if rate < 5e-4 else fall
    keeps = "keeps within" if inside >= 1 else "keeps not within"
    why = f"{fall}; ‖W_j‖_F² - ‖W_j‖_2² {keeps} its two bounds."
    finding = Finding(slack, why, f"record {start}", {"rate": rate, "inside": inside})
    unsettled = between_records(joined, start) if inside < 1 else ""
    if inside >= 1:
        unsettled = (
            decade_short(clock)
            or start_shows(joined)
            or ("" if finding.true else NO_LIMIT_REFUTED)
        )
    return decide("S-3", finding, hypotheses, unsettled=unsettled)


def _equal_outputs(net: TwoLayer) -> bool:
    groups = (net.a[net.positive], net.a[~net.positive])
    return all(
        len(rows) and bool((rows - rows[0]).abs().max() < 1e-9 * rows.abs().max())
        for rows in groups
    )
