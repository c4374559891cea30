"""What continuous integration installs is locked; what the library allows is what was
run.
"""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "book/tools"
LOCK = (ROOT / "requirements.lock").read_text()
WANTED = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = ROOT / ".github/workflows"
ENTRY = re.compile(
    r"([\w.-]+)==([\w.+]+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def normal(name):
    """A package's name as an index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


LOCKED = {normal(name): Version(version) for name, version, _ in ENTRY.findall(LOCK)}


def requirements(text):
    """The lines of a requirements file."""
    return [
        Requirement(line)
        for line in text.splitlines()
        if line and not line.startswith("#")
    ]


def load(name):
    """One of the book's tools, as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_was_made_from_these_requirements():
    done = subprocess.run(
        [sys.executable, TOOLS / "lock.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wanted", requirements(WANTED), ids=lambda r: r.name)
def test_the_lock_fits_each_requirement(wanted):
    assert LOCKED[normal(wanted.name)] in wanted.specifier


def test_every_line_of_the_lock_has_its_hashes():
    """No line but a comment, a version with hashes, or nothing: no other index, no
    address, no option.
    """
    rest = ENTRY.sub("", LOCK)
    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    assert len(LOCKED) > 100


def test_the_lock_names_public_places_alone():
    assert set(re.findall(r"https?://([^/\s]+)", LOCK)) == {"download.pytorch.org"}
    assert "file:" not in LOCK and not re.search(r"\d+\.\d+\.\d+\.\d+:", LOCK)


def test_torch_is_the_build_for_processors():
    """Its file is the one that the tool knows; PyPI's needs packages that the lock does
    not have.
    """
    lock = load("lock")
    version = next(r for r in requirements(WANTED) if r.name == "torch").specifier
    (known,) = [digest for v, digest in lock.TORCH.items() if v in version]
    (found,) = [hashes for name, _, hashes in ENTRY.findall(LOCK) if name == "torch"]
    assert re.findall("[0-9a-f]{64}", found) == [known]
    assert not [name for name in LOCKED if lock.GPU.match(name)]


def test_integration_installs_the_lock():
    assert re.search(r"^export LOCKED=1$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert (
        "$(if $(LOCKED),--require-hashes --only-binary :all: -r requirements.lock"
        in makefile
    )
    for name in ("test.yml", "publish.yml"):
        workflow = yaml.safe_load((WORKFLOWS / name).read_text())
        assert workflow["env"]["PIP_EXTRA_INDEX_URL"] == load("lock").TORCH_INDEX
    assert re.search(
        r"run: make book LOCKED=1\b", (WORKFLOWS / "publish.yml").read_text()
    )


def every_range():
    """What the library requires, by itself and with its extras."""
    lines = [
        *PROJECT["dependencies"],
        *sum(PROJECT["optional-dependencies"].values(), []),
    ]
    return [Requirement(line) for line in lines]


def test_the_oldest_versions_are_those_of_the_ranges():
    """Each is within its range, and nothing before it is."""
    found = [Requirement(line) for line in load("oldest").oldest()]
    ranges = [r for r in every_range() if not str(r.specifier).startswith("==")]
    assert [r.name for r in found] == [r.name for r in ranges]
    for one, allowed in zip(found, ranges):
        (pin,) = one.specifier
        assert pin.version in allowed.specifier
        assert f"{pin.version}.dev0" not in allowed.specifier


def test_a_range_without_an_oldest_version_is_seen(tmp_path, monkeypatch):
    oldest = load("oldest")
    monkeypatch.setattr(oldest, "PROJECT", tmp_path / "pyproject.toml")
    oldest.PROJECT.write_text(
        '[project]\ndependencies = ["tqdm"]\n[project.optional-dependencies]\n'
    )
    with pytest.raises(SystemExit, match="'tqdm' names no oldest version"):
        oldest.oldest()


def test_a_job_runs_the_oldest_versions():
    """On the oldest Python, too."""
    steps = yaml.safe_load((WORKFLOWS / "test.yml").read_text())["jobs"]["oldest"][
        "steps"
    ]
    assert [step for step in steps if step.get("run") == "make test-oldest"]
    (python,) = [
        step["with"]["python-version"] for step in steps if "setup-python" in str(step)
    ]
    assert PROJECT["requires-python"] == f">={python}"
