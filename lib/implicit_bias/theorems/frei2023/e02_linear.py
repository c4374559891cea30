"""Frei et al., Lemma E.2: the output is nearly linear in the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from .hunts import hunt_output
from .smooth_instances import across_a_kink, pair
from .smooth_setting import smooth_setting, smoothness

__all__ = ["nearly_linear"]


CHAPTER = "loss_ratio"


def _difference(net: TwoLayer, other: TwoLayer) -> tuple[Tensor, Tensor]:
    """``W - V`` (..., m, d) and its spectral norm (...)."""
    if net.weights.shape[-2:] != other.weights.shape[-2:] or bool(
        (net.a != other.a).any()
    ):
        fail(
            "other",
            "a network of the same shape and second layer",
            tuple(other.weights.shape),
        )
    if net.activation != other.activation:
        fail(
            "other",
            f"the activation of net, {net.activation.name}",
            other.activation.name,
        )
    D = (net.weights - other.weights).double()
    return D, torch.linalg.matrix_norm(D, 2)


def _bounded(value: Tensor, bound: Tensor) -> Tensor:
    """The slack (...) of ``value ≤ bound``: ∞ where the value is 0."""
    return torch.where(value == 0, math.inf, bound / value)


def _smooth_by(net: TwoLayer, H: float | Tensor) -> tuple[Hypothesis, ...]:
    """F's smooth setting, and that ``|φ''| ≤ H``: an H below the activation's own is no
    bound.
    """
    own = torch.as_tensor(smoothness(net.activation), dtype=torch.float64)
    H = torch.as_tensor(H, dtype=torch.float64).expand_as(own)
    return (*smooth_setting(net)[:2], Hypothesis("H", "|φ''| ≤ H", H + 1e-300, own))


LINEAR = 1e-9
"""An activation that bends by less than this, relatively, is linear to rounding."""


def _straight(net: TwoLayer) -> str:
    """Why nothing is said of an activation whose bend is lost in rounding."""
    H = torch.as_tensor(smoothness(net.activation), dtype=torch.float64)
    return (
        "φ is linear to rounding, and so is the network."
        if bool((H < LINEAR).any())
        else ""
    )


def _times_its_bound(slack: float) -> float:
    """How many times its bound something is, of its slack."""
    return 1 / slack if slack else math.inf


def _networks_agree(size: Tensor) -> str:
    """Why nothing is said of networks that agree."""
    return (
        ""
        if bool((size > 0).any())
        else "the two networks agree, and so do both sides."
    )


@register(
    "F-E.2",
    "The output is nearly linear in the weights",
    "|f(x;W) - f(x;V) - ⟨∇f(x;V), W-V⟩| ≤ (H‖x‖²/(2√m)) ‖W-V‖_2² for all W, V, x.",
    "Lemma E.2",
    chapter=CHAPTER,
    positive=pair,
    negative=across_a_kink,
)
def nearly_linear(
    net: TwoLayer,
    other: TwoLayer,
    data: Dataset,
    H: float | None = None,
    search: bool = True,
) -> Verdict:
    """F-E.2 for W of ``net``, V of ``other`` (frozen parts alike) at every sample, and
    (``search``) for the W, V and x that an adversary finds at this width. ``H``
    defaults to the activation's.
    """
    D, size = _difference(net, other)
    bend = smoothness(net.activation) if H is None else H
    rest = net.activation.remainder(
        other.preactivations(data.x), D @ data.x.double().mT
    )
    error = (net.a.unsqueeze(-1) * rest).sum(-2).abs()
    H_ = torch.as_tensor(bend, dtype=torch.float64).unsqueeze(-1)
    bound = (
        H_ * data.norms.double() ** 2 * size.unsqueeze(-1) ** 2 / (2 * math.sqrt(net.m))
    )
    slack, place = worst_of(_bounded(error, bound), "sample")
    numbers = {"given": slack}
    given = (
        f"the error is {_times_its_bound(slack):.3f} times its bound at the "
        "networks given"
    )
    driven = ""
    idle = _straight(net) or (
        "" if search else _networks_agree(size * data.R_max.double())
    )
    if search and not idle:
        found = hunt_output(
            net.m_pos, net.m_neg, net.activation, float(torch.as_tensor(bend).min())
        ).ratio
        by_adversary = _times_its_bound(found)
        numbers["adversary"] = by_adversary
        driven = f", {found:.4g} times where an adversary drives it"
        if by_adversary < slack:
            slack = by_adversary
            place = "the adversary's W, V, x"
    return decide(
        "F-E.2",
        Finding(slack, f"{given}{driven}.", place, numbers, idle),
        _smooth_by(net, bend),
    )
