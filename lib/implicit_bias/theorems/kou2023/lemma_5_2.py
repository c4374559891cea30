"""Kou et al., Lemma 5.2: how the coefficients of the decomposition move."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.gaussians import gaussian
from ...measures.decomposition import independent, rho_along
from ...measures.outputs import own_class
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent
from ...training.trajectory import Trajectory, recorded_steps
from ...values.wording import format_error
from ..claim import register
from ..setting import yes_or_no
from ..verdict import Finding, Verdict, decide, equality
from .coefficient_sums import IDENTITY_TOLERANCE, increments
from .setting import setting_of_K

__all__ = ["update_rule"]


CHAPTER = "decomposition"


UNTOLD = "A run is known no better than this:"


def _told(rho: Tensor) -> float:
    """The error from which on a run contradicts the rule: ten times what its records
    are checked to.
    """
    return 1e-5 if rho.dtype == torch.float64 else 0.1


def _recorded_run(output: str) -> tuple[Trajectory]:
    data = gaussian(8, 20_000_000, seed=4)
    start = TwoLayer.init(data, 6, 6, leaky_relu(0.3), 1e-6, output, seed=5)
    return (gradient_descent(start, data, 1e-6, 400, record=range(401)),)


@register(
    "K-5.2",
    "The update rule",
    "ρ(0) = 0; ρ_{j,r,i}(t+1) = ρ_{j,r,i}(t) + j y_i (η/(nm)) g_i "
    "σ'(⟨w_{j,r},x_i⟩)‖x_i‖²: so ρ ≥ 0 and rising for"
    " j = y_i, ρ ≤ 0 and falling otherwise.",
    "K, Lemma 5.2",
    chapter=CHAPTER,
    positive=cache(lambda: _recorded_run("1/m")),
    negative=cache(lambda: _recorded_run("1/sqrt(m)")),
)
def update_rule(run: Trajectory) -> Verdict:
    """K-5.2 on a run of full-batch descent: every pair of consecutive records one step
    apart, with ρ solved from the weights alone on either side; signs and monotony at
    all records. Errors are relative to the largest ``|ρ|``.
    """
    step = recorded_steps(run)
    independent_data = yes_or_no(
        "independent", "the samples are linearly independent", independent(run.data)
    )
    hypotheses = (*setting_of_K(run.initial, run.loss), independent_data)
    if not bool(independent_data.holds):
        return decide(
            "K-5.2",
            Finding(math.nan, "ρ is not unique, so it has no update rule."),
            hypotheses,
        )
    rho = rho_along(run)
    pairs = (step.diff() == 1).nonzero().flatten()
    size = rho.abs().amax().clamp_min(1e-300)
    sign = torch.where(own_class(run.initial, run.data), 1.0, -1.0).double()
    wrong = torch.cat([(-sign * rho), (-sign * rho.diff(dim=0))]).amax() / size
    start = (
        rho[0].abs().amax() / size
        if int(step[0]) == 0
        else torch.zeros((), dtype=torch.float64)
    )
    if not len(pairs):
        off = torch.zeros(1, dtype=torch.float64)
        place = ""
    else:
        scale = rho[pairs + 1].abs().flatten(1).amax(-1).clamp_min(1e-300)
        off = (rho[pairs + 1] - rho[pairs] - increments(run)[pairs]).abs().flatten(
            1
        ).amax(-1) / scale
        place = f"step {int(step[pairs[int(off.argmax())]])}"
    error = float(torch.stack([off.amax(), wrong.clamp_min(0), start]).max())
    differ = (
        f"ρ and its update rule differ by {format_error(error)}, wrong signs included"
    )
    finding = equality(
        error, f"over {len(pairs)} steps, {differ}.", place, IDENTITY_TOLERANCE
    )
    unsettled = "" if len(pairs) else "No two records are one step apart."
    unsettled = unsettled or ("" if finding.true or error > _told(rho) else UNTOLD)
    return decide("K-5.2", finding, hypotheses, unsettled=unsettled)
