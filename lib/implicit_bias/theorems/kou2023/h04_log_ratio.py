"""Kou et al., Lemma H.4: a ratio of logarithms only rises."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...hypotheses.hypothesis import Hypothesis
from ...values.checks import fail
from ...values.scalars import numbers, positive
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of

__all__ = ["ratio_of_logs", "ratio_rises"]


CHAPTER = "decomposition"


SEQUENCE_ROUNDING = 1e-12
"""Relative error allowed to what float64 computes here; the bounds are met with
equality at t = 0 and nearly later.
"""


def ratio_of_logs(a: float | Tensor, b: float | Tensor, t: Tensor) -> Tensor:
    """``log(1 + at)/log(1 + bt)``, which runs from a/b at t = 0 to 1 at infinity."""
    a, b, t = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b, t))
    return _log1p(a, t) / _log1p(b, t)


def _log1p(a: Tensor, t: Tensor) -> Tensor:
    """``log(1 + at)``, also where the product overflows."""
    product = a * t
    return torch.where(product.isinf(), a.log() + t.log(), product.log1p())


def _many_times() -> Tensor:
    return torch.logspace(-6, 12, 200, dtype=torch.float64)


@register(
    "K-H.4",
    "A ratio of logarithms only rises",
    "log(1+at)/log(1+bt) is increasing in t > 0 for b > a > 0.",
    "K, Lemma H.4",
    chapter=CHAPTER,
    positive=lambda: (0.3, 2.0, _many_times()),
    negative=lambda: (2.0, 0.3, _many_times()),
)
def ratio_rises(a: float | Tensor, b: float | Tensor, t: Tensor) -> Verdict:
    """K-H.4 at numbers ``a``, ``b`` (or tensors (...) of them) and increasing times
    ``t`` (T,) above 0: the least factor from one time to the next, to a relative 1e-12.
    A ratio that moves by less over all times is undecided.
    """
    a, b = _rates(a, b)
    positive(t, "t")
    t = numbers(t, "t")
    if t.ndim != 1 or t.numel() < 2 or not bool((t.diff() > 0).all()):
        fail("t", "at least two increasing times", f"shape {tuple(t.shape)}")
    f = ratio_of_logs(a, b, t.reshape(-1, *(1,) * a.ndim))
    factor = f[1:] / f[:-1] * (1 + SEQUENCE_ROUNDING)
    slack, _ = worst_of(factor, "")
    k = int(factor.reshape(t.numel() - 1, -1).amin(-1).argmin())
    span = f"from t = {float(t[0]):.1g} to {float(t[-1]):.1g}"
    rise = f"it goes from {float(f[0].min()):.4f} to {float(f[-1].min()):.4f}"
    why = (
        f"{span} {rise}, and each step multiplies it by at least {min(slack, 1.0):.6f}."
    )
    order = Hypothesis(
        "order", "b > a > 0", b, a.nextafter(torch.full_like(a, math.inf))
    )
    still = slack >= 1 and bool((f[-1] / f[0] <= 1 + 10 * SEQUENCE_ROUNDING).any())
    finding = Finding(math.nan if still else slack, why, f"t = {float(t[k]):.3g}")
    return decide(
        "K-H.4",
        finding,
        (order,),
        unsettled="It rises by less than rounding:" if still else "",
    )


def _rates(a: object, b: object) -> tuple[Tensor, Tensor]:
    """Two positive numbers, or tensors of them that fit each other."""
    for value, name in ((a, "a"), (b, "b")):
        positive(value, name)
        if numbers(value, name).numel() == 0:
            fail(name, "at least one number", "none")
    a = numbers(a, "a")
    b = numbers(b, "b")
    try:
        return torch.broadcast_tensors(a, b)
    except RuntimeError:
        return fail(
            "b",
            f"one number, or a shape that fits a's {tuple(a.shape)}",
            f"shape {tuple(b.shape)}",
        )
