"""Make the notebooks from their texts: run them, and write them so that a second run
changes no byte.

    python book/tools/notebooks.py [NAME ...]  run text/NAME.md into NAME.ipynb, or all
    python book/tools/notebooks.py --stale     run those that differ from their texts
    python book/tools/notebooks.py --check     run nothing: list those, exit 1 if any

What would differ from run to run is put in order: cell and widget ids are numbered,
timings are not recorded, memory addresses and temporary paths are blanked, the version
of Python is left out.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).parent))

import files  # noqa: E402

BOOK = Path(__file__).parents[1]
TEXT = BOOK / "text"
CELL_TIMEOUT = 300  # seconds
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
MODEL_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
NOISE = [
    (re.compile(r"0x[0-9a-f]{6,}"), "0x0"),
    (re.compile(r"/tmp/ipykernel_\d+/\d+\.py"), "<cell>"),
]


def cells(notebook):
    """What a pair must agree on: type, source and tags of each cell."""
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def difference(name):
    """One line that says how a notebook differs from its text, or None."""
    text = TEXT / f"{name}.md"
    made = BOOK / f"{name}.ipynb"
    missing = next((p for p in (text, made) if not p.exists()), None)
    if missing:
        return f"{name}: {missing.relative_to(BOOK.parent)} is missing"
    one = cells(jupytext.read(text))
    two = cells(jupytext.read(made))
    if one == two:
        return None
    at = next(
        (i for i, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two))
    )
    return (
        f"{name}: text and notebook differ from cell {at} on; run `make notebooks "
        f"NB={name}`"
    )


def run(name):
    """Execute one text and write its notebook. Raises CellExecutionError where a cell
    fails.
    """
    notebook = jupytext.read(TEXT / f"{name}.md")
    notebook.metadata["kernelspec"] = KERNEL
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(BOOK)}},
    )
    client.execute()
    normalise(notebook)
    nbformat.validate(notebook)
    files.write(BOOK / f"{name}.ipynb", nbformat.writes(notebook) + "\n")


def normalise(notebook):
    """Remove from an executed notebook, in place, what a second run would write
    differently.
    """
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        for output in cell.get("outputs", []):
            for holder in (output, output.get("data", {})):
                for key in ("text", "text/plain", "text/html", "image/svg+xml"):
                    if isinstance(holder.get(key), str):
                        holder[key] = blank(holder[key])
    # jupytext's own entry names the text format; in a notebook it only says the pair's kind
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.pop("language_info", None)
    notebook.metadata["language_info"] = {"name": "python"}
    number_widgets(notebook)


def blank(text):
    """`text` without memory addresses and temporary paths."""
    for pattern, instead in NOISE:
        text = pattern.sub(instead, text)
    return text


def number_widgets(notebook):
    """Give widget models the ids 0, 1, 2, ... in the order they were made, wherever
    they are named.
    """
    mime = "application/vnd.jupyter.widget-state+json"
    state = notebook.metadata.get("widgets", {}).get(mime, {}).get("state", {})
    numbers = {old: f"{i:032x}" for i, old in enumerate(state)}

    def renumber(value):
        if isinstance(value, str):
            return (
                MODEL_ID.sub(lambda m: numbers.get(m[0], m[0]), value)
                if len(value) < 200
                else value
            )
        if isinstance(value, dict):
            return {numbers.get(key, key): renumber(v) for key, v in value.items()}
        return [renumber(v) for v in value] if isinstance(value, list) else value

    if state:
        notebook.metadata["widgets"] = nbformat.from_dict(
            renumber(notebook.metadata["widgets"])
        )
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                output["data"] = nbformat.from_dict(renumber(output.get("data", {})))
                if not output["data"]:
                    del output["data"]


def main():
    """Run or check; see the top of this file."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--stale", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = sorted(
        {p.stem for p in TEXT.glob("*.md")} | {p.stem for p in BOOK.glob("*.ipynb")}
    )
    names = [Path(n).stem for n in options.names] or known
    if unknown := set(names) - set(known):
        sys.exit(
            f"no such notebook: {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    different = {n: d for n in names if (d := difference(n))}
    if options.check:
        sys.exit("\n".join(different.values()) if different else 0)
    for name in different if options.stale else names:
        start = time.perf_counter()
        try:
            run(name)
        except (CellExecutionError, TimeoutError) as error:
            sys.exit(f"  {name}: a cell failed, nothing was written\n{error}")
        size = (BOOK / f"{name}.ipynb").stat().st_size / 1e6
        print(
            f"  {name}: {time.perf_counter() - start:.1f} s, {size:.2f} MB", flush=True
        )


if __name__ == "__main__":
    main()
