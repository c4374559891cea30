"""Keep the book's public address the same everywhere. It stands once, in `_config.yml`.

    python book/tools/address.py                     write it into every place derived from it
    python book/tools/address.py --set owner/name    change it first
    python book/tools/address.py --check             list the places that disagree, exit 1 if there are any

The places: the Colab cell that opens every notebook and its text, README.md, CITATION.cff, pyproject.toml.
On GitHub those three files link to this repository alone, so every GitHub, Pages or Colab link in them is
brought in line.
"""

import argparse
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import files  # noqa: E402

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "_config.yml"
FRONT = ["README.md", "CITATION.cff", "pyproject.toml"]
NAME = r"[\w.-]+"
CONFIG_LINE = re.compile(rf"(?<=^  url: https://github\.com/)({NAME})/({NAME})$", re.MULTILINE)
LINKS = [
    (re.compile(rf"(?<=github\.com/){NAME}/{NAME}?(?=\.git\b)"), "{owner}/{name}"),
    (re.compile(rf"(?<=github\.com/)(?!{NAME}/{NAME}\.git\b){NAME}/{NAME}"), "{owner}/{name}"),
    (re.compile(rf"(?<=colab\.research\.google\.com/github/){NAME}/{NAME}"), "{owner}/{name}"),
    (re.compile(rf"(?<=https://){NAME}\.github\.io/{NAME}"), "{owner}.github.io/{name}"),
]

TAGS = ["remove-cell", "colab-bootstrap"]
BOOTSTRAP = """\
import sys

if "google.colab" in sys.modules:  # Colab has torch and numpy; it needs the library of this book
    %pip install -q "implicit-bias[widgets] @ git+https://github.com/{owner}/{name}"
    from importlib.util import find_spec

    if find_spec("implicit_bias") is None:  # %pip says why above, but does not stop
        raise SystemExit("The library could not be installed. Is the address above right, and is there a network?")"""
# How that cell reads in a MyST Markdown text.
TEXT_CELL = re.compile(r"```\{code-cell\}[^\n]*\n:tags: \[remove-cell, colab-bootstrap\]\n\n(.*?)\n```", re.DOTALL)


def address():
    """Owner and name, from `_config.yml`."""
    found = CONFIG_LINE.search(CONFIG.read_text())
    if not found:
        sys.exit("_config.yml: no line `  url: https://github.com/OWNER/NAME`")
    return found.groups()


def bootstrap(owner, name):
    """The source of the Colab cell."""
    return BOOTSTRAP.format(owner=owner, name=name)


def front_page(text, owner, name):
    """A front page with its links brought in line."""
    for pattern, form in LINKS:
        text = pattern.sub(form.format(owner=owner, name=name), text)
    return text


def chapter_text(text, owner, name):
    """A chapter's text with its Colab cell brought in line; None where the cell is missing."""
    found = TEXT_CELL.search(text)
    return found and text[: found.start(1)] + bootstrap(owner, name) + text[found.end(1) :]


def notebook(text, owner, name):
    """A notebook, as JSON text, with its Colab cell brought in line; None where the cell is missing."""
    content = json.loads(text)
    code = next((c for c in content["cells"] if c["cell_type"] == "code"), None)
    if code is None or code["metadata"].get("tags") != TAGS:
        return None
    new = bootstrap(owner, name)
    if "".join(code["source"]) == new:
        return text
    code["source"] = new.splitlines(keepends=True)
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def places():
    """Every file that carries the address, with the function that brings it in line."""
    yield from ((ROOT / file, front_page) for file in FRONT if (ROOT / file).exists())
    yield from ((path, chapter_text) for path in sorted((ROOT / "book/text").glob("*.md")))
    yield from ((path, notebook) for path in sorted((ROOT / "book").glob("*.ipynb")))


def main():
    """Set, write or check the address; see the top of this file."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--set", metavar="OWNER/NAME", dest="new")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.new:
        if not re.fullmatch(rf"{NAME}/{NAME}", options.new):
            sys.exit(f"--set wants OWNER/NAME, not {options.new!r}")
        files.write(CONFIG, CONFIG_LINE.sub(options.new, CONFIG.read_text()))
    owner, name = address()
    bad = []
    for path, bring_in_line in places():
        text = path.read_text(encoding="utf-8")
        new, file = bring_in_line(text, owner, name), path.relative_to(ROOT)
        if new is None:
            bad.append(f"{file}: its first code cell must be tagged {TAGS}")
        elif new != text and options.check:
            bad.append(f"{file}: does not carry {owner}/{name}; run `make address`")
        elif new != text:
            files.write(path, new)
            print(f"  {file}: now {owner}/{name}")
    if bad:
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main()
