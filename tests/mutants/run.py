"""Mutation run: change one operator, number or truth value of the library at a time,
and see whether a test fails.

    make mutants                         the seeded sample of all; goes on where it stopped
    make mutants ARGS="hypotheses near"  these modules only (names of files, without .py)
    make mutants ARGS="--report"         the score and the survivors so far, running nothing

cosmic-ray finds and makes the changes. Each mutant is put into a copy of the tree. Of
the test file that mirrors its module's path, and then of all others, it meets the tests
that run the changed line, as coverage saw on the unchanged library, the quickest first,
until one fails. Runs of different modules can go side by side.

A mutant is known by its module, operator and line of source, not by the line's number:
what was learnt of it stays while its function (or class, or constant) is as it was. A
survivor is tried again once a test file that concerns it has changed.
``equivalent.toml`` lists mutants that no test can tell from the original, each with its
reason; ``results.json`` is the record. Results of functions that have changed since are
not counted. The exit status is 1 below the SCORE.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import LIBRARY, ROOT, Bench, digest, meaning, top_level, write

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
SEED = 0
PER_MODULE = 6
SCORE = 0.95

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
    """The ``which``-th change of this kind to a line of this text; ``occurrence``
    counts in the whole module, and ``number`` is the line's.
    """

    module: str
    operator: str
    line: str
    which: int
    occurrence: int
    number: int

    @property
    def key(self) -> str:
        return (
            f"{self.module} | {self.operator.removeprefix('core/')} | {self.which} "
            f"| {self.line}"
        )

    def rank(self) -> str:
        """Where the seed puts it: the first PER_MODULE of each module are the sample."""
        return hashlib.sha256(f"{SEED}|{self.key}".encode()).hexdigest()


MUTATED = ("data/spectra", "training", "margin", "measures", "hypotheses", "theorems")
"""Packages and modules of the library that are mutated."""


def modules() -> list[str]:
    """The modules that are mutated, as paths without ``.py``."""
    library = ROOT / LIBRARY
    files = [path for path in library.rglob("*.py") if path.name != "__init__.py"]
    names = [path.relative_to(library).with_suffix("").as_posix() for path in files]
    return sorted(name for name in names if name.startswith(MUTATED))


def mirror(module: str) -> str:
    """The test file that mirrors a module's path."""
    path = Path(module)
    return (path.parent / f"test_{path.name}.py").as_posix()


# -- the mutants --------


def operator(name: str):
    import cosmic_ray.plugins

    return cosmic_ray.plugins.get_operator(name)()


def text_of(module: str) -> str:
    return (ROOT / LIBRARY / f"{module}.py").read_text()


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module, in the seed's order."""
    from cosmic_ray.ast import ast_nodes, get_ast

    source = text_of(module)
    lines = source.splitlines()
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name in OPERATORS:
        seen: Counter[str] = Counter()
        places = [
            place for node in nodes for place in operator(name).mutation_positions(node)
        ]
        for occurrence, place in enumerate(places):
            line = lines[place[0][0] - 1].strip()
            if "_Mul_" in name and ("*, " in line or line == "*,"):
                continue  # the star that opens keyword-only arguments
            found.append(
                Mutant(module, name, line, seen[line], occurrence, place[0][0])
            )
            seen[line] += 1
    return sorted(found, key=Mutant.rank)


def mutated(mutant: Mutant) -> str | None:
    """The module's text with the change made, or None where it is no Python or no
    change.
    """
    from cosmic_ray.mutating import mutate_code

    source = text_of(mutant.module)
    text = mutate_code(source, operator(mutant.operator), mutant.occurrence)
    try:
        return (
            None
            if text is None
            or text == source
            or not compile(text, mutant.module, "exec")
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


# -- the record --------


def load() -> dict[str, dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def save(module: str, results: dict[str, dict]) -> None:
    """Put a module's results into the record, which runs of other modules may be
    writing at the same time.
    """
    with open(HERE / "run.py") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = {
            key: entry for key, entry in load().items() if entry["module"] != module
        }
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


def state(mutant: Mutant) -> str:
    """A digest of the function, class or constant that the mutant changes."""
    node = top_level(text_of(mutant.module), mutant.number)
    return meaning(node) if node else ""


def known(entry: dict | None, source: str, tests: str) -> bool:
    """Whether a recorded result still stands."""
    if entry is None or entry["source"] != source:
        return False
    return entry["outcome"] == "killed" or entry["tests"] == tests


def try_module(
    bench: Bench,
    module: str,
    rounds: list[list[str]],
    size: int,
    results: dict[str, dict],
) -> None:
    """Let the mutants of a module meet the test files of one round after the other."""
    concerned = digest(
        *(ROOT / "tests/lib" / test for tests in rounds for test in tests)
    )
    skip = equivalents()
    open_ones = [
        mutant
        for mutant in sample(module, size)
        if mutant.key not in skip
        and not known(results.get(mutant.key), state(mutant), concerned)
    ]
    for mutant in open_ones:
        start = time.monotonic()
        outcome, by = meet(bench, mutant, rounds)
        results[mutant.key] = {
            "module": module,
            "operator": mutant.operator,
            "line": mutant.line,
            "which": mutant.which,
            "outcome": outcome,
            "by": by,
            "source": state(mutant),
            "tests": concerned,
        }
        seconds = time.monotonic() - start
        print(f"{outcome:8} {seconds:4.0f} s  {mutant.key}  <- {by}", flush=True)
        save(module, results)


def meet(bench: Bench, mutant: Mutant, rounds: list[list[str]]) -> tuple[str, str]:
    text = mutated(mutant)
    for tests in rounds:
        bench.baseline(tests)
        outcome, by = bench.trial(mutant.module, mutant.number, text, tests)
        if outcome == "killed":
            break
    return outcome, by


def standing(results: dict[str, dict]) -> dict[str, dict]:
    """The results about functions that still are as they were when they were tried."""
    kept = {}
    for module in sorted({entry["module"] for entry in results.values()}):
        if not (ROOT / LIBRARY / f"{module}.py").exists():
            continue
        for mutant in mutants(module):
            entry = results.get(mutant.key)
            if entry is not None and entry["source"] == state(mutant):
                kept[mutant.key] = entry
    return kept


def report(results: dict[str, dict]) -> float:
    """Print the survivors and the score; return the score among the mutants that are not
    equivalent.
    """
    skip = equivalents()
    entries = {key: entry for key, entry in results.items() if key not in skip}
    survivors = [
        key for key, entry in entries.items() if entry["outcome"] == "survived"
    ]
    for key in survivors:
        print(f"survived: {key}")
    killed = len(entries) - len(survivors)
    score = killed / max(len(entries), 1)
    print(
        f"{killed} of {len(entries)} mutants killed ({score:.1%}), and {len(skip)} "
        "equivalent ones."
    )
    return score


def report_older(entries: list[dict]) -> None:
    """A line on the mutants of functions that have changed, or moved, since."""
    killed = sum(entry["outcome"] == "killed" for entry in entries)
    if entries:
        print(f"In functions as they were before, {killed} of {len(entries)}.")


def main() -> int:
    tests = ROOT / "tests/lib"
    every = sorted(str(path.relative_to(tests)) for path in tests.rglob("test_*.py"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="modules to try, by name (all)")
    parser.add_argument(
        "--each",
        type=int,
        default=PER_MODULE,
        help=f"mutants per module ({PER_MODULE})",
    )
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    results = load()
    if not args.report:
        # The children find these loaded.
        import hypothesis  # noqa: F401
        import pytest  # noqa: F401
        import scipy.optimize  # noqa: F401
        import torch

        torch.set_num_threads(1)
        wanted = args.modules
        chosen = [m for m in modules() if not wanted or m.split("/")[-1] in wanted]
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            bench = Bench(Path(folder))
            for module in chosen:
                own = [test for test in every if test == mirror(module)]
                rest = [test for test in every if test not in own]
                rounds = [own, rest]
                try_module(bench, module, rounds, args.each, results)
    results = load()
    now = standing(results)
    score = report(now)
    report_older([entry for key, entry in results.items() if key not in now])
    return int(score < SCORE)


if __name__ == "__main__":
    sys.exit(main())
