"""The hypotheses of Kou et al.'s appendix F: orthogonal samples, ReLU, every sample seen
by some neuron.
"""

from __future__ import annotations

import math

import torch

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis, inequality
from ...losses import LOGISTIC, Loss
from ...networks.two_layer import TwoLayer
from ...training.trajectory import DESCENT, FLOW
from ..setting import (
    active_at_start,
    has_layer_of_K,
    logistic,
    samples_orthogonal,
    yes_or_no,
)

__all__ = ["EITHER", "balanced", "equal_norms", "orthogonal_setting", "width"]


EITHER = {name: (DESCENT, FLOW) for name in ("run", "flow")}
"""Both arguments of a check may be runs of either rule."""


def orthogonal_setting(
    initial: TwoLayer, data: Dataset, loss: Loss = LOGISTIC
) -> tuple[Hypothesis, ...]:
    """p = 0 (to rounding), ReLU, K's second layer, logistic loss, a start with no
    preactivation at its kink, and for every sample some neuron of its class awake on
    it.

    A preactivation that is exactly 0 has probability 0: a start that has one, like the
    zero network, was not drawn.
    """
    counts = active_at_start(initial, data).sum(-2)
    drawn = bool((initial.preactivations(data.x) != 0).all())
    return (
        yes_or_no("orthogonal", "p = 0, to rounding", samples_orthogonal(data)),
        yes_or_no("activation", "ReLU", initial.activation.is_relu),
        yes_or_no(
            "second layer", "a_j = ±1/m, m of each sign", has_layer_of_K(initial)
        ),
        logistic(loss),
        yes_or_no("start", "no ⟨w_j(0), x_i⟩ is 0", drawn),
        inequality("awake", "every S_i(0) has a neuron", counts.amin(-1).double(), 1.0),
    )


def equal_norms(data: Dataset) -> Hypothesis:
    """``‖x_i‖`` all equal, to rounding: the slack is R_min/R_max."""
    return inequality(
        "equal norms",
        "‖x_i‖ all equal",
        data.R_min.double() * (1 + 1e-9),
        data.R_max.double(),
    )


def balanced(data: Dataset) -> Hypothesis:
    """As many samples of each class: the slack is the smaller class over the larger."""
    positive = data.positive.sum(-1).double()
    return inequality(
        "balanced",
        "n/2 samples of each class",
        torch.minimum(positive, data.n - positive),
        data.n - data.n // 2,
    )


def width(initial: TwoLayer, data: Dataset, delta: float) -> Hypothesis:
    """K-A.2's condition ``m ≥ 50 log(2n/δ)``, which gives ``0.4m ≤ |S_i(0)| ≤ 0.6m``."""
    return inequality(
        "width", "m ≥ 50 log(2n/δ)", initial.m_pos, 50 * math.log(2 * data.n / delta)
    )
