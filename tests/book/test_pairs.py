"""The book's texts, notebooks and addresses agree."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "book/tools"
TEXTS = sorted((ROOT / "book/text").glob("*.md"))
COLAB = ["remove-cell", "colab-bootstrap"]


def load(name):
    """One of the book's tools, as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(tool):
    """Run a tool's own --check."""
    return subprocess.run(
        [sys.executable, TOOLS / tool, "--check"], capture_output=True, text=True
    )


def test_every_text_has_its_notebook():
    done = check("notebooks.py")
    assert done.returncode == 0, done.stderr


def test_the_address_is_the_same_everywhere():
    done = check("address.py")
    assert done.returncode == 0, done.stderr


def test_the_address_stands_nowhere_else():
    """What no tool rewrites would go stale when the book moves."""
    address = load("address")
    owner, name = address.address()
    carriers = {path for path, _ in address.places()} | {ROOT / "_config.yml"}
    others = {*(ROOT / "book").rglob("*.*"), *(ROOT / "lib").rglob("*.py")} - carriers
    assert not [p for p in others if f"{owner}/{name}".encode() in p.read_bytes()]


def test_a_new_address_reaches_every_form():
    address = load("address")
    old = (
        'pip install "x[y] @ git+https://github.com/a--b/c" git+https://github.com/a--b/c@v1.0\n'
        "https://github.com/a--b/c https://github.com/a--b/c.git "
        "git+https://github.com/a--b/c\n"
        "[x](https://a--b.github.io/c/book/x.html) "
        "https://github.com/a--b/c/actions/workflows/t.yml/badge.svg\n"
        "https://colab.research.google.com/github/a--b/c/blob/main/book/x.ipynb"
    )
    new = old.replace("a--b/c", "me/my.book").replace(
        "a--b.github.io/c", "me.github.io/my.book"
    )
    new = re.sub(r"(?<=git\+https://github\.com/me/my\.book)(@v1\.0)?", "@v2.0", new)
    new = new.replace("blob/main", "blob/v2.0")
    assert address.front_page(old, "me", "my.book", "v2.0") == new
    assert address.front_page(new, "me", "my.book", "v2.0") == new


def test_colab_opens_the_tag_of_this_version():
    """The notebooks and the library that they install are of one commit."""
    tag = (
        "v" + tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )
    assert load("address").tag() == tag
    assert (
        yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["branch"]
        == tag
    )


def colab_cell(text):
    """The source of the cell that installs the library, of a chapter's notebook."""
    cells = json.loads((ROOT / "book" / f"{text.stem}.ipynb").read_text())["cells"]
    return "".join(next(c for c in cells if c["cell_type"] == "code")["source"])


def test_colab_installs_this_version_from_this_address(monkeypatch):
    address = load("address")
    place = "{}/{}".format(*address.address())
    seen = []
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda c, **_: seen.extend(c) or subprocess.CompletedProcess(c, 0),
    )
    exec(colab_cell(TEXTS[0]), {})
    assert (
        seen[-1]
        == f"implicit-bias[widgets] @ git+https://github.com/{place}@{address.tag()}"
    )
    assert seen[:2] == ["timeout", "600"] and seen[2:6] == [
        sys.executable,
        "-m",
        "pip",
        "install",
    ]


def test_colab_stops_where_the_install_fails(monkeypatch):
    """In a real kernel, with a real pip whose git may ask no site: nothing after the
    cell runs.
    """
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "none")
    colab = (
        "import sys, types; sys.modules['google.colab'] = "
        "types.ModuleType('google.colab')"
    )
    cells = [colab, colab_cell(TEXTS[0]), "print('went on')"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in cells]
    )
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    outputs = notebook.cells[1]["outputs"]
    (error,) = [o for o in outputs if o["output_type"] == "error"]
    printed = outputs[0]
    assert "'https' not allowed" in printed["text"]
    assert (
        error["ename"] == "SystemExit" and "could not be installed" in error["evalue"]
    )
    assert not notebook.cells[2]["outputs"]


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
def test_the_colab_cell_does_nothing_outside_colab(text):
    """It is the first code cell, shows nothing, and does not name a version of torch."""
    cells = json.loads((ROOT / "book" / f"{text.stem}.ipynb").read_text())["cells"]
    code = next(c for c in cells if c["cell_type"] == "code")
    assert code["metadata"]["tags"] == COLAB
    assert code["outputs"] == []
    assert "torch=" not in "".join(code["source"])


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
def test_notebooks_were_written_by_the_tool(text):
    """Else the next run would change them: numbered cells, no timings, no failed cell,
    no memory address.
    """
    source = (ROOT / "book" / f"{text.stem}.ipynb").read_text()
    notebook = json.loads(source)
    assert [c["id"] for c in notebook["cells"]] == [
        f"cell-{i}" for i in range(len(notebook["cells"]))
    ]
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    assert not [
        o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"
    ]
    assert '"execution": {' not in source


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
def test_a_chapter_fetches_nothing(text):
    """What it reads travels with it: a site could be slow, away, or of another version."""
    cells = json.loads((ROOT / "book" / f"{text.stem}.ipynb").read_text())["cells"]
    code = [
        c
        for c in cells
        if c["cell_type"] == "code" and c["metadata"].get("tags") != COLAB
    ]
    source = "\n".join("".join(cell["source"]) for cell in code)
    assert not re.search(
        r"urlopen|urlretrieve|urllib|requests|https?://|%pip|!pip|!wget|!curl", source
    )


def test_stored_results_come_from_the_library():
    """Each is shown by a chapter, which reads it from there."""
    folder = ROOT / "lib/implicit_bias/results"
    read = [
        re.findall(r'ib\.stored_result\("(\w+)"\)', text.read_text()) for text in TEXTS
    ]
    assert sorted(sum(read, [])) == sorted(path.stem for path in folder.glob("*.json"))
