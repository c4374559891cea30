"""Frei et al., Condition E.6: no gradient of an output vanishes."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...networks.activations import smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from . import instances
from .gradients import persistence
from .smooth_instances import asleep, net_on, vast
from .smooth_setting import no_zero_sample

__all__ = ["persistent_gradients"]


CHAPTER = "loss_ratio"


@register(
    "F-E.6",
    "Gradients persist",
    "‖∇f_i‖_F² ≥ c‖x_i‖² for all i, with c = γ² unless another is given.",
    "Condition E.6",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: (*asleep(), 0.01),
)
def persistent_gradients(
    net: TwoLayer, data: Dataset, c: float | Tensor | None = None
) -> Verdict:
    """F-E.6 at a network or a batch: a condition, which holds or not. The best c is in
    ``constants``.
    """
    best = persistence(net, data)
    c = torch.as_tensor(
        net.activation.gamma**2 if c is None else c, dtype=torch.float64
    )
    if bool((c <= 0).any()):
        fail("c", "a constant > 0 (with γ = 0 one must be given)", float(c.min()))
    slack, place = worst_of(best / c.double().unsqueeze(-1), "sample")
    why = f"the best c is {float(best.min()):.4g}, {float(c.max()):.4g} is wanted."
    return decide(
        "F-E.6",
        Finding(slack, why, place, {"c": float(best.min())}),
        (no_zero_sample(data),),
    )
