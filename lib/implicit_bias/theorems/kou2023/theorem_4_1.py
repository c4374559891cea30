r"""Kou, Chen, Gu, Theorem 4.1: norms, stable rank, loss and margins of a leaky ReLU
network as t → ∞.

Each check takes a run of descent and, if there is one, the flow that goes on from its
end; ``scale`` is σ₀ (read off ``W(0)`` when not given), ``C`` the constant of H-K4.1,
``delta`` the probability allowed to an unlucky start.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ...measures.ranks import class_stable_rank
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ...values.scalars import positive
from ..claim import register
from ..limits import FLOW_ERROR, NO_LIMIT_REFUTED, decade_short, fitted_rate, read_limit
from ..verdict import Finding, Verdict, decide
from .instances import carried_along, dead, live, opposed, triangle
from .lemma_5_6 import CHAPTER
from .long_runs import LongRun, long_run
from .setting import conditions_of_K
from .starts import neuron_norms, start_shows

__all__ = [
    "loss_rate",
    "margins_equalise",
    "norms_grow",
    "paper_exponent",
    "rank_goes_to_one",
]


@register(
    "K-4.1.a",
    "Norms grow like log t",
    "‖w_{j,r}(t)‖ = Θ(log t) for all j, r as t → ∞.",
    "Theorem 4.1, first item",
    chapter=CHAPTER,
    positive=live,
    negative=opposed,
    rules={"run": (DESCENT, FLOW)},
)
def norms_grow(
    run: Trajectory,
    flow: Trajectory | None = None,
    *,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-4.1.a: the power of log t with which each neuron's norm grows over the last
    decade of log t, and the range of ``‖w_{j,r}‖/log t`` there. Seen where all powers
    are within a factor of 2 of 1, the decade is complete, and what was added outweighs
    the start; else undecided.
    """
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    late = joined.late
    clock = joined.log_step[late]
    norms = neuron_norms(joined)[late]
    if clock.numel() < 3:
        return decide(
            "K-4.1.a",
            Finding(math.nan, "too few records past step 2 to read a power."),
            hypotheses,
        )
    powers = torch.tensor(
        [fitted_rate(clock, 1 / column) for column in norms.T.clamp_min(1e-300)]
    )
    worst = int((powers.nan_to_num(nan=math.inf) - 1).abs().argmax())
    power = float(powers[worst])
    ratio = norms[-1] / clock[-1]
    slack = (
        min(max(power, 0.0) / 0.5, 2 / power)
        if power > 1e-9 or math.isnan(power)
        else 0.0
    )  # below, rounding
    low = float(ratio.min())
    high = float(ratio.max())
    growth = f"norms grow like (log t)^{power:.3f} (the neuron farthest from 1)"
    size = (
        f"‖w‖/log t is between {low:.3g} and {high:.3g} at log t = "
        f"{float(clock[-1]):.4g}"
    )
    why = f"{growth}, and {size}."
    finding = Finding(
        slack, why, f"neuron {worst}", {"power": power, "low": low, "high": high}
    )
    unsettled = (
        decade_short(clock)
        or start_shows(joined)
        or ("" if finding.true else NO_LIMIT_REFUTED)
    )
    return decide("K-4.1.a", finding, hypotheses, unsettled=unsettled)


@register(
    "K-4.1.b",
    "The rank of each class goes to one",
    "StableRank(W_j(t)) → 1 for j = ±1, with a gap of O(1/log t).",
    "Theorem 4.1, second item",
    chapter=CHAPTER,
    positive=live,
    negative=triangle,
    rules={"run": (DESCENT, FLOW)},
)
def rank_goes_to_one(
    run: Trajectory,
    flow: Trajectory | None = None,
    *,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-4.1.b: the larger of the two gaps ``StableRank(W_j) - 1`` against log t; the
    paper's law is 1/log t, S-3 says 1/log² t. With one neuron of a sign, or in one
    dimension, a rank of 1 says nothing.
    """
    joined = long_run(run, flow)
    late = joined.late
    gap = (class_stable_rank(joined.nets)[late] - 1).amax(-1)
    finding, unsettled = read_limit(
        joined.log_step[late], gap, "the larger StableRank(W_j) - 1"
    )
    if (
        max(joined.initial.m_pos, joined.initial.m_neg) == 1
        or joined.data.ambient_dim == 1
    ):
        finding = replace(
            finding, says_nothing="a matrix of one row or one column has rank 1."
        )
    unsettled = unsettled or (
        "" if finding.true else start_shows(joined) or NO_LIMIT_REFUTED
    )
    return decide(
        "K-4.1.b",
        finding,
        conditions_of_K(joined, scale, C, delta),
        unsettled=unsettled,
    )


def paper_exponent(run: LongRun, c: float = 1.0) -> float:
    """``(1-s)/(1+s)``, ``s = c γ⁻² R_min⁻² p n``: the power of 1/t that the theorem
    promises for the loss.
    """
    leak = float(
        torch.as_tensor(run.initial.activation.gamma, dtype=torch.float64).max()
    )
    if leak == 0 or float(run.data.p) == 0:
        return 1.0
    s = (
        c * float(run.data.p) * run.data.n / (leak**2 * float(run.data.R_min) ** 2)
        if run.data.R_min > 0
        else math.inf
    )
    return (1 - s) / (1 + s) if s < math.inf else -1.0


POWER_READABLE = math.log(100)
"""A power of 1/t is read where log t has come this far: a decade of t after the first
one.
"""


@register(
    "K-4.1.c",
    "The loss falls",
    "L(t) = O(t^{-(1-s)/(1+s)}), s = c γ⁻² R_min⁻² p n; O(1/t) when p = 0.",
    "Theorem 4.1, third item",
    chapter=CHAPTER,
    positive=live,
    negative=dead,
    rules={"run": (DESCENT, FLOW)},
)
def loss_rate(
    run: Trajectory,
    flow: Trajectory | None = None,
    *,
    constant: float = 1.0,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-4.1.c: the power of 1/t in the loss over the last decade of t (of log t along a
    flow) against the theorem's, for its c, the ``constant`` (left open in the paper).
    No finite run refutes an O(): a smaller power is undecided, and where ``s ≥ 1`` the
    theorem promises nothing. S-2 says that the power is 1 for every p.
    """
    positive(constant, "constant")
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    wanted = paper_exponent(joined, constant)
    power, clock = _power_of_loss(joined, flow is None)
    promise = f"t^-{wanted:.5f}" if wanted > 0 else "nothing, as s ≥ 1"
    why = (
        f"L falls like t^-{max(power, 0.0):.5f} up to log t = {clock:.4g}; the "
        f"theorem promises {promise}."
    )
    close = abs(power - wanted) <= 1e-9  # equal to rounding
    slack = (
        math.inf
        if wanted <= 0
        else 1.0
        if close
        else power / wanted
        if not power <= 1e-9
        else 0.0
    )
    silent = "" if wanted > 0 else f"s ≥ 1 at c = {constant:g}."
    finding = Finding(
        slack, why, f"log t = {clock:.4g}", {"power": power, "exponent": wanted}, silent
    )
    unsettled = (
        "The run is too short to read a power:"
        if math.isnan(power) or clock < POWER_READABLE
        else ""
    )
    return decide(
        "K-4.1.c",
        finding,
        hypotheses,
        unsettled=unsettled or ("" if finding.true else NO_LIMIT_REFUTED),
    )


def _power_of_loss(run: LongRun, alone: bool) -> tuple[float, float]:
    """Minus the slope of log L in log t late in the run, NaN with fewer than three
    records there; and the last log t.

    Late is the last decade of log t, and of t too where a run is ``alone``.
    """
    clock = run.log_step
    last = float(clock[-1])
    late = clock >= (max(last / 10, last - math.log(10)) if alone else last / 10)
    if int(late.sum()) < 3:
        return math.nan, last
    t = clock[late] - clock[late].mean()
    return float(-(t * run.log_loss[late]).sum() / (t * t).sum()), last


@register(
    "K-4.1.d",
    "All margins equalise",
    "max_i y_i f(x_i)/min_i y_i f(x_i) → 1 as t → ∞.",
    "Theorem 4.1 of the published version",
    chapter=CHAPTER,
    positive=live,
    negative=carried_along,
    rules={"run": (DESCENT, FLOW)},
)
def margins_equalise(
    run: Trajectory,
    flow: Trajectory | None = None,
    *,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-4.1.d: ``max/min - 1`` of the margins against log t, expected like
    ``log(λ_max/λ_min)/log t``; of one sample it says nothing.
    """
    joined = long_run(run, flow)
    q = joined.margins
    late = joined.late & (q.amin(-1) > 0) & (q[-1] > 0).all()
    gap = q[late].amax(-1) / q[late].amin(-1) - 1
    what = "max/min of the margins, minus 1,"
    finding, unsettled = read_limit(joined.log_step[late], gap, what, floor=FLOW_ERROR)
    if joined.data.n == 1:
        finding = replace(finding, says_nothing="there is one margin.")
    hypotheses = conditions_of_K(joined, scale, C, delta)
    return decide("K-4.1.d", finding, hypotheses, unsettled=unsettled)
