"""The setting of Kou, Chen and Gu: networks, start, step, and what the proofs read off
them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...hypotheses.conditions import H_K4_1, H_K4_3
from ...hypotheses.hypothesis import Hypothesis
from ...losses import Loss
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ...values.checks import fail
from ...values.scalars import positive
from ..setting import has_layer_of_K, leak_of, logistic, rms_scale, yes_or_no

if TYPE_CHECKING:
    from .long_runs import LongRun

__all__ = ["conditions_of_K", "gains", "setting_of_K"]


def setting_of_K(
    net: TwoLayer, loss: Loss, *, relu: bool | None = None
) -> tuple[Hypothesis, ...]:
    """K's setting: a leaky ReLU or ReLU (``relu`` says which of the two; None takes
    either), ``a = ±1/m`` with m neurons of each sign, and the logistic loss.

    A leak of 1, a linear network, counts as leaky: the proofs use ``γ > 0`` alone.
    """
    kind = {
        None: ("leaky ReLU or ReLU", net.activation.piecewise_linear),
        True: ("ReLU", net.activation.is_relu),
        False: ("leaky ReLU with γ in (0, 1]", net.activation.is_leaky_relu),
    }
    name, right = kind[relu]
    return (
        yes_or_no("activation", name, right),
        yes_or_no(
            "second layer", "a_j = ±1/m, m neurons of each sign", has_layer_of_K(net)
        ),
        logistic(loss),
    )


def conditions_of_K(
    run: Trajectory | LongRun,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
    *,
    relu: bool = False,
) -> tuple[Hypothesis, ...]:
    """K's setting, a start that is not zero, and the conditions H-K4.1 (H-K4.3 for
    ``relu``) on data, step and start.

    ``scale`` is σ₀; without it the root mean square of ``W(0)`` stands for it. A flow
    counts as infinitely small steps.

    Raises
    ------
    ValueError
        If ``scale`` is given and ``W(0)`` is of another size, by more than ten standard
        deviations of a draw.
    """
    net = run.initial
    data = run.data
    size = rms_scale(net, data)
    if scale is not None:
        positive(scale, "scale")
        _is_scale(scale, size, net.m * data.ambient_dim)
        size = torch.as_tensor(scale, dtype=torch.float64)
    step = torch.as_tensor(
        1e-300 if run.step_size is None else run.step_size, dtype=torch.float64
    )
    setting = (
        *setting_of_K(net, run.loss, relu=relu),
        yes_or_no("start", "σ₀ > 0", bool((size > 0).all())),
    )
    m = max(net.m_pos, 1)
    if relu:
        return (*setting, H_K4_3(data, m, step, size, C, delta))
    return (*setting, H_K4_1(data, leak_of(net), m, step, size, C, delta))


def _is_scale(scale: float, size: Tensor, entries: int) -> None:
    off = (size / scale - 1).abs().max()
    if not float(off) <= 1e-6 + 10 / math.sqrt(2 * entries):
        fail(
            "scale",
            "the size of W(0), whose entries have root mean square "
            f"{float(size.max()):.4g}",
            scale,
        )


def gains(run: Trajectory) -> Tensor:
    """``h_i = η‖x_i‖²/(nm)`` (..., n), in the run's batch shape: the most a coefficient
    of sample i moves in a step.
    """
    # A flow is refused for its lack of steps.
    recorded_steps(run)
    step_size = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    h = (
        step_size.unsqueeze(-1)
        * run.data.norms.double() ** 2
        / (run.data.n * run.initial.m_pos)
    )
    return h.expand(*run.log_loss.shape[1:], run.data.n)
