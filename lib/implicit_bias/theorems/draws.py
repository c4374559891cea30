r"""Bounds that a draw may break with probability δ: counting breaks, and testing
entries against their law.

A check counts: it holds where no larger share than δ of the draws breaks the bound, and
fails where so many do that chance explains them once in 10⁴ times at most. Between, as
for one single draw that breaks it, it is undecided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..hypotheses.hypothesis import Hypothesis
from .verdict import Finding

__all__ = ["ALPHA", "CHANCE", "Count", "excused", "follows_normal"]


CHANCE = 1e-4
"""Breaks that are rarer than this under δ refute it."""


ALPHA = 1e-9
"""Level of the tests whether entries follow their law: evidence against it, not for it."""


@dataclass(frozen=True)
class Count:
    """How the draws of a check fared: the worst ``slack`` once the share δ is set
    aside, its place, how many are ``broken``, and whether they refute the bound.
    """

    slack: float
    index: int
    draws: int
    broken: int
    refuted: bool

    @classmethod
    def of(cls, slack: Tensor, delta: float) -> Count:
        """Count the slacks (...) below 1."""
        slack = torch.atleast_1d(slack).flatten()
        count = slack.numel()
        worst = slack.sort()
        aside = min(math.floor(delta * count + 1e-9), count - 1)
        broken = int((slack < 1).sum())
        return cls(
            float(worst.values[aside]),
            int(worst.indices[aside]),
            count,
            broken,
            _at_least(broken, count, delta) <= CHANCE,
        )

    def finding(self, why: str, constants: dict[str, float]) -> Finding:
        """A finding whose slack is NaN where the draws neither agree with δ nor refute
        it.
        """
        open_ = self.slack < 1 and not self.refuted
        return Finding(
            math.nan if open_ else self.slack, why, f"draw {self.index}", constants
        )

    def unsettled(self) -> str:
        """A sentence for the open case."""
        if self.slack >= 1 or self.refuted:
            return ""
        return (
            f"{self.broken} of {self.draws} draws neither agree with δ nor refute it:"
        )


def excused(count: int, delta: float) -> int:
    """How many of ``count`` draws may break a statement of probability 1-δ: four
    standard deviations above the mean.
    """
    return min(int(delta * count + 4 * math.sqrt(delta * count)), count - 1)


def _at_least(broken: int, count: int, delta: float) -> float:
    """``P(X ≥ broken)`` for X binomial(count, δ)."""
    k = torch.arange(broken, count + 1, dtype=torch.float64)
    n = torch.tensor(float(count), dtype=torch.float64)
    terms = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    terms = terms + k * math.log(delta) + (n - k) * math.log1p(-delta)
    return min(float(torch.logsumexp(terms, 0).exp()), 1.0)


def follows_normal(values: Tensor, scale: Tensor) -> Hypothesis:
    """The law of ``W(0)`` as far as its entries tell: those of ``values`` (..., m, d)
    over ``scale`` (...) are not told from N(0, 1) by a Kolmogorov-Smirnov test, and no
    row is zero.
    """
    entries = (
        (values.double() / scale.double()[..., None, None]).flatten().sort().values
    )
    below = torch.special.ndtr(entries)
    rank = torch.arange(entries.numel() + 1, dtype=torch.float64) / entries.numel()
    gap = torch.maximum((below - rank[:-1]).abs(), (rank[1:] - below).abs()).amax()
    allowed = math.sqrt(math.log(2 / ALPHA) / 2 / entries.numel())
    empty = not bool((values != 0).any(-1).all())
    gap = torch.full_like(gap, math.inf) if empty or not bool(gap.isfinite()) else gap
    return Hypothesis(
        "law",
        "the entries of W(0) are i.i.d. N(0, σ₀²)",
        torch.full_like(gap, allowed),
        gap,
    )
