"""A claim as an object, and the mapping that holds them all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .guard import guarded
from .verdict import Verdict

__all__ = ["Claim", "Claims", "enter_all", "ORDER", "register", "registry"]


ORDER = """
    F-3.3
    F-3.1 F-3.2.1 F-3.2.2 F-3.2.3 F-3.2.4 F-3.2.5 F-3.2.6 F-3.2.7 F-B.1 F-B.2 F-B.8
    F-D.1 F-D.2 F-3.4 F-3.5
    F-E.1 F-E.2 F-E.3 F-E.4 F-E.5 F-E.6 F-E.7 F-E.8 F-E.9 F-E.10
    F-E.11.a F-E.11.b F-E.11.c F-E.12 F-E.13 F-E.14 F-4.2.1 F-4.2.2 F-4.2.3
    K-A.1 K-A.2 K-5.1 K-5.2 K-5.3 K-5.4 K-5.5 K-5.6 K-5.7 K-5.8 K-B.3 K-B.4
    K-4.1.a K-4.1.b K-4.1.c K-4.1.d K-4.3.a K-4.3.b
    K-E.2 K-F.2 K-F.3 K-F.3.k K-G.1 K-H.3 K-H.4
    S-1 S-2 S-3 S-4 S-5 S-6 S-7 S-8 S-9 S-10
""".split()
"""The register: every statement of the two papers that a computer can test, then what
was found here (S).
"""


@dataclass(frozen=True)
class Claim:
    """One statement that a computer can put to the test.

    Attributes
    ----------
    id, title, statement, source, chapter : str
    check : callable
        Checks an instance; its own docstring says what it takes. Returns a
        :class:`Verdict`.
    positive, negative : callable
        Controls: an instance that meets the hypotheses, and one where the check must
        say ``fails`` or ``vacuous``, with the conclusion false in either case.
    instance, counter : callable
        The arguments of the two controls.
    status : str
        ``"paper"``, ``"proved here"`` or ``"measured"``.
    """

    id: str
    title: str
    statement: str
    source: str
    chapter: str
    check: Callable[..., Verdict]
    positive: Callable[[], Verdict]
    negative: Callable[[], Verdict]
    instance: Callable[[], tuple]
    counter: Callable[[], tuple]
    status: str = "paper"

    def __repr__(self) -> str:
        return f"{self.id} ({self.title}): {self.statement} [{self.source}]"


class Claims(Mapping):
    """All claims by id, in the order of the register."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def __getitem__(self, id: str) -> Claim:
        if not isinstance(id, str) or id not in self._claims:
            raise KeyError(
                f"{id!r} is no claim of this library; there are {', '.join(self)}"
            )
        return self._claims[id]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._claims, key=ORDER.index))

    def __len__(self) -> int:
        return len(self._claims)

    def __repr__(self) -> str:
        return f"Claims({', '.join(self)})"

    def add(self, claim: Claim) -> None:
        """Enter a claim of the register; an id can be entered once."""
        if claim.id not in ORDER:
            raise ValueError(f"id: expected one of the register, got {claim.id!r}")
        if claim.id in self._claims:
            raise ValueError(
                f"id: expected a new claim, got {claim.id!r}, which is taken"
            )
        self._claims[claim.id] = claim


registry = Claims()


def register(
    id: str,
    title: str,
    statement: str,
    source: str,
    *,
    chapter: str = "kkt_structure",
    positive: Callable[[], tuple],
    negative: Callable[[], tuple],
    status: str = "paper",
    rules: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Callable[..., Verdict]], Callable[..., Verdict]]:
    """Decorate a check to enter it as a claim; ``positive`` and ``negative`` return the
    arguments of their instance.

    The check is guarded (:func:`~implicit_bias.theorems.guard.guarded`): ``rules``
    names, for arguments that take runs, the rules they take.
    """

    def enter(plain: Callable[..., Verdict]) -> Callable[..., Verdict]:
        check = guarded(plain, rules or {})
        registry.add(
            Claim(
                id,
                title,
                statement,
                source,
                chapter,
                check,
                lambda: check(*positive()),
                lambda: check(*negative()),
                positive,
                negative,
                status,
            )
        )
        return check

    return enter


def enter_all(package: str, path: Iterable[str]) -> list[str]:
    """Import every module of a package of statements, which enters its claims; the names of
    those modules, in order.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    for name in names:
        importlib.import_module(f"{package}.{name}")
    return names
