"""Frei et al., Lemma E.4: no sample's pull ever dwarfs another's."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.conditions import H_4_2, loss_ratio_constant
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ...values.scalars import leak_tensor
from ..claim import register
from ..draws import excused
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide
from .rank_bounds import steps_after_start
from .smooth_instances import run_from_large, run_uneven
from .smooth_setting import _alone, smooth_leaky_setting, step_and_start

__all__ = ["log_ratios", "loss_ratio_bound", "sharp_constant"]


CHAPTER = "loss_ratio"


def log_ratios(run: Trajectory) -> Tensor:
    """``log max_{i,j} g_i/g_j`` (T, ...) along a run."""
    log_g = run.loss.log_g(run.margins)
    return log_g.amax(-1) - log_g.amin(-1)


@register(
    "F-E.4",
    "The loss ratio is bounded",
    "Under H-4.2, A1 and A2, with probability 1-δ: sup_t max_{i,j} g_i/g_j ≤ C_R = "
    "10R²/γ² + 10.",
    "Lemma E.4",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=run_from_large,
)
def loss_ratio_bound(
    run: Trajectory, delta: float = 0.01, constant: float | Tensor | None = None
) -> Verdict:
    """F-E.4 on a run of descent from its start (or a batch, of which δ allows a few to
    fail): the largest ratio of two pulls over all records. ω of A2 is the root mean
    square of W(0). ``constant`` replaces C_R.
    """
    steps_after_start(run)  # a run without a step shows nothing
    net = run.initial
    data = run.data
    step = step_size_of(run)
    gamma = leak_of(net)
    bound = (
        loss_ratio_constant(data, gamma)
        if constant is None
        else torch.as_tensor(constant, dtype=torch.float64)
    )
    peak = log_ratios(run).amax(0)
    slack = (bound.log() - peak).exp()
    ranked = slack.flatten().sort()
    worst = excused(slack.numel(), delta)
    at = int(ranked.indices[worst])
    ratio = float(peak.flatten()[at].exp())
    sharp = sharp_constant(data, gamma)
    last = int(recorded_steps(run)[-1])
    numbers = {
        "ratio": ratio,
        "C_R": float(bound.expand_as(slack).flatten()[at]),
        "sharp": float(sharp.expand_as(slack).flatten()[at]),
    }
    why = (
        f"the ratio reaches {ratio:.4g} within {last:,} steps; the bound is "
        f"{numbers['C_R']:.4g}."
    )
    finding = Finding(
        float(ranked.values[worst]),
        why,
        f"run {at}" if slack.ndim else "",
        numbers,
        _alone(data),
    )
    given = (
        *smooth_leaky_setting(net, run.loss),
        H_4_2(data, gamma),
        *step_and_start(net, data, step, delta),
    )
    unsettled = "" if finding.true or bool((bound >= sharp).all()) else BELOW
    return decide("F-E.4", finding, given, unsettled=unsettled)


BELOW = "The constant given is below the one that is proved, and refutes nothing:"


def sharp_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``2.6 R²/γ²`` (...): bounds the loss ratio under the hypotheses of F-E.4 (proved
    in the chapter).
    """
    return 2.6 * (data.R.double() / leak_tensor(gamma)) ** 2
