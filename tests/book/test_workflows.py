"""What the workflows run is pinned: a tag can be moved, a commit cannot."""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github/workflows"
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
    assert len(re.findall(r"uses.*@", text)) == count, "an action in a form that is not looked at"


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
