"""Data flows one way: a package imports from those to its left, and by public names."""

import ast
from pathlib import Path

import pytest

import implicit_bias

PACKAGE = Path(implicit_bias.__file__).parent
ORDER = """
    values losses saving data networks training measures margin hypotheses theorems
    stored figures widgets
""".split()
"""The packages and modules of the library, each after all that it may import from."""

WITHIN_THEOREMS = "frei2023 kou2023 here".split()
"""Papers first, then what was found with their tools; none of what they share imports
from them."""

FILES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def place(path):
    """The dotted parts of a file's module, without the package's own name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path):
    """What a file imports from the library, anywhere in it: (module's parts, names)."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in getattr(node, "names", [])]
        if isinstance(node, ast.ImportFrom) and node.level:
            above = parts[: len(parts) - node.level]
            module = (*above, *node.module.split(".")) if node.module else above
            yield from ((module, names),) if module else (((n,), []) for n in names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else names
            for module in modules:
                assert module.split(".")[0] != PACKAGE.name, f"{path}: {module}"


def top(parts):
    return parts[0]


def test_every_module_has_its_place():
    assert {top(place(path)) for path in FILES} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(place(path)))
def test_modules_import_only_from_their_left(path):
    own = top(place(path))
    for module, names in imports(path):
        assert ORDER.index(top(module)) <= ORDER.index(own), (module, names)


def paper(parts):
    """The place of a module of ``theorems`` among its packages, 0 for what they share."""
    inside = parts[1] if len(parts) > 1 else ""
    return 1 + WITHIN_THEOREMS.index(inside) if inside in WITHIN_THEOREMS else 0


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if top(place(p)) == "theorems" and p.name != "__init__.py"],
    ids=lambda path: "/".join(place(path)),
)
def test_what_the_papers_share_imports_from_no_paper(path):
    own = paper(place(path))
    for module, names in imports(path):
        if top(module) == "theorems":
            assert paper(module) <= own, (module, names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(place(path)))
def test_no_private_name_leaves_its_package(path):
    own = place(path)[:-1]
    for module, names in imports(path):
        private = [name for name in (*module, *names) if name.startswith("_")]
        assert not private or module[:-1] == own or module == own, (module, names)
