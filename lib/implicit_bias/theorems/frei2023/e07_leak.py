"""Frei et al., Fact E.7: a leak is enough for both conditions on gradients."""

from __future__ import annotations

import math

import torch

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...networks.activations import smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ...values.scalars import number
from ..claim import register
from ..verdict import Finding, Verdict, decide
from . import instances
from .gradients import best_orthogonality, orthogonality, persistence
from .hunts import hunt_slopes
from .smooth_instances import net_on, vast
from .smooth_setting import layer_of_F, no_zero_sample

__all__ = ["leak_is_enough"]


CHAPTER = "loss_ratio"


@register(
    "F-E.7",
    "A leak is enough for both",
    "If ‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩| with C > γ⁻², then E.5 holds with C′ = Cγ² and "
    "E.6 with c = γ², for every W. "
    "Proved here: E.5 holds with C′ = Cγ.",
    "Fact E.7",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: (*net_on(vast(), smoothed_leaky_relu(0.1)), instances.GAMMA),
)
def leak_is_enough(
    net: TwoLayer,
    data: Dataset,
    gamma: float | None = None,
    search: bool = True,
    *,
    power: int = 2,
) -> Verdict:
    """F-E.7 at a network (or a batch) and, with ``search``, at those an adversary
    finds; C is the best for the data, and ``gamma`` the leak claimed, by default the
    activation's.

    E.5 is judged with ``C′ = C γ^power``: the paper's for 2, the one proved in the
    chapter, which is the best, for 1.
    """
    if power not in (1, 2):
        fail("power", "2 (the paper's C′ = Cγ²) or 1 (C′ = Cγ)", power)
    own = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    leak = (
        own
        if gamma is None
        else torch.as_tensor(number(gamma, "gamma"), dtype=torch.float64)
    )
    if bool((leak <= 0).any()):
        fail("gamma", "a leak > 0", float(leak.min()))
    C = best_orthogonality(data)
    orthogonal_ = orthogonality(net, data).amin(-1) / (C * leak**power)
    persistent = persistence(net, data).amin(-1)
    # For orthogonal data E.5 says ∞ ≥ ∞.
    numbers = {
        "E.5": float(orthogonal_.nan_to_num(math.inf).min()),
        "E.6": float((persistent / leak**2).min()),
    }
    if search:
        for name, which in (("E.5", "orthogonality"), ("E.6", "persistence")):
            constant = (
                leak.min() ** power * C.min() if name == "E.5" else leak.min() ** 2
            )
            if torch.isfinite(constant):  # orthogonal data leave nothing to search
                found = (
                    1
                    / hunt_slopes(
                        data, net.m_pos, net.m_neg, net.activation, which
                    ).ratio
                )
                numbers[f"adversary {name}"] = float(found / constant)
    name = min(numbers, key=lambda part: numbers[part])
    why = (
        f"tightest is {name}: {numbers[name]:.3f} times its constant. E.5 is judged "
        f"with C′ = {POWERS[power]}."
    )
    numbers["C"] = float(C.min())
    hypotheses = (
        layer_of_F(net),
        no_zero_sample(data),
        Hypothesis("leak", "γ ≤ φ' ≤ 1", own, leak.expand_as(own)),
        Hypothesis(
            "data",
            "‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩|, C > γ⁻²",
            C,
            leak**-2 * torch.ones_like(C),
        ),
    )
    return decide("F-E.7", Finding(numbers[name], why, name, numbers), hypotheses)


POWERS = {1: "Cγ, proved here", 2: "Cγ², the paper's"}
