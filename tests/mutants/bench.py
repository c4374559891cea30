"""A copy of the library and its tests, in which one module at a time is changed, and
which tests run which of its lines.
"""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book/tools"))

import files  # noqa: E402

LIBRARY = Path("lib/implicit_bias")
TIMEOUT = (20.0, 3.0)
"""Seconds of a processor that tests may always take, and how many times their time on the
unchanged library.
"""
BUDGET = 30.0
"""Seconds of tests that one mutant meets: what only slow tests see, no quick one pins."""
WAIT = 20
"""How many times longer a clock may run, on a machine that does other work too."""
MEMORY = 6 << 30
"""Bytes that tests may take: a changed loop may never end, and gather numbers all the
while.
"""
LOADING = "loading"
"""The name under which lines are kept that run while a file is imported."""


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[
        :16
    ]


def write(path: Path, content: dict) -> None:
    """All of it or nothing, whenever the run is stopped."""
    text = json.dumps(dict(sorted(content.items())), indent=1, ensure_ascii=False)
    files.write(path, text + "\n")


# -- plugins of pytest --------


class Only:
    """Run these tests and no others, in this order, and write down which fails."""

    def __init__(self, note: Path, order: list[str]):
        self.note = note
        self.place = {test: place for place, test in enumerate(order)}

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.note.write_text(report.nodeid.removeprefix("tests/lib/"))

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.note.write_text(report.nodeid.removeprefix("tests/lib/"))

    def pytest_collection_modifyitems(self, items: list) -> None:
        chosen = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(chosen, key=lambda item: self.place[item.nodeid])


def file_of(test: str) -> str:
    """The file of a test, as a path from tests/lib."""
    return test.split("::")[0].removeprefix("tests/lib/")


class Lines:
    """Which lines of the library each test runs, and the seconds that it takes.

    What the set-up of a test runs may serve every test of its file; it is kept under
    the file's name. Results that functions remember are forgotten before each test, so
    that each runs all it rests on.
    """

    def __init__(self, library: Path):
        import coverage

        self.library = library
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(data_file=None, include=[f"{library}/*"])
        self.coverage.start()
        self.coverage.switch_context(LOADING)

    def pytest_collection_finish(self) -> None:
        kind = type(functools.cache(len))
        self.caches = [each for each in gc.get_objects() if isinstance(each, kind)]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        for cache in self.caches:
            if cache.__module__.startswith(("implicit_bias", "test_")):
                cache.cache_clear()
        self.coverage.switch_context(nodeid.split("::")[0])
        self.start = time.process_time()

    def pytest_runtest_call(self, item) -> None:
        self.coverage.switch_context(item.nodeid)

    def pytest_runtest_teardown(self, item) -> None:
        self.coverage.switch_context(item.nodeid.split("::")[0])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = round(time.process_time() - self.start, 4)
        self.coverage.switch_context(LOADING)

    def record(self) -> dict:
        """``{"seconds": {test: seconds}, "lines": {module: {test: [line, ...]}}}``."""
        self.coverage.stop()
        data = self.coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {}
        for file in sorted(data.measured_files()):
            module = str(Path(file).relative_to(self.library).with_suffix(""))
            by_test = lines.setdefault(module, {})
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    by_test.setdefault(test, []).append(line)
        return {"seconds": self.seconds, "lines": lines}


# -- places in a module --------


def top_level(source: str, line: int) -> ast.stmt | None:
    """The statement of the module's top level in which a line lies."""
    for node in ast.parse(source).body:
        first = min(
            [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
        )
        if first <= line <= node.end_lineno:
            return node
    return None


def meaning(node: ast.stmt) -> str:
    """A digest of a statement which its comments, documentation and layout do not
    change.
    """
    for part in ast.walk(node):
        body = getattr(part, "body", None)
        if isinstance(body, list):
            part.body = [s for s in body if not _is_text(s)]
    return hashlib.sha256(ast.dump(node).encode()).hexdigest()[:16]


def _is_text(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Expr) and isinstance(getattr(value, "value", None), str)


def neighbours(source: str, line: int) -> range:
    """The lines of the smallest statement around a line; of a compound one, its head."""
    best = range(line, line + 1)
    smallest = None
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= node.end_lineno:
            continue
        size = node.end_lineno - node.lineno
        if smallest is not None and size > smallest:
            continue
        smallest = size
        body = getattr(node, "body", None)
        end = max(body[0].lineno - 1, node.lineno) if body else node.end_lineno
        best = range(node.lineno, end + 1) if node.lineno <= line <= end else best
    return best


# -- the bench --------


class Bench:
    """The copy, and what the tests were seen to do on the unchanged library."""

    def __init__(self, folder: Path):
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for part in ("lib", "tests/lib", "book/text"):
            shutil.copytree(ROOT / part, folder / part, ignore=skip)
        shutil.copy(ROOT / "pyproject.toml", folder)
        library = digest(
            *sorted((ROOT / "lib").rglob("*.py")), ROOT / "tests/lib/conftest.py"
        )
        self.kept = ROOT / "_build" / f"mutants-{library}.json"
        self.seen: dict[str, dict] = (
            json.loads(self.kept.read_text()) if self.kept.exists() else {}
        )

    def path(self, module: str) -> Path:
        return self.folder / LIBRARY / f"{module}.py"

    def baseline(self, tests: list[str]) -> None:
        """Watch these test files on the unchanged library. RuntimeError if one fails on
        it.
        """
        for test in tests:
            state = digest(ROOT / "tests/lib" / test)
            if self.seen.get(test, {}).get("state") == state:
                continue
            start = time.monotonic()
            answer = self.folder / "seen.json"
            outcome = self._run([test], 1200, None, answer)
            if outcome != "passed":
                raise RuntimeError(
                    f"{test} {outcome} without any change: a mutant that it 'kills' "
                    "says nothing"
                )
            self.seen[test] = json.loads(answer.read_text()) | {"state": state}
            self.kept.parent.mkdir(exist_ok=True)
            write(self.kept, self.seen)
            print(f"  {test} passes, {time.monotonic() - start:.0f} s", flush=True)

    def covering(self, module: str, line: int, tests: list[str]) -> list[str]:
        """The tests that run this line, as many quick ones as BUDGET allows; where it
        runs on import only, those that run any line of its function, or any line of its
        module. Files stay together.
        """
        source = self.path(module).read_text()
        node = top_level(source, line)
        inside = range(node.lineno, node.end_lineno + 1) if node else range(0)
        everywhere = range(len(source.splitlines()) + 1)
        for place in (neighbours(source, line), inside, everywhere):
            chosen = [
                test for file in tests for test in self._running(module, place, file)
            ]
            if chosen:
                return self._affordable(chosen)
        return []

    def _affordable(self, tests: list[str]) -> list[str]:
        tests = sorted(tests, key=self._time)
        spent = list(itertools.accumulate(map(self._time, tests)))
        chosen = [
            test for test, total in zip(tests, spent) if total <= BUDGET
        ] or tests[:1]
        files = list(dict.fromkeys(test.split("::")[0] for test in chosen))
        return sorted(chosen, key=lambda test: files.index(test.split("::")[0]))

    def _running(self, module: str, place: range, file: str) -> list[str]:
        by_test = self.seen[file]["lines"].get(module, {})
        hit = {
            test
            for test, lines in by_test.items()
            if test != LOADING and any(line in place for line in lines)
        }
        every = list(self.seen[file]["seconds"])
        return (
            every
            if f"tests/lib/{file}" in hit
            else [test for test in every if test in hit]
        )

    def _time(self, test: str) -> float:
        return self.seen[file_of(test)]["seconds"][test]

    def time(self, tests: list[str]) -> float:
        return sum(self._time(test) for test in tests)

    def trial(
        self, module: str, line: int, text: str, tests: list[str]
    ) -> tuple[str, str]:
        """``("killed", a test)`` or ``("survived", "")``, with this text as the module.

        The tests are those of these files that run the changed line, the quickest first.
        """
        path = self.path(module)
        original = path.read_text()
        times = path.stat()
        chosen = self.covering(module, line, tests)
        if not chosen:
            return "survived", ""
        used = list(dict.fromkeys(map(file_of, chosen)))
        note = self.folder / "failed.txt"
        note.write_text("")
        try:
            path.write_text(text)
            # Another time than the original's, whose compiled form must not be taken
            # for it.
            os.utime(path, (times.st_atime, times.st_mtime - 1000))
            outcome = self._run(used, self.time(chosen), Only(note, chosen))
        finally:
            path.write_text(original)
            os.utime(path, (times.st_atime, times.st_mtime))
        if outcome == "passed":
            return "survived", ""
        return "killed", note.read_text() if outcome == "failed" else outcome

    def _run(
        self,
        tests: list[str],
        seconds: float,
        plugin: Only | None,
        answer: Path | None = None,
    ) -> str:
        """What test files say of the library as it lies in the folder: ``passed``,
        ``failed`` or ``timeout``.
        """
        limit = TIMEOUT[0] + TIMEOUT[1] * seconds
        child = os.fork()
        if child == 0:
            os.setsid()
            self._pytest(tests, int(limit) + 1, plugin, answer)
        end = time.monotonic() + WAIT * limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                spent = code in (-signal.SIGXCPU, -signal.SIGKILL)
                # 5: the tests are not there any more, which is no word against the change.
                return "passed" if code in (0, 5) else "timeout" if spent else "failed"
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "timeout"

    def _pytest(
        self, tests: list[str], limit: int, plugin: Only | None, answer: Path | None
    ) -> None:
        """Run in the child, which does not return. What it prints is lost: only its status
        counts.
        """
        import pytest

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + limit, used + limit + 5))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.chdir(self.folder)
        os.environ["PYTHONPATH"] = str(self.folder / "lib")
        sys.path.insert(0, os.environ["PYTHONPATH"])
        # Only the unchanged library may leave its compiled form.
        sys.dont_write_bytecode = answer is None
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        status = 1
        try:
            lines = Lines(self.folder / LIBRARY) if answer else None
            plugins = [each for each in (plugin, lines) if each is not None]
            status = int(
                pytest.main([*options, *(f"tests/lib/{t}" for t in tests)], plugins)
            )
            if lines:
                answer.write_text(json.dumps(lines.record()))
        finally:
            os._exit(status)
