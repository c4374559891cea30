"""Frei et al., Proposition E.10, corrected: the exponential loss ratio stays below ρ (as
printed it is false, S-10).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...losses import Loss
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, step_size_of
from ...values.scalars import positive
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from .gradients import (
    _gradient_conditions,
    _persistence_of,
    _step_bound,
    contraction_constant,
)
from .one_step import applying, one_step, record_of, steps_of
from .smooth_instances import run_uneven, wrong_step
from .smooth_setting import _alone, smooth_setting, smoothness

__all__ = ["invariant", "invariant_parts"]


CHAPTER = "loss_ratio"


def invariant_parts(
    nets: TwoLayer,
    data: Dataset,
    alpha: Tensor,
    rho: float | Tensor | None,
    c: float | None,
    loss: str | Loss,
    H: float | Tensor,
) -> tuple[tuple[Hypothesis, ...], Tensor, Tensor]:
    """Hypotheses of F-E.10 with ``H`` in the bound of the step, ``log A`` after it
    (...), and ``log ρ`` (...).

    ``ρ`` defaults to the least that they allow: the exponential loss ratio before the
    step, at least 5R²/c + 5.
    """
    step = one_step(nets, data, alpha, loss)
    c_held = _persistence_of(nets, data, c)
    least = (contraction_constant(data, c_held) / 2).log()
    before = step.log_A.amax((-2, -1))
    log_rho = torch.maximum(least, before)
    if rho is not None:
        positive(rho, "rho")
        log_rho = torch.as_tensor(rho, dtype=torch.float64).log().expand_as(before)
    shifted = "max(1,H)" if bool((torch.as_tensor(H) >= 1).all()) else "H"
    smallest = step.q.amin(-1)
    hypotheses = (
        *smooth_setting(nets, loss),
        *_gradient_conditions(nets, data, c_held),
        Hypothesis(
            "ρ", "ρ ≥ 5R²/c + 5", (log_rho - least).exp(), torch.ones_like(least)
        ),
        Hypothesis(
            "ratio",
            "e^{-q_i}/e^{-q_j} ≤ ρ before",
            (log_rho - before).exp(),
            torch.ones_like(least),
        ),
        Hypothesis(
            "fitted",
            "all margins are positive",
            (smallest > 0).double(),
            torch.ones_like(smallest),
        ),
        _step_bound(data, c_held, H, alpha, shifted),
    )
    return hypotheses, (step.log_A + step.log_growth).amax((-2, -1)), log_rho


@register(
    "F-E.10",
    "The invariant (corrected)",
    "With E.5 (C′ > 25R²/c+25), E.6, all margins > 0, exponential loss ratio ≤ ρ, ρ ≥ "
    "5R²/c+5 at t, and "
    "α ≤ [5 max(1,H) R_max² n(10R²/c+10)]⁻¹: it is ≤ ρ at t+1.",
    "Proposition E.10, with max(1,H) for H",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=wrong_step,
)
def invariant(
    run: Trajectory, rho: float | Tensor | None = None, c: float | None = None
) -> Verdict:
    """F-E.10 at the step after each record; ρ and c default to the least and the
    largest that are allowed there.
    """
    nets = steps_of(run)[0]
    alpha = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    H = torch.as_tensor(smoothness(nets.activation), dtype=torch.float64).clamp_min(1)
    hypotheses, after, log_rho = invariant_parts(
        nets, run.data, alpha, rho, c, run.loss, H
    )
    kept, slack, where = applying(hypotheses, (log_rho - after).exp())
    worst, _ = worst_of(slack, "record")
    k = int(slack.argmin())
    ratio = float(after.flatten()[k].exp())
    bound = float(log_rho.flatten()[k].exp())
    why = f"the exponential loss ratio reaches {ratio:.5g}, ρ is {bound:.6g} ({where})."
    numbers = {"ratio": ratio, "ρ": bound}
    place = record_of(run, slack)
    return decide("F-E.10", Finding(worst, why, place, numbers, _alone(run.data)), kept)
