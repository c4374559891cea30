"""Lock what continuous integration installs: `requirements.lock`, from
`requirements.txt`.

    python book/tools/lock.py            write it anew (needs uv and a network)
    python book/tools/lock.py --check    exit 1 if `requirements.txt` has changed since

Every package, also those that no line of `requirements.txt` names, stands there at one
version with the hashes of its files on PyPI. torch is the exception: PyPI's build for
Linux brings gigabytes for graphics processors, and the one without lies in torch's own
index, which uv is not asked. The hash of its file is below.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import files  # noqa: E402

ROOT = Path(__file__).parents[2]
WANTED = ROOT / "requirements.txt"
LOCK = ROOT / "requirements.lock"
PLACE = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# version -> sha256 of torch-VERSION+cpu-cp311-cp311-manylinux_2_28_x86_64.whl, as that
# index lists it
TORCH = {"2.13.0": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}
TORCH_LINE = re.compile(r"^torch==(.+)$", re.MULTILINE)
# What only a build for graphics processors needs.
GPU = re.compile(r"(nvidia|triton|cuda)\b")
HEADER = f"""\
# What continuous integration installs, on Linux x86_64 with Python 3.11. `make lock` writes it anew.
#   pip install --require-hashes --only-binary :all: --extra-index-url {TORCH_INDEX} -r requirements.lock
# sha256 of requirements.txt: """  # noqa: E501


def digest():
    """The sha256 of `requirements.txt`, as the lock names it."""
    return hashlib.sha256(WANTED.read_bytes()).hexdigest()


def torch_needs():
    """What the installed torch requires, but for what serves a graphics processor."""
    every = (line for line in metadata.requires("torch") if "extra ==" not in line)
    return [line for line in every if not GPU.match(line)]


def resolved(wanted):
    """The lines of a lock for `wanted`, the lines of a requirements file."""
    if shutil.which("uv") is None:
        sys.exit("uv is not installed: python -m pip install uv")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        files.write(source, "\n".join(wanted) + "\n")
        uv = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--no-config",
            "--no-header",
            "--no-annotate",
        ]
        command = [*uv, "--generate-hashes", "--only-binary", ":all:", *PLACE, source]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def lock():
    """The content of `requirements.lock`."""
    text = WANTED.read_text()
    version = TORCH_LINE.search(text)[1]
    if version not in TORCH:
        sys.exit(f"no hash of torch {version}+cpu here: {TORCH_INDEX}/torch/ lists it")
    if metadata.version("torch").split("+")[0] != version:
        sys.exit(
            f"torch {version} must be installed: its requirements are read from there"
        )
    rest = resolved([*TORCH_LINE.sub("", text).splitlines(), *torch_needs()])
    torch = f"torch=={version} \\\n    --hash=sha256:{TORCH[version]}\n"
    return f"{HEADER}{digest()}\n{rest}{torch}"


def main():
    """Write or check the lock; see the top of this file."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        files.write(LOCK, lock())
    elif f"{HEADER}{digest()}\n" not in LOCK.read_text():
        sys.exit(
            "requirements.txt has changed since requirements.lock: run `make lock`"
        )


if __name__ == "__main__":
    main()
