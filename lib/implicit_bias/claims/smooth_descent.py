r"""Frei et al., E.1 to E.3 and E.5 to E.7: the start, smoothness, and the two conditions on gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._checks import fail, positive
from ..data import Dataset, correlated
from ..hypotheses import Hypothesis
from ..losses import LOGISTIC
from ..measures import gradient, margins
from ..network import Activation, TwoLayer, smoothed_leaky_relu
from . import instances
from .loss_ratio_instances import across_a_kink, asleep, equal_rows, gaussian_starts, net_on, pair, vast
from .loss_ratio_search import hunt_gradient, hunt_output, hunt_slopes, remainder
from .loss_ratio_tools import excused, orthogonality, persistence, smooth_setting, smoothness
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = [
    "best_orthogonality",
    "leak_is_enough",
    "lipschitz_gradient",
    "near_orthogonal_gradients",
    "nearly_linear",
    "persistent_gradients",
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
    if not 0 < delta < 1:
        fail("delta", "a probability in (0, 1)", delta)
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
    ordered = {name: value.flatten().sort().values for name, value in slacks.items()}
    joint = torch.stack([value.flatten() for value in slacks.values()]).amin(0).sort()
    slack, name = float(joint.values[excused(count, delta)]), min(ordered, key=lambda k: float(ordered[k][0]))
    numbers = {key: float(value[0]) for key, value in ordered.items()} | {"C_0 needed": float(spectral.max())}
    why = (
        f"over {count} draw{'s' * (count > 1)} the tightest is the {name}; C_0 = {numbers['C_0 needed']:.3f} would do."
    )
    finding = Finding(slack, why, f"draw {int(joint.indices[excused(count, delta)])}", numbers)
    return decide("F-E.1", finding, _law(gram, scale, m, d))


def _law(gram: Tensor, scale: float, m: int, d: int) -> tuple[Hypothesis, ...]:
    """That entries are i.i.d. N(0, scale²), as far as ``W Wᵀ`` can tell: tests passed with probability 1 - 10⁻⁹."""
    lengths, t = gram.diagonal(dim1=-2, dim2=-1), math.log(4 * gram.numel() / 1e-9)
    share = lengths.sum(-1) / (scale**2 * m * d)
    room = 2 * math.sqrt(t / (m * d)) + 2 * t / (m * d)
    cosine = gram / (lengths.unsqueeze(-1) * lengths.unsqueeze(-2)).sqrt()
    leaning = (cosine - torch.diag_embed(cosine.diagonal(dim1=-2, dim2=-1))).abs().amax((-2, -1))
    return (
        Hypothesis(
            "size", "‖W(0)‖_F² is that of N(0, ω²) entries", torch.full_like(share, 1 + room), 1 + (share - 1).abs()
        ),
        Hypothesis("rows", "rows are independent", torch.full_like(share, math.sqrt(2 * t / d)), leaning),
    )


# -- E.2 and E.3: smoothness -----------------------------------------------------------------------------------------


def _difference(net: TwoLayer, other: TwoLayer) -> tuple[Tensor, Tensor]:
    """``W - V`` (..., m, d) and its spectral norm (...)."""
    if net.weights.shape[-2:] != other.weights.shape[-2:] or bool((net.a != other.a).any()):
        fail("other", "a network of the same shape and second layer", tuple(other.weights.shape))
    D = net.weights - other.weights
    return D, torch.linalg.matrix_norm(D, 2)


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
    rest = remainder(net.activation, other.preactivations(data.x), D @ data.x.mT)
    error = (net.a.unsqueeze(-1) * rest).sum(-2).abs()
    H_ = torch.as_tensor(H, dtype=torch.float64).unsqueeze(-1)
    slack, place = worst_of(H_ * data.norms**2 * size.unsqueeze(-1) ** 2 / (2 * math.sqrt(net.m)) / error, "sample")
    numbers, why = {"given": slack}, f"the error is {1 / slack:.3f} times its bound at the networks given"
    if search:
        found = hunt_output(net.m_pos, net.m_neg, net.activation, float(torch.as_tensor(H).min())).ratio
        numbers["adversary"], why = 1 / found, f"{why}, {found:.4g} times where an adversary drives it"
        slack, place = (1 / found, "the adversary's W, V, x") if 1 / found < slack else (slack, place)
    return decide("F-E.2", Finding(slack, f"{why}.", place, numbers), smooth_setting(net)[:2])


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
    slacks = {"Lipschitz": lipschitz * size / (gradients[0] - gradients[1]).flatten(-2).norm(dim=-1)}
    for one, grad in zip((net, other), gradients):
        q = margins(one, data)
        G, L = LOGISTIC.g(q).mean(-1), LOGISTIC.log_mean(q).exp()
        for name, value in (("norm", data.R_max * G / grad.flatten(-2).norm(dim=-1)), ("G", L.clamp_max(1) / G)):
            slacks[name] = torch.minimum(slacks.get(name, value), value)
    numbers = {name: float(value.min()) for name, value in slacks.items()}
    name = min(numbers, key=numbers.get)
    slack, why = numbers[name], f"tightest is the part on {PARTS[name]}"
    if search:
        found = 1 / hunt_gradient(data, net.m_pos, net.m_neg, net.activation, float(H.min())).ratio
        numbers["adversary"] = found
        why += f"; an adversary brings the gradient's change to {1 / found:.3g} times its bound"
        slack, name = (found, "adversary") if found < slack else (slack, name)
    return decide("F-E.3", Finding(slack, f"{why}.", name, numbers), smooth_setting(net)[:2])


PARTS = {"Lipschitz": "the gradient's change", "norm": "‖∇L‖ ≤ R_max G", "G": "G ≤ min(L, 1)"}


# -- E.5 to E.7: two conditions --------------------------------------------------------------------------------------


@register(
    "F-E.5",
    "Near-orthogonal gradients",
    "‖∇f_i‖_F² ≥ C′ n max_{k≠i} |⟨∇f_i,∇f_k⟩|, with the C′ = 25R²/c + 25 that E.8 asks for, c that of E.6.",
    "Condition E.5",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: net_on(correlated(10, p=0.05), smoothed_leaky_relu(instances.GAMMA)),
)
def near_orthogonal_gradients(net: TwoLayer, data: Dataset, C: float | Tensor | None = None) -> Verdict:
    """F-E.5 at a network or a batch (a run's :func:`~implicit_bias.measures.networks`): a condition, which holds or
    not. ``C`` defaults to ``25R²/c + 25`` at the largest c of F-E.6; the best C′ is in ``constants``.
    """
    best = orthogonality(net, data)
    c = persistence(net, data).amin(-1)
    wanted = 25 * data.R.double() ** 2 / c + 25 if C is None else torch.as_tensor(C, dtype=torch.float64)
    slack, place = worst_of(best / wanted.unsqueeze(-1), "sample")
    numbers = {"C′": float(best.min()), "C′ wanted": float(wanted.max()), "c": float(c.min())}
    why = f"the best C′ is {numbers['C′']:.3g}, {numbers['C′ wanted']:.3g} is wanted."
    return decide("F-E.5", Finding(slack, why, place, numbers), ())


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
    return decide("F-E.6", Finding(slack, why, place, {"c": float(best.min())}), ())


def best_orthogonality(data: Dataset) -> Tensor:
    """The largest C (...) with ``‖x_i‖² ≥ C n max_k |⟨x_i, x_k⟩|`` for all i; ∞ for orthogonal data."""
    gram = data.gram.double()
    others = gram.abs() - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    return (gram.diagonal(dim1=-2, dim2=-1) / (data.n * others.amax(-1))).amin(-1)


@register(
    "F-E.7",
    "A leak is enough for both",
    "If ‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩| with C > γ⁻², then E.5 holds with C′ = Cγ² and E.6 with c = γ², for every W.",
    "Fact E.7",
    chapter=CHAPTER,
    positive=lambda: net_on(vast(), smoothed_leaky_relu(instances.GAMMA)),
    negative=lambda: (*net_on(vast(), smoothed_leaky_relu(0.1)), instances.GAMMA),
)
def leak_is_enough(net: TwoLayer, data: Dataset, gamma: float | None = None, search: bool = True) -> Verdict:
    """F-E.7 at a network (or a batch) and, with ``search``, at those an adversary finds; C is the best for the data,
    and ``gamma`` the leak claimed, by default the activation's.
    """
    own = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    gamma = own if gamma is None else torch.as_tensor(gamma, dtype=torch.float64)
    if bool((gamma <= 0).any()):
        fail("gamma", "a leak > 0", float(gamma.min()))
    C = best_orthogonality(data)
    orthogonal_, persistent = orthogonality(net, data).amin(-1) / (C * gamma**2), persistence(net, data).amin(-1)
    # For orthogonal data E.5 says ∞ ≥ ∞.
    numbers = {"E.5": float(orthogonal_.nan_to_num(math.inf).min()), "E.6": float((persistent / gamma**2).min())}
    if search:
        for name, which in (("E.5", "orthogonality"), ("E.6", "persistence")):
            constant = gamma.min() ** 2 * (C.min() if name == "E.5" else 1)
            if torch.isfinite(constant):  # orthogonal data leave nothing to search
                found = 1 / hunt_slopes(data, net.m_pos, net.m_neg, net.activation, which).ratio
                numbers[f"adversary {name}"] = found / float(constant)
    name = min(numbers, key=numbers.get)
    why = f"tightest is {name}: {numbers[name]:.3f} times its constant."
    numbers["C"] = float(C.min())
    hypotheses = (
        Hypothesis("leak", "γ ≤ φ' ≤ 1", own, gamma.expand_as(own)),
        Hypothesis("data", "‖x_i‖² ≥ C n max_k |⟨x_i,x_k⟩|, C > γ⁻²", C, gamma**-2 * torch.ones_like(C)),
    )
    return decide("F-E.7", Finding(numbers[name], why, name, numbers), hypotheses)
