"""The page assets: whole or absent whenever the tool is killed, and from a CDN only
with hashes.
"""

import hashlib
import importlib.util
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "book/tools"
SETTINGS = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
PAGE_ASSETS = [SETTINGS["mathjax_path"], *SETTINGS["nb_ipywidgets_js"]]
SCRIPTS = {f"{letter}.js": letter.encode() * 10**6 for letter in "abc"}

# The tool in a folder of its own, with one small package, killed before or after the
# n-th call.
CHILD = """
import os, pathlib, shutil, signal, subprocess, sys, tempfile
import vendor
root, sha512, version, call, when, number = sys.argv[1:]
vendor.ROOT = pathlib.Path(root)
vendor.VENDOR = vendor.ROOT / "_vendor"
vendor.PACKAGES = {"thing@1": (sha512, "package/dist/", "widgets", ".*[.]js")}
vendor.version = lambda: version
left = int(number)
def strike(real):
    def struck(*args, **options):
        global left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return struck
if call:
    module, name = call.split(".")
    place = pathlib.Path if module == "Path" else sys.modules[module]
    setattr(place, name, strike(getattr(place, name)))
print("ready", flush=True)
sys.argv[1:] = []
vendor.main()
if number == "-1":
    while True:
        version += "+"
        vendor.main()
"""

FOREVER = -1

# Each call that touches the disk, and how often a run with an older folder there makes it.
CALLS = {
    "tempfile.mkdtemp": 3,
    "subprocess.run": 1,
    "Path.write_bytes": 4,
    "Path.write_text": 2,
    "shutil.copyfile": 1,
    "Path.rename": 2,
    "shutil.rmtree": 2,
}
AIMED = [
    (call, number, when)
    for call, times in CALLS.items()
    for number in range(1, times + 1)
    for when in ("before", "after")
]


@pytest.fixture(scope="module")
def npm(tmp_path_factory):
    """A folder with a program `npm` that packs one small package, and that package's
    sha512.
    """
    folder = tmp_path_factory.mktemp("npm")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        content = {f"package/dist/{name}": script for name, script in SCRIPTS.items()}
        for name, part in (content | {"package/LICENSE": b"free"}).items():
            member = tarfile.TarInfo(name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
    (folder / "packed").write_bytes(data.getvalue())
    (folder / "npm").write_text(
        f"#!/bin/sh\ncp {folder}/packed thing.tgz && echo thing.tgz\n"
    )
    (folder / "npm").chmod(0o755)
    return folder, hashlib.sha512(data.getvalue()).hexdigest()


def child(npm, root, version, call="", when="", number=0):
    """A process that makes the assets in `root`: once, or over and over where `number`
    is -1.
    """
    folder, sha512 = npm
    arguments = [str(a) for a in (root, sha512, version, call, when, number)]
    # What a killed run leaves among the temporary files would be seen in `root`.
    own = {
        "PYTHONPATH": TOOLS,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "TMPDIR": root,
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE,
        env=os.environ | {name: str(value) for name, value in own.items()},
    )


def whole(folder):
    """The version in the stamp of a folder with every file in full."""
    assert {p.name: p.read_bytes() for p in folder.glob("widgets/[abc].js")} == SCRIPTS
    assert (folder / "widgets/LICENSE").read_bytes() == b"free"
    assert (folder / "widgets/local.js").read_text().rstrip().endswith("})();")
    installed = Path(sys.prefix) / "share/jupyter/nbextensions/anywidget/index.js"
    assert (folder / "widgets/anywidget.js").read_bytes() == installed.read_bytes()
    return (folder / ".stamp").read_text().split()[1]


def recovered(npm, root):
    """After one more run: whether its assets are there, whole, and nothing beside them."""
    assert child(npm, root, "last").wait(60) == 0
    return whole(root / "_vendor") == "last" and os.listdir(root) == ["_vendor"]


@pytest.mark.parametrize("call, number, when", AIMED)
def test_aimed_kill_leaves_no_part(npm, tmp_path, call, number, when):
    assert child(npm, tmp_path, "old").wait(60) == 0
    assert whole(tmp_path / "_vendor") == "old"
    process = child(npm, tmp_path, "new", call, when, number)
    assert process.wait(60) == -signal.SIGKILL
    if (tmp_path / "_vendor").exists():
        assert whole(tmp_path / "_vendor") in ("old", "new")
    assert recovered(npm, tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_random_kill_leaves_no_part(npm, tmp_path, seed):
    process = child(npm, tmp_path, "new", number=FOREVER)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(random.Random(seed).uniform(0, 0.25))
    process.kill()
    process.wait()
    if (tmp_path / "_vendor").exists():
        assert whole(tmp_path / "_vendor").startswith("new")
    assert recovered(npm, tmp_path)


def run(root, *options, path):
    """The tool itself in `root`, with the programs of `path`."""
    code = (
        "import pathlib, sys\nimport vendor\n"
        f"vendor.ROOT = pathlib.Path({str(root)!r}); vendor.VENDOR = vendor.ROOT / "
        "'_vendor'\n"
        "vendor.main()\n"
    )
    env = os.environ | {"PYTHONPATH": str(TOOLS), "PATH": str(path)}
    command = [sys.executable, "-c", code, *options]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.fixture
def broken_npm(tmp_path_factory):
    """A folder with a program `npm` that has no network."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "npm").write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    (folder / "npm").chmod(0o755)
    return folder


def test_without_npm_the_pages_fall_back_and_say_so(tmp_path):
    """The stand-ins carry every name that _config.yml asks for."""
    done = run(tmp_path, path="/nowhere")
    assert done.returncode == 0 and "npm is not installed" in done.stdout
    for name in PAGE_ASSETS:
        assert (tmp_path / "_vendor" / name).exists()


def test_stand_ins_carry_the_hash_of_what_they_load(tmp_path, broken_npm):
    done = run(tmp_path, path=broken_npm)
    assert done.returncode == 0 and "no network" in done.stdout
    hashes = json.loads((TOOLS / "cdn.json").read_text())
    for name in ("require.js", "embed-amd.js"):
        script = (tmp_path / "_vendor/widgets" / name).read_text()
        assert script.count("https://") == 1
        assert (
            f'/{name}" integrity="{hashes[f"widgets/{name}"]}" crossorigin="anonymous"'
            in script
        )
    script = (tmp_path / "_vendor/mathjax/tex-mml-chtml.js").read_text()
    assert script.count("https://") == 1
    for name, value in hashes.items():
        if name.startswith("mathjax/"):
            assert f'"{name.removeprefix("mathjax/")}": "{value}"' in script


def test_strict_allows_no_stand_ins(tmp_path, broken_npm):
    done = run(tmp_path, "--strict", path=broken_npm)
    assert done.returncode == 1 and "no network" in done.stderr
    assert not os.listdir(tmp_path)


def test_strict_keeps_what_is_there(npm, tmp_path, broken_npm):
    assert child(npm, tmp_path, "old").wait(60) == 0
    assert run(tmp_path, "--strict", path=broken_npm).returncode == 1
    assert whole(tmp_path / "_vendor") == "old" and os.listdir(tmp_path) == ["_vendor"]


def test_every_script_has_its_hash():
    """cdn.json is what npm brings; `python book/tools/vendor.py --hashes` makes it anew."""
    stamp = ROOT / "_vendor/.stamp"
    if not (stamp.exists() and stamp.read_text().startswith("npm")):
        pytest.skip("no assets from npm here: `make assets` brings them")
    spec = importlib.util.spec_from_file_location("vendor", TOOLS / "vendor.py")
    vendor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vendor)
    assert vendor.hashes_of(ROOT / "_vendor") == json.loads(
        (TOOLS / "cdn.json").read_text()
    )


def test_publishing_allows_no_stand_ins():
    workflow = (ROOT / ".github/workflows/publish.yml").read_text()
    assert re.search(r"make book\b.* STRICT=1", workflow)
    assert "$(if $(STRICT),--strict)" in (ROOT / "Makefile").read_text()
