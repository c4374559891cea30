"""Frei et al., Condition E.5: gradients of the outputs are nearly orthogonal."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import correlated
from ...networks.activations import smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from . import instances
from .gradients import orthogonality, persistence
from .smooth_instances import net_on, vast
from .smooth_setting import no_zero_sample

__all__ = ["near_orthogonal_gradients"]


CHAPTER = "loss_ratio"


@register(
    "F-E.5",
    "Near-orthogonal gradients",
    "‖∇f_i‖_F² ≥ C′ n max_{k≠i} |⟨∇f_i,∇f_k⟩|, with the C′ = 25R²/c + 25 that E.8 asks "
    "for, c that of E.6.",
    "Condition E.5",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: net_on(
        correlated(10, p=0.05), smoothed_leaky_relu(instances.GAMMA)
    ),
)
def near_orthogonal_gradients(
    net: TwoLayer, data: Dataset, constant: float | Tensor | None = None
) -> Verdict:
    """F-E.5 at a network or a batch (a run's
    :func:`~implicit_bias.measures.runs.networks`): a condition, which holds or not.
    ``constant``, the C′ asked for, defaults to ``25R²/c + 25`` at the largest c of
    F-E.6; the best C′ is in ``constants``.
    """
    best = orthogonality(net, data)
    c = persistence(net, data).amin(-1)
    wanted = 25 * data.R.double() ** 2 / c + 25
    if constant is not None:
        wanted = torch.as_tensor(constant, dtype=torch.float64)
    slack, place = worst_of(best / wanted.unsqueeze(-1), "sample")
    numbers = {
        "C′": float(best.min()),
        "C′ wanted": float(wanted.max()),
        "c": float(c.min()),
    }
    why = f"the best C′ is {numbers['C′']:.3g}, {numbers['C′ wanted']:.3g} is wanted."
    return decide(
        "F-E.5",
        Finding(slack, why, place, numbers, _no_pair_leans(best)),
        (no_zero_sample(data),),
    )


def _no_pair_leans(best: Tensor) -> str:
    """Why F-E.5 says nothing where all samples are orthogonal."""
    apart = bool(torch.isinf(best).all())
    return (
        "no two samples lean on each other, so neither do the gradients of any network."
        if apart
        else ""
    )
