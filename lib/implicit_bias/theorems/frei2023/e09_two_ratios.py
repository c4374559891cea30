"""Frei et al., Fact E.9: ratios of pulls and of exponentials tell the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ... import losses
from ...losses import Loss
from ...values.checks import as_float_tensor, fail, finite
from ..claim import register
from ..setting import yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = ["pull_ratio_bounds", "two_ratios"]


CHAPTER = "loss_ratio"


def pull_ratio_bounds(
    z: Tensor, loss: str | Loss = "logistic"
) -> tuple[Tensor, Tensor]:
    """``log A`` and ``log(g(z_1)/g(z_2))`` (k, k) for all pairs of margins z (k,),
    ``A = e^{-z_1}/e^{-z_2}``.
    """
    log_g = losses.get(loss).log_g(z)
    return z.unsqueeze(0) - z.unsqueeze(1), log_g.unsqueeze(1) - log_g.unsqueeze(0)


@register(
    "F-E.9",
    "Pulls and exponentials tell the same",
    "g(z1)/g(z2) ≤ max(2, 2e^{-z1}/e^{-z2}); if z1, z2 > 0, then e^{-z1}/e^{-z2} ≤ 2 "
    "g(z1)/g(z2).",
    "Fact E.9",
    chapter=CHAPTER,
    positive=lambda: (torch.linspace(-800, 800, 1601, dtype=torch.float64),),
    negative=lambda: (torch.linspace(-10, 10, 41, dtype=torch.float64), True),
)
def two_ratios(z: Sequence[float] | Tensor, everywhere: bool = False) -> Verdict:
    """F-E.9 for all pairs of the numbers ``z``: the first part for all, the second for
    those that are positive, or (``everywhere``) for all, which the fact does not claim.
    """
    z = as_float_tensor(z, "z").double().flatten()
    finite(z, "z")
    if not z.numel():
        fail("z", "at least one number", "none")
    log_A, log_pulls = pull_ratio_bounds(z)
    first = (log_A.clamp_min(0) + math.log(2) - log_pulls).min()
    kept = z if everywhere else z[z > 0]
    hypotheses = (
        yes_or_no("sign", "z1, z2 > 0 for the second part", bool((kept > 0).all())),
    )
    gaps = {"first": float(first)}
    if kept.numel():
        log_A, log_pulls = pull_ratio_bounds(kept)
        gaps["second"] = float((math.log(2) + log_pulls - log_A).min())
    name = min(gaps, key=lambda part: gaps[part])
    why = (
        f"tightest is the {name} part, by a factor of {math.exp(gaps[name]):.4g}, "
        f"over {z.numel() ** 2:,} pairs."
    )
    numbers = {k: math.exp(v) for k, v in gaps.items()}
    equal = (
        "" if bool((z != z[0]).any()) else "all numbers are equal, and both ratios 1."
    )
    return decide(
        "F-E.9", Finding(numbers[name], why, f"{name} part", numbers, equal), hypotheses
    )
