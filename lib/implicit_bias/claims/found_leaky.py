r"""Found here: S-2, S-3 and S-6. What the loss, the ranks and the whole first layer do once the pattern is frozen.

With the pattern fixed the outputs are linear in the weights, and training is logistic regression on the n features
``y_i ∇f(x_i)``; ``K`` is their Gram matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .._checks import gamma_in_range
from .._format import format_error
from ..data import Dataset, orthogonal
from ..dynamics import gradient_descent, gradient_flow, log_spaced
from ..hypotheses import Hypothesis
from ..least_distance import least_distance
from ..margin import max_margin
from ..measures import activation_pattern, class_stable_rank, gradient_gram, stable_rank
from ..network import TwoLayer, leaky_relu
from ..trajectory import Trajectory
from . import instances
from .common import _fact, fitted_rate, limit, neurons
from .leaky_limits import FLOW, _start_left, opposed, with_relu
from .long_runs import LongRun, at_kink, long_run
from .patterns import CHAPTER, live
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = [
    "Sandwich",
    "feature_gram",
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


TOLERANCE = 1e-3
"""``η t L`` must come this close to its limit, relatively; runs on their way there are undecided."""


@register(
    "S-2",
    "The loss constant",
    "η t L(t) → ‖W*‖_F² once the pattern is fixed and if L → 0, for every p: the rate is 1/t. ‖W*‖_F² = 1ᵀK⁻¹1 where "
    "every sample is a support vector.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=live,
    negative=opposed,
    status="proved here",
)
def loss_constant(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-2 on a run of descent (and the flow that goes on from it), or of flow alone (time t in place of ``η t``): the
    last ``η t L`` over ``‖W*‖²`` of the pattern that the run ends in, whatever that is.

    Hypotheses: the pattern is the same over the last half of log t, and some weights fit the data in it.
    """
    joined = long_run(run, flow)
    data, net = joined.data, joined.at(-1)
    patterns = activation_pattern(joined.nets, data)
    half = joined.log_step >= float(joined.log_step[-1]) / 2
    # A preactivation that slides along its kink has no sign to speak of.
    fixed = bool((patterns[half] == patterns[-1]).all()) and not bool(at_kink(net, data).any())
    lam = pattern_multipliers(net, data)
    hypotheses = (
        _fact("homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous),
        _fact("fixed pattern", "no sign changes over the last half of log t, and no preactivation at its kink", fixed),
        _fact("separable", "some weights fit all samples in this pattern", lam is not None),
    )
    log_product = joined.log_step + joined.log_loss + math.log(joined.step_size or 1.0)
    if lam is None:
        return decide("S-2", Finding(0.0, f"η t L = {float(log_product[-1].exp()):.3g} and rises."), hypotheses)
    off = (log_product - math.log(float(lam.sum()))).abs()
    error, before = float(off[-1]), float(off[len(off) * 3 // 4])
    numbers = {"limit": float(lam.sum()), "error": error}
    close = format_error(error) if error > FLOW else f"less than {FLOW:.0e}"
    why = f"η t L is within {close} of ‖W*‖² = {float(lam.sum()):.5g} at log t = "
    why += f"{float(joined.log_step[-1]):.4g}."
    finding = Finding(TOLERANCE / max(error, FLOW), why, "", numbers)
    unsettled = "" if finding.true or error > before / 2 else "Still on its way:"
    return decide("S-2", finding, hypotheses, unsettled=unsettled)


# -- S-3: the rank of a class ----------------------------------------------------------------------------------------


def rank_gap(net: TwoLayer) -> Tensor:
    """``‖W_j‖_F² - ‖W_j‖_2²`` (..., 2) for j = +1, -1, frozen parts included: all squared singular values but the
    largest.
    """
    gram, positive = net.weight_gram(), net.positive
    return torch.stack(
        [torch.linalg.eigvalsh(gram[..., rows, :][..., rows])[..., :-1].sum(-1) for rows in (positive, ~positive)],
        dim=-1,
    )


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
    gram, parts = net.weight_gram(), []
    for k, rows in enumerate((net.positive, ~net.positive)):
        count = int(rows.sum())
        centre = torch.eye(count).to(gram) - 1 / count
        squares = torch.linalg.eigvalsh(centre @ gram[..., rows, :][..., rows] @ centre).clamp_min(0)
        limits = squares.sum(-1)
        if direction is not None:
            along = centre @ net.weights[..., rows, :] @ (direction[k] / direction[k].norm())
            limits = limits - along.square().sum(-1)
        parts.append((squares[..., :-1].sum(-1), squares.sum(-1), limits))
    floor, ceiling, limits = (torch.stack(values, -1) for values in zip(*parts))
    return Sandwich(floor, ceiling, None if direction is None else limits)


def growth(run: LongRun) -> Tensor:
    """``dw̄_j/d log t`` (2, d) over the last records: the mean rows of the two classes go along these."""
    span = run.log_step[-1] - run.log_step[-2]
    return torch.stack([(rows[-1] - rows[-2]).mean(0) / span for rows in neurons(run.nets)])


@register(
    "S-3",
    "The rank goes to one like 1/log² t",
    "StableRank(W_j) - 1 is of order 1/log² t for m ≥ 2 (at m = 1 it is 0): ‖W_j‖_F² - ‖W_j‖_2² stays between two "
    "constants set at the freezing time, while ‖W_j‖_2² grows like log² t.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=live,
    negative=with_relu,
    status="proved here",
)
def rank_limits(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-3 on a run of descent and the flow that goes on from it: the two bounds at every record since the first ordered
    one, and the power of log t with which the gap falls over the last decade of log t (expected: 2; true from 1 to 3).
    """
    joined = long_run(run, flow)
    index = joined.frozen_at()
    leak = torch.as_tensor(joined.initial.activation.gamma)
    hypotheses = (
        _fact("activation", "leaky ReLU", joined.initial.activation.homogeneous and bool((leak > 0).all())),
        _fact("equal output weights", "all a_j of one sign are equal", _equal_outputs(joined.initial)),
        _fact("ordered", "sign⟨w_j, x_i⟩ = sign(a_j) y_i from some record on", index is not None),
    )
    late = joined.late
    gap = (class_stable_rank(joined.nets)[late] - 1).amax(-1)
    rate = fitted_rate(joined.log_step[late], gap)
    start = 0 if index is None else index
    bounds, seen = rank_sandwich(joined.at(start)), rank_gap(joined.nets)[start:]
    # Both bounds are attained where a class has one neuron, or two: equal to rounding counts.
    inside = min(float((seen / bounds.floor.clamp_min(1e-300)).min()), float((bounds.ceiling / seen).min())) + 1e-9
    inside = inside if inside > 1e-6 else 0.0
    known = not math.isnan(rate)
    slack = min(inside, max(rate, 0.0) / 1, 3 / rate if rate > 0 else 0.0) if known else 0.0
    why = f"StableRank(W_j) - 1 falls like (log t)^-{rate:.3f}; " if rate >= 5e-4 else "The gap does not fall; "
    why += f"‖W_j‖_F² - ‖W_j‖_2² keeps {'within' if inside >= 1 else 'not within'} its two bounds."
    finding = Finding(slack, why, f"record {start}", {"rate": rate, "inside": inside})
    unsettled = "" if finding.true or inside < 1 else _start_left(joined)
    return decide("S-3", finding, hypotheses, unsettled=unsettled)


def _equal_outputs(net: TwoLayer) -> bool:
    return all(
        bool((rows - rows[0]).abs().max() < 1e-9 * rows.abs().max())
        for rows in (net.a[net.positive], net.a[~net.positive])
    )


# -- S-6: the whole layer --------------------------------------------------------------------------------------------


def whole_rank(gamma: float | Tensor, share: float | Tensor = 0.5) -> Tensor:
    """The limit (...) of StableRank(W) at p = 0 with as many neurons of each sign; ``2(1+γ²)/(1+γ)²`` for balanced
    samples of equal norms.

    ``share`` is the part of ``Σ_i ‖x_i‖⁻²`` that the positive samples hold: a half makes the rank largest.
    """
    gamma_in_range(gamma)
    gamma, share = (torch.as_tensor(v, dtype=torch.float64) for v in (gamma, share))
    tilt = (1 - gamma**2) / (1 + gamma**2)
    return 2 / (1 + (1 - 4 * share * (1 - share) * tilt**2).sqrt())


def z_ratio(gamma: float | Tensor) -> Tensor:
    """``(1+γ)/(1+γ²)`` (...): the limit of ``‖z‖/‖z*‖`` there."""
    gamma_in_range(gamma)
    gamma = torch.as_tensor(gamma, dtype=torch.float64)
    return (1 + gamma) / (1 + gamma**2)


def linear_predictor(net: TwoLayer, data: Dataset) -> Tensor:
    """``‖z‖`` (...) of ``z = Σ_j a_j w_j`` with the network scaled to smallest margin 1, frozen parts included."""
    a = net.a.unsqueeze(-1)
    square = (a.mT @ net.weight_gram() @ a).squeeze(-1).squeeze(-1)
    return square.clamp_min(0).sqrt() / (data.y * net(data.x)).amin(-1)


@cache
def square() -> tuple[Trajectory, Trajectory]:
    """Ten orthonormal samples, both classes equal."""
    return _orthogonal_run(orthogonal(10))


@cache
def lopsided() -> tuple[Trajectory, Trajectory]:
    """Orthogonal samples, but one against nine."""
    return _orthogonal_run(orthogonal(10, positive=1))


def _orthogonal_run(data: Dataset) -> tuple[Trajectory, Trajectory]:
    net = TwoLayer.init(data, 8, 8, leaky_relu(instances.GAMMA), 1e-3, output="1/m", seed=1)
    descent = gradient_descent(net, data, 1.0, 20_000, record=log_spaced(20_000, 60))
    return descent, gradient_flow(descent.final, data, 1000.0)


def _symmetric(data: Dataset, net: TwoLayer) -> tuple[Hypothesis, ...]:
    leak = torch.as_tensor(net.activation.gamma)
    return (
        _fact("activation", "leaky ReLU", net.activation.homogeneous and bool((leak > 0).all())),
        _fact("p = 0", "the samples are orthogonal", float(data.p) <= 1e-12 * float(data.R_max) ** 2),
        _fact("equal norms", "R = 1", abs(float(data.R) - 1) < 1e-9),
        _fact("balanced", "as many samples of each class", 2 * int(data.positive.sum()) == data.n),
        _fact("equal widths", "as many neurons of each sign, |a_j| equal", net.m_pos == net.m_neg and _even(net)),
    )


def _even(net: TwoLayer) -> bool:
    size = net.a.abs()
    return bool((size - size[0]).abs().max() < 1e-9 * size[0])


@register(
    "S-6",
    "The rank of the whole leaky net",
    "p = 0, equal norms, balanced: StableRank(W) → 2(1+γ²)/(1+γ)² and ‖z‖ → (1+γ)/(1+γ²) ‖z*‖.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=square,
    negative=lopsided,
    status="proved here",
)
def whole_net(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-6 on a run of descent and the flow that goes on from it: the larger relative error of the two limits, against
    log t.
    """
    joined = long_run(run, flow)
    data, net = joined.data, joined.initial
    gamma = float(torch.as_tensor(net.activation.gamma).clamp_min(1e-300))
    late = joined.late & (joined.margins.amin(-1) > 0)
    nets = TwoLayer(joined.nets.weights[late], net.a, net.activation, net.frozen_gram)
    rank = (stable_rank(nets) / whole_rank(gamma) - 1).abs()
    length = (linear_predictor(nets, data) / max_margin(data).z.norm() / z_ratio(gamma) - 1).abs()
    error = torch.maximum(rank, length)
    finding, unsettled = limit(joined.log_step[late], error, "the larger relative error", "log t", law=1.0)
    finding.constants.update({"rank error": float(rank[-1]), "length error": float(length[-1])})
    unsettled = unsettled or ("" if finding.true else _start_left(joined))
    return decide("S-6", finding, _symmetric(data, net), unsettled=unsettled)
