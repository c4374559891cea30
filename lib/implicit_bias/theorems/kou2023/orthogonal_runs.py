r"""Runs on orthogonal samples against the limit that their start predicts (K-F.2,
K-F.3, S-7).

A second run may go on where the first ended: only the signs at the start of the first
count. Limits are read off the slope in ``log t`` between the last two records, which
forgets the start at the rate 1/t, where ``ρ/log t`` itself needs astronomical times;
and the slope is held against what the proof says may be missing at that time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import orthogonal
from ...measures.outputs import activation_pattern
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent
from ...training.flow import gradient_flow
from ...training.trajectory import Trajectory, recorded_steps
from ...values.checks import fail
from ..setting import active_at_start
from ..verdict import Finding
from .long_runs import goes_on
from .orthogonal_law import class_law, whole_spread
from .orthogonal_limit import limit_network, ranks, squares_awake

__all__ = ["Reached", "chance", "equal_chance", "rank_finding", "reached", "train"]


NAMES = ("W₊₁", "W₋₁", "W")


ARRIVED = 1e-9
"""A relative error below this is zero to rounding."""


@dataclass(frozen=True)
class Reached:
    """A run against the limit predicted from its start, between its last two records.

    ``error`` is the relative distance of dW/dlog t from A there, ``bound`` what the
    proof allows it to be (largest of a batch), ``log_time`` the end; then stable ranks
    (..., 3) of both classes and the whole: ``predicted``, of that ``slope``, and of the
    network ``now``.
    """

    log_time: float
    error: float
    bound: float
    predicted: Tensor
    slope: Tensor
    now: Tensor

    def arrival(self) -> tuple[Finding, str]:
        """Whether dW/dlog t is as near to A as the proof says it must be by now. The
        sentence says why a run is too short to tell: the proof allows more than a
        tenth.
        """
        seen = (
            f"dW/dlog t is {self.error:.1e} off A at log t = {self.log_time:.1f}, "
            f"at most {self.bound:.1e} is allowed"
        )
        if self.error <= ARRIVED:
            return Finding(
                math.inf, f"dW/dlog t is A to rounding at log t = {self.log_time:.0f}"
            ), ""
        slack = max(self.bound, ARRIVED) / self.error
        return (
            Finding(slack, seen),
            "The run is too short to see the limit."
            if slack >= 1 and self.bound > 0.1
            else "",
        )


def _log_times(run: Trajectory) -> Tensor:
    """``log t`` (T, ...) of the records: the flow's own, or the logarithm of the step."""
    if run.log_time is not None:
        return run.log_time
    shape = (-1, *(1,) * (run.log_loss.ndim - 1))
    return recorded_steps(run).double().log().reshape(shape).expand_as(run.log_loss)


def _slope_allowance(
    run: Trajectory,
    initial: TwoLayer,
    log_time: Tensor,
    first: int,
    last: tuple[int, int],
) -> Tensor:
    """What ``dq_i/dlog t`` may differ from 1 between two records (..., n), from
    ``q + e^q = βt + c``.

    There ``|dq/dlog t - 1| ≤ (|q| + |c| + 1)/e^q``. ``c`` comes from the ``first``
    record with the final pattern; descent adds at most ``½βe^β`` times what q has
    gained. A sample that no neuron fits has 0.
    """
    data = run.data
    squares = squares_awake(initial, run.data)
    beta = data.norms.square() / data.n * squares
    extra = torch.ones_like(beta)
    if run.step is not None:
        beta = beta * torch.as_tensor(run.step_size, dtype=torch.float64).unsqueeze(-1)
        extra = 1 + beta * beta.exp() / 2
    begin, end = (run.margins[k] for k in last)
    # Past e^30 the constant is far below rounding.
    at = log_time[first].unsqueeze(-1)
    q = run.margins[first]
    c = torch.where(
        at < 30,
        q + q.clamp_max(40).exp() - beta * at.clamp_max(30).exp(),
        torch.zeros_like(q),
    )
    off = extra * (end.abs() + c.abs() + 1) * (-begin).exp()
    return torch.where(squares > 0, off, torch.zeros_like(off))


def _samples_point_somewhere(data: Dataset) -> None:
    if bool((data.norms <= 0).any()):
        fail("data", "samples other than 0", "a zero sample")


def reached(run: Trajectory, flow: Trajectory | None = None) -> Reached:
    """Compare the end of a run, or of the ``flow`` that goes on from it, with the limit
    that the signs at the start of ``run`` predict.

    Raises
    ------
    ValueError
        If a sample is zero, ``flow`` does not start where ``run`` ends, or there are
        fewer than two records after the start.
    """
    _samples_point_somewhere(run.data)
    initial = run.initial
    if flow is not None:
        goes_on(run, flow)
        run = flow
    limit = limit_network(initial, run.data)
    log_time = _log_times(run)
    usable = (
        torch.isfinite(log_time)
        .reshape(len(run), -1)
        .all(1)
        .nonzero()
        .flatten()
        .tolist()
    )
    if len(usable) < 2:
        fail("run", "two records or more after the start", len(usable))
    predicted = active_at_start(initial, run.data)
    settled = (
        k
        for k in usable
        if torch.equal(activation_pattern(run.net(k), run.data), predicted)
    )
    before = run.net(usable[-2])
    last = run.net(usable[-1])
    elapsed = (log_time[usable[-1]] - log_time[usable[-2]])[..., None, None]
    slope = (last.weights - before.weights) / elapsed
    size = limit.weights.flatten(-2).norm(dim=-1).clamp_min(1e-300)
    error = (slope - limit.weights).flatten(-2).norm(dim=-1) / size
    remainder = _slope_allowance(
        run, initial, log_time, next(settled, usable[0]), (usable[-2], usable[-1])
    )
    return Reached(
        float(log_time[usable[-1]].max()),
        float(error.max()),
        float(remainder.max()),
        ranks(limit),
        ranks(TwoLayer(slope, limit.a, limit.activation)),
        ranks(last),
    )


def train(
    data: Dataset, m: int, scale: float = 1e-3, seed: int = 0, until: float = 1000.0
) -> tuple[Trajectory, Trajectory]:
    """A run as the chapter makes it: 50 large steps of descent, then flow to
    ``log(1/L) = until``.

    The step is ``nm/(4 R_max²)``, a quarter of what H-K4.3 allows at C = 1. Few
    records: each costs an eigensolve.
    """
    initial = TwoLayer.init(data, m, m, relu(), scale, output="1/m", seed=seed)
    step = data.n * m / (4 * float(data.R_max) ** 2)
    descent = gradient_descent(initial, data, step, 50, record=[0, 50])
    clock = -float(descent.log_loss[-1])
    gains = torch.logspace(
        0, math.log10(max(until - clock, 2.0)), 6, dtype=torch.float64
    )
    times = (clock + gains).tolist()[:-1] + [until]
    return descent, gradient_flow(descent.final, data, until, record=times)


def against(
    found: Reached, targets: list[float], reach: list[float]
) -> tuple[float, str]:
    """Smallest ``reach / |stable rank - target|`` over both classes and the whole
    matrix, and which; absent classes (NaN) are left out.
    """
    slack = math.inf
    place = ""
    for name, value, target, allowed in zip(
        NAMES, found.slope.unbind(-1), targets, reach
    ):
        if math.isnan(target):
            continue
        off = float((value - target).abs().nan_to_num(math.inf).max())
        share = math.inf if off <= ARRIVED else allowed / off
        if share < slack:
            slack = share
            place = name
    return slack, place


def rank_finding(
    found: Reached,
    targets: list[float],
    reach: list[float],
    claimed: str = "",
    rarely: list[float] | None = None,
) -> tuple[Finding, str]:
    """Both parts of a statement on the limit's stable ranks: training goes to A, and
    A's ranks are as claimed.

    Ranks outside ``reach`` refute it only where they are outside ``rarely`` too, which
    chance leaves once in 10⁴ times.
    """
    arrival, short = found.arrival()
    slack, place = against(found, targets, reach)
    rows = {"trained": found.slope, "signs": found.predicted, "now": found.now}
    numbers = {
        f"{kind} {name}": value
        for kind, row in rows.items()
        for name, value in zip(NAMES, row.reshape(-1, 3)[0].tolist())
    }
    seen = ", ".join(
        f"{name} {numbers[f'trained {name}']:.3f}"
        for name, t in zip(NAMES, targets)
        if not math.isnan(t)
    )
    claimed = claimed or ", ".join(
        f"{t:.3f} ± {r:.3f}" for t, r in zip(targets, reach) if not math.isnan(t)
    )
    numbers |= {f"target {name}": t for name, t in zip(NAMES, targets)}
    why = f"stable ranks {seen}; claimed {claimed}; {arrival.why}."
    if slack < 1 <= against(found, targets, rarely or reach)[0]:
        short = short or "Chance explains it more often than once in 10⁴ times:"
    return Finding(
        min(arrival.slack, slack), why, place, numbers, _any_rank(targets, reach)
    ), short


def _any_rank(targets: list[float], reach: list[float]) -> str:
    """Why ranks say nothing where chance may bring them below 1, which no stable rank
    is.
    """
    wide = all(
        not allowed < target - 1
        for target, allowed in zip(targets, reach)
        if not math.isnan(target)
    )
    return "chance alone may leave any stable rank at this width." if wide else ""


def chance(data: Dataset, m: int, delta: float) -> tuple[list[float], list[float]]:
    """Limits (positive, negative, whole) of the stable ranks for these norms and
    classes (S-7), and how far chance goes at width m, each with probability 1 - δ/3;
    NaN for an absent class.
    """
    if data.x.ndim > 2:
        fail("data", "one data set", f"a batch {tuple(data.x.shape[:-2])}")
    _samples_point_somewhere(data)
    laws = [
        class_law(data.norms[mask], m) if mask.any() else None
        for mask in (data.positive, ~data.positive)
    ]
    targets = [law.rank if law else math.nan for law in laws]
    reach = [law.reach(delta / 3) if law else math.nan for law in laws]
    first, *others = [law for law in laws if law]
    if not others:
        return [*targets, first.rank], [*reach, first.reach(delta / 3)]
    whole, spread = whole_spread(first, others[0], delta / 3)
    return [*targets, whole], [*reach, spread]


def equal_chance(
    data: Dataset, m: int, delta: float
) -> tuple[list[float], list[float]]:
    """:func:`chance` for n/2 samples in each class, all of one length, whatever the
    data are.
    """
    return chance(orthogonal(2 * max(1, data.n // 2)), m, delta)
