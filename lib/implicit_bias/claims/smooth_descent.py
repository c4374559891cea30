r"""Frei et al., E.1 to E.3: the start, and smoothness."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._checks import fail, failure_probability, positive
from ..data import Dataset
from ..hypotheses import Hypothesis
from ..losses import LOGISTIC
from ..measures import gradient, margins
from ..network import Activation, TwoLayer
from .draws import excused
from .loss_ratio_instances import across_a_kink, equal_rows, gaussian_starts, pair
from .loss_ratio_search import hunt_gradient, hunt_output
from .loss_ratio_tools import smooth_setting, smoothness
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = [
    "lipschitz_gradient",
    "nearly_linear",
    "sharp_gradient_constant",
    "small_start",
]

CHAPTER = "loss_ratio"


# -- E.1: the start --------------------------------------------------------------------------------------------------


@register(
    "F-E.1",
    "The random start is small",
    "With probability 1-δ: ‖W(0)‖_2 ≤ C_0 ω(√m+√d), ‖w_j(0)‖² ≤ 5ω²d log(4m/δ), |⟨w_j(0),μ̂⟩| ≤ 2ω‖μ̂‖√log(4m/δ).",
    "Lemma E.1",
    chapter=CHAPTER,
    positive=gaussian_starts,
    negative=equal_rows,
)
def small_start(net: TwoLayer, data: Dataset, scale: float, delta: float = 0.01) -> Verdict:
    """F-E.1 on a start of standard deviation ``scale``, or a batch of draws, of which δ allows a few to fail.

    ``C_0`` is the one that Gaussian concentration gives, ``1 + √(2 log(4/δ))/(√m+√d)``; the smallest that would have
    done is in ``constants``. The law of W(0) is tested: its size, and that no two rows lean on each other.
    """
    positive(scale, "scale")
    failure_probability(delta)
    scale = torch.as_tensor(scale, dtype=torch.float64)  # its square may be more than a float holds
    m, d, L = net.m, data.ambient_dim, math.log(4 * net.m / delta)
    roots = math.sqrt(m) + math.sqrt(d)
    C0 = 1 + math.sqrt(2 * math.log(4 / delta)) / roots
    gram, mu = net.weight_gram().double(), data.mu_hat
    lengths = gram.diagonal(dim1=-2, dim2=-1)
    along = (net.preactivations(mu.unsqueeze(-2)).squeeze(-1)).abs().amax(-1)
    spectral = net.spectral().double() / (scale * roots)
    slacks = {
        "spectral norm": C0 / spectral,
        "row length": 5 * scale**2 * d * L / lengths.amax(-1),
        "along μ̂": 2 * scale * mu.norm(dim=-1) * math.sqrt(L) / along,
    }
    count = spectral.numel()
    ranked = {name: value.flatten().sort().values for name, value in slacks.items()}
    joint = torch.stack([value.flatten() for value in slacks.values()]).amin(0).sort()
    slack, name = float(joint.values[excused(count, delta)]), min(ranked, key=lambda k: float(ranked[k][0]))
    numbers = {key: float(value[0]) for key, value in ranked.items()} | {"C_0 needed": float(spectral.max())}
    why = (
        f"over {count} draw{'s' * (count > 1)} the tightest is the {name}; C_0 = {numbers['C_0 needed']:.3f} would do."
    )
    finding = Finding(slack, why, f"draw {int(joint.indices[excused(count, delta)])}", numbers)
    return decide("F-E.1", finding, _gram_of_normal(gram, scale, m, d))


def _gram_of_normal(gram: Tensor, scale: float, m: int, d: int) -> tuple[Hypothesis, ...]:
    """That entries are i.i.d. N(0, scale²), as far as ``W Wᵀ`` can tell: tests passed with probability 1 - 10⁻⁹."""
    lengths, t = gram.diagonal(dim1=-2, dim2=-1), math.log(4 * gram.numel() / 1e-9)
    share = lengths.sum(-1) / (scale**2 * m * d)
    room = 2 * math.sqrt(t / (m * d)) + 2 * t / (m * d)
    cosine = gram / (lengths.unsqueeze(-1) * lengths.unsqueeze(-2)).sqrt().clamp_min(1e-300)
    leaning = (cosine - torch.diag_embed(cosine.diagonal(dim1=-2, dim2=-1))).abs().amax((-2, -1))
    most = torch.where(share > 0, 1 + room, 0.0)  # no draw is zero, however few its entries
    return (
        Hypothesis("size", "‖W(0)‖_F² is that of N(0, ω²) entries", most, 1 + (share - 1).abs()),
        Hypothesis("rows", "rows are independent", torch.full_like(share, math.sqrt(2 * t / d)), leaning),
    )


# -- E.2 and E.3: smoothness -----------------------------------------------------------------------------------------


def _difference(net: TwoLayer, other: TwoLayer) -> tuple[Tensor, Tensor]:
    """``W - V`` (..., m, d) and its spectral norm (...)."""
    if net.weights.shape[-2:] != other.weights.shape[-2:] or bool((net.a != other.a).any()):
        fail("other", "a network of the same shape and second layer", tuple(other.weights.shape))
    if net.activation != other.activation:
        fail("other", f"the activation of net, {net.activation.name}", other.activation.name)
    D = (net.weights - other.weights).double()
    return D, torch.linalg.matrix_norm(D, 2)


def _bounded(value: Tensor, bound: Tensor) -> Tensor:
    """The slack (...) of ``value ≤ bound``: ∞ where the value is 0."""
    return torch.where(value == 0, math.inf, bound / value)


def _smooth_by(net: TwoLayer, H: float | Tensor) -> tuple[Hypothesis, ...]:
    """F's smooth setting, and that ``|φ''| ≤ H``: an H below the activation's own is no bound."""
    own = torch.as_tensor(smoothness(net.activation), dtype=torch.float64)
    H = torch.as_tensor(H, dtype=torch.float64).expand_as(own)
    return (*smooth_setting(net)[:2], Hypothesis("H", "|φ''| ≤ H", H + 1e-300, own))


LINEAR = 1e-9
"""An activation that bends by less than this, relatively, is linear to rounding."""


def _straight(net: TwoLayer) -> str:
    """Why nothing is said of an activation whose bend is lost in rounding."""
    H = torch.as_tensor(smoothness(net.activation), dtype=torch.float64)
    return "φ is linear to rounding, and so is the network." if bool((H < LINEAR).any()) else ""


def _times_its_bound(slack: float) -> float:
    """How many times its bound something is, of its slack."""
    return 1 / slack if slack else math.inf


def _networks_agree(size: Tensor) -> str:
    """Why nothing is said of networks that agree."""
    return "" if bool((size > 0).any()) else "the two networks agree, and so do both sides."


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
    net: TwoLayer, other: TwoLayer, data: Dataset, H: float | None = None, search: bool = True
) -> Verdict:
    """F-E.2 for W of ``net``, V of ``other`` (frozen parts alike) at every sample, and (``search``) for the W, V and x
    that an adversary finds at this width. ``H`` defaults to the activation's.
    """
    D, size = _difference(net, other)
    H = smoothness(net.activation) if H is None else H
    rest = net.activation.remainder(other.preactivations(data.x), D @ data.x.double().mT)
    error = (net.a.unsqueeze(-1) * rest).sum(-2).abs()
    H_ = torch.as_tensor(H, dtype=torch.float64).unsqueeze(-1)
    bound = H_ * data.norms.double() ** 2 * size.unsqueeze(-1) ** 2 / (2 * math.sqrt(net.m))
    slack, place = worst_of(_bounded(error, bound), "sample")
    numbers = {"given": slack}
    given = f"the error is {_times_its_bound(slack):.3f} times its bound at the networks given"
    driven = ""
    idle = _straight(net) or ("" if search else _networks_agree(size * data.R_max.double()))
    if search and not idle:
        found = hunt_output(net.m_pos, net.m_neg, net.activation, float(torch.as_tensor(H).min())).ratio
        by_adversary = _times_its_bound(found)
        numbers["adversary"] = by_adversary
        driven = f", {found:.4g} times where an adversary drives it"
        if by_adversary < slack:
            slack = by_adversary
            place = "the adversary's W, V, x"
    return decide("F-E.2", Finding(slack, f"{given}{driven}.", place, numbers, idle), _smooth_by(net, H))


def sharp_gradient_constant(activation: Activation, m: int) -> float:
    """``(1 + H/√m)²/4``, which can stand for E.3's ``1 + H/√m`` (proved in the chapter; for H ≤ √m)."""
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
    net: TwoLayer, other: TwoLayer, data: Dataset, H: float | None = None, search: bool = True
) -> Verdict:
    """F-E.3 at the networks given, logistic loss, and (``search``) at those an adversary finds for the last part.
    ``H`` defaults to the activation's.
    """
    D, size = _difference(net, other)
    H = torch.as_tensor(smoothness(net.activation) if H is None else H, dtype=torch.float64)
    gradients = gradient(net, data), gradient(other, data)
    lipschitz = data.R_max**2 * (1 + H / math.sqrt(net.m))
    changes = (gradients[0] - gradients[1]).flatten(-2).norm(dim=-1)
    slacks = {"Lipschitz": _bounded(changes, lipschitz * size)}
    for one, grad in zip((net, other), gradients):
        q = margins(one, data)
        G, L = LOGISTIC.g(q).mean(-1), LOGISTIC.log_mean(q).exp()
        norm = _bounded(grad.flatten(-2).norm(dim=-1), data.R_max * G)
        for name, value in (("norm", norm), ("G", L.clamp_max(1) / G)):
            slacks[name] = torch.minimum(slacks.get(name, value), value)
    numbers = {name: float(value.min()) for name, value in slacks.items()}
    name = min(numbers, key=numbers.get)
    slack = numbers[name]
    tightest, driven = f"tightest is the part on {PARTS[name]}", ""
    if search:
        found = _times_its_bound(
            hunt_gradient(data, net.m_pos, net.m_neg, net.activation, float(H.min())).ratio
        )
        numbers["adversary"] = found
        driven = f"; an adversary brings the gradient's change to {_times_its_bound(found):.3g} times its bound"
        slack, name = (found, "adversary") if found < slack else (slack, name)
    return decide("F-E.3", Finding(slack, f"{tightest}{driven}.", name, numbers), _smooth_by(net, H))


PARTS = {"Lipschitz": "the gradient's change", "norm": "‖∇L‖ ≤ R_max G", "G": "G ≤ min(L, 1)"}
