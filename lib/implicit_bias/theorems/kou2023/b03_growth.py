"""Kou et al., Lemma B.3: class means of the coefficients grow like ``log t``."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.made_to_order import correlated
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.trajectory import Trajectory
from ..claim import register
from ..setting import largest_start
from ..verdict import Finding, Verdict, decide, worst_of
from .balances import _leaky_within, own_class_means, too_short
from .coefficient_sums import coefficients_after_start
from .setting import conditions_of_K, gains

__all__ = ["coefficients_grow", "growth_bounds"]


CHAPTER = "decomposition"


def growth_bounds(run: Trajectory) -> tuple[Tensor, Tensor]:
    """What K-B.3 puts below and above ``(1/m)Σ_r|ρ_{j,r,i}|``: two tensors (T, ..., 2,
    n), ``j = y_i`` first, at the records after step 0.

    As (B.31)-(B.34) derive them, with ``c₄ = c₅ = ½`` and ``c₆ = 3/2``, the values that
    end the proof.
    """
    step, _ = coefficients_after_start(run)
    h = gains(run)
    beta = largest_start(run.initial, run.data).unsqueeze(-1)
    gamma = torch.as_tensor(
        run.initial.activation.gamma, dtype=torch.float64
    ).unsqueeze(-1)
    t = step.double().reshape(-1, *(1,) * h.ndim)
    slow = 1.5 * h * torch.exp(-(1 + gamma) * beta) * t
    fast = 0.5 * h * torch.exp(2 * beta) * t
    below = torch.stack(
        [torch.log1p(gamma * slow) / 3, gamma * torch.log1p(slow) / 3], dim=-2
    )
    above = torch.stack(
        [2 * torch.log1p(fast), 2 / gamma * torch.log1p(gamma * fast)], dim=-2
    )
    return below, above


OPEN = "The lemma leaves its constant open, and one below the paper's refutes nothing:"


@cache
def _nearly_coincide() -> tuple[Trajectory]:
    """Two samples of opposite classes that nearly coincide: each must work ten times as
    hard for its margin.
    """
    data = correlated(2, p=0.9, signs="oppose")
    start = TwoLayer.init(data, 8, 8, leaky_relu(0.5), 1e-3, "1/m", seed=1)
    return (gradient_descent(start, data, 2.0, 3000, record=log_spaced(3000, 60)),)


@register(
    "K-B.3",
    "Coefficients grow like the logarithm",
    "For t ≥ T = nm/(ηR_max²), (1/m) Σ_r |ρ_{j,r,i}| lies between two constants times "
    "log(1 + η‖x_i‖²t/(nm)).",
    "K, Lemma B.3",
    chapter=CHAPTER,
    positive=_leaky_within,
    negative=_nearly_coincide,
)
def coefficients_grow(run: Trajectory, C: float = 1.0, delta: float = 0.01) -> Verdict:
    """K-B.3 on a run of descent, or a batch: the four bounds of the lemma
    (:func:`growth_bounds`) from T on, and the constants measured, as multiples of
    ``log(1 + h_i t)``. Seen once the run has come to 10 T.
    """
    hypotheses = conditions_of_K(run, None, C, delta)
    if not hypotheses[0].holds.all():
        return decide(
            "K-B.3",
            Finding(math.nan, "the bounds divide by γ, which is 0 here."),
            hypotheses,
        )
    (step, _), h = coefficients_after_start(run), gains(run)
    means = own_class_means(run)
    below, above = growth_bounds(run)
    clock = step.double().reshape(-1, *(1,) * h.ndim) * h
    late = (clock.amax(-1) >= 1).unsqueeze(-1).unsqueeze(-1)
    if not bool(late.any()):
        return decide(
            "K-B.3", Finding(math.nan, "no record at T or later."), hypotheses
        )
    slacks = torch.where(late, torch.minimum(means / below, above / means), math.inf)
    slack, place = worst_of(slacks.flatten(1).amin(-1), "record")
    multiple = means / torch.log1p(clock).unsqueeze(-2)
    numbers = {
        "low": float(multiple.where(late, math.inf).min()),
        "high": float(multiple.where(late, -math.inf).max()),
    }
    why = (
        f"from T on, the means are {numbers['low']:.3f} to {numbers['high']:.3f} "
        "times log(1 + η‖x_i‖²t/(nm))."
    )
    unsettled = OPEN if slack < 1 else too_short(run, 10.0)
    return decide(
        "K-B.3", Finding(slack, why, place, numbers), hypotheses, unsettled=unsettled
    )
