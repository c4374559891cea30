r"""S-8: how balanced the coefficients really are. The true exponent in γ is 1, in R it
is -2, and the constant is known.
"""

from __future__ import annotations

import math
from functools import cache

import torch

from ...data.made_to_order import correlated, from_gram
from ...networks.activations import leaky_relu
from ...training.trajectory import Trajectory
from ..claim import register
from ..kou2023.b03_growth import CHAPTER
from ..kou2023.balances import balance_along, descent_of_K, too_short
from ..kou2023.sample_clocks import ceiling, clocks_of
from ..verdict import Finding, Verdict, decide, worst_of

__all__ = ["balance_exponent"]


RATIO_ROUNDING = 1e-9
"""A linear network from a zero start meets the floor with equality."""


@cache
def _several_leaks() -> tuple[Trajectory]:
    """Slopes from 0.2 to 0.8 as one batch, lengths from 1 to 1.5; p is what the theorem
    allows the smallest slope.
    """
    gamma = torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64)
    data = correlated(4, p=0.0105, signs="oppose", norms=[1, 1.2, 1.3, 1.5])
    return (descent_of_K(data, 8, leaky_relu(gamma), 20_000, C=300.0),)


@cache
def _fitted_by_others() -> tuple[Trajectory]:
    """One sample leans on all others, of its class and of the other, so that it is
    fitted without pulling itself.
    """
    n = 17
    lean = 0.24
    agreement = torch.eye(n, dtype=torch.float64)
    agreement[0, 1:] = agreement[1:, 0] = lean
    y = torch.tensor([1.0, -1.0]).double().repeat(n)[:n]
    data = from_gram(agreement * torch.outer(y, y), y=y)
    return (descent_of_K(data, 8, leaky_relu(0.5), 200_000, C=2.0),)


@register(
    "S-8",
    "One power of the leak is lost, not two or four",
    "Leaky ReLU: if ηR_max² ≤ nm and 2(n-1)pD ≤ γR_min², then |ρ_{j,r,i}| ≥ "
    "(γ/D)|ρ_{j',r',i'}| at every step, with"
    " D = max(3, R²e^{2E}), E = 2β/γ + (1-γ)ηR_max²/(nm), β = max|⟨w_j(0),x_i⟩|; and "
    "the least ratio tends to γ/R² as"
    " the start, the step and p do to 0: γ¹/R², not γ² or γ⁴. ReLU, r ∈ S_i(0): "
    "|ρ_{y_i,r,i}| ≥ |ρ_{j,r',i'}|/D with"
    " D = max(5, R²e^{2β}), if all |S_i(0)| ≥ 0.4m, ηR_max² ≤ 3.6nm and 10(n-1)pD ≤ "
    "R_min²; at p = 0, if no S_i(0) is"
    " empty, 1/D = min(min|S_i(0)|/max|S_i(0)|, e^{-2β}/R²).",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=_several_leaks,
    negative=_fitted_by_others,
    status="proved here",
)
def balance_exponent(run: Trajectory) -> Verdict:
    """S-8 on a run of descent, or a batch, leaky ReLU or ReLU: the least ratio of
    coefficients over the run between the floor of the theorem (with δ in place of its
    largest value) and its ceiling.

    ``constants``: the ``least`` ratio of the tightest run, its ``floor`` and
    ``ceiling``, and the largest least ratio in units of the sharp value γ/R²
    (``sharp``); for a batch of at least three slopes the fitted ``exponent`` of γ.
    """
    ours = clocks_of(run)
    net = run.initial
    step, ratio = balance_along(run, ours.which)
    least = ratio.amin(0)
    floor, top = (
        value.expand(least.shape) for value in (ours.floor, ceiling(run, ours, step))
    )
    between = torch.minimum(least / floor, top / least) + RATIO_ROUNDING
    slack, place = worst_of(between, "run")
    k = int(between.flatten().argmin())
    named = {"least": least, "floor": floor, "ceiling": top}
    numbers = {name: float(value.flatten()[k]) for name, value in named.items()}
    leak = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    gamma = torch.ones((), dtype=torch.float64) if ours.which == "active" else leak
    numbers["sharp"] = float((least * run.data.R.double() ** 2 / gamma).max())
    lies = "not between" if slack < 1 else "between"
    low = numbers["floor"]
    high = numbers["ceiling"]
    seen = (
        f"the least ratio over the run is {numbers['least']:.4f}, {lies} {low:.4f} "
        f"and {high:.4f}"
    )
    power = ""
    if gamma.numel() >= 3 and gamma.shape == least.shape:
        x = gamma.log() - gamma.log().mean()
        y = least.log()
        numbers["exponent"] = float((x * (y - y.mean())).sum() / (x * x).sum())
        power = f"; over the slopes it goes like γ^{numbers['exponent']:.2f}"
    finding = Finding(
        slack if slack < math.inf else math.nan, f"{seen}{power}.", place, numbers
    )
    return decide(
        "S-8", finding, ours.hypotheses, unsettled=too_short(run) if slack >= 1 else ""
    )
