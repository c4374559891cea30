"""Frei et al., Lemma E.8: one step evens out what is uneven.

From every recorded network one step is taken anew, without cancellation. The statement
counts at the records where its hypotheses hold; where they hold at none it is vacuous.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...training.trajectory import Trajectory, step_size_of
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from .gradients import (
    _gradient_conditions,
    _persistence_of,
    _step_bound,
    contraction_constant,
)
from .one_step import Step, applying, record_of, steps_of
from .smooth_instances import run_on, run_uneven
from .smooth_setting import _alone, smooth_setting, smoothness

__all__ = ["contraction", "step_sides"]


CHAPTER = "loss_ratio"


@register(
    "F-E.8",
    "One step evens out what is uneven",
    "With E.5 (C′ ≥ 25R²/c+25), E.6 and α ≤ [5HR_max²n(10R²/c+10)]⁻¹: A(t+1)/A(t) ≤ "
    "exp(-(g_jαcR_min²/n)(g_i/g_j - R²/c)) · exp(αR_max²G/((10R²/c+10)n)), A = "
    "e^{-q_i}/e^{-q_j}.",
    "Lemma E.8",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=lambda: run_on("random", 0.18, 10),
)
def contraction(run: Trajectory, c: float | None = None) -> Verdict:
    """F-E.8 for all pairs at the step after each record; c of E.6 is the largest at
    that network, unless given.

    Both sides are multiplied by n/α and put so that the right one is positive: ``(n/α)
    Δlog A + c R_min² g_i ≤ R_max² (g_j + G/(10R²/c+10))``; the slack is right over
    left.
    """
    nets, step = steps_of(run)
    data = run.data
    alpha = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    c_held = _persistence_of(nets, data, c)
    left, right = step_sides(step, data, c_held, alpha)
    slack = torch.where(left > 0, right / left, math.inf)
    found = slack.amin((-2, -1))
    hypotheses = (
        *smooth_setting(nets, run.loss),
        *_gradient_conditions(nets, data, c_held),
        _step_bound(data, c_held, smoothness(nets.activation), alpha, "H"),
    )
    kept, found, where = applying(hypotheses, found)
    worst, _ = worst_of(found, "record")
    seen = (
        "every pair of samples stays within its bound"
        if worst >= 1
        else "a pair grows past its bound"
    )
    why = f"{seen}: right side over left {worst:.3f} ({where})."
    place = record_of(run, found)
    numbers = {"c": float(c_held.min())}
    return decide("F-E.8", Finding(worst, why, place, numbers, _alone(data)), kept)


def step_sides(
    step: Step, data: Dataset, c: Tensor, alpha: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The two sides (..., n, n) of F-E.8 in the units ``α/n``:
    ``(n/α) Δlog A_ij + c R_min² g_i`` and ``R_max² (g_j + G/(10R²/c+10))``.
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)[..., None, None]
    low = (data.R_min.double() ** 2)[..., None, None]
    high = (data.R_max.double() ** 2)[..., None, None]
    extra = (step.G / contraction_constant(data, c))[..., None, None]
    left = data.n / alpha * step.log_growth + c[
        ..., None, None
    ] * low * step.g.unsqueeze(-1)
    return left, (high * (step.g.unsqueeze(-2) + extra)).expand_as(left)
