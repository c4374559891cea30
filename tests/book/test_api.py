"""The API pages name every module that a reader may import from, and none that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "lib/implicit_bias"
PAGES = sorted((ROOT / "book/api").glob("*.md"))
# What serves the library itself, and the chapters' pictures.
APART = (
    "values",
    "figures",
    "saving",
    "widgets",
    "networks/parts",
    "networks/compatible",
)
INNER = ("training/batch_entries", "training/flow_field", "training/flow_walk")
INNER += ("training/runge_kutta", "margin/columns", "margin/least_distance")
INNER += ("theorems/records", "theorems/repetition")


def module(path):
    return "implicit_bias." + ".".join(path.relative_to(LIBRARY).with_suffix("").parts)


def test_every_module_has_its_place_in_the_reference():
    text = "".join(page.read_text() for page in PAGES)
    named = re.findall(r"automodule:: ([\w.]+)", text)
    assert len(set(named)) == len(named)
    files = [p for p in LIBRARY.rglob("*.py") if p.name != "__init__.py"]
    public = {module(p) for p in files}
    hidden = {module(LIBRARY / f"{name}.py") for name in INNER}
    apart = {
        name
        for name in public
        if name.removeprefix("implicit_bias.").startswith(
            tuple(name.replace("/", ".") for name in APART)
        )
    }
    assert set(named) == public - hidden - apart


def test_every_page_is_in_the_contents():
    contents = (ROOT / "_toc.yml").read_text()
    assert all(f"book/api/{page.stem}" in contents for page in PAGES)
