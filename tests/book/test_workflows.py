"""What the workflows run is pinned: a tag can be moved, a commit cannot."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.y*ml"))
# An action of another repository, at a commit, with its version beside it.
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")


def loose(text):
    """The lines of a workflow that use an action at anything but a commit."""
    used = re.findall(r"^[ -]*[\"']?uses[\"']?\s*:\s*(.+?)\s*$", text, re.MULTILINE)
    return [action for action in used if not PINNED.fullmatch(action)]


def test_there_are_workflows():
    assert {path.name for path in WORKFLOWS} >= {"test.yml", "publish.yml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_commit(path):
    text = path.read_text()
    assert not loose(text)
    jobs = yaml.safe_load(text)["jobs"].values()
    count = sum("uses" in step for job in jobs for step in job.get("steps", []))
    count += sum("uses" in job for job in jobs)
    assert len(re.findall(r"uses.*@", text)) == count, (
        "an action in a form that is not looked at"
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_jobs_may_write_only_what_they_say(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    "action",
    [
        "actions/checkout@v4",
        "actions/checkout@v4.2.2  # v4.2.2",
        "actions/checkout@main",
        "actions/checkout@11bd719  # v4.2.2",
        "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683",
        "actions/checkout",
        "docker://alpine:3.8",
        "./local",
    ],
)
def test_a_loose_action_is_seen(action):
    assert loose(f"steps:\n  - uses: {action}\n") == [action]


@pytest.fixture
def checkout(tmp_path):
    """A clone with what the tagging step reads, and a way to run that step for a
    repository's name.
    """
    work = tmp_path / "work"
    origin = tmp_path / "origin"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", work]

    def run(*command):
        subprocess.run([*git, *command], check=True, capture_output=True)

    subprocess.run(["git", "init", "--quiet", "--bare", origin], check=True)
    subprocess.run(
        ["git", "clone", "--quiet", origin, work], check=True, capture_output=True
    )
    for name in (
        "_config.yml",
        "pyproject.toml",
        "book/tools",
        "book/text",
        "book/notation.ipynb",
    ):
        place = work / name
        place.parent.mkdir(exist_ok=True)
        shutil.copytree(ROOT / name, place) if (ROOT / name).is_dir() else shutil.copy(
            ROOT / name, place
        )
    run("add", "--all")
    run("commit", "--quiet", "--message", "All")

    def step(repository):
        jobs = yaml.safe_load((FOLDER / "publish.yml").read_text())["jobs"]
        (script,) = [s["run"] for s in jobs["tag"]["steps"] if "run" in s]
        env = os.environ | {"GITHUB_REPOSITORY": repository}
        command = ["bash", "-e", "-c", script]
        done = subprocess.run(
            command, cwd=work, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        tags = [
            "git",
            "-C",
            origin,
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/tags",
        ]
        return done.stdout, subprocess.run(
            tags, capture_output=True, text=True
        ).stdout.split()

    return work, run, step


@pytest.fixture
def here():
    """The repository that the book's address names."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    return settings["repository"]["url"].removeprefix("https://github.com/")


def test_publishing_tags_a_new_version(checkout, here):
    tag = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["branch"]
    *_, step = checkout
    assert step(here) == ("", [tag])
    assert step(here) == ("", [tag])


def test_publishing_tags_no_notebook_of_another_address(checkout):
    *_, step = checkout
    said, tags = step("some/other")
    assert "make address REPO=some/other" in said and not tags


@pytest.mark.parametrize(
    "name, differs", [("book/notation.ipynb", True), ("book/text/notation.md", False)]
)
def test_publishing_says_where_colab_stays_behind(checkout, here, name, differs):
    work, run, step = checkout
    step(here)
    with open(work / name, "a") as file:
        file.write("\n")
    run("commit", "--all", "--quiet", "--message", "More")
    said, tags = step(here)
    assert ("raise the version" in said) == differs and len(tags) == 1


def test_pages_wait_for_the_tag():
    jobs = yaml.safe_load((FOLDER / "publish.yml").read_text())["jobs"]
    assert set(jobs["deploy"]["needs"]) == {"tag", "build"}
