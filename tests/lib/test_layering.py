"""Data flows one way: every module of the library imports only from modules to its left."""

import ast
from pathlib import Path

import pytest

import implicit_bias

PACKAGE = Path(implicit_bias.__file__).parent
ORDER = """
    _arrays _checks _compare _format losses _saving span spectra dataset data activation network trajectory problem
    stepper smooth_stepper rules runge_kutta flow_watch flow_limits flow_sliding flow_rough flow dynamics measures
    least_distance margin residual hypotheses claims stored figures widgets
""".split()
FILES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def layer(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The top-level modules of the package that a file imports, anywhere in it."""
    depth, found = len(path.relative_to(PACKAGE).parts), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = path.relative_to(PACKAGE).parts[: depth - node.level]
            module = [*above, *(node.module or "").split(".")] if node.module else list(above)
            found |= {module[0]} if module else {alias.name for alias in node.names}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {
                name.split(".")[1] if "." in name else "*" for name in names if name.split(".")[0] == PACKAGE.name
            }
    return found


def test_every_module_has_its_place():
    assert {layer(path) for path in FILES} <= set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_only_from_their_left(path):
    own = layer(path)
    allowed = ORDER[: ORDER.index(own)] + ([own] if path.parent != PACKAGE else [])
    assert imported(path) <= set(allowed)
