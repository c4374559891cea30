"""What a finite run may say of a limit, and what it may not: none refutes one."""

from __future__ import annotations

import math

from torch import Tensor

from ..values.wording import format_error
from .verdict import Finding

__all__ = [
    "LIMIT_SEEN",
    "NO_LIMIT_REFUTED",
    "decade_short",
    "fitted_rate",
    "limit",
    "read_limit",
]


def fitted_rate(clock: Tensor, error: Tensor) -> float:
    """Minus the slope of ``log error`` against ``log clock`` over the last decade of
    the clock; NaN with fewer than 3 records there.
    """
    late = (clock >= clock[-1] / 10) & (error > 0)
    if int(late.sum()) < 3:
        return math.nan
    x = clock[late].log()
    y = error[late].log()
    x = x - x.mean()
    return float(-(x * (y - y.mean())).sum() / (x * x).sum())


NO_LIMIT_REFUTED = "A finite run refutes no limit:"
"""Why a limit that was not seen is left undecided."""


LIMIT_SEEN = 0.05
"""A limit counts as seen only once its error is below this."""


def limit(
    clock: Tensor,
    error: Tensor,
    what: str,
    clock_name: str,
    law: float,
    floor: float = 1e-9,
) -> tuple[Finding, str]:
    """Read ``error → 0`` off a finite run: seen when the error is below
    :data:`LIMIT_SEEN`, and its fitted power of the clock is at least half the expected
    ``law``.

    Returns the finding and, unless the limit was seen, a sentence that makes the
    verdict undecided: no finite run refutes a limit. Errors at the ``floor`` have
    arrived. With too few records to fit, the slack is NaN.
    """
    rate = fitted_rate(clock, error)
    last = float(error[-1])
    constants = {"rate": rate, "last": last, clock_name: float(clock[-1])}
    if last <= floor:
        return Finding(
            math.inf,
            f"{what} is {format_error(last)} at {clock_name} = {float(clock[-1]):g}, "
            "zero to rounding.",
            "",
            constants,
        ), ""
    trend = f"falling like {clock_name}^-{rate:.3f}" if rate >= 5e-4 else "not falling"
    trend = "with too few records to fit a rate" if math.isnan(rate) else trend
    seen = f"{what} is {last:.2e} at {clock_name} = {float(clock[-1]):g}, {trend}"
    # The fall is judged by its power, and what is left by its size.
    slack = (
        min(max(0.0, rate) / (law / 2), LIMIT_SEEN / last) if rate == rate else math.nan
    )
    finding = Finding(
        slack,
        f"{seen} (expected: {clock_name}^-{law:g}).",
        f"{clock_name} = {float(clock[-1]):g}",
        constants,
    )
    return finding, _why_unseen(finding, clock_name)


def _why_unseen(finding: Finding, clock_name: str) -> str:
    """Why a limit that was not seen is not refuted either."""
    if math.isnan(finding.slack):
        return f"Too few records in the last decade of {clock_name} to fit a rate."
    return "" if finding.true else NO_LIMIT_REFUTED


FLOW_ERROR = 1e-7
"""Relative error that many steps of the flow may leave in a margin: gaps below it have
closed.
"""


DECADE = 10 * math.log(2)
"""Limits in log t are read from here on: log t has gone through a decade since step 2."""


def decade_short(clock: Tensor) -> str:
    """A sentence when log t, recorded at ``clock`` (T,), has not come to
    :data:`DECADE`, or has fewer than three records in its last decade.
    """
    if (
        clock.numel()
        and float(clock[-1]) >= DECADE
        and int((clock >= clock[-1] / 10).sum()) >= 3
    ):
        return ""
    return "The run shows no decade of log t:"


def read_limit(
    clock: Tensor, error: Tensor, what: str, law: float = 1.0, floor: float = 1e-9
) -> tuple[Finding, str]:
    """:func:`~implicit_bias.theorems.limits.limit` in log t, for as few records as
    there may be; open until a decade of log t is seen.
    """
    if clock.numel() < 3:
        return Finding(
            math.nan, f"{what} is seen at {clock.numel()} records past step 2."
        ), "The run is too short."
    finding, unsettled = limit(clock, error, what, "log t", law, floor)
    return finding, decade_short(clock) or unsettled
