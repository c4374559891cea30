"""The ledger: both controls of every claim, run, and told in a table."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..saving import Savable
from ..values.checks import fail, shown
from ..values.comparing import Comparable
from ..values.wording import format_slack
from .claim import registry

__all__ = ["Row", "ledger", "table"]


@dataclass(frozen=True, eq=False)
class Row(Comparable, Savable):
    """A line of the ledger. ``verdict`` and ``slack`` are those of the claim on its own
    instance, the positive control. Of the negative control there are the verdict and
    what became of the conclusion.
    """

    id: str
    statement: str
    chapter: str
    verdict: str
    slack: float
    positive: str
    negative: str
    positive_conclusion: str
    negative_conclusion: str
    seconds: float

    def keys(self) -> tuple[str, ...]:
        """Column names, so that ``dict(row)`` works."""
        return tuple(self.__dataclass_fields__)

    def __getitem__(self, key: str) -> object:
        return getattr(self, key)


def ledger(ids: Iterable[str] | None = None) -> list[Row]:
    """Run both controls of every claim (or of ``ids``) and return one :class:`Row`
    each, in the order of the register.
    """
    rows = []
    for id in registry if ids is None else _known(ids):
        claim = registry[id]
        start = time.perf_counter()
        positive = claim.positive()
        negative = claim.negative()
        seconds = time.perf_counter() - start
        rows.append(
            Row(
                id,
                claim.statement,
                claim.chapter,
                positive.verdict,
                positive.slack,
                positive.verdict,
                negative.verdict,
                positive.conclusion,
                negative.conclusion,
                seconds,
            )
        )
    return rows


def _known(ids: Iterable[str]) -> list[str]:
    """Ids that the register has."""
    try:
        wanted = list(ids)
        known = not isinstance(ids, str) and all(id in registry for id in wanted)
    except TypeError:
        known = False
    return wanted if known else fail("ids", "a list of claims' ids", shown(ids))


def table(rows: Iterable[Row]) -> str:
    """Ledger rows as an HTML table: id, the two controls, each with its verdict as a
    badge, slack and statement.

    Results found here say whether they are proved or measured.
    """

    def badge(verdict: str, conclusion: str) -> str:
        named = html.escape(verdict)
        seen = html.escape(conclusion)
        spoken = {"holds": "true", "fails": "false", "undecided": "open"}.get(
            conclusion, seen
        )
        return (
            f'<span class="ib-verdict ib-{named}">{named}</span>'
            f'<span class="ib-conclusion ib-conclusion-{seen}">conclusion {spoken}</span>'
        )

    def statement(row: Row) -> str:
        status = registry[row.id].status
        return html.escape(row.statement) + (
            "" if status == "paper" else f" <i>({status})</i>"
        )

    head = "".join(
        f"<th>{name}</th>"
        for name in (
            "claim",
            "positive control",
            "negative control",
            "slack",
            "statement",
        )
    )
    lines = [
        f"<tr><td><b>{row.id}</b></td>"
        f"<td>{badge(row.positive, row.positive_conclusion)}</td>"
        f"<td>{badge(row.negative, row.negative_conclusion)}</td>"
        f"<td>{format_slack(row.slack)}</td><td>{statement(row)}</td></tr>"
        for row in rows
    ]
    body = "".join(lines)
    return (
        f'<table class="ib-ledger"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
