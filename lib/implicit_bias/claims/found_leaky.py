r"""Found here: S-2 and S-3. What the loss and the ranks do once the pattern is frozen (the whole layer, S-6, is in
``whole_layer``).

With the pattern fixed the outputs are linear in the weights, and training is logistic regression on the n features
``y_i ∇f(x_i)``; ``K`` is their Gram matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from .._format import format_error
from ..data import Dataset, correlated
from ..dynamics import gradient_descent, gradient_flow, log_spaced
from ..least_distance import least_distance
from ..measures import activation_pattern, class_stable_rank, gradient_gram
from ..network import TwoLayer, leaky_relu
from ..trajectory import DESCENT, FLOW, Trajectory
from . import instances
from .common import NO_LIMIT_REFUTED, fitted_rate, logistic, neurons, yes_or_no
from .leaky_limits import FLOW_ERROR, decade_short, opposed, start_shows, triangle
from .long_runs import LongRun, at_kink, long_run
from .patterns import CHAPTER, between_records, live
from .registry import register
from .verdict import Finding, Verdict, decide
from .whole_layer import linear_predictor, whole_rank, z_ratio

__all__ = [
    "Sandwich",
    "feature_gram",
    "inside_box",
    "linear_predictor",
    "loss_constant",
    "pattern_multipliers",
    "rank_gap",
    "rank_limits",
    "rank_sandwich",
    "whole_rank",
    "z_ratio",
]


# -- S-2: the loss ---------------------------------------------------------------------------------------------------


def feature_gram(net: TwoLayer, data: Dataset) -> Tensor:
    """``K`` (..., n, n): inner products of the features ``y_i ∇f(x_i)`` in the network's own pattern and units.

    In the ordered pattern of F's network it is :func:`implicit_bias.margin.kkt_matrix`; of K's, ``2/m`` times that.
    """
    return gradient_gram(net, data) * data.y.unsqueeze(-1) * data.y.unsqueeze(-2)


def pattern_multipliers(net: TwoLayer, data: Dataset) -> Tensor | None:
    """Multipliers λ ≥ 0 (n,) of the max-margin problem in the network's pattern; ``Kλ = 1`` where all are positive, and
    ``‖W*‖² = Σ λ_i``. None where no weights fit the data in this pattern.
    """
    lam = least_distance(feature_gram(net, data).double().numpy())
    return None if lam is None else torch.from_numpy(lam)


LOSS_TOLERANCE = 1e-3
"""``η t L`` must come this close to its limit, relatively; other runs are undecided."""


@cache
def leaning_far() -> tuple[Trajectory, Trajectory]:
    """Six samples that lean by P = (n-1)p = 0.45 towards the other class, far beyond H-K4.1, and stay in order."""
    data = correlated(6, p=0.09, signs="oppose", norms=[1, 1.1, 1, 1.2, 1, 1])
    net = TwoLayer.init(data, 4, 4, leaky_relu(instances.GAMMA), 0.05, output="1/m", seed=1)
    descent = gradient_descent(net, data, 2.0, 5000, record=log_spaced(5000, 60))
    return descent, gradient_flow(descent.final, data, 400.0)


@register(
    "S-2",
    "The loss constant",
    "η t L(t) → ‖W*‖_F² once the pattern is fixed and if L → 0, for every p: the rate is 1/t. ‖W*‖_F² = 1ᵀK⁻¹1 where "
    "every sample is a support vector.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=leaning_far,
    negative=opposed,
    status="proved here",
    rules={"run": (DESCENT, FLOW)},
)
def loss_constant(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-2 on a run of descent (and the flow that goes on from it), or of flow alone (time t in place of ``η t``): how
    far ``η t L`` is from ``‖W*‖²`` of the pattern that the run ends in, whatever that is, over the last decade of t.

    Hypotheses: the pattern is the same over the last half of log t, and some weights fit the data in it.
    """
    joined = long_run(run, flow)
    data, net = joined.data, joined.at(-1)
    patterns = activation_pattern(joined.nets, data)
    half = joined.log_step >= float(joined.log_step[-1]) / 2
    # A preactivation that slides along its kink has no sign to speak of.
    sliding = int(at_kink(net, data).sum())
    fixed = bool((patterns[half] == patterns[-1]).all()) and not sliding
    lam = pattern_multipliers(net, data)
    hypotheses = (
        yes_or_no("homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous),
        logistic(joined.loss),
        yes_or_no(
            "fixed pattern", "no sign changes over the last half of log t, and no preactivation at its kink", fixed
        ),
        yes_or_no("separable", "some weights fit all samples in this pattern", lam is not None),
    )
    if sliding:
        why = f"The run ends in no pattern that has a ‖W*‖²: {sliding} preactivation(s) sit at their kink."
        return decide("S-2", Finding(math.nan, why), hypotheses)
    log_product = joined.log_step + joined.log_loss + math.log(joined.step_size or 1.0)
    if lam is None:
        return decide("S-2", Finding(0.0, f"η t L = {float(log_product[-1].exp()):.3g} and rises."), hypotheses)
    off = (log_product - math.log(float(lam.sum()))).abs()
    late = joined.log_step >= float(joined.log_step[-1]) - math.log(10)
    # A product that only passes its limit is not there: the record before must be close, too.
    error = float(torch.cat([off[late], off[-2:]]).max())
    numbers = {"limit": float(lam.sum()), "error": error}
    close = format_error(error) if error > FLOW_ERROR else f"less than {FLOW_ERROR:.0e}"
    end = float(joined.log_step[-1])
    why = f"η t L is within {close} of ‖W*‖² = {float(lam.sum()):.5g} at log t = {end:.4g}."
    finding = Finding(LOSS_TOLERANCE / max(error, FLOW_ERROR), why, "", numbers)
    short = "The run is too short:" if len(off) < 3 else ""
    return decide("S-2", finding, hypotheses, unsettled=short or ("" if finding.true else NO_LIMIT_REFUTED))


# -- S-3: the rank of a class ----------------------------------------------------------------------------------------


def _whole_rows(net: TwoLayer) -> Tensor:
    """The rows (..., m, d+m) with their frozen parts as further coordinates: what a Gram matrix knows, without squares.

    Squares would lose half the digits of the small singular values, and those are what S-3 is about.
    """
    if net.frozen_gram is None:
        return net.weights
    values, vectors = torch.linalg.eigh(net.frozen_gram)
    hidden = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
    return torch.cat([net.weights, hidden.expand(*net.weights.shape[:-1], net.m)], dim=-1)


def _squares(rows: Tensor) -> Tensor:
    """Squared singular values (..., k) of rows (..., r, d), the largest first."""
    return torch.linalg.svdvals(rows).square()


def rank_gap(net: TwoLayer) -> Tensor:
    """``‖W_j‖_F² - ‖W_j‖_2²`` (..., 2) for j = +1, -1, frozen parts included: all squared singular values but the
    largest.
    """
    whole, positive = _whole_rows(net), net.positive
    return torch.stack([_squares(whole[..., rows, :])[..., 1:].sum(-1) for rows in (positive, ~positive)], dim=-1)


@dataclass(frozen=True)
class Sandwich:
    """The bounds of S-3: ``floor ≤ ‖W_j‖_F² - ‖W_j‖_2² ≤ ceiling`` (..., 2) at all times of a frozen pattern; ``limit``
    is where it tends, for rows that go in a given direction.
    """

    floor: Tensor
    ceiling: Tensor
    limit: Tensor | None = None


def rank_sandwich(net: TwoLayer, direction: Tensor | None = None) -> Sandwich:
    """The bounds of S-3 that an ordered network of a run sets for all later ones, from the spread of the rows of each
    class around their mean; ``direction`` (2, d) says where the rows of the two classes go.
    """
    whole, parts = _whole_rows(net), []
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
    """``dw̄_j/d log t`` (2, d) over the last records: the mean rows of the two classes go along these."""
    span = run.log_step[-1] - run.log_step[-2]
    return torch.stack([(rows[-1] - rows[-2]).mean(0) / span for rows in neurons(run.nets)])


BLUR = 1e-11
"""Rounding of many steps in a singular value, relative to the norm of its matrix."""


def inside_box(run: LongRun, start: int, bounds: Sandwich) -> float:
    """How far inside its bounds the gap of S-3 is at its tightest, from record ``start`` on: both square roots over one
    another, the least; ≥ 1 where it is inside, to :data:`BLUR`.
    """
    nets = replace(run.nets, weights=run.nets.weights[start:])
    seen, blur = rank_gap(nets).sqrt(), BLUR * nets.frobenius().unsqueeze(-1)
    below = (seen + blur) / bounds.floor.sqrt().clamp_min(1e-300)
    above = (bounds.ceiling.sqrt() + blur) / seen.clamp_min(1e-300)
    return min(float(below.min()), float(above.min()))


@register(
    "S-3",
    "The rank goes to one like 1/log² t",
    "StableRank(W_j) - 1 is of order 1/log² t for m ≥ 2 (at m = 1 it is 0): ‖W_j‖_F² - ‖W_j‖_2² stays between two "
    "constants set at the freezing time, while ‖W_j‖_2² grows like log² t.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=live,
    negative=triangle,
    status="proved here",
    rules={"run": (DESCENT, FLOW)},
)
def rank_limits(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-3 on a run of descent and the flow that goes on from it: the two bounds at every record since the first ordered
    one, and the power of log t with which the gap falls over the last decade of log t (expected: 2; true from 1 to 3).

    The lower bound is 0 unless the rows of each sign spread in two directions or more, as at least three random ones
    do; the claim is about such starts.
    """
    joined = long_run(run, flow)
    index = joined.frozen_at()
    start = 0 if index is None else index
    bounds = rank_sandwich(joined.at(start))
    spread = bool((bounds.floor > 1e-12 * bounds.ceiling).all()) and bool((bounds.ceiling > 0).all())
    hypotheses = (
        yes_or_no("activation", "leaky ReLU", joined.initial.activation.is_leaky_relu),
        logistic(joined.loss),
        yes_or_no("equal output weights", "all a_j of one sign are equal", _equal_outputs(joined.initial)),
        yes_or_no("ordered", "sign⟨w_j, x_i⟩ = sign(a_j) y_i from some record on", index is not None),
        yes_or_no("spread", "the rows of each sign differ in at least two directions (three rows or more)", spread),
    )
    late = joined.late
    clock, gap = joined.log_step[late], (class_stable_rank(joined.nets)[late] - 1).amax(-1)
    if clock.numel() < 3:
        return decide("S-3", Finding(math.nan, "too few records past step 2 to read a power."), hypotheses)
    rate, inside = fitted_rate(clock, gap), inside_box(joined, start, bounds)
    slack = min(inside, max(rate, 0.0), 3 / rate if rate > 0 else 0.0) if not math.isnan(rate) else math.nan
    fall = f"StableRank(W_j) - 1 falls like (log t)^-{rate:.3f} up to log t = {float(clock[-1]):.4g}"
    fall = "The gap does not fall" if rate < 5e-4 else fall
    keeps = "keeps within" if inside >= 1 else "keeps not within"
    why = f"{fall}; ‖W_j‖_F² - ‖W_j‖_2² {keeps} its two bounds."
    finding = Finding(slack, why, f"record {start}", {"rate": rate, "inside": inside})
    unsettled = between_records(joined, start) if inside < 1 else ""
    if inside >= 1:
        unsettled = decade_short(clock) or start_shows(joined) or ("" if finding.true else NO_LIMIT_REFUTED)
    return decide("S-3", finding, hypotheses, unsettled=unsettled)


def _equal_outputs(net: TwoLayer) -> bool:
    groups = (net.a[net.positive], net.a[~net.positive])
    return all(len(rows) and bool((rows - rows[0]).abs().max() < 1e-9 * rows.abs().max()) for rows in groups)
