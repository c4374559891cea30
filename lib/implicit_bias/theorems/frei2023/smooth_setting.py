"""The setting of Frei et al.'s appendix E: γ-leaky smooth activations, ``a_j = ±1/√m``,
logistic loss, small steps and starts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ... import losses
from ...data.dataset import Dataset
from ...hypotheses.conditions import A1, A2
from ...hypotheses.hypothesis import Hypothesis
from ...losses import Loss
from ...networks.activation import Activation
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ..setting import (
    has_layer_of_F,
    leak_of,
    logistic,
    rms_scale,
    strictly_positive,
    yes_or_no,
)

__all__ = [
    "layer_of_F",
    "no_zero_sample",
    "slopes_fit",
    "smooth_leaky_setting",
    "smooth_setting",
    "smoothness",
    "step_and_start",
]


def smoothness(activation: Activation) -> float | Tensor:
    """``H`` with ``|φ''| ≤ H``; for an activation with a kink, which has none, that of
    its smoothed version.
    """
    if not activation.smooth:
        return (1 - activation.gamma) / 4
    H = activation.H
    if H is None:
        wanted = "one whose H is known (override H in your class)"
        fail("activation", wanted, activation.name)
    return H


def smooth_leaky_setting(
    net: TwoLayer, loss: str | Loss = "logistic"
) -> tuple[Hypothesis, ...]:
    """What all of F's appendix E assumes: γ-leaky and smooth φ, ``a_j = ±1/√m``,
    logistic loss.

    A leak of 1, a linear network, counts as leaky: the proofs use ``γ > 0`` alone.
    """
    leaky = slopes_fit(net.activation)
    return (
        yes_or_no("activation", "γ ≤ φ' ≤ 1 with γ > 0", leaky),
        *smooth_setting(net, loss),
    )


def smooth_setting(
    net: TwoLayer, loss: str | Loss = "logistic"
) -> tuple[Hypothesis, ...]:
    """The same without a leak: H-smooth and 1-Lipschitz φ, ``a_j = ±1/√m``, logistic
    loss.
    """
    smooth = net.activation.smooth and net.activation.H is not None
    return (
        yes_or_no("smoothness", "φ is H-smooth", smooth and _bends_fit(net.activation)),
        layer_of_F(net),
        logistic(losses.get(loss)),
    )


def layer_of_F(net: TwoLayer) -> Hypothesis:
    """F's second layer, ``a_j = ±1/√m``."""
    return yes_or_no("second layer", "a_j = ±1/√m", has_layer_of_F(net))


def no_zero_sample(data: Dataset) -> Hypothesis:
    """``R_min > 0``: of a zero sample the conditions on gradients say nothing."""
    return strictly_positive("samples", "no sample is zero", data.R_min.double())


def _slopes(activation: Activation) -> tuple[Tensor, Tensor]:
    """Where an activation is looked at (k,), from -1000 to 1000 and closer together
    near 0, and its slopes (..., 1, k) there.
    """
    half = torch.cat([torch.zeros(1), torch.logspace(-3, 3, 200)]).double()
    z = torch.cat([-half.flip(0), half[1:]])
    shape = torch.as_tensor(activation.gamma).shape
    return z, activation.derivative(z.expand(*shape, 1, -1))


def slopes_fit(activation: Activation) -> bool:
    """Whether ``0 < γ ≤ φ' ≤ 1`` where the slopes are looked at."""
    gamma, (_, slopes) = (
        torch.as_tensor(activation.gamma, dtype=torch.float64),
        _slopes(activation),
    )
    low = gamma[..., None, None] if gamma.ndim else gamma
    return bool(
        (gamma > 0).all()
        and (slopes >= low - 1e-12).all()
        and (slopes <= 1 + 1e-12).all()
    )


def _bends_fit(activation: Activation) -> bool:
    """Whether ``|φ'| ≤ 1``, and slopes change by no more than H from place to place."""
    z, slopes = _slopes(activation)
    H = torch.as_tensor(activation.H, dtype=torch.float64)
    H = H[..., None, None] if H.ndim else H
    bend = slopes.diff(dim=-1).abs() <= H * z.diff() * (1 + 1e-9) + 1e-12
    return bool(bend.all() and (slopes.abs() <= 1 + 1e-12).all())


def step_and_start(
    net: TwoLayer, data: Dataset, step: float | Tensor, delta: float
) -> tuple[Hypothesis, ...]:
    """A1 and A2 for a start, which is not zero."""
    gamma = leak_of(net)
    scale = rms_scale(net, data)
    small = A1(data, gamma, smoothness(net.activation), step)
    drawn = strictly_positive("start", "ω > 0", scale)
    return small, A2(data, gamma, net.m, step, scale, delta), drawn


def _alone(data: Dataset) -> str:
    """Why a statement about pairs of samples says nothing where there are none."""
    return "" if data.n > 1 else "there is one sample only, and no ratio but 1."
