"""The public face of the library: its names, its version, and what finding a file takes."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import implicit_bias as ib

ROOT = Path(__file__).parents[2]
THEOREMS = Path(ib.__file__).parent / "theorems"


def test_every_public_name_is_there():
    assert len(set(ib.__all__)) == len(ib.__all__)
    for name in ib.__all__:
        assert getattr(ib, name) is not None


@pytest.mark.parametrize(
    "package", ["data", "networks", "training", "margin", "measures"]
)
def test_every_name_of_a_package_is_there(package):
    names = getattr(ib, package).__all__
    assert names and all(hasattr(getattr(ib, package), name) for name in names)


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ib.__version__ == project["version"]


def test_claims_is_the_mapping_and_hides_no_package():
    assert ib.claims["F-3.2.1"].id == "F-3.2.1" and len(ib.claims) == 70
    assert not (Path(ib.__file__).parent / "claims").exists()


def file_of(claim):
    """The file that states a claim, by its id as the register writes it."""
    paper, rest = claim.split("-", 1)
    number = rest.lower()
    if paper == "S":
        return f"here/s{int(number):02d}_"
    if paper == "F":
        part = re.match(r"(\d\.\d)", number)
        special = {
            "d.1": "lemma_d1",
            "d.2": "lemma_d2",
            "b.1": "lemma_b1",
            "b.2": "lemma_b1",
        }
        special |= {"b.8": "lemma_b8", "3.3": "lemma_3_3", "3.5": "corollary_3_5"}
        if number in special:
            return f"frei2023/{special[number]}"
        if part:
            return f"frei2023/theorem_{part[1].replace('.', '_')}"
        return f"frei2023/e{int(number.split('.')[1]):02d}_"
    if number.startswith("5."):
        return f"kou2023/lemma_5_{number[2]}"
    if number.startswith("4."):
        return f"kou2023/theorem_4_{number[2]}"
    letter, digits = number.split(".")[:2]
    return f"kou2023/{letter}{int(digits):02d}_"


@pytest.mark.parametrize("id", ib.claims)
def test_a_claim_is_stated_in_the_file_of_its_name(id):
    stem = file_of(id)
    files = [p for p in THEOREMS.rglob("*.py") if f'"{id}",' in p.read_text()]
    entered = [p for p in files if p.name != "claim.py"]
    names = [str(p.relative_to(THEOREMS)) for p in entered]
    assert any(name.startswith(stem) for name in names), (stem, names)


@pytest.mark.parametrize("id", ib.claims)
def test_a_check_is_among_the_public_names_of_its_file(id):
    """So that the API reference shows it; those of Theorem 3.2 are made in a loop."""
    check = ib.claims[id].check.__wrapped__
    if "<locals>" not in check.__qualname__:
        assert check.__name__ in sys.modules[check.__module__].__all__


def test_heavy_imports_wait_until_they_are_needed():
    """Importing the library brings neither scipy's solvers nor matplotlib."""
    heavy = ("scipy.optimize", "scipy.linalg", "matplotlib", "anywidget", "sklearn")
    code = "import sys, implicit_bias; print([m for m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = done.stdout
    assert not [name for name in heavy if f"'{name}'" in loaded]
