"""Mutation run: change one operator, number or truth value of the library at a time, and see
whether a test fails.

    make mutants                         the seeded sample of every module; goes on where an earlier run stopped
    make mutants ARGS="hypotheses near"  these modules only (names of files, without .py)
    make mutants ARGS="--report"         the score and the survivors so far, running nothing

cosmic-ray finds and makes the changes. Each mutant is put into a copy of the tree and meets the
test files that ``tests.toml`` names for its module, quickest first, until one fails. Runs of
different modules can go side by side.

A mutant is known by its module, operator and line of source, not by the line's number: what was
learnt of it stays while that module is as it was. A survivor is tried again once a test file that
concerns it has changed. ``equivalent.toml`` lists mutants that no test can tell from the original,
each with its reason; ``results.json`` is the record. The exit status is 1 below the SCORE.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "book/tools"))

import files  # noqa: E402

LIBRARY = Path("lib/implicit_bias")
RESULTS = HERE / "results.json"
SEED, PER_MODULE, SCORE = 0, 8, 0.95
TIMEOUT = (20.0, 3.0)
"""Seconds that a test file may always take, and how many times its time on the unchanged
library.
"""
MEMORY = 6 << 30
"""Bytes that it may take: a changed loop may never end, and gather numbers all the while."""

PAIRS = "Add_Sub Sub_Add Mul_Div Div_Mul Pow_Mul FloorDiv_Mul Mod_Mul"
SIGNS = "Lt_LtE LtE_Lt Gt_GtE GtE_Gt Lt_Gt Gt_Lt LtE_GtE GtE_LtE Eq_NotEq NotEq_Eq"
OPERATORS = (
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in PAIRS.split()),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in SIGNS.split()),
    *(
        "core/ReplaceUnaryOperator_Delete_USub",
        "core/ReplaceUnaryOperator_Delete_Not",
        "core/AddNot",
    ),
    *(
        "core/ReplaceTrueWithFalse",
        "core/ReplaceFalseWithTrue",
        "core/ReplaceAndWithOr",
        "core/ReplaceOrWithAnd",
    ),
    "core/NumberReplacer",
)


@dataclass(frozen=True)
class Mutant:
    """The ``which``-th change of this kind to a line of this text; ``occurrence`` counts in the
    whole module.
    """

    module: str
    operator: str
    line: str
    which: int
    occurrence: int

    @property
    def key(self) -> str:
        return f"{self.module} | {self.operator.removeprefix('core/')} | {self.which} | {self.line}"

    def rank(self) -> str:
        """Where the seed puts it: the first PER_MODULE of each module are the sample."""
        return hashlib.sha256(f"{SEED}|{self.key}".encode()).hexdigest()


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def write(path: Path, content: dict) -> None:
    """All of it or nothing, whenever the run is stopped."""
    files.write(
        path, json.dumps(dict(sorted(content.items())), indent=1, ensure_ascii=False) + "\n"
    )


# -- the mutants -------------------------------------------------------------------------------------------------------


def operator(name: str):
    import cosmic_ray.plugins

    return cosmic_ray.plugins.get_operator(name)()


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module, in the seed's order."""
    from cosmic_ray.ast import ast_nodes, get_ast

    source = (ROOT / LIBRARY / f"{module}.py").read_text()
    lines, nodes = source.splitlines(), list(ast_nodes(get_ast(source)))
    found = []
    for name in OPERATORS:
        seen: Counter[str] = Counter()
        places = [place for node in nodes for place in operator(name).mutation_positions(node)]
        for occurrence, place in enumerate(places):
            line = lines[place[0][0] - 1].strip()
            if "_Mul_" in name and ("*, " in line or line == "*,"):
                continue  # the star that opens keyword-only arguments
            found.append(Mutant(module, name, line, seen[line], occurrence))
            seen[line] += 1
    return sorted(found, key=Mutant.rank)


def mutated(mutant: Mutant) -> str | None:
    """The module's text with the change made, or None where it is no Python or no change."""
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / LIBRARY / f"{mutant.module}.py").read_text()
    text = mutate_code(source, operator(mutant.operator), mutant.occurrence)
    try:
        return (
            None
            if text is None or text == source or not compile(text, mutant.module, "exec")
            else text
        )
    except SyntaxError:
        return None


def sample(module: str, size: int) -> list[Mutant]:
    chosen = []
    for mutant in mutants(module):
        if len(chosen) == size:
            break
        if mutated(mutant) is not None:
            chosen.append(mutant)
    return chosen


# -- the tests ---------------------------------------------------------------------------------------------------------


class Bench:
    """A copy of the library and its tests, in which one module at a time is another."""

    def __init__(self, folder: Path):
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for part in ("lib", "tests/lib", "book/text"):
            shutil.copytree(ROOT / part, folder / part, ignore=skip)
        shutil.copy(ROOT / "pyproject.toml", folder)
        everything = sorted(
            path for part in ("lib", "tests/lib") for path in (ROOT / part).rglob("*.py")
        )
        self.passed = ROOT / "_build" / f"mutants-{digest(*everything)}.json"
        self.seconds: dict[str, float] = (
            json.loads(self.passed.read_text()) if self.passed.exists() else {}
        )

    def path(self, module: str) -> Path:
        return self.folder / LIBRARY / f"{module}.py"

    def run(self, test: str, limit: float) -> str:
        """What a test file says of the library as it lies in the folder: ``passed``, ``failed`` or
        ``timeout``.
        """
        child = os.fork()
        if child == 0:
            os.setsid()
            self._pytest(test)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "timeout"

    def _pytest(self, test: str) -> None:
        """Run in the child, which does not return. What it prints is lost: only its status
        counts.
        """
        import pytest

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.chdir(self.folder)
        os.environ["PYTHONPATH"] = str(self.folder / "lib")
        sys.path.insert(0, os.environ["PYTHONPATH"])
        sys.dont_write_bytecode = True
        status = 1
        try:
            status = int(
                pytest.main(
                    ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"tests/lib/{test}"]
                )
            )
        finally:
            os._exit(status)

    def baseline(self, tests: list[str]) -> list[str]:
        """The test files, quickest first. RuntimeError if one fails on the unchanged library."""
        for test in tests:
            if test in self.seconds:
                continue
            start = time.monotonic()
            if self.run(test, 1200) != "passed":
                raise RuntimeError(
                    f"{test} fails without any change: a mutant that it 'kills' would say nothing"
                )
            self.seconds[test] = time.monotonic() - start
            self.passed.parent.mkdir(exist_ok=True)
            write(self.passed, self.seconds)
            print(f"  {test} passes, {self.seconds[test]:.0f} s", flush=True)
        return sorted(tests, key=self.seconds.__getitem__)

    def trial(self, mutant: Mutant, tests: list[str]) -> tuple[str, str]:
        """``("killed", the test file)`` or ``("survived", "")``."""
        path = self.path(mutant.module)
        original = path.read_text()
        path.write_text(mutated(mutant))
        try:
            for test in tests:
                outcome = self.run(test, TIMEOUT[0] + TIMEOUT[1] * self.seconds[test])
                if outcome != "passed":
                    return "killed", test if outcome == "failed" else f"{test} (timeout)"
        finally:
            path.write_text(original)
        return "survived", ""


# -- the record --------------------------------------------------------------------------------------------------------


def load() -> dict[str, dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def save(module: str, results: dict[str, dict]) -> None:
    """Put a module's results into the record, which runs of other modules may be writing at the
    same time.
    """
    with open(HERE / "run.py") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = {key: entry for key, entry in load().items() if entry["module"] != module}
        merged = others | {
            key: entry for key, entry in results.items() if entry["module"] == module
        }
        write(RESULTS, merged)


def equivalents() -> dict[str, str]:
    entries = tomllib.loads((HERE / "equivalent.toml").read_text()).get("mutant", [])
    return {
        f"{e['module']} | {e['operator']} | {e['which']} | {e['line']}": e["reason"]
        for e in entries
    }


def known(entry: dict | None, source: str, tests: str) -> bool:
    """Whether a recorded result still stands."""
    if entry is None or entry["source"] != source:
        return False
    return entry["outcome"] == "killed" or entry["tests"] == tests


def try_module(
    bench: Bench, module: str, tests: list[str], size: int, results: dict[str, dict]
) -> None:
    source = digest(ROOT / LIBRARY / f"{module}.py")
    state = digest(*(ROOT / "tests/lib" / test for test in tests))
    skip = equivalents()
    chosen = sample(module, size)
    keys = {mutant.key for mutant in chosen}
    for key in [
        k
        for k, e in results.items()
        if e["module"] == module and k not in keys and e["source"] != source
    ]:
        del results[key]
    open_ones = [
        m for m in chosen if m.key not in skip and not known(results.get(m.key), source, state)
    ]
    if not open_ones:
        return
    ordered = bench.baseline(tests)
    for mutant in open_ones:
        outcome, by = bench.trial(mutant, ordered)
        results[mutant.key] = {
            **asdict(mutant),
            "outcome": outcome,
            "by": by,
            "source": source,
            "tests": state,
        }
        print(f"{outcome:8} {by:38} {mutant.key}", flush=True)
        save(module, results)


def report(results: dict[str, dict]) -> float:
    """Print the survivors and the score; return the score among the mutants that are not
    equivalent.
    """
    skip = equivalents()
    entries = {key: entry for key, entry in results.items() if key not in skip}
    survivors = [key for key, entry in entries.items() if entry["outcome"] == "survived"]
    for key in survivors:
        print(f"survived: {key}")
    killed = len(entries) - len(survivors)
    score = killed / max(len(entries), 1)
    print(
        f"{killed} of {len(entries)} mutants killed ({score:.1%}), and {len(skip)} equivalent ones."
    )
    return score


def main() -> int:
    table = tomllib.loads((HERE / "tests.toml").read_text())["tests"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="modules to try, by name (all)")
    parser.add_argument(
        "--each", type=int, default=PER_MODULE, help=f"mutants per module ({PER_MODULE})"
    )
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    results = load()
    if not args.report:
        import pytest  # noqa: F401 - the children find it, and torch, loaded
        import torch

        torch.set_num_threads(1)
        chosen = [m for m in table if not args.modules or m.split("/")[-1] in args.modules]
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            bench = Bench(Path(folder))
            for module in chosen:
                try_module(bench, module, table[module], args.each, results)
    return int(report(load()) < SCORE)


if __name__ == "__main__":
    sys.exit(main())
