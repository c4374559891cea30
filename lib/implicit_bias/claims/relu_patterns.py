r"""Kou, Chen and Gu on ReLU: Lemma 5.8 (once on, always on), Theorem 4.3, Lemmas E.2 and G.1.

Each check takes a run of descent. "With probability 1 - δ over the start" becomes a property of the start that was
drawn (:func:`~.relu_tools.setting_of_relu`). Where the paper says "a constant", the one proved in the chapter for
C = 40 is used, and the best one is measured.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from .. import data as samples
from ..dynamics import gradient_descent, log_spaced
from ..hypotheses import Hypothesis
from ..measures import class_stable_rank, networks
from ..network import TwoLayer, relu
from ..trajectory import Trajectory
from .common import fitted_rate
from .registry import register
from .relu_tools import (
    C_PROVED,
    SHARE,
    awake_shares,
    balance,
    beta,
    correlation,
    exponent,
    own_class,
    pulls,
    rank_constant,
    rate_h,
    setting_of_relu,
    signed_gram,
)
from .verdict import Finding, Verdict, decide, worst_of

__all__ = ["moved_rank", "persistence"]

CHAPTER = "relu_patterns"


# -- Instances of the controls ---------------------------------------------------------------------------------------


@cache
def _run(p: float = 0.0022, output: float = 1.0, steps: int = 20_000) -> tuple[Trajectory]:
    """Ten unit samples, all leaning towards the other class by p, m = 100; ``output`` rescales the second layer."""
    data = samples.correlated(10, p=p, signs="oppose")
    net = TwoLayer.init(data, 100, 100, relu(), 1e-4, output="1/m", seed=0)
    net = TwoLayer(net.weights, output * net.a, net.activation)
    return (gradient_descent(net, data, 20.0, steps, record=log_spaced(steps, 80)),)


@cache
def _turned_away() -> tuple[Trajectory]:
    """A short sample whose own neurons are pushed away from it by a long one of the other class."""
    data = samples.correlated(2, p=2.0, signs="oppose", norms=[1.0, 3.0])
    net = TwoLayer.init(data, 20, 20, relu(), 0.1, output="1/m", seed=0)
    return (gradient_descent(net, data, 0.5, 300),)


def _one_each(n: int, asleep: int = 0, steps: int = 2000) -> Trajectory:
    """Orthonormal samples and ``n/2`` neurons of each sign, each awake on one sample of its class alone; on the first
    ``asleep`` samples nobody is.
    """
    data = samples.orthogonal(n)
    weights = 1e-3 * (2 * torch.eye(n, dtype=torch.float64) - 1)
    weights[:asleep] = -1e-3
    start = TwoLayer.init(data, n // 2, n // 2, relu(), 0.0, output="1/m")
    net = TwoLayer(weights, start.a, start.activation)
    return gradient_descent(net, data, n, steps, record=log_spaced(steps, 30))


# -- 5.8: once on, always on -----------------------------------------------------------------------------------------


def persistence(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Why ``S_i(0)`` stays awake: ``(⟨w_j(0),x_i⟩ + all pushes up) / (all pushes down)``, at least 1 iff it does.

    Returns the smallest over the pairs at each record (T, ...), and at any step between a record and the next (T-1,
    ...). Pushes only accumulate, so between two records those up are at least the earlier record's and those down at
    most the later one's.
    """
    data, net = run.data, run.initial
    start = net.preactivations(data.x)
    kept = own_class(net, data) & (start >= 0)
    pulled, u = pulls(run), signed_gram(data)
    up, down = start.clamp_min(0) + pulled @ u.clamp_min(0), pulled @ (-u).clamp_min(0)

    def least(rising: Tensor, falling: Tensor) -> Tensor:
        ratio = torch.where(falling > 0, rising / falling, math.inf)
        return ratio.masked_fill(~kept, math.inf).amin((-2, -1))

    neighbours = (run.step[1:] - run.step[:-1] == 1).reshape(-1, *[1] * (run.log_loss.ndim - 1))
    between = torch.where(neighbours, math.inf, least(up[:-1], down[1:]))
    return least(up, down), between


@register(
    "K-5.8",
    "Once on, always on",
    "S_i(0) ⊆ S_i(t) for all t: a neuron of the right class that starts active on x_i stays active.",
    "Lemma 5.8",
    chapter=CHAPTER,
    positive=_run,
    negative=_turned_away,
)
def once_on(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-5.8 along a run (or a batch), at its records and at every step between them; linearly independent samples."""
    given = setting_of_relu(run, C)
    at, between = persistence(run)
    slack, place = worst_of(at, "record")
    gap = float(between.min()) if between.numel() else math.inf
    numbers = {"at records": slack, "between": gap, "last step": float(run.step[-1])}
    kept = "no pair of S_i(0) falls asleep" if slack >= 1 else "a pair of S_i(0) falls asleep"
    pushes = f"pushes up are at least {slack:.3f} times pushes down" if slack < math.inf else "nothing pushes down"
    why = f"up to step {int(run.step[-1])} {kept}; {pushes}."
    far = "Records too far apart to exclude a nap between them:" if slack >= 1 > gap else ""
    return decide("K-5.8", Finding(slack, why, place, numbers), given, unsettled=far)


# -- E.2: the wrong side stays small ---------------------------------------------------------------------------------


@register(
    "K-E.2",
    "Coefficients of the other class are small",
    "There is T₂ with |ρ_{-y_i,r,i}(t)| ≤ c R_min⁻² p n |ρ_{y_i',r',i'}(t)| for t ≥ T₂, r' ∈ S_i'(0), y_i' = -y_i.",
    "Lemma E.2",
    chapter=CHAPTER,
    positive=_run,
    negative=lambda: _run(p=0.0),
)
def other_class_small(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-E.2 along a run, with ``c = 8R²`` and ``T₂`` the first record with ``β + hR_max² ≤ 4R² P ρ``; the best c is
    measured.
    """
    given, data, net = setting_of_relu(run, C), run.data, run.initial
    own, P, R2 = own_class(net, data), correlation(data), data.R.double() ** 2
    kept = own & (net.preactivations(data.x) >= 0)
    size = pulls(run) * data.norms.unsqueeze(-2) ** 2
    sides = [net.positive.unsqueeze(-1), ~net.positive.unsqueeze(-1)]
    least = torch.stack([size.masked_fill(~(kept & side), math.inf).amin((-2, -1)) for side in sides])
    most = torch.stack([size.masked_fill(own | ~side, 0).amax((-2, -1)) for side in sides])
    late = ((4 * R2 * P * least) >= beta(net, data) + rate_h(run) * data.R_max.double() ** 2).all(0)
    reached = bool(late[-1].all())
    seen = late if reached else torch.arange(len(run)).reshape(-1, *[1] * (late.ndim - 1)) == len(run) - 1
    slack_at = torch.where(seen, (8 * R2 * P * least / most).amin(0), math.inf)
    slack, place = worst_of(slack_at, "record")
    best = float(torch.where(seen, (most / (P * least)).amax(0), 0).max())
    first = int(run.step[late.flatten(1).all(1).int().argmax()] if late.ndim > 1 else run.step[late.int().argmax()])
    numbers = {"best c": best, "c": float(8 * R2.max()), "T2": float(first) if reached else math.inf}
    positive = Hypothesis("p", "p > 0", *torch.broadcast_tensors(P, torch.full_like(P, 1e-300)))
    when = f"from step {first} on" if reached else "at the last record"
    why = f"{when} the best c is {best:.3f}; proved: {float(8 * R2.max()):.3g}."
    short = "" if reached or not bool((P > 0).all()) else "The run ends before T₂:"
    return decide("K-E.2", Finding(slack, why, place, numbers), (*given, positive), unsettled=short)


# -- Theorem 4.3 and its loss rate -----------------------------------------------------------------------------------


def moved_rank(run: Trajectory) -> Tensor:
    """``StableRank(W_j(t) - W_j(0))`` (T-1, ..., 2) after the start. As ``W_j(t)`` grows without bound and ``W_j(0)``
    stays, its limits are those of ``StableRank(W_j(t))``.
    """
    moved = networks(run).weights[1:] - run.initial.weights
    return class_stable_rank(TwoLayer(moved, run.initial.a, run.initial.activation))


@register(
    "K-4.3.a",
    "The stable rank stays bounded",
    "limsup StableRank(W_j(t)) ≤ c. What is proved here has c = 63 at R = 1 and equal classes, and grows with the "
    "ratio of class sizes; for n ≤ c it says nothing.",
    "Theorem 4.3",
    chapter=CHAPTER,
    positive=_run,
    negative=lambda: (_one_each(130),),
)
def bounded_rank(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-4.3.a over the last decade of a run, for ``W_j(t) - W_j(0)``, against the constant proved for C = 40; the best
    is what was seen.
    """
    given = setting_of_relu(run, C)
    late = run.step[1:] >= run.step[-1] / 10
    seen = moved_rank(run)[late].amax(0)
    bound = rank_constant(run.data)
    slack, place = worst_of(bound / seen, "class")
    worst, c = float(seen.max()), float(bound.min())
    numbers = {"best c": worst, "c": c, "last step": float(run.step[-1])}
    why = f"in steps {int(run.step[-1] // 10)} to {int(run.step[-1])} at most {worst:.3f}; proved: c = {c:.1f}."
    return decide("K-4.3.a", Finding(slack, why, place, numbers), given)


@register(
    "K-4.3.b",
    "The loss falls like a power of t",
    "L(t) = O(t^{-c₁(1-c₂s)/(1+c₂s)}), s = R_min⁻² p n.",
    "Theorem 4.3",
    chapter=CHAPTER,
    positive=_run,
    negative=lambda: (_one_each(4, asleep=1, steps=20_000),),
)
def loss_power(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-4.3.b: the power of t fitted over the last decade, against ``c₁ = 1/c'² = 0.16``, ``c₂ = 14R⁴`` (the proof's);
    measured too: ``h t L(t)``, bounded by the chapter's theorem.
    """
    given = setting_of_relu(run, C)
    data, t = run.data, run.step.double()
    fitted = torch.tensor([fitted_rate(t, one.exp()) for one in run.log_loss.reshape(len(run), -1).T])
    part = (3.5 * 4 * data.R.double() ** 4 * correlation(data)).max()
    wanted = float(SHARE**2 * (1 - part) / (1 + part))
    meaningful = Hypothesis("exponent", "c₂ s < 1, or the exponent is no exponent", torch.ones_like(part), part)
    rate = float(fitted.min())
    scaled = float((rate_h(run) * t[-1] * run.log_loss[-1].exp()).max())
    numbers = {"rate": rate, "exponent": wanted, "h t L": scaled, "last step": float(t[-1])}
    why = f"L falls like t^-{rate:.3f} at t = {int(t[-1])}, the exponent is {wanted:.3f}; η t L/(nm) = {scaled:.3f}."
    slack = rate / wanted if wanted > 0 and rate > 0 else (0.0 if wanted > 0 else math.inf)
    few = "Too few records in the last decade to fit a rate." if math.isnan(rate) else ""
    finding = Finding(slack, why, f"t = {int(t[-1])}", numbers)
    return decide("K-4.3.b", finding, (*given, meaningful), unsettled=few)


@register(
    "K-G.1",
    "The loss bound with its constants",
    "L(t) ≤ (e^{2β}/n) Σ_i (1 + η|S_i(0)|‖x_i‖²e^{-β}t/(2nm²))^{-α}, α = (1-(1+c')s/c₁)/(c'²(1+s/c₁)), t ≥ 1.",
    "Lemma G.1",
    chapter=CHAPTER,
    positive=_run,
    negative=lambda: _run(output=0.03, steps=2000),
)
def loss_bound(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-G.1 at every record, with the best ``c₁``, ``c'`` and ``β`` of the run itself."""
    given = setting_of_relu(run, C)
    data, net, t = run.data, run.initial, run.step[1:].double()
    share = awake_shares(net, data)
    c1, c_prime, size = balance(run)[0].amin(0), 1 / share.amin(-1), beta(net, data).double()
    alpha = exponent(c1, c_prime, correlation(data))
    growth = rate_h(run) / 2 * torch.exp(-size)
    reach = (growth.unsqueeze(-1) * share * data.norms.double() ** 2) * t.reshape(-1, *[1] * share.ndim)
    bound = 2 * size + (-alpha.unsqueeze(-1) * torch.log1p(reach)).logsumexp(-1) - math.log(data.n)
    slack, place = worst_of((bound - run.log_loss[1:]).exp(), "record")
    numbers = {"c1": float(c1.min()), "c'": float(c_prime.max()), "alpha": float(alpha.min())}
    numbers["beta"] = float(size.max())
    seen = ", ".join(f"{name} = {numbers[key]:.3f}" for name, key in (("c₁", "c1"), ("c'", "c'"), ("α", "alpha")))
    why = f"the bound is at least {slack:.3f} times the loss, with {seen}."
    return decide("K-G.1", Finding(slack, why, place, numbers), given)
