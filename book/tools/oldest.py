"""Print the oldest version of every package that `pyproject.toml` allows, as pip reads
them.

    python book/tools/oldest.py

Those are the library's own requirements and those of its extras, but for what is fixed
to one version.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
RANGE = re.compile(r"([\w.-]+)>=([\w.]+)(,<[\w.]+)?")


def oldest():
    """The lines `name==version`."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    every = [*project["dependencies"], *(line for extra in extras for line in extra)]
    lines = []
    for requirement in every:
        if "==" in requirement:
            continue
        found = RANGE.fullmatch(requirement)
        if not found:
            sys.exit(f"pyproject.toml: {requirement!r} names no oldest version")
        lines.append(f"{found[1]}=={found[2]}")
    return lines


if __name__ == "__main__":
    print("\n".join(oldest()))
