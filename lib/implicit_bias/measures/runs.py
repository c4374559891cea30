"""What is read off a whole run: its networks, the smoothed margin, the velocity on the
loss clock.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import losses
from ..networks.two_layer import TwoLayer
from ..training.trajectory import Trajectory, a_run
from ..values.checks import fail

__all__ = ["clock_velocity", "networks", "smoothed_margin"]


def networks(run: Trajectory) -> TwoLayer:
    """All recorded networks of a run as one batch, time first; frozen parts, which
    never move, are shared.
    """
    a_run(run)
    weights = torch.stack([run.net(k).weights for k in range(len(run))])
    return TwoLayer(
        weights, run.initial.a, run.initial.activation, run.initial.frozen_gram
    )


def smoothed_margin(run: Trajectory) -> Tensor:
    """``ℓ^{-1}(nL) / ‖W‖_F`` (T, ...) along a run: below the smallest normalised
    margin, and rising once ``nL < ℓ(0)`` (F-3.1; Lyu & Li's smoothed margin).

    ``ℓ^{-1}(nL)`` is the margin of one sample that has the whole loss. Computed from
    ``log L``, so at any loss.
    """
    if a_run(run).loss not in (losses.LOGISTIC, losses.EXPONENTIAL):
        fail(
            "run",
            "one with logistic or exponential loss, whose inverse is known",
            run.loss.name,
        )
    log_total = run.log_loss + math.log(run.data.n)
    margin = -log_total
    if run.loss.name == "logistic":
        # ℓ^{-1}(v) = -log(e^v - 1), which is -log v to rounding once v < e^{-40}.
        small = log_total < -40
        margin = torch.where(
            small, margin, -torch.log(torch.expm1(log_total.clamp_min(-40).exp()))
        )
    return margin / run.frobenius


def clock_velocity(run: Trajectory, index: int = -1) -> TwoLayer:
    """``dW/ds`` as the mean over the interval that ends at a recorded time, as a
    network: it tends to the KKT point at its true scale, and far sooner than ``W/s``
    does (F-3.1, F-3.5), for the start drops out of it.
    """
    index = a_run(run).index(index)
    if run.s is None:
        fail("run", "a run of gradient_flow", "one of descent, which has no loss clock")
    if index == 0:
        fail("index", "a recorded time after the first", index)
    before = run.net(index - 1)
    after = run.net(index)
    return TwoLayer(
        (after.weights - before.weights) / (run.s[index] - run.s[index - 1]),
        after.a,
        after.activation,
    )
