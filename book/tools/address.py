"""Keep the book's public address and version the same everywhere. The address stands
once, in `_config.yml`; the version once, in `pyproject.toml`, and its tag is `v` and
the version.

    python book/tools/address.py                   write them into every derived place
    python book/tools/address.py --set owner/name  change the address first
    python book/tools/address.py --check           list places that disagree, exit 1 if any
    python book/tools/address.py --tag             print the tag

The places: the Colab cell that opens every notebook and its text, README.md,
CITATION.cff, pyproject.toml, and in `_config.yml` what Colab opens. On GitHub the three
front files link to this repository alone, so every GitHub, Pages or Colab link in them
is brought in line. Colab opens the notebooks of the tag, and they install the library
of the tag: the two always fit.
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
PROJECT = ROOT / "pyproject.toml"
FRONT = ["README.md", "CITATION.cff", "pyproject.toml"]
NAME = r"[\w.-]+"
CONFIG_LINE = re.compile(
    rf"(?<=^  url: https://github\.com/)({NAME})/({NAME})$", re.MULTILINE
)
CONFIG_TAG = re.compile(r"(?<=^  branch: )[^\s#]+", re.MULTILINE)
VERSION = re.compile(r'(?<=^version = ").+(?="$)', re.MULTILINE)
TAG = r"[\w.+-]+"
LINKS = [
    (
        re.compile(rf"(?<=git\+https://github\.com/){NAME}/{NAME}(?:@{TAG})?"),
        "{owner}/{name}@{tag}",
    ),
    (re.compile(rf"(?<=github\.com/){NAME}/{NAME}?(?=\.git\b)"), "{owner}/{name}"),
    (
        re.compile(rf"(?<=github\.com/)(?!{NAME}/{NAME}\.git\b){NAME}/{NAME}"),
        "{owner}/{name}",
    ),
    (
        re.compile(
            rf"(?<=colab\.research\.google\.com/github/){NAME}/{NAME}/blob/{TAG}"
        ),
        "{owner}/{name}/blob/{tag}",
    ),
    (
        re.compile(rf"(?<=https://){NAME}\.github\.io/{NAME}"),
        "{owner}.github.io/{name}",
    ),
]

TAGS = ["remove-cell", "colab-bootstrap"]
BOOTSTRAP = """\
import sys

if "google.colab" in sys.modules:  # Colab has torch and numpy; it needs the library of this book
    import subprocess

    source = "implicit-bias[widgets] @ git+https://github.com/{owner}/{name}@{tag}"
    pip = ["timeout", "600", sys.executable, "-m", "pip", "install", "--quiet", source]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout + done.stderr)
        raise SystemExit(f"The book's library could not be installed (pip says why above): {{source}}")"""  # noqa: E501
# How that cell reads in a MyST Markdown text.
TEXT_CELL = re.compile(
    r"```\{code-cell\}[^\n]*\n:tags: \[remove-cell, colab-bootstrap\]\n\n(.*?)\n```",
    re.DOTALL,
)


def address():
    """Owner and name, from `_config.yml`."""
    found = CONFIG_LINE.search(CONFIG.read_text())
    if not found:
        sys.exit("_config.yml: no line `  url: https://github.com/OWNER/NAME`")
    return found.groups()


def tag():
    """The tag of this version, from `pyproject.toml`."""
    found = VERSION.search(PROJECT.read_text())
    if not found:
        sys.exit('pyproject.toml: no line `version = "VERSION"`')
    return f"v{found[0]}"


def bootstrap(owner, name, tag):
    """The source of the Colab cell."""
    return BOOTSTRAP.format(owner=owner, name=name, tag=tag)


def front_page(text, owner, name, tag):
    """A front page with its links brought in line."""
    for pattern, form in LINKS:
        text = pattern.sub(form.format(owner=owner, name=name, tag=tag), text)
    return text


def config(text, owner, name, tag):
    """The book's settings with the tag that Colab opens; None where that line is
    missing.
    """
    return CONFIG_TAG.sub(tag, text) if CONFIG_TAG.search(text) else None


def chapter_text(text, owner, name, tag):
    """A chapter's text with its Colab cell brought in line; None where the cell is
    missing.
    """
    found = TEXT_CELL.search(text)
    return (
        found
        and text[: found.start(1)] + bootstrap(owner, name, tag) + text[found.end(1) :]
    )


def notebook(text, owner, name, tag):
    """A notebook, as JSON text, with its Colab cell brought in line; None where the
    cell is missing.
    """
    content = json.loads(text)
    code = next((c for c in content["cells"] if c["cell_type"] == "code"), None)
    if code is None or code["metadata"].get("tags") != TAGS:
        return None
    new = bootstrap(owner, name, tag)
    if "".join(code["source"]) == new:
        return text
    code["source"] = new.splitlines(keepends=True)
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def places():
    """Every file that carries the address or the tag, with the function that brings it
    in line.
    """
    yield CONFIG, config
    yield from ((ROOT / file, front_page) for file in FRONT if (ROOT / file).exists())
    yield from (
        (path, chapter_text) for path in sorted((ROOT / "book/text").glob("*.md"))
    )
    yield from ((path, notebook) for path in sorted((ROOT / "book").glob("*.ipynb")))


MISSING = {
    config: "no line `  branch: TAG`",
    chapter_text: f"its first code cell must be tagged {TAGS}",
    notebook: f"its first code cell must be tagged {TAGS}",
}


def main():
    """Set, write or check the address; see the top of this file."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--set", metavar="OWNER/NAME", dest="new")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--tag", action="store_true")
    options = parser.parse_args()
    if options.new:
        if not re.fullmatch(rf"{NAME}/{NAME}", options.new):
            sys.exit(f"--set wants OWNER/NAME, not {options.new!r}")
        files.write(CONFIG, CONFIG_LINE.sub(options.new, CONFIG.read_text()))
    place = (*address(), tag())
    if options.tag:
        print(place[-1])
        return
    shown = "{}/{} at {}".format(*place)
    bad = []
    for path, bring_in_line in places():
        text = path.read_text(encoding="utf-8")
        new = bring_in_line(text, *place)
        file = path.relative_to(ROOT)
        if new is None:
            bad.append(f"{file}: {MISSING[bring_in_line]}")
        elif new != text and options.check:
            bad.append(f"{file}: does not carry {shown}; run `make address`")
        elif new != text:
            files.write(path, new)
            print(f"  {file}: now {shown}")
    if bad:
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main()
