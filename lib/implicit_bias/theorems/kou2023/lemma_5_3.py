"""Kou et al., Lemma 5.3 (H.1 and H.2): sequences that climb by ``e^{-x}``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...hypotheses.hypothesis import Hypothesis
from ...values.checks import as_float_tensor, fail, finite
from ...values.scalars import numbers, positive, positive_int
from ..claim import register
from ..setting import yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = ["climb", "extremes", "log_bounds", "log_lemma", "sharp_bound"]


CHAPTER = "decomposition"


SEQUENCE_ROUNDING = 1e-12
"""Relative error allowed to what float64 computes here; the bounds are met with
equality at t = 0 and nearly later.
"""


def log_bounds(
    x0: float | Tensor,
    C1: float | Tensor,
    C2: float | Tensor,
    t: Tensor,
    sign: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """``log(e^{x_0} + C1 t)`` and ``log(e^{x_0} + C2 e^{C2} t)`` at times ``t``;
    ``sign=-1`` has ``e^{-x_0}`` for ``e^{x_0}``, as the main text prints.
    """
    x0, C1, C2, t = (
        torch.as_tensor(value, dtype=torch.float64) for value in (x0, C1, C2, t)
    )
    start = sign * x0
    log_t = t.log()
    return torch.logaddexp(start, C1.log() + log_t), torch.logaddexp(
        start, C2.log() + C2 + log_t
    )


def sharp_bound(x0: float | Tensor, C2: float | Tensor, t: Tensor) -> Tensor:
    """``log(e^{x_0} + t e^{x_0}(exp(C2 e^{-x_0}) - 1))``: never above the upper bound
    of Lemma 5.3, and equal to the largest ``x_1`` at t = 1 (proved in the chapter).
    """
    x0, C2, t = (torch.as_tensor(value, dtype=torch.float64) for value in (x0, C2, t))
    u = C2 * torch.exp(-x0)
    log_step = torch.where(u < 30, u.clamp_max(30).expm1().log(), u)
    return x0 + torch.logaddexp(torch.zeros_like(t), t.log() + log_step)


def climb(
    x0: float,
    C1: float,
    C2: float,
    steps: int,
    choose: Callable[[int, float], float],
) -> Tensor:
    """A sequence (steps+1,) from ``x0`` whose step is ``e^{-x}`` times
    ``C1 + (C2 - C1) choose(t, x)``, choices in [0, 1].
    """
    _positive_pair(C1, C2)
    x = [float(numbers(x0, "x0"))]
    for t in range(positive_int(steps, "steps")):
        share = float(choose(t, x[-1]))
        if not 0 <= share <= 1:
            fail("choose", "values in [0, 1]", share)
        x.append(x[-1] + (C1 + (C2 - C1) * share) * math.exp(-x[-1]))
    return torch.tensor(x, dtype=torch.float64)


def extremes(x0: float, C1: float, C2: float, steps: int) -> tuple[Tensor, Tensor]:
    """The least and the greatest ``x_t`` (steps+1,) that any sequence of Lemma 5.3
    reaches, exactly.

    What is reachable at t is an interval. ``x + C e^{-x}`` is convex in x, so its
    largest value there is at an end and its smallest at ``log C``, or at the end
    nearest to it.
    """
    _positive_pair(C1, C2)
    low = [float(numbers(x0, "x0"))]
    high = [float(x0)]
    for _ in range(positive_int(steps, "steps")):
        a = low[-1]
        b = high[-1]
        bottom = min(max(math.log(C1), a), b)
        low.append(bottom + C1 * math.exp(-bottom))
        high.append(max(end + C2 * math.exp(-end) for end in (a, b)))
    return torch.tensor(low, dtype=torch.float64), torch.tensor(
        high, dtype=torch.float64
    )


def _positive_pair(C1: float, C2: float) -> None:
    positive(C1, "C1")
    positive(C2, "C2")
    if not C1 <= C2:
        fail("C1", "at most C2", f"C1 = {C1}, C2 = {C2}")


def _hugging() -> tuple[Tensor, float, float]:
    """The two extreme sequences and some that jump between them, from x_0 = 0 and 2."""
    kinds = [
        lambda t, x: 0.0,
        lambda t, x: 1.0,
        lambda t, x: t % 2,
        lambda t, x: float((t // 50) % 2),
    ]
    runs = [climb(x0, 0.2, 1.5, 2000, kind) for x0 in (0.0, 2.0) for kind in kinds]
    return torch.stack(runs, dim=-1), 0.2, 1.5


def _too_fast() -> tuple[Tensor, float, float]:
    """Steps of 3e^{-x} where 1.5e^{-x} is allowed."""
    return climb(0.0, 3.0, 3.0, 2000, lambda t, x: 0.0), 0.2, 0.3


@register(
    "K-5.3",
    "The log lemma",
    "x_t ≥ 0, C1 e^{-x_t} ≤ x_{t+1} - x_t ≤ C2 e^{-x_t}: log(e^{x_0} + C1 t) ≤ x_t ≤ "
    "log(e^{x_0} + C2 e^{C2} t).",
    "K, Lemma 5.3 with the sign of Lemmas H.1 and H.2 (the main text prints e^{-x_0}, "
    "which is false)",
    chapter=CHAPTER,
    positive=_hugging,
    negative=_too_fast,
)
def log_lemma(
    x: Tensor, C1: float | Tensor, C2: float | Tensor, sign: float = 1.0
) -> Verdict:
    """K-5.3 on a sequence ``x`` (T, ...), or a batch of them, time first; ``C1 ≤ C2``
    numbers or (...).

    Slack: the smaller of ``e^{x_t}`` over the lower bound's exponential and of the
    upper one's over ``e^{x_t}``, at t ≥ 1 (all of t with ``sign=-1``, the statement as
    the main text prints it).
    """
    x = as_float_tensor(x, "x").double()
    if x.ndim < 1 or x.shape[0] < 2 or not x.numel():
        fail(
            "x",
            "a sequence of at least two numbers, time first",
            f"shape {tuple(x.shape)}",
        )
    finite(x, "x")
    if sign not in (1, -1):
        fail("sign", "1, or -1 for the statement as printed", sign)
    C1, C2 = _ordered_pair(C1, C2, x.shape[1:])
    step = x[1:] - x[:-1]
    unit = torch.exp(-x[:-1])
    blur = SEQUENCE_ROUNDING * (1 + x[1:].abs())
    start = yes_or_no("start", "x_t ≥ 0", bool((x >= 0).all()))
    slow = Hypothesis(
        "steps below", "x_{t+1} - x_t ≥ C1 e^{-x_t}", step + blur, C1 * unit
    )
    fast = Hypothesis(
        "steps above",
        "x_{t+1} - x_t ≤ C2 e^{-x_t}",
        C2 * unit + blur,
        step.clamp_min(0),
    )
    t = torch.arange(x.shape[0], dtype=torch.float64).reshape(-1, *(1,) * (x.ndim - 1))
    low, high = log_bounds(x[0], C1, C2, t, sign)
    first = 0 if sign < 0 else 1
    gap = (torch.minimum(x - low, high - x) + SEQUENCE_ROUNDING * (1 + x.abs()))[first:]
    tightest = gap.reshape(gap.shape[0], -1).amin(-1)
    slack = float(tightest.min().exp())
    place = f"t = {int(tightest.argmin()) + first}"
    why = (
        f"over {x.shape[0] - 1} steps, e^x is tightest at {place}, a factor "
        f"{slack:.4f} inside the bounds."
    )
    if slack < 1:
        why = (
            f"at {place}, e^x is outside the bounds by a factor "
            f"{1 / max(slack, 1e-300):.3g}."
        )
    last = (x[-1] - math.log(x.shape[0] - 1)).exp()
    numbers_seen = {"C_low": float(last.min()), "C_high": float(last.max())}
    finding = Finding(slack, why, place, numbers_seen)
    # Steps that rounding hides are whatever the hypotheses say.
    hidden = bool(
        (C2 * unit <= blur).flatten(1).all(0).any()
        if unit.ndim > 1
        else (C2 * unit <= blur).all()
    )
    return decide(
        "K-5.3",
        finding,
        (start, slow, fast),
        unsettled="All steps are lost in rounding:" if hidden else "",
    )


def _ordered_pair(
    C1: object, C2: object, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """``0 < C1 ≤ C2``, each one number or one for each sequence."""
    pair = []
    for value, name in ((C1, "C1"), (C2, "C2")):
        positive(value, name)
        value = numbers(value, name)
        if value.numel() == 0 or value.ndim and tuple(value.shape) != tuple(shape):
            fail(
                name,
                f"one number, or one for each sequence {tuple(shape)}",
                f"shape {tuple(value.shape)}",
            )
        pair.append(value)
    if not bool((pair[0] <= pair[1]).all()):
        fail("C1", "at most C2", f"C1 = {C1}, C2 = {C2}")
    return pair[0], pair[1]
