"""Kou et al., Theorem 4.3: for ReLU the stable rank stays bounded, and the loss falls like
a power of t.

Where the paper says "a constant", the one proved in the chapter for C = 40 is used, and
the best one is measured. The rate is the one that the proof gives with what is proved
for C = 40: at least ``0.4m`` neurons awake on each sample (``c' = 2.5``), and
coefficients within a factor ``c₁ = 1/(4R⁴)`` of each other.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import correlated
from ...hypotheses.hypothesis import Hypothesis
from ...measures.ranks import class_stable_rank
from ...measures.runs import networks
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.trajectory import Trajectory, recorded_steps
from ..claim import register
from ..limits import fitted_rate
from ..verdict import Finding, Verdict, decide, worst_of
from .balances import too_short
from .instances import one_each, opposing
from .relu_setting import (
    C_PROVED,
    SHARE,
    both_classes,
    class_rank_constant,
    paper_correlation,
    rate_h,
    setting_of_relu,
)

__all__ = [
    "bounded_rank",
    "loss_exponent",
    "loss_power",
    "moved_class_ranks",
    "proved_balance",
]


CHAPTER = "relu_patterns"


@cache
def _wide() -> tuple[Trajectory]:
    """As many samples, and neurons, as make ranks above the proved constant possible;
    all lean by p = 0.0002.
    """
    data = correlated(100, p=0.0002, signs="oppose")
    net = TwoLayer.init(data, 240, 240, relu(), 1e-4, output="1/m", seed=1)
    return (gradient_descent(net, data, 500.0, 2000, record=log_spaced(2000, 20)),)


def moved_class_ranks(run: Trajectory) -> Tensor:
    """``StableRank(W_j(t) - W_j(0))`` (T', ..., 2) at the records after step 0. As
    ``W_j(t)`` grows without bound and ``W_j(0)`` stays, its limits are those of
    ``StableRank(W_j(t))``.
    """
    moved = networks(run).weights[recorded_steps(run) > 0] - run.initial.weights
    return class_stable_rank(TwoLayer(moved, run.initial.a, run.initial.activation))


def _largest_rank(data: Dataset, net: TwoLayer) -> int:
    """What ``W_j(t) - W_j(0)`` adds lies in the span of n samples, and has m rows."""
    return min(data.n, net.m_pos, data.d)


@register(
    "K-4.3.a",
    "The stable rank stays bounded",
    "limsup StableRank(W_j(t)) ≤ c, both classes present. What is proved here has c = "
    "63 at R = 1 and equal classes, "
    "and grows with the ratio of class sizes; for n ≤ c it says nothing.",
    "Theorem 4.3",
    chapter=CHAPTER,
    positive=_wide,
    negative=lambda: (one_each(130),),
)
def bounded_rank(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-4.3.a over the last decade of a run, for ``W_j(t) - W_j(0)``, against the
    constant proved for C = 40; the best is what was seen.

    A rank that n or m alone keeps below the constant is left out: where both are, the
    bound says nothing. Seen in runs that come to ``10 nm/(ηR_max²)``, with three
    records in the last decade; a finite run refutes no limsup.
    """
    given = (*setting_of_relu(run, C), both_classes(run.data))
    recorded = recorded_steps(run)
    step = recorded[recorded > 0]
    last = recorded[-1]
    late = step >= last / 10
    if int(late.sum()) < 3:
        few = Finding(
            math.nan,
            f"the last decade of steps has {int(late.sum())} records; three are needed.",
        )
        return decide("K-4.3.a", few, given)
    seen = moved_class_ranks(run)[late].amax(0)
    bound = class_rank_constant(run.data)
    possible = _largest_rank(run.data, run.initial)
    slack, place = worst_of(
        torch.where(bound < possible, bound / seen, math.inf), "class"
    )
    worst = float(seen.max())
    c = float(bound.min())
    numbers = {
        "best c": worst,
        "c": c,
        "largest possible": float(possible),
        "last step": float(last),
    }
    why = (
        f"in steps {int(last // 10)} to {int(last)} at most {worst:.3f}; proved: c = "
        f"{c:.1f}."
    )
    silent = (
        f"no rank exceeds min(n, m) = {possible}, whatever the run."
        if not bool((bound < possible).any())
        else ""
    )
    finding = Finding(slack, why, place, numbers, silent)
    unsettled = (
        too_short(run, 10.0) if finding.true else "A finite run refutes no limsup:"
    )
    return decide("K-4.3.a", finding, given, unsettled=unsettled)


SPREAD = 3.0
"""A power is fitted to records of which the last is at least this many times later than the
first.
"""


NO_RATE_REFUTED = "A finite run refutes no rate:"


def proved_balance(data: Dataset) -> Tensor:
    """``c₁ = 1/(4R⁴)`` (...): ``|ρ_ji| ≥ c₁|ρ|`` for ``j ∈ S_i(0)``, since
    ``Γ_i ≤ 4R² Γ_k``.
    """
    return 1 / (4 * data.R.double() ** 4)


def loss_exponent(data: Dataset) -> tuple[Tensor, Tensor]:
    """``c₁(1-c₂s)/(1+c₂s)`` with ``c₁ = 1/c'² = 0.16`` and ``c₂ = 14R⁴``, and ``c₂ s``;
    each (...).
    """
    part = (1 + 1 / SHARE) / proved_balance(data) * paper_correlation(data)
    return SHARE**2 * (1 - part) / (1 + part), part


def _below_one(part: Tensor) -> Hypothesis:
    """``c₂ s < 1``, strictly."""
    part = part.double()
    return Hypothesis(
        "exponent",
        "c₂ s < 1, or the exponent is not positive",
        (part < 1).double(),
        part,
    )


def _power(run: Trajectory) -> float:
    """The power of t with which L falls over the last decade, the least of a batch; NaN
    with fewer than 3 records there or none three times later than another.
    """
    t = recorded_steps(run).double()
    late = t[t >= t[-1] / 10]
    if float(late[-1]) < SPREAD * float(late[0]):
        return math.nan
    series = run.log_loss.reshape(len(run), -1).T
    return float(torch.tensor([fitted_rate(t, one.exp()) for one in series]).min())


@register(
    "K-4.3.b",
    "The loss falls like a power of t",
    "L(t) = O(t^{-c₁(1-c₂s)/(1+c₂s)}), s = R_min⁻² p n.",
    "Theorem 4.3",
    chapter=CHAPTER,
    positive=opposing,
    negative=lambda: (one_each(4, asleep=1, steps=20_000),),
)
def loss_power(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-4.3.b: the power of t fitted over the last decade, against
    ``c₁ = 1/c'² = 0.16``, ``c₂ = 14R⁴`` (the proof's); measured too: ``h t L(t)``,
    bounded by the chapter's theorem.

    It is seen in runs that come to ``10 nm/(ηR_max²)``, with three records in the last
    decade, spread over a factor of 3. No finite run refutes it.
    """
    exponents, part = loss_exponent(run.data)
    t = float(recorded_steps(run)[-1])
    rate = _power(run)
    wanted = float(exponents.max())
    scaled = float((rate_h(run) * t * run.log_loss[-1].exp()).max())
    numbers = {"rate": rate, "exponent": wanted, "h t L": scaled, "last step": t}
    falls = (
        "has too few records for a power"
        if math.isnan(rate)
        else f"falls like t^-{rate:.3f}"
    )
    why = (
        f"L {falls} at t = {int(t)}, the exponent is {wanted:.3f}; η t L/(nm) = "
        f"{scaled:.3f}."
    )
    slack = max(rate, 0.0) / wanted if wanted > 0 and not math.isnan(rate) else math.nan
    finding = Finding(slack, why, f"t = {int(t)}", numbers)
    given = (*setting_of_relu(run, C), _below_one(part))
    return decide("K-4.3.b", finding, given, unsettled=_still_open(run, finding))


def _still_open(run: Trajectory, finding: Finding) -> str:
    if math.isnan(finding.slack):
        return "Too few records in the last decade to fit a rate."
    return too_short(run, 10.0) if finding.true else NO_RATE_REFUTED
