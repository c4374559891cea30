"""The coefficients ρ of the data-correlated decomposition along a run, their sums and
ratios, and what one step adds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...measures.decomposition import rho_along
from ...measures.runs import networks
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, recorded_steps
from ...values.checks import fail
from .setting import gains

__all__ = ["coefficients_after_start", "increments", "least_ratio", "neuron_sums"]


def coefficients_after_start(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Steps (T,) after the first and ``ρ`` (T, ..., 2m, n) there; refuses a run with
    none recorded.
    """
    step = recorded_steps(run)
    moved = step > 0
    if not bool(moved.any()):
        fail("run", "a record after step 0", f"records at {step.tolist()}")
    return step[moved], rho_along(run)[moved]


def neuron_sums(net: TwoLayer, values: Tensor) -> Tensor:
    """``Σ_r |v_{j,r,i}|`` (..., 2, n) of ``values`` (..., 2m, n), j = +1 first."""
    plus = net.positive.unsqueeze(-1)
    sizes = values.abs()
    return torch.stack([(sizes * plus).sum(-2), (sizes * ~plus).sum(-2)], dim=-2)


def least_ratio(small: Tensor, large: Tensor) -> Tensor:
    """Smallest of ``small`` over largest of ``large``, both (..., k, n): a balance
    constant at each time.
    """
    return small.flatten(-2).amin(-1) / large.flatten(-2).amax(-1)


IDENTITY_TOLERANCE = 1e-9
"""Relative error that rounding may leave in an identity."""


def increments(run: Trajectory) -> Tensor:
    """What the next step adds to every coefficient, at each record:
    ``j y_i h_i g_i σ'(⟨w_{j,r}, x_i⟩)`` (T, ..., 2m, n), ``h_i = η‖x_i‖²/(nm)``.
    """
    nets = networks(run)
    slopes = nets.activation.derivative(nets.preactivations(run.data.x))
    pull = gains(run) * run.loss.g(run.margins)
    sign = nets.a.sign().unsqueeze(-1) * run.data.y.unsqueeze(-2)
    return sign * slopes * pull.unsqueeze(-2)
