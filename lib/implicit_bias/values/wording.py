"""How numbers are written in sentences: only the digits that are the mathematics',
never the machine's.
"""

from __future__ import annotations

import math

__all__ = ["format_error", "format_slack"]


def format_slack(slack: float) -> str:
    """Three figures, rounded down, so that 0.9996 never reads as a slack that holds;
    huge ones only say that they are.
    """
    if slack == 0 or not math.isfinite(slack):
        return f"{slack:g}"
    if slack > 1e4:
        return "over 10⁴"
    digits = max(2 - math.floor(math.log10(abs(slack))), 0)
    return (
        f"{slack:.2e}"
        if slack < 1e-3
        else f"{math.floor(slack * 10**digits) / 10**digits:.{digits}f}"
    )


def format_error(error: float) -> str:
    """An error to two figures; below 10⁻⁹ its digits are the machine's, not the
    mathematics', and are not shown.
    """
    return "less than 1e-9" if error < 1e-9 else f"{error:.1e}"
