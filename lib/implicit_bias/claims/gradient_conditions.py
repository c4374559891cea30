r"""Frei et al., E.5 to E.7: the two conditions on gradients, and the leak that gives both."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._checks import fail, number
from ..data import Dataset, correlated
from ..hypotheses import Hypothesis
from ..network import TwoLayer, smoothed_leaky_relu
from . import instances
from .loss_ratio_instances import asleep, net_on, vast
from .loss_ratio_search import hunt_slopes
from .loss_ratio_tools import dominance, layer_of_F, no_zero_sample, orthogonality, persistence
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = [
    "best_orthogonality",
    "leak_is_enough",
    "near_orthogonal_gradients",
    "persistent_gradients",
]

CHAPTER = "loss_ratio"


@register(
    "F-E.5",
    "Near-orthogonal gradients",
    "‖∇f_i‖_F² ≥ C′ n max_{k≠i} |⟨∇f_i,∇f_k⟩|, with the C′ = 25R²/c + 25 that E.8 asks for, c that of E.6.",
    "Condition E.5",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: net_on(correlated(10, p=0.05), smoothed_leaky_relu(instances.GAMMA)),
)
def near_orthogonal_gradients(
    net: TwoLayer, data: Dataset, constant: float | Tensor | None = None
) -> Verdict:
    """F-E.5 at a network or a batch (a run's :func:`~implicit_bias.measures.networks`): a condition, which holds or
    not. ``constant``, the C′ asked for, defaults to ``25R²/c + 25`` at the largest c of F-E.6; the best C′ is in
    ``constants``.
    """
    best = orthogonality(net, data)
    c = persistence(net, data).amin(-1)
    wanted = 25 * data.R.double() ** 2 / c + 25
    if constant is not None:
        wanted = torch.as_tensor(constant, dtype=torch.float64)
    slack, place = worst_of(best / wanted.unsqueeze(-1), "sample")
    numbers = {"C′": float(best.min()), "C′ wanted": float(wanted.max()), "c": float(c.min())}
    why = f"the best C′ is {numbers['C′']:.3g}, {numbers['C′ wanted']:.3g} is wanted."
    return decide(
        "F-E.5", Finding(slack, why, place, numbers, _no_pair_leans(best)), (no_zero_sample(data),)
    )


def _no_pair_leans(best: Tensor) -> str:
    """Why F-E.5 says nothing where all samples are orthogonal."""
    apart = bool(torch.isinf(best).all())
    return (
        "no two samples lean on each other, so neither do the gradients of any network."
        if apart
        else ""
    )


@register(
    "F-E.6",
    "Gradients persist",
    "‖∇f_i‖_F² ≥ c‖x_i‖² for all i, with c = γ² unless another is given.",
    "Condition E.6",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: (*asleep(), 0.01),
)
def persistent_gradients(net: TwoLayer, data: Dataset, c: float | Tensor | None = None) -> Verdict:
    """F-E.6 at a network or a batch: a condition, which holds or not. The best c is in ``constants``."""
    best = persistence(net, data)
    c = torch.as_tensor(net.activation.gamma**2 if c is None else c, dtype=torch.float64)
    if bool((c <= 0).any()):
        fail("c", "a constant > 0 (with γ = 0 one must be given)", float(c.min()))
    slack, place = worst_of(best / c.double().unsqueeze(-1), "sample")
    why = f"the best c is {float(best.min()):.4g}, {float(c.max()):.4g} is wanted."
    return decide(
        "F-E.6", Finding(slack, why, place, {"c": float(best.min())}), (no_zero_sample(data),)
    )


def best_orthogonality(data: Dataset) -> Tensor:
    """The largest C (...) with ``‖x_i‖² ≥ C n max_k |⟨x_i, x_k⟩|`` for all i; ∞ for orthogonal data."""
    return dominance(data.gram.double()).amin(-1)


@register(
    "F-E.7",
    "A leak is enough for both",
    "If ‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩| with C > γ⁻², then E.5 holds with C′ = Cγ² and E.6 with c = γ², for every W. "
    "Proved here: E.5 holds with C′ = Cγ.",
    "Fact E.7",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: (*net_on(vast(), smoothed_leaky_relu(0.1)), instances.GAMMA),
)
def leak_is_enough(
    net: TwoLayer, data: Dataset, gamma: float | None = None, search: bool = True, *, power: int = 2
) -> Verdict:
    """F-E.7 at a network (or a batch) and, with ``search``, at those an adversary finds; C is the best for the data,
    and ``gamma`` the leak claimed, by default the activation's.

    E.5 is judged with ``C′ = C γ^power``: the paper's for 2, the one proved in the chapter, which is the best, for 1.
    """
    if power not in (1, 2):
        fail("power", "2 (the paper's C′ = Cγ²) or 1 (C′ = Cγ)", power)
    own = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    gamma = own if gamma is None else torch.as_tensor(number(gamma, "gamma"), dtype=torch.float64)
    if bool((gamma <= 0).any()):
        fail("gamma", "a leak > 0", float(gamma.min()))
    C = best_orthogonality(data)
    orthogonal_, persistent = (
        orthogonality(net, data).amin(-1) / (C * gamma**power),
        persistence(net, data).amin(-1),
    )
    # For orthogonal data E.5 says ∞ ≥ ∞.
    numbers = {
        "E.5": float(orthogonal_.nan_to_num(math.inf).min()),
        "E.6": float((persistent / gamma**2).min()),
    }
    if search:
        for name, which in (("E.5", "orthogonality"), ("E.6", "persistence")):
            constant = gamma.min() ** power * C.min() if name == "E.5" else gamma.min() ** 2
            if torch.isfinite(constant):  # orthogonal data leave nothing to search
                found = 1 / hunt_slopes(data, net.m_pos, net.m_neg, net.activation, which).ratio
                numbers[f"adversary {name}"] = float(found / constant)
    name = min(numbers, key=numbers.get)
    why = f"tightest is {name}: {numbers[name]:.3f} times its constant. E.5 is judged with C′ = {POWERS[power]}."
    numbers["C"] = float(C.min())
    hypotheses = (
        layer_of_F(net),
        no_zero_sample(data),
        Hypothesis("leak", "γ ≤ φ' ≤ 1", own, gamma.expand_as(own)),
        Hypothesis(
            "data", "‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩|, C > γ⁻²", C, gamma**-2 * torch.ones_like(C)
        ),
    )
    return decide("F-E.7", Finding(numbers[name], why, name, numbers), hypotheses)


POWERS = {1: "Cγ, proved here", 2: "Cγ², the paper's"}
