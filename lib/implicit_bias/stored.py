"""Results that take too long to make in a chapter. They travel with the library: none
is fetched from anywhere.
"""

from __future__ import annotations

import json
from importlib.resources import files

from .values.checks import fail, shown

__all__ = ["stored_result"]


def stored_result(name: str) -> dict:
    """A stored result of the book by its name: ``"xor_sweep"``, ``"relu_study"`` or
    ``"rank_figures"``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    folder = files(__package__) / "results"
    known = sorted(
        path.name.removesuffix(".json")
        for path in folder.iterdir()
        if path.name.endswith(".json")
    )
    if not isinstance(name, str) or name not in known:
        fail("name", f"one of {', '.join(known)}", shown(name))
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
