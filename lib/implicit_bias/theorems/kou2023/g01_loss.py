"""Kou et al., Lemma G.1: how fast the loss of a ReLU network falls, with its constants."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...training.trajectory import Trajectory, recorded_steps
from ..claim import register
from ..setting import active_shares, largest_start, strictly_positive
from ..verdict import Finding, Verdict, decide, worst_of
from .e02_other_class import CHAPTER
from .instances import opposing
from .relu_setting import (
    C_PROVED,
    balance_of_active,
    exponent,
    paper_correlation,
    rate_h,
    setting_of_relu,
    small_C,
)
from .theorem_4_3 import proved_balance

__all__ = ["log_bound", "loss_bound"]


def log_bound(run: Trajectory, c1: Tensor) -> Tensor:
    """The logarithm (T', ...) of K-G.1's bound at the records after step 0, for the balance
    constant ``c1`` (...).
    """
    data = run.data
    share = active_shares(run.initial, data)
    size = largest_start(run.initial, data)
    alpha = exponent(c1, 1 / share.amin(-1), paper_correlation(data)).unsqueeze(-1)
    growth = (
        (rate_h(run) / 2 * torch.exp(-size)).unsqueeze(-1)
        * share
        * data.norms.double() ** 2
    )
    step = recorded_steps(run)
    t = step[step > 0].double().reshape(-1, *[1] * share.ndim)
    return (
        2 * size + (-alpha * torch.log1p(growth * t)).logsumexp(-1) - math.log(data.n)
    )


@register(
    "K-G.1",
    "The loss bound with its constants",
    "L(t) ≤ (e^{2β}/n) Σ_i (1 + η|S_i(0)|‖x_i‖²e^{-β}t/(2nm²))^{-α}, α = "
    "(1-(1+c')s/c₁)/(c'²(1+s/c₁)), t ≥ 1.",
    "Lemma G.1",
    chapter=CHAPTER,
    positive=opposing,
    negative=lambda: opposing(output=0.03, steps=2000),
)
def loss_bound(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-G.1 at every record, with β and c' of the start. The lemma takes c₁ from Lemma
    E.1. Here it holds when the run's own best c₁ is at least the one proved,
    ``1/(4R⁴)``, and the bound with that best c₁, which is the tighter one, is kept. It
    fails when the bound with the proved c₁ is broken. Seen once the bound is below
    ``L(0)``.
    """
    given = setting_of_relu(run, C)
    proved = proved_balance(run.data)
    after = recorded_steps(run) > 0
    if not bool(after.any()):
        return decide("K-G.1", Finding(math.nan, "no record after step 0."), given)
    c1 = balance_of_active(run)[0].amin(0)
    loss = run.log_loss[after]
    bound = log_bound(run, c1)
    slack, place = worst_of((bound - loss).exp(), "record")
    kept = float((log_bound(run, proved) - loss).amin().exp())
    least = float((c1 / proved).min())
    numbers = _bound_constants(run, c1) | {
        "with the proved c1": kept,
        "proved c1": float(proved.min()),
    }
    seen = ", ".join(
        f"{name} = {numbers[key]:.3f}"
        for name, key in (("c₁", "c1"), ("c'", "c'"), ("α", "alpha"))
    )
    why = (
        f"the bound is at least {slack:.3f} times the loss, with {seen} (proved: c₁ "
        f"≥ {float(proved.min()):.3g})."
    )
    finding = Finding(
        min(slack, least) if slack == slack else slack, why, place, numbers
    )
    positive = strictly_positive(
        "exponent", "α > 0 at the proved c₁", _alpha(run, proved)
    )
    high = bool((bound[-1] >= run.log_loss[0] + 0 * bound[-1]).any())
    unsettled = "The bound has not come below L(0) yet:" if high else ""
    if not finding.true:
        unsettled = (
            small_C(C, finding)
            if kept < 1
            else "The bound is kept with the proved c₁, not with the run's own:"
        )
    return decide("K-G.1", finding, (*given, positive), unsettled=unsettled)


def _alpha(run: Trajectory, c1: Tensor) -> Tensor:
    return exponent(
        c1,
        1 / active_shares(run.initial, run.data).amin(-1),
        paper_correlation(run.data),
    )


def _bound_constants(run: Trajectory, c1: Tensor) -> dict[str, float]:
    share = active_shares(run.initial, run.data).amin(-1)
    alpha = _alpha(run, c1)
    size = largest_start(run.initial, run.data)
    return {
        "c1": float(c1.min()),
        "c'": float((1 / share).max()),
        "alpha": float(alpha.min()),
        "beta": float(size.max()),
    }
