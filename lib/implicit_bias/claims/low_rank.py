r"""Frei et al., Theorem 4.2 and Lemmas E.12, E.13: descent on smooth leaky networks has small rank from step 1 on.

Each check takes a run of descent from its start, single or batched. ω of A2 is the root mean square of W(0). Sums over
all steps are exact where every step is recorded, and bracketed between records otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..hypotheses import H_4_2, Hypothesis, loss_ratio_constant
from ..losses import LOGISTIC
from ..measures import networks
from ..trajectory import Trajectory
from . import low_rank_instances as cases
from .common import LIMIT_SEEN, NO_LIMIT_REFUTED, fitted_rate
from .kkt_items import leak_of
from .loss_ratio import BELOW, step_and_start
from .loss_ratio_instances import run_from_large
from .loss_ratio_tools import smooth_leaky_setting
from .low_rank_tools import (
    log_loss_bound,
    moved_rank_bound,
    pull_sums,
    rank_constant,
    small_start_rank_bound,
    steps_after_start,
)
from .registry import register
from .verdict import Finding, Verdict, decide, sentences, worst_of

__all__ = [
    "along_mu",
    "frobenius",
    "frobenius_bound",
    "loss_vanishes",
    "neurons_grow",
    "rank_bounded",
    "spectral",
    "spectral_bound",
]

CHAPTER = "low_rank"

SMALL_LOSS = 0.1
"""Growth is fitted where the loss is below this: before, margins are of order one and follow no
power.
"""


# -- E.12, E.13: two norms -------------------------------------------------------------------------------------------


def _conditions_of_4_2(run: Trajectory, delta: float) -> tuple[Hypothesis, ...]:
    net, data = run.initial, run.data
    step = step_and_start(net, data, run.step_size, delta)
    return (*smooth_leaky_setting(net, run.loss), H_4_2(data, leak_of(net)), *step)


def frobenius_bound(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Both sides (T', ...) of F-E.12 at the records with t ≥ 1: ``‖W(t)‖_F`` and its bound (with the lower bracket of
    the sum).
    """
    places, data = steps_after_start(run), run.data
    total, step = pull_sums(run)[0][places], torch.as_tensor(run.step_size, dtype=torch.float64)
    rate = (2 * loss_ratio_constant(data, leak_of(run.initial)) / data.n).sqrt() * data.R_max.double()
    return run.frobenius[places], run.initial.frobenius() + rate * step * total


@register(
    "F-E.12",
    "The Frobenius norm grows slowly",
    "‖W(t)‖_F ≤ ‖W(0)‖_F + √(2C_R) R_max (α/√n) Σ_{s<t} G(W(s)), t ≥ 1.",
    "Lemma E.12",
    chapter=CHAPTER,
    positive=cases.many,
    negative=cases.crowd,
)
def frobenius(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-E.12 on a run of descent: both sides at every record with t ≥ 1; the worst. ``constants`` has the best constant
    in place of ``√(2C_R)``.

    As ``‖∇L‖_F ≤ R_max G`` for any network, √n in its place would always do: for n ≤ 2C_R the lemma says nothing.
    """
    left, right = frobenius_bound(run)
    slack, place = worst_of(right / left, "record")
    own = run.initial.frobenius()
    constant = (2 * loss_ratio_constant(run.data, leak_of(run.initial))).sqrt()
    best = float((constant * (left - own) / (right - own)).max())
    why = f"the bound is at least {slack:.3f} times ‖W(t)‖_F; {best:.3f} would do for √(2C_R)."
    few = bool((constant >= math.sqrt(run.data.n)).all())
    empty = "√n is no larger than √(2C_R), and ‖∇L‖_F ≤ R_max G gives the bound with √n." if few else ""
    return decide("F-E.12", Finding(slack, why, place, {"best": best}, empty), _conditions_of_4_2(run, delta))


def along_mu(run: Trajectory) -> Tensor:
    """``sign(a_j) ⟨w_j(t), μ̂⟩`` (T, ..., m) at every record."""
    net, mu = networks(run), run.data.mu_hat
    return net.a.sign() * (net.weights @ mu.unsqueeze(-1)).squeeze(-1)


def spectral_bound(run: Trajectory) -> tuple[Tensor, Tensor]:
    """The bounds (T', ...) of F-E.13 on ``sign(a_j)⟨w_j, μ̂⟩`` and on ``‖W(t)‖_2`` at the records with t ≥ 1 (upper
    bracket of the sum).
    """
    places, net, data = steps_after_start(run), run.initial, run.data
    total = pull_sums(run)[1][places] * torch.as_tensor(run.step_size, dtype=torch.float64)
    gamma, low = torch.as_tensor(leak_of(net), dtype=torch.float64), data.R_min.double()
    inner = gamma * low**2 / (4 * math.sqrt(net.m)) * total
    return inner, gamma * low / (4 * math.sqrt(2) * data.R.double() * math.sqrt(data.n)) * total


@register(
    "F-E.13",
    "Every neuron turns to μ̂",
    "sign(a_j)⟨w_j(t), μ̂⟩ ≥ (αγR_min²/(4√m)) Σ_{s<t} G(W(s)), and "
    "‖W(t)‖_2 ≥ (αγR_min/(4√2 R√n)) Σ_{s<t} G(W(s)), t ≥ 1.",
    "Lemma E.13",
    chapter=CHAPTER,
    positive=cases.every_step,
    negative=run_from_large,
)
def spectral(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-E.13 on a run of descent: every neuron's product with μ̂, and the spectral norm, at every record with t ≥ 1."""
    places = steps_after_start(run)
    inner, norm = spectral_bound(run)
    products = along_mu(run)[places] / inner.unsqueeze(-1)
    norms = run.spectral[places] / norm
    numbers = {"neurons": float(products.min()), "norm": float(norms.min())}
    which = "neurons" if numbers["neurons"] < numbers["norm"] else "norm"
    slack, place = worst_of(*((products, "(record, neuron)") if which == "neurons" else (norms, "record")))
    why = (
        f"sign(a_j)⟨w_j, μ̂⟩ is at least {numbers['neurons']:.3f} times its bound, ‖W(t)‖_2 at least "
        f"{numbers['norm']:.3f} times."
    )
    return decide("F-E.13", Finding(slack, why, place, numbers), _conditions_of_4_2(run, delta))


# -- Theorem 4.2 -----------------------------------------------------------------------------------------------------


@register(
    "F-4.2.1",
    "The loss tends to zero",
    "Under H-4.2, A1, A2, with probability 1-δ: L(W(t)) ≤ √(C_1 n/(R_min² α t)), t ≥ 1; from the proof "
    "L(W(t)) ≤ 2√(16 L(W(0)) n R²/(γ² R_min² α (t+1))).",
    "Theorem 4.2, part 1",
    chapter=CHAPTER,
    positive=cases.long,
    negative=cases.both_labels,
)
def loss_vanishes(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-4.2.1 on a run of descent: the loss against the bound with the proof's constant at every record with t ≥ 1.
    ``constants`` has the smallest C_1 that is enough, and the power of t that the last decade shows.
    """
    places, gamma, data = steps_after_start(run), leak_of(run.initial), run.data
    log_loss = run.log_loss[places]
    log_bound = log_loss_bound(run, gamma)
    slack, place = worst_of((log_bound - log_loss).exp(), "record")
    t = run.step[places].double().reshape(-1, *[1] * (log_loss.ndim - 1))
    step = torch.as_tensor(run.step_size, dtype=torch.float64)
    enough = (2 * log_loss).exp() * data.R_min.double() ** 2 * step * t / data.n
    late = (t >= t[-1] / 10).flatten()
    power = math.nan
    if int(late.sum()) >= 3:
        x, y = t[late].log() - t[late].log().mean(0), log_loss[late]
        power = float(((x * y).sum(0) / (x * x).sum(0)).max())
    numbers = {"C_1": float(enough.max()), "power": power}
    bound = f"the bound is at least {slack:.3f} times the loss; C_1 = {numbers['C_1']:.2e} would do."
    fall = f"Over the last decade of steps L goes like t^{power:.2f}." if math.isfinite(power) else ""
    hypotheses = _conditions_of_4_2(run, delta)
    finding = Finding(slack, sentences(bound, fall), place, numbers)
    return decide("F-4.2.1", finding, hypotheses, unsettled=_early(run, log_bound))


def _early(run: Trajectory, log_bound: Tensor) -> str:
    """Why a run of steps that never raise the loss is too short: the bound (T', ...) is still above L(W(0))."""
    start = LOGISTIC.log_mean(run.data.y * run.initial(run.data.x))
    short = bool((log_bound[-1] > start).any())
    why = "The run ends while the bound is above the loss at the start, which small steps never exceed:"
    return why if short else ""


@register(
    "F-4.2.2",
    "Every neuron grows without bound",
    "Under H-4.2, A1, A2, with probability 1-δ: ‖w_j(t)‖ → ∞ for every j.",
    "Theorem 4.2, part 2",
    chapter=CHAPTER,
    positive=cases.long,
    negative=cases.both_labels,
)
def neurons_grow(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-4.2.2 on one run of descent: the shortest neuron's way ``min_j ‖w_j(t) - w_j(0)‖`` against
    the margin that all samples would have at this loss, ``ℓ⁻¹(L)``, which grows like log t. The way
    is seen to follow it where the loss is small and the fitted power is between ½ and 2.
    """
    places = steps_after_start(run)
    way = (networks(run).weights - run.initial.weights).norm(dim=-1).amin(-1)[places]
    loss = run.log_loss[places].exp()
    hypotheses = _conditions_of_4_2(run, delta)
    # Batches: the member whose shortest neuron ends shortest.
    if way.ndim > 1:
        worst = int(way[-1].flatten().argmin())
        way = way.flatten(1)[:, worst]
        loss = loss.flatten(1)[:, worst]
    finding, unsettled = _follows_margin(way, loss)
    return decide("F-4.2.2", finding, hypotheses, unsettled=unsettled)


def _follows_margin(way: Tensor, loss: Tensor) -> tuple[Finding, str]:
    """Whether a way (T,) follows ``ℓ⁻¹(L)`` of a loss (T,), and what leaves that open: no finite
    run refutes it.
    """
    end = float(loss[-1])
    numbers = {"shortest": float(way[-1]), "loss": end}
    grown = loss < SMALL_LOSS
    if int(grown.sum()) < 3:
        why = f"L only came from {float(loss[0]):.2f} to {end:.2f}: no growth to be seen."
        return Finding(0.0, why, "", numbers), "The loss has not become small, and a finite run refutes no limit:"
    margin = -torch.log(torch.expm1(loss[grown]))
    power = fitted_rate(margin, 1 / way[grown])
    if math.isnan(power):
        slack = math.nan
    elif power <= 0:
        slack = 0.0
    else:
        slack = min(power / 0.5, 2 / power, LIMIT_SEEN / end)
    why = f"the shortest neuron's way is {float(way[-1]):.2e} at L = {end:.3g}, growing like ℓ⁻¹(L)^{power:.3f}."
    finding = Finding(slack, why, "", numbers | {"power": power})
    return finding, "" if finding.true else NO_LIMIT_REFUTED


@register(
    "F-4.2.3",
    "The stable rank stays bounded",
    "Under H-4.2, A1, A2, with probability 1-δ: sup_{t≥1} StableRank(W(t)) ≤ C_2, from the proof C_2 = 256 C_R R⁴/γ²; "
    "proved here, and used by the controls: 1.04 (1+γ)²/(4γ).",
    "Theorem 4.2, part 3",
    chapter=CHAPTER,
    positive=lambda: (*cases.every_step(), 0.01, float(small_start_rank_bound(0.5))),
    negative=lambda: (*run_from_large(), 0.01, float(small_start_rank_bound(0.5))),
)
def rank_bounded(run: Trajectory, delta: float = 0.01, constant: float | Tensor | None = None) -> Verdict:
    """F-4.2.3 on a run of descent: the largest stable rank at t ≥ 1 against C_2, or against ``constant``.

    A stable rank never exceeds the number of rows or columns: a constant that is no smaller says nothing.
    ``constants`` has C_2, and the bounds proved in the chapter: ``moved`` for W(t) - W(0), ``small start`` for W(t).
    """
    places, net, data = steps_after_start(run), run.initial, run.data
    gamma = leak_of(net)
    bound = rank_constant(data, gamma) if constant is None else torch.as_tensor(constant, dtype=torch.float64)
    ranks = run.stable_rank[places]
    slack, place = worst_of(bound / ranks, "record")
    numbers = {
        "largest": float(ranks.max()),
        "C_2": float(rank_constant(data, gamma).max()),
        "moved": float(moved_rank_bound(data, gamma).max()),
        "small start": float(small_start_rank_bound(gamma).max()),
    }
    name = "C_2" if constant is None else "the constant given"
    why = f"the stable rank is at most {numbers['largest']:.4f} from step 1 on; {name} is {float(bound.max()):.4g}."
    rows, columns = net.m, data.ambient_dim
    full = float(bound.min()) >= min(rows, columns)
    empty = f"no matrix of {rows} rows and {columns:,} columns has a stable rank above {name}." if full else ""
    finding = Finding(slack, why, place, numbers, empty)
    proved = bool((bound >= small_start_rank_bound(gamma)).all())
    unsettled = "" if finding.true or proved else BELOW
    return decide("F-4.2.3", finding, _conditions_of_4_2(run, delta), unsettled=unsettled)
