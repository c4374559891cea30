"""The settings of the book, its packaging and its front matter say the same things."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PINS = dict(
    re.findall(
        r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
)
PYPROJECT = (ROOT / "pyproject.toml").read_text()

files = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]


@pytest.mark.parametrize("file", files)
def test_every_page_in_the_contents_exists_once(file):
    assert sum((ROOT / (file + suffix)).exists() for suffix in (".md", ".ipynb")) == 1


def test_every_notebook_is_in_the_contents():
    notebooks = {f"book/{p.stem}" for p in (ROOT / "book").glob("*.ipynb")}
    assert notebooks <= set(files)


def test_the_ledger_shows_every_chapter_with_claims():
    import implicit_bias as ib

    text = (ROOT / "book/text/ledger.md").read_text()
    assert set(re.findall(r'^show\("(\w+)"\)$', text, re.MULTILINE)) == {
        claim.chapter for claim in ib.claims.values()
    }


def test_outputs_are_not_made_at_build_time():
    assert CONFIG["execute"]["execute_notebooks"] == "off"


def test_pages_name_no_other_site_for_their_scripts():
    settings = CONFIG["sphinx"]["config"]
    scripts = [settings["mathjax_path"], *settings["nb_ipywidgets_js"]]
    assert not [s for s in scripts if "//" in s]
    assert not (ROOT / "_static").exists(), (
        "the book builder would load every script in it on every page"
    )


def test_the_pins_meet_the_library_s_ranges():
    """What the book runs on must be what the library says it supports."""
    ranges = re.findall(
        r'^    "([\w-]+)(>=[\d.]+)?(?:,<(\d+))?",$', PYPROJECT, re.MULTILINE
    )
    assert {"torch", "numpy", "scipy", "matplotlib"} <= {name for name, *_ in ranges}
    for name, least, below in ranges:
        version = [int(part) for part in PINS[name].split(".")]
        assert not least or version >= [int(part) for part in least[2:].split(".")]
        assert not below or version < [int(below)]


def test_versions_agree():
    version = re.search(r'^version = "(.+)"$', PYPROJECT, re.MULTILINE)[1]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


def test_integration_runs_notebooks_as_another_processor_too():
    """The plainer arithmetic of all three libraries, on notebooks that there are."""
    assert "make test-processor" in (ROOT / ".ci/run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.split("\ntest-processor:")[1].split("\n\n")[0]
    for setting in (
        "ATEN_CPU_CAPABILITY=default",
        "MKL_CBWR=COMPATIBLE",
        "OPENBLAS_CORETYPE=Haswell",
    ):
        assert setting in recipe
    (notebooks,) = re.findall(r"^OTHER := (.+)$", makefile, re.MULTILINE)
    assert all((ROOT / notebook).exists() for notebook in notebooks.split())
