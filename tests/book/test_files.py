"""A write that is killed leaves the old file or the new one, whole, and the next write
clears up.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "book/tools"
OLD = b"old" * 10**6
NEW = b"newer" * 10**6
# Where an aimed kill strikes: before and after each call that touches the disk.
CALLS = ["tempfile.mkstemp", "os.fdopen", "os.fsync", "os.chmod", "os.replace"]
AIMED = [
    (call, when, there)
    for call in CALLS
    for when in ("before", "after")
    for there in (True, False)
]

CHILD = """
import os, signal, sys, tempfile
import files
target, call, when = sys.argv[1:]
def strike(real):
    def struck(*args, **options):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return struck
if call:
    module, name = call.split(".")
    setattr(sys.modules[module], name, strike(getattr(sys.modules[module], name)))
print("ready", flush=True)
while True:
    files.write(target, b"newer" * 10**6)
"""


def child(target, call="", when=""):
    """A process that writes the file over and over."""
    command = [sys.executable, "-c", CHILD, str(target), call, when]
    # The child finds `files` here.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(TOOLS)}
    )


def recovered(target):
    """After one more write: whether the file is new and alone in its folder."""
    sys.path.insert(0, str(TOOLS))
    import files

    files.write(target, NEW)
    return target.read_bytes() == NEW and os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("call, when, there", AIMED)
def test_aimed_kill_truncates_nothing(tmp_path, call, when, there):
    target = tmp_path / "result.json"
    if there:
        target.write_bytes(OLD)
    process = child(target, call, when)
    assert process.wait(20) == -signal.SIGKILL
    written = (call, when) == ("os.replace", "after")
    assert target.exists() == (there or written)
    if target.exists():
        assert target.read_bytes() == (NEW if written else OLD)
    assert recovered(target)


@pytest.mark.parametrize("seed", range(20))
def test_random_kill_truncates_nothing(tmp_path, seed):
    target = tmp_path / "result.json"
    target.write_bytes(OLD)
    process = child(target)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(random.Random(seed).uniform(0, 0.05))
    process.kill()
    process.wait()
    assert target.read_bytes() in (OLD, NEW)
    assert recovered(target)


def test_failed_write_leaves_nothing_beside(tmp_path):
    sys.path.insert(0, str(TOOLS))
    import files

    with pytest.raises(TypeError):
        files.write(tmp_path / "a", 3.5)
    assert not os.listdir(tmp_path)


def test_permissions_stay(tmp_path):
    target = tmp_path / "a"
    target.write_text("x")
    target.chmod(0o640)
    assert recovered(target) and target.stat().st_mode & 0o777 == 0o640


def test_nothing_else_writes_files():
    folder = TOOLS.parent
    scripts = [*folder.glob("tools/*.py"), *folder.glob("results/*.py")]
    loose = {
        p.name
        for p in scripts
        if ".write_text(" in p.read_text() or ".write_bytes(" in p.read_text()
    }
    # vendor.py fills a folder of its own and renames it when it is whole.
    assert loose == {"vendor.py"}
