r"""Frei et al., E.4 and E.8 to E.10: no sample's pull ever dwarfs another's.

A run of descent is checked step by step: from every recorded network one step is taken anew, without cancellation
(:func:`~implicit_bias.claims.loss_ratio_tools.one_step`). A statement about one step counts at the records where its
hypotheses hold; where they hold at none it is vacuous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import losses
from .._checks import as_float_tensor, fail, finite, positive
from ..data import Dataset
from ..hypotheses import A1, A2, H_4_2, Hypothesis, loss_ratio_constant
from ..losses import Loss
from ..network import TwoLayer
from ..trajectory import Trajectory
from .common import rms_scale, strictly_positive, yes_or_no
from .draws import excused
from .kkt_items import leak_of
from .loss_ratio_instances import run_from_large, run_on, run_uneven, wrong_step
from .loss_ratio_tools import (
    applying,
    contraction_constant,
    one_step,
    orthogonality,
    persistence,
    sharp_constant,
    smooth_leaky_setting,
    smooth_setting,
    smoothness,
    steps_of,
)
from .low_rank_tools import steps_after_start
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = [
    "contraction",
    "invariant",
    "invariant_parts",
    "log_ratios",
    "loss_ratio_bound",
    "pull_ratio_bounds",
    "record_of",
    "step_and_start",
    "step_sides",
    "two_ratios",
]

CHAPTER = "loss_ratio"


# -- E.4: the headline -----------------------------------------------------------------------------------------------


def log_ratios(run: Trajectory) -> Tensor:
    """``log max_{i,j} g_i/g_j`` (T, ...) along a run."""
    log_g = run.loss.log_g(run.margins)
    return log_g.amax(-1) - log_g.amin(-1)


@register(
    "F-E.4",
    "The loss ratio is bounded",
    "Under H-4.2, A1 and A2, with probability 1-δ: sup_t max_{i,j} g_i/g_j ≤ C_R = 10R²/γ² + 10.",
    "Lemma E.4",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=run_from_large,
)
def loss_ratio_bound(run: Trajectory, delta: float = 0.01, constant: float | Tensor | None = None) -> Verdict:
    """F-E.4 on a run of descent from its start (or a batch, of which δ allows a few to fail): the largest ratio of two
    pulls over all records. ω of A2 is the root mean square of W(0). ``constant`` replaces C_R.
    """
    steps_after_start(run)  # a run without a step shows nothing
    net, data, step = run.initial, run.data, run.step_size
    gamma = leak_of(net)
    bound = loss_ratio_constant(data, gamma) if constant is None else torch.as_tensor(constant, dtype=torch.float64)
    peak = log_ratios(run).amax(0)
    slack = (bound.log() - peak).exp()
    ranked = slack.flatten().sort()
    worst = excused(slack.numel(), delta)
    at = int(ranked.indices[worst])
    ratio, sharp = float(peak.flatten()[at].exp()), sharp_constant(data, gamma)
    last = int(run.step[-1])
    numbers = {
        "ratio": ratio,
        "C_R": float(bound.expand_as(slack).flatten()[at]),
        "sharp": float(sharp.expand_as(slack).flatten()[at]),
    }
    why = f"the ratio reaches {ratio:.4g} within {last:,} steps; the bound is {numbers['C_R']:.4g}."
    finding = Finding(
        float(ranked.values[worst]), why, f"run {at}" if slack.ndim else "", numbers, _alone(data)
    )
    given = (
        *smooth_leaky_setting(net, run.loss),
        H_4_2(data, gamma),
        *step_and_start(net, data, step, delta),
    )
    unsettled = "" if finding.true or bool((bound >= sharp).all()) else BELOW
    return decide("F-E.4", finding, given, unsettled=unsettled)


BELOW = "The constant given is below the one that is proved, and refutes nothing:"


def step_and_start(net: TwoLayer, data: Dataset, step: float | Tensor, delta: float) -> tuple[Hypothesis, ...]:
    """A1 and A2 for a start, which is not zero."""
    gamma, scale = leak_of(net), rms_scale(net, data)
    small = A1(data, gamma, smoothness(net.activation), step)
    drawn = strictly_positive("start", "ω > 0", scale)
    return small, A2(data, gamma, net.m, step, scale, delta), drawn


def _alone(data: Dataset) -> str:
    """Why a statement about pairs of samples says nothing where there are none."""
    return "" if data.n > 1 else "there is one sample only, and no ratio but 1."


# -- E.8: one step ---------------------------------------------------------------------------------------------------


def _gradient_conditions(net: TwoLayer, data: Dataset, c: Tensor) -> tuple[Hypothesis, ...]:
    """E.6 with ``c`` and E.5 with ``25R²/c + 25`` (...) at every network of a batch."""
    wanted = 25 * data.R.double() ** 2 / c + 25
    positive_c = Hypothesis("E.6", "‖∇f_i‖² ≥ c‖x_i‖², c > 0", persistence(net, data).amin(-1), c)
    return positive_c, Hypothesis(
        "E.5", "‖∇f_i‖² ≥ (25R²/c+25) n max_k |⟨∇f_i,∇f_k⟩|", orthogonality(net, data).amin(-1), wanted
    )


def _step_bound(data: Dataset, c: Tensor, H: float | Tensor, step: float | Tensor, name: str) -> Hypothesis:
    """``α ≤ [5 H R_max² n (10R²/c + 10)]⁻¹``."""
    H = torch.as_tensor(H, dtype=torch.float64)
    bound = 1 / (5 * H * data.R_max.double() ** 2 * data.n * contraction_constant(data, c))
    step = torch.as_tensor(step, dtype=torch.float64).expand_as(bound)
    return Hypothesis("step", f"α ≤ 1/(5 {name} R_max² n (10R²/c+10))", bound, step)


def _persistence_of(net: TwoLayer, data: Dataset, c: float | None) -> Tensor:
    best = persistence(net, data).amin(-1)
    if c is None:
        return best.clamp_min(1e-300)
    if not c > 0:
        fail("c", "a constant > 0", c)
    return torch.full_like(best, c)


@register(
    "F-E.8",
    "One step evens out what is uneven",
    "With E.5 (C′ ≥ 25R²/c+25), E.6 and α ≤ [5HR_max²n(10R²/c+10)]⁻¹: A(t+1)/A(t) ≤ "
    "exp(-(g_jαcR_min²/n)(g_i/g_j - R²/c)) · exp(αR_max²G/((10R²/c+10)n)), A = e^{-q_i}/e^{-q_j}.",
    "Lemma E.8",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=lambda: run_on("random", 0.18, 10),
)
def contraction(run: Trajectory, c: float | None = None) -> Verdict:
    """F-E.8 for all pairs at the step after each record; c of E.6 is the largest at that network, unless given.

    Both sides are multiplied by n/α and put so that the right one is positive:
    ``(n/α) Δlog A + c R_min² g_i ≤ R_max² (g_j + G/(10R²/c+10))``; the slack is right over left.
    """
    nets, step = steps_of(run)
    data, alpha = run.data, torch.as_tensor(run.step_size, dtype=torch.float64)
    c = _persistence_of(nets, data, c)
    left, right = step_sides(step, data, c, alpha)
    slack = torch.where(left > 0, right / left, math.inf)
    found = slack.amin((-2, -1))
    hypotheses = (
        *smooth_setting(nets, run.loss),
        *_gradient_conditions(nets, data, c),
        _step_bound(data, c, smoothness(nets.activation), alpha, "H"),
    )
    kept, found, where = applying(hypotheses, found)
    worst, _ = worst_of(found, "record")
    seen = "every pair of samples stays within its bound" if worst >= 1 else "a pair grows past its bound"
    why = f"{seen}: right side over left {worst:.3f} ({where})."
    place = record_of(run, found)
    return decide("F-E.8", Finding(worst, why, place, {"c": float(c.min())}, _alone(data)), kept)


def step_sides(step, data: Dataset, c: Tensor, alpha: float | Tensor) -> tuple[Tensor, Tensor]:
    """The two sides (..., n, n) of F-E.8 in the units ``α/n``: ``(n/α) Δlog A_ij + c R_min² g_i`` and
    ``R_max² (g_j + G/(10R²/c+10))``.
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)[..., None, None]
    low, high = (data.R_min.double() ** 2)[..., None, None], (data.R_max.double() ** 2)[..., None, None]
    extra = (step.G / contraction_constant(data, c))[..., None, None]
    left = data.n / alpha * step.log_growth + c[..., None, None] * low * step.g.unsqueeze(-1)
    return left, (high * (step.g.unsqueeze(-2) + extra)).expand_as(left)


def record_of(run: Trajectory, slack: Tensor) -> str:
    flat = int(slack.argmin())
    rest = slack[0].numel()
    member = f", run {flat % rest}" if rest > 1 else ""
    return f"step {int(run.step[flat // rest])}{member}"


# -- E.9: two ratios -------------------------------------------------------------------------------------------------


def pull_ratio_bounds(z: Tensor, loss: str | Loss = "logistic") -> tuple[Tensor, Tensor]:
    """``log A`` and ``log(g(z_1)/g(z_2))`` (k, k) for all pairs of margins z (k,), ``A = e^{-z_1}/e^{-z_2}``."""
    log_g = losses.get(loss).log_g(z)
    return z.unsqueeze(0) - z.unsqueeze(1), log_g.unsqueeze(1) - log_g.unsqueeze(0)


@register(
    "F-E.9",
    "Pulls and exponentials tell the same",
    "g(z1)/g(z2) ≤ max(2, 2e^{-z1}/e^{-z2}); if z1, z2 > 0, then e^{-z1}/e^{-z2} ≤ 2 g(z1)/g(z2).",
    "Fact E.9",
    chapter=CHAPTER,
    positive=lambda: (torch.linspace(-800, 800, 1601, dtype=torch.float64),),
    negative=lambda: (torch.linspace(-10, 10, 41, dtype=torch.float64), True),
)
def two_ratios(z: Sequence[float] | Tensor, everywhere: bool = False) -> Verdict:
    """F-E.9 for all pairs of the numbers ``z``: the first part for all, the second for those that are positive, or
    (``everywhere``) for all, which the fact does not claim.
    """
    z = as_float_tensor(z, "z").double().flatten()
    finite(z, "z")
    if not z.numel():
        fail("z", "at least one number", "none")
    log_A, log_pulls = pull_ratio_bounds(z)
    first = (log_A.clamp_min(0) + math.log(2) - log_pulls).min()
    kept = z if everywhere else z[z > 0]
    hypotheses = (yes_or_no("sign", "z1, z2 > 0 for the second part", bool((kept > 0).all())),)
    gaps = {"first": float(first)}
    if kept.numel():
        log_A, log_pulls = pull_ratio_bounds(kept)
        gaps["second"] = float((math.log(2) + log_pulls - log_A).min())
    name = min(gaps, key=gaps.get)
    why = f"tightest is the {name} part, by a factor of {math.exp(gaps[name]):.4g}, over {z.numel() ** 2:,} pairs."
    numbers = {k: math.exp(v) for k, v in gaps.items()}
    equal = "" if bool((z != z[0]).any()) else "all numbers are equal, and both ratios 1."
    return decide("F-E.9", Finding(numbers[name], why, f"{name} part", numbers, equal), hypotheses)


# -- E.10: the invariant, as corrected -------------------------------------------------------------------------------


def invariant_parts(
    nets: TwoLayer,
    data: Dataset,
    alpha: Tensor,
    rho: float | Tensor | None,
    c: float | None,
    loss: str | Loss,
    H: object,
) -> tuple[tuple[Hypothesis, ...], Tensor, Tensor]:
    """Hypotheses of F-E.10 with ``H`` in the bound of the step, ``log A`` after it (...), and ``log ρ`` (...).

    ``ρ`` defaults to the least that they allow: the exponential loss ratio before the step, at least 5R²/c + 5.
    """
    step, c = one_step(nets, data, alpha, loss), _persistence_of(nets, data, c)
    least, before = (contraction_constant(data, c) / 2).log(), step.log_A.amax((-2, -1))
    log_rho = torch.maximum(least, before)
    if rho is not None:
        positive(rho, "rho")
        log_rho = torch.as_tensor(rho, dtype=torch.float64).log().expand_as(before)
    shifted = "max(1,H)" if bool((torch.as_tensor(H) >= 1).all()) else "H"
    smallest = step.q.amin(-1)
    hypotheses = (
        *smooth_setting(nets, loss),
        *_gradient_conditions(nets, data, c),
        Hypothesis("ρ", "ρ ≥ 5R²/c + 5", (log_rho - least).exp(), torch.ones_like(least)),
        Hypothesis("ratio", "e^{-q_i}/e^{-q_j} ≤ ρ before", (log_rho - before).exp(), torch.ones_like(least)),
        Hypothesis("fitted", "all margins are positive", (smallest > 0).double(), torch.ones_like(smallest)),
        _step_bound(data, c, H, alpha, shifted),
    )
    return hypotheses, (step.log_A + step.log_growth).amax((-2, -1)), log_rho


@register(
    "F-E.10",
    "The invariant (corrected)",
    "With E.5 (C′ > 25R²/c+25), E.6, all margins > 0, exponential loss ratio ≤ ρ, ρ ≥ 5R²/c+5 at t, and "
    "α ≤ [5 max(1,H) R_max² n(10R²/c+10)]⁻¹: it is ≤ ρ at t+1.",
    "Proposition E.10, with max(1,H) for H",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=wrong_step,
)
def invariant(run: Trajectory, rho: float | Tensor | None = None, c: float | None = None) -> Verdict:
    """F-E.10 at the step after each record; ρ and c default to the least and the largest that are allowed there."""
    nets, alpha = steps_of(run)[0], torch.as_tensor(run.step_size, dtype=torch.float64)
    H = torch.as_tensor(smoothness(nets.activation), dtype=torch.float64).clamp_min(1)
    hypotheses, after, log_rho = invariant_parts(nets, run.data, alpha, rho, c, run.loss, H)
    kept, slack, where = applying(hypotheses, (log_rho - after).exp())
    worst, _ = worst_of(slack, "record")
    k = int(slack.argmin())
    ratio, bound = float(after.flatten()[k].exp()), float(log_rho.flatten()[k].exp())
    why = f"the exponential loss ratio reaches {ratio:.5g}, ρ is {bound:.6g} ({where})."
    numbers, place = {"ratio": ratio, "ρ": bound}, record_of(run, slack)
    return decide("F-E.10", Finding(worst, why, place, numbers, _alone(run.data)), kept)
