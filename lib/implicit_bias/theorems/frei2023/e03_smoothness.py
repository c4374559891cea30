"""Frei et al., Lemma E.3: gradients are bounded, and Lipschitz."""

from __future__ import annotations

import math

import torch

from ...data.dataset import Dataset
from ...losses import LOGISTIC
from ...measures.gradients import gradient
from ...measures.outputs import margins
from ...networks.activation import Activation
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..verdict import Finding, Verdict, decide
from .e02_linear import _bounded, _difference, _smooth_by, _times_its_bound
from .hunts import hunt_gradient
from .smooth_instances import across_a_kink, pair
from .smooth_setting import smoothness

__all__ = ["lipschitz_gradient", "sharp_gradient_constant"]


CHAPTER = "loss_ratio"


def sharp_gradient_constant(activation: Activation, m: int) -> float:
    """``(1 + H/√m)²/4``, which can stand for E.3's ``1 + H/√m`` (proved in the chapter;
    for H ≤ √m).
    """
    return (1 + float(smoothness(activation)) / math.sqrt(m)) ** 2 / 4


@register(
    "F-E.3",
    "Gradients are bounded and Lipschitz",
    "‖∇L‖_F/R_max ≤ G ≤ min(L,1); ‖∇L(W)-∇L(V)‖_F ≤ R_max²(1+H/√m)‖W-V‖_2.",
    "Lemma E.3",
    chapter=CHAPTER,
    positive=pair,
    negative=across_a_kink,
)
def lipschitz_gradient(
    net: TwoLayer,
    other: TwoLayer,
    data: Dataset,
    H: float | None = None,
    search: bool = True,
) -> Verdict:
    """F-E.3 at the networks given, logistic loss, and (``search``) at those an
    adversary finds for the last part. ``H`` defaults to the activation's.
    """
    D, size = _difference(net, other)
    bend = torch.as_tensor(
        smoothness(net.activation) if H is None else H, dtype=torch.float64
    )
    gradients = gradient(net, data), gradient(other, data)
    lipschitz = data.R_max**2 * (1 + bend / math.sqrt(net.m))
    changes = (gradients[0] - gradients[1]).flatten(-2).norm(dim=-1)
    slacks = {"Lipschitz": _bounded(changes, lipschitz * size)}
    for one, grad in zip((net, other), gradients):
        q = margins(one, data)
        G = LOGISTIC.g(q).mean(-1)
        L = LOGISTIC.log_mean(q).exp()
        norm = _bounded(grad.flatten(-2).norm(dim=-1), data.R_max * G)
        for name, value in (("norm", norm), ("G", L.clamp_max(1) / G)):
            slacks[name] = torch.minimum(slacks.get(name, value), value)
    numbers = {name: float(value.min()) for name, value in slacks.items()}
    name = min(numbers, key=lambda part: numbers[part])
    slack = numbers[name]
    tightest = f"tightest is the part on {PARTS[name]}"
    driven = ""
    if search:
        found = _times_its_bound(
            hunt_gradient(
                data, net.m_pos, net.m_neg, net.activation, float(bend.min())
            ).ratio
        )
        numbers["adversary"] = found
        driven = (
            "; an adversary brings the gradient's change to "
            f"{_times_its_bound(found):.3g} times its bound"
        )
        slack, name = (found, "adversary") if found < slack else (slack, name)
    return decide(
        "F-E.3",
        Finding(slack, f"{tightest}{driven}.", name, numbers),
        _smooth_by(net, bend),
    )


PARTS = {
    "Lipschitz": "the gradient's change",
    "norm": "‖∇L‖ ≤ R_max G",
    "G": "G ≤ min(L, 1)",
}
