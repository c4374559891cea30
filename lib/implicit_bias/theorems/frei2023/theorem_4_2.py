"""Frei et al., Theorem 4.2: descent on smooth leaky networks fits the data, grows every
neuron, and has small rank from step 1 on.

Each check takes a run of descent from its start, single or batched. ω of A2 is the root
mean square of W(0).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...losses import LOGISTIC
from ...measures.runs import networks
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ..claim import register
from ..limits import LIMIT_SEEN, NO_LIMIT_REFUTED, fitted_rate
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, sentences, worst_of
from . import rank_instances as cases
from .e04_loss_ratio import BELOW
from .e12_frobenius import _conditions_of_4_2
from .rank_bounds import (
    log_loss_bound,
    moved_rank_bound,
    rank_constant,
    small_start_rank_bound,
    steps_after_start,
)
from .smooth_instances import run_from_large

__all__ = ["loss_vanishes", "neurons_grow", "rank_bounded"]


CHAPTER = "low_rank"


SMALL_LOSS = 0.1
"""Growth is fitted where the loss is below this: before, margins are of order one and
follow no power.
"""


@register(
    "F-4.2.1",
    "The loss tends to zero",
    "Under H-4.2, A1, A2, with probability 1-δ: L(W(t)) ≤ √(C_1 n/(R_min² α t)), t ≥ "
    "1; from the proof "
    "L(W(t)) ≤ 2√(16 L(W(0)) n R²/(γ² R_min² α (t+1))).",
    "Theorem 4.2, part 1",
    chapter=CHAPTER,
    positive=cases.long,
    negative=cases.both_labels,
)
def loss_vanishes(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-4.2.1 on a run of descent: the loss against the bound with the proof's constant
    at every record with t ≥ 1. ``constants`` has the smallest C_1 that is enough, and
    the power of t that the last decade shows.
    """
    places = steps_after_start(run)
    gamma = leak_of(run.initial)
    data = run.data
    log_loss = run.log_loss[places]
    log_bound = log_loss_bound(run, gamma)
    slack, place = worst_of((log_bound - log_loss).exp(), "record")
    steps = recorded_steps(run)[places].double()
    t = steps.reshape(-1, *[1] * (log_loss.ndim - 1))
    step = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    enough = (2 * log_loss).exp() * data.R_min.double() ** 2 * step * t / data.n
    late = (t >= t[-1] / 10).flatten()
    power = math.nan
    if int(late.sum()) >= 3:
        x = t[late].log() - t[late].log().mean(0)
        y = log_loss[late]
        power = float(((x * y).sum(0) / (x * x).sum(0)).max())
    numbers = {"C_1": float(enough.max()), "power": power}
    bound = (
        f"the bound is at least {slack:.3f} times the loss; C_1 = "
        f"{numbers['C_1']:.2e} would do."
    )
    fall = (
        f"Over the last decade of steps L goes like t^{power:.2f}."
        if math.isfinite(power)
        else ""
    )
    hypotheses = _conditions_of_4_2(run, delta)
    finding = Finding(slack, sentences(bound, fall), place, numbers)
    return decide("F-4.2.1", finding, hypotheses, unsettled=_early(run, log_bound))


def _early(run: Trajectory, log_bound: Tensor) -> str:
    """Why a run of steps that never raise the loss is too short: the bound (T', ...) is
    still above L(W(0)).
    """
    start = LOGISTIC.log_mean(run.data.y * run.initial(run.data.x))
    short = bool((log_bound[-1] > start).any())
    why = (
        "The run ends while the bound is above the loss at the start, which small "
        "steps never exceed:"
    )
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
    """F-4.2.2 on one run of descent: the shortest neuron's way
    ``min_j ‖w_j(t) - w_j(0)‖`` against the margin that all samples would have at this
    loss, ``ℓ⁻¹(L)``, which grows like log t. The way is seen to follow it where the
    loss is small and the fitted power is between ½ and 2.
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
    """Whether a way (T,) follows ``ℓ⁻¹(L)`` of a loss (T,), and what leaves that open:
    no finite run refutes it.
    """
    end = float(loss[-1])
    numbers = {"shortest": float(way[-1]), "loss": end}
    grown = loss < SMALL_LOSS
    if int(grown.sum()) < 3:
        why = (
            f"L only came from {float(loss[0]):.2f} to {end:.2f}: no growth to be seen."
        )
        return Finding(
            0.0, why, "", numbers
        ), "The loss has not become small, and a finite run refutes no limit:"
    margin = -torch.log(torch.expm1(loss[grown]))
    power = fitted_rate(margin, 1 / way[grown])
    if math.isnan(power):
        slack = math.nan
    elif power <= 0:
        slack = 0.0
    else:
        slack = min(power / 0.5, 2 / power, LIMIT_SEEN / end)
    why = (
        f"the shortest neuron's way is {float(way[-1]):.2e} at L = {end:.3g}, "
        f"growing like ℓ⁻¹(L)^{power:.3f}."
    )
    finding = Finding(slack, why, "", numbers | {"power": power})
    return finding, "" if finding.true else NO_LIMIT_REFUTED


@register(
    "F-4.2.3",
    "The stable rank stays bounded",
    "Under H-4.2, A1, A2, with probability 1-δ: sup_{t≥1} StableRank(W(t)) ≤ C_2, from "
    "the proof C_2 = 256 C_R R⁴/γ²; "
    "proved here, and used by the controls: 1.04 (1+γ)²/(4γ).",
    "Theorem 4.2, part 3",
    chapter=CHAPTER,
    positive=lambda: (*cases.every_step(), 0.01, float(small_start_rank_bound(0.5))),
    negative=lambda: (*run_from_large(), 0.01, float(small_start_rank_bound(0.5))),
)
def rank_bounded(
    run: Trajectory, delta: float = 0.01, constant: float | Tensor | None = None
) -> Verdict:
    """F-4.2.3 on a run of descent: the largest stable rank at t ≥ 1 against C_2, or
    against ``constant``.

    A stable rank never exceeds the number of rows or columns: a constant that is no
    smaller says nothing. ``constants`` has C_2, and the bounds proved in the chapter:
    ``moved`` for W(t) - W(0), ``small start`` for W(t).
    """
    places = steps_after_start(run)
    net = run.initial
    data = run.data
    gamma = leak_of(net)
    bound = (
        rank_constant(data, gamma)
        if constant is None
        else torch.as_tensor(constant, dtype=torch.float64)
    )
    ranks = run.stable_rank[places]
    slack, place = worst_of(bound / ranks, "record")
    numbers = {
        "largest": float(ranks.max()),
        "C_2": float(rank_constant(data, gamma).max()),
        "moved": float(moved_rank_bound(data, gamma).max()),
        "small start": float(small_start_rank_bound(gamma).max()),
    }
    name = "C_2" if constant is None else "the constant given"
    why = (
        f"the stable rank is at most {numbers['largest']:.4f} from step 1 on; {name} "
        f"is {float(bound.max()):.4g}."
    )
    rows = net.m
    columns = data.ambient_dim
    full = float(bound.min()) >= min(rows, columns)
    empty = (
        f"no matrix of {rows} rows and {columns:,} columns has a stable rank above {name}."
        if full
        else ""
    )
    finding = Finding(slack, why, place, numbers, empty)
    proved = bool((bound >= small_start_rank_bound(gamma)).all())
    unsettled = "" if finding.true or proved else BELOW
    return decide(
        "F-4.2.3", finding, _conditions_of_4_2(run, delta), unsettled=unsettled
    )
