r"""Kou, Chen and Gu on ReLU: how fast the loss falls (Theorem 4.3 and Lemma G.1).

Both rates are those that the paper's proof gives with what the chapter proves for C = 40: at least
``0.4m`` neurons awake on each sample (``c' = 2.5``), and coefficients within a factor
``c₁ = 1/(4R⁴)`` of each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..data import Dataset
from ..hypotheses import Hypothesis
from ..trajectory import Trajectory
from .balance import too_short
from .common import active_shares, fitted_rate, largest_start, strictly_positive
from .registry import register
from .relu_patterns import CHAPTER, one_each, opposing, small_C
from .relu_tools import C_PROVED, SHARE, balance_of_active, exponent, paper_correlation, rate_h, setting_of_relu
from .verdict import Finding, Verdict, decide, worst_of

__all__ = ["log_bound", "loss_exponent", "proved_balance"]

SPREAD = 3.0
"""A power is fitted to records of which the last is at least this many times later than the
first.
"""

NO_RATE_REFUTED = "A finite run refutes no rate:"


def proved_balance(data: Dataset) -> Tensor:
    """``c₁ = 1/(4R⁴)`` (...): ``|ρ_ji| ≥ c₁|ρ|`` for ``j ∈ S_i(0)``, since ``Γ_i ≤ 4R² Γ_k``."""
    return 1 / (4 * data.R.double() ** 4)


def loss_exponent(data: Dataset) -> tuple[Tensor, Tensor]:
    """``c₁(1-c₂s)/(1+c₂s)`` with ``c₁ = 1/c'² = 0.16`` and ``c₂ = 14R⁴``, and ``c₂ s``; each
    (...).
    """
    part = (1 + 1 / SHARE) / proved_balance(data) * paper_correlation(data)
    return SHARE**2 * (1 - part) / (1 + part), part


def _below_one(part: Tensor) -> Hypothesis:
    """``c₂ s < 1``, strictly."""
    part = part.double()
    return Hypothesis(
        "exponent", "c₂ s < 1, or the exponent is not positive", (part < 1).double(), part
    )


def _power(run: Trajectory) -> float:
    """The power of t with which L falls over the last decade, the least of a batch; NaN with fewer
    than 3 records there or none three times later than another.
    """
    t = run.step.double()
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
    """K-4.3.b: the power of t fitted over the last decade, against ``c₁ = 1/c'² = 0.16``,
    ``c₂ = 14R⁴`` (the proof's); measured too: ``h t L(t)``, bounded by the chapter's theorem.

    It is seen in runs that come to ``10 nm/(ηR_max²)``, with three records in the last decade,
    spread over a factor of 3. No finite run refutes it.
    """
    exponents, part = loss_exponent(run.data)
    t = float(run.step[-1])
    rate = _power(run)
    wanted = float(exponents.max())
    scaled = float((rate_h(run) * t * run.log_loss[-1].exp()).max())
    numbers = {"rate": rate, "exponent": wanted, "h t L": scaled, "last step": t}
    falls = "has too few records for a power" if math.isnan(rate) else f"falls like t^-{rate:.3f}"
    why = f"L {falls} at t = {int(t)}, the exponent is {wanted:.3f}; η t L/(nm) = {scaled:.3f}."
    slack = max(rate, 0.0) / wanted if wanted > 0 and not math.isnan(rate) else math.nan
    finding = Finding(slack, why, f"t = {int(t)}", numbers)
    given = (*setting_of_relu(run, C), _below_one(part))
    return decide("K-4.3.b", finding, given, unsettled=_still_open(run, finding))


def _still_open(run: Trajectory, finding: Finding) -> str:
    if math.isnan(finding.slack):
        return "Too few records in the last decade to fit a rate."
    return too_short(run, 10.0) if finding.true else NO_RATE_REFUTED


# -- G.1 -------------------------------------------------------------------------------------------------------------


def log_bound(run: Trajectory, c1: Tensor) -> Tensor:
    """The logarithm (T', ...) of K-G.1's bound at the records after step 0, for the balance
    constant ``c1`` (...).
    """
    data = run.data
    share = active_shares(run.initial, data)
    size = largest_start(run.initial, data)
    alpha = exponent(c1, 1 / share.amin(-1), paper_correlation(data)).unsqueeze(-1)
    growth = (rate_h(run) / 2 * torch.exp(-size)).unsqueeze(-1) * share * data.norms.double() ** 2
    t = run.step[run.step > 0].double().reshape(-1, *[1] * share.ndim)
    return 2 * size + (-alpha * torch.log1p(growth * t)).logsumexp(-1) - math.log(data.n)


@register(
    "K-G.1",
    "The loss bound with its constants",
    "L(t) ≤ (e^{2β}/n) Σ_i (1 + η|S_i(0)|‖x_i‖²e^{-β}t/(2nm²))^{-α}, α = (1-(1+c')s/c₁)/(c'²(1+s/c₁)), t ≥ 1.",
    "Lemma G.1",
    chapter=CHAPTER,
    positive=opposing,
    negative=lambda: opposing(output=0.03, steps=2000),
)
def loss_bound(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-G.1 at every record, with β and c' of the start. The lemma takes c₁ from Lemma E.1. Here it
    holds when the run's own best c₁ is at least the one proved, ``1/(4R⁴)``, and the bound with
    that best c₁, which is the tighter one, is kept. It fails when the bound with the proved c₁ is
    broken. Seen once the bound is below ``L(0)``.
    """
    given = setting_of_relu(run, C)
    proved = proved_balance(run.data)
    after = run.step > 0
    if not bool(after.any()):
        return decide("K-G.1", Finding(math.nan, "no record after step 0."), given)
    c1 = balance_of_active(run)[0].amin(0)
    loss = run.log_loss[after]
    bound = log_bound(run, c1)
    slack, place = worst_of((bound - loss).exp(), "record")
    kept = float((log_bound(run, proved) - loss).amin().exp())
    least = float((c1 / proved).min())
    numbers = _bound_constants(run, c1) | {"with the proved c1": kept, "proved c1": float(proved.min())}
    seen = ", ".join(
        f"{name} = {numbers[key]:.3f}" for name, key in (("c₁", "c1"), ("c'", "c'"), ("α", "alpha"))
    )
    why = f"the bound is at least {slack:.3f} times the loss, with {seen} (proved: c₁ ≥ {float(proved.min()):.3g})."
    finding = Finding(min(slack, least) if slack == slack else slack, why, place, numbers)
    positive = strictly_positive("exponent", "α > 0 at the proved c₁", _alpha(run, proved))
    high = bool((bound[-1] >= run.log_loss[0] + 0 * bound[-1]).any())
    unsettled = "The bound has not come below L(0) yet:" if high else ""
    if not finding.true:
        unsettled = (
            small_C(C, finding)
            if kept < 1
            else "The bound is kept with the proved c₁, not with the run's own:"
        )
    return decide("K-G.1", finding, (*given, positive), unsettled=unsettled)


def _alpha(run: Trajectory, c1: Tensor) -> Tensor:
    return exponent(c1, 1 / active_shares(run.initial, run.data).amin(-1), paper_correlation(run.data))


def _bound_constants(run: Trajectory, c1: Tensor) -> dict[str, float]:
    share = active_shares(run.initial, run.data).amin(-1)
    alpha = _alpha(run, c1)
    size = largest_start(run.initial, run.data)
    return {
        "c1": float(c1.min()),
        "c'": float((1 / share).max()),
        "alpha": float(alpha.min()),
        "beta": float(size.max()),
    }
