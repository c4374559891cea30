"""What a check says: one of four verdicts, with the slack, the worst place, and the
hypotheses it rests on.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field

from torch import Tensor

from ..hypotheses.hypothesis import Hypothesis
from ..saving import Savable
from ..values.comparing import Comparable
from ..values.wording import format_slack

__all__ = [
    "EQUALITY_TOLERANCE",
    "FAILS",
    "Finding",
    "HOLDS",
    "UNDECIDED",
    "VACUOUS",
    "Verdict",
    "decide",
    "equality",
    "sentences",
    "to_resolution",
    "worst_of",
]


HOLDS = "holds"
FAILS = "fails"
VACUOUS = "vacuous"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """What was measured of a conclusion: ``slack`` (≥ 1 where it is true, NaN where
    nothing could be measured), the worst place, a sentence, and numbers by name.
    ``says_nothing`` is a sentence where the conclusion could not have been false.
    """

    slack: float
    why: str
    worst: str = ""
    constants: dict[str, float] = field(default_factory=dict)
    says_nothing: str = ""

    @property
    def true(self) -> bool:
        """Whether the conclusion was seen to be true."""
        return self.slack >= 1

    @property
    def conclusion(self) -> str:
        """``"holds"``, ``"fails"``, or ``"undecided"`` where the slack is no number."""
        if math.isnan(self.slack):
            return UNDECIDED
        return HOLDS if self.true else FAILS


@dataclass(frozen=True, eq=False)
class Verdict(Comparable, Savable):
    """The outcome of a check.

    Attributes
    ----------
    claim : str
        Id of the claim.
    verdict : str
        ``"holds"`` (seen, and could have been false), ``"fails"`` (refuted with every
        hypothesis met), ``"vacuous"`` (the claim says nothing: a hypothesis fails, or
        nothing could break the conclusion) or ``"undecided"`` (the hypotheses are met
        only approximately, a limit has not settled yet, or nothing could be measured).
    slack : float
        Of the conclusion: true where ≥ 1.
    conclusion : str
        ``"holds"``, ``"fails"`` or ``"undecided"`` for the conclusion alone, whatever
        the hypotheses say.
    why : str
        A sentence.
    worst : str
        Where the conclusion is tightest.
    hypotheses : tuple of Hypothesis
        Each with its own slack.
    constants : dict
        Numbers used or measured.
    """

    claim: str
    verdict: str
    slack: float
    conclusion: str
    why: str
    worst: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    constants: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.verdict == HOLDS

    def __str__(self) -> str:
        slack = "" if math.isnan(self.slack) else f" (slack {format_slack(self.slack)})"
        return f"{self.claim} {self.verdict}{slack}: {self.why}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        slack = "" if math.isnan(self.slack) else f" (slack {format_slack(self.slack)})"
        claim = html.escape(self.claim)
        verdict = html.escape(self.verdict)
        return (
            f'<p class="ib-verdict-line"><b>{claim}</b> '
            f'<span class="ib-verdict ib-{verdict}">{verdict}</span>'
            f"{slack} {html.escape(self.why)}</p>"
        )


def decide(
    claim: str,
    finding: Finding,
    hypotheses: tuple[Hypothesis, ...],
    *,
    unsettled: str = "",
    too_early: str = "",
) -> Verdict:
    """Combine a finding with its hypotheses: vacuous if one fails or nothing could
    break the conclusion, undecided if ``unsettled`` says why or nothing could be
    measured, else what was found. ``too_early`` is a sentence where the conclusion is
    open even so, of an instance whose hypotheses fail.
    """
    conclusion = finding.conclusion
    broken = [h for h in hypotheses if not bool(h.holds.all())]
    verdict = conclusion
    why = finding.why
    if broken:
        conclusion = UNDECIDED if too_early else conclusion
        became = (
            f"is open. {too_early}"
            if too_early
            else "is open:"
            if conclusion == UNDECIDED
            else f"{conclusion}:"
        )
        verdict = VACUOUS
        why = f"{_worst_broken(broken)} The conclusion {became} {why}"
    elif finding.says_nothing:
        verdict = VACUOUS
        why = f"It says nothing here: {finding.says_nothing} {why}"
    elif unsettled:
        verdict = UNDECIDED
        why = f"{unsettled} {why}"
    return Verdict(
        claim,
        verdict,
        finding.slack,
        conclusion,
        why,
        finding.worst,
        hypotheses,
        finding.constants,
    )


def _worst_broken(broken: list[Hypothesis]) -> str:
    """Which hypothesis fails worst."""
    # A slack that is no number is no smaller than another, and yet the worst.
    first = min(broken, key=lambda h: float(h.slack.nan_to_num(nan=-1.0).min()))
    slack = format_slack(float(first.slack.min()))
    return f"{first.name} fails ({first.statement}; slack {slack})."


def sentences(*parts: str) -> str:
    """Those sentences that there are, one after the other."""
    return " ".join(filter(None, parts))


def worst_of(values: Tensor, what: str) -> tuple[float, str]:
    """The smallest entry of a tensor, and its place as ``"what 3"`` (``"what (0, 3)"``
    in a batch).
    """
    flat = int(values.argmin())
    place = []
    for size in reversed(values.shape):
        place.append(flat % size)
        flat //= size
    index = tuple(reversed(place))
    named = str(index[0]) if len(index) == 1 else str(index)
    return float(values.min()), f"{what} {named}" if index else ""


EQUALITY_TOLERANCE = 1e-6
"""Equalities that no residual blurs are checked to this relative error; their slack is
tolerance/error.
"""


def equality(
    error: float,
    why: str,
    worst: str = "",
    tolerance: float = EQUALITY_TOLERANCE,
    **constants: float,
) -> Finding:
    """The finding of an equality that should be exact."""
    slack = tolerance / error if error != 0 else math.inf
    return Finding(slack, why, worst, {"error": error, **constants})


def to_resolution(slack: float, resolution: float) -> float:
    """The slack of an inequality that counts as true within ``resolution``."""
    return 1.0 if 1 - resolution <= slack < 1 else slack


def up_to(resolution: float) -> str:
    """To which accuracy a verdict is given."""
    return f" (judged to {resolution:.0e})"
