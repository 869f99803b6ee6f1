"""What pytest does for `make mutants`: learn which tests call a function, and try mutants.

A plugin. The file that FLASH_OTEL_MUTANTS names holds a `Plan`, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 4 << 30  # a mutant may collect without an end
# A mutant may take so many times as long as its tests took without one, and some seconds more.
PATIENCE, GRACE_S = 4.0, 20.0
EARLY_S = 2.0
NO_MUTANT = ""
_SLICE_S = 0.02


@dataclass
class Plan:
    """What a process of pytest is to do.

    Attributes:
        learned: The folder of what the processes learned.
        mutants: Those to try, and `NO_MUTANT`, whose tests must pass; none: learn.
        budget_s: The seconds that the tests of a mutant may take, measured without it.
        workers: How many mutants are tried at the same time.
        results: A file descriptor that receives a line of JSON for each mutant.
        afresh: The mutant is active in this process already, and any test may notice it.
    """

    learned: str
    mutants: list[str]
    budget_s: float = 60.0
    workers: int = 1
    results: int = -1
    afresh: bool = False

    def environment(self, path: Path) -> dict[str, str]:
        """Write the plan to a file, and return the variables of a process that follows it."""
        path.write_text(json.dumps(asdict(self)))
        active = {"MUTANT_UNDER_TEST": self.mutants[0]} if self.afresh else {}
        return {"FLASH_OTEL_MUTANTS": str(path), **active}


class Learning:
    """Notes the functions that each test calls, and those that are called at import."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at_import: list[str] = []
        self._tests: dict[str, tuple[float, list[str]]] = {}

    def pytest_collection_finish(self) -> None:
        """Note what importing the tests has called."""
        self._at_import = sorted(state()._stats)  # noqa: SLF001 - mutmut has no public name for it

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note what a test calls, and its seconds."""
        called = state()._stats  # noqa: SLF001 - as above
        called.clear()
        begin = time.monotonic()
        result = yield
        self._tests[item.nodeid] = (time.monotonic() - begin, sorted(called))
        return result

    def pytest_sessionfinish(self) -> None:
        """Write down what this process has learned."""
        if self._tests:  # the process that distributes the tests has run none
            learned = {"at_import": self._at_import, "tests": self._tests}
            (self._folder / f"{os.getpid()}.json").write_text(json.dumps(learned))


class Learned:
    """What the processes that learned have noted.

    Attributes:
        at_import: The names of functions that ran at import, as mutmut mangles them.
        seconds: By the id of a test.
        tests_of: The ids of the tests that call a function.
    """

    def __init__(self, folder: Path) -> None:
        self.at_import: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.tests_of: defaultdict[str, list[str]] = defaultdict(list)
        for path in folder.glob("*.json"):
            noted = json.loads(path.read_text())
            self.at_import.update(noted["at_import"])
            for test, (seconds, called) in noted["tests"].items():
                self.seconds[test] = seconds
                for function in called:
                    self.tests_of[function].append(test)


class Trying:
    """Tries each mutant in a fork of a process that has imported the tests, and run none."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._learned = Learned(Path(plan.learned))
        self._failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test has failed."""
        if report.failed:
            self._failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants, instead of running the tests."""
        if session.testsfailed:  # a module of tests could not be imported
            self._report(self._plan.mutants[0], "killed", "the import")
            return True
        items = {item.nodeid: item for item in session.items}
        running: dict[int, _Fork] = {}
        for mutant in self._plan.mutants:
            chosen = [items[test] for test in self._tests(mutant) if test in items]
            if not chosen:
                self._report(mutant, "no tests", "")
                continue
            while len(running) >= self._plan.workers:
                self._reap(running)
            fork = _Fork(mutant, sum(self._learned.seconds[item.nodeid] for item in chosen))
            if not fork.pid:
                self._run(fork, chosen)
            running[fork.pid] = fork
        while running:
            self._reap(running)
        return True

    def _tests(self, mutant: str) -> list[str]:
        """Return the ids of the tests to run, fastest first, but whole reports early.

        They notice most.
        """
        seconds = self._learned.seconds
        is_any = self._plan.afresh or mutant == NO_MUTANT
        tests = seconds if is_any else self._learned.tests_of[mangled_name_from_mutant_name(mutant)]
        chosen = sorted(tests, key=lambda test: seconds[test])
        totals = zip(chosen, accumulate(seconds[test] for test in chosen), strict=True)
        early, late = [], []
        for test, total in totals:
            if total <= EARLY_S or "test_literals" in test:
                early.append(test)
            elif total <= self._plan.budget_s:
                late.append(test)
        return early + late

    def _run(self, fork: _Fork, items: list[pytest.Item]) -> None:
        """Run tests until one fails, in the fork; does not return."""
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = fork.folder
        set_mutant_under_test(fork.mutant)
        status = 3
        try:
            for item, following in zip_longest(items, items[1:]):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self._failed:
                    Path(fork.folder, "failed").write_text(self._failed)
                    status = 1
                    return
            status = 0
        finally:
            os._exit(status)

    def _reap(self, running: dict[int, _Fork]) -> None:
        """Wait until a fork has ended, and report it."""
        while (pid := next((pid for pid, fork in running.items() if fork.ended()), None)) is None:
            time.sleep(_SLICE_S)
        fork = running.pop(pid)
        failed = Path(fork.folder, "failed")
        self._report(fork.mutant, fork.status, failed.read_text() if failed.exists() else "")
        fork.clean()

    def _report(self, mutant: str, status: str, test: str) -> None:
        row = json.dumps({"mutant": mutant, "status": status, "test": test})
        os.write(self._plan.results, row.encode() + b"\n")


class _Fork:
    """A fork with a mutant; its pid is 0 in the fork itself.

    Attributes:
        status: What became of the mutant, once the fork has ended.
    """

    def __init__(self, mutant: str, seconds: float) -> None:
        self.mutant = mutant
        self.folder = tempfile.mkdtemp(prefix="mutant-")
        self.status = ""
        self._deadline = time.monotonic() + PATIENCE * seconds + GRACE_S
        self.pid = os.fork()

    def ended(self) -> bool:
        """Return whether the fork has ended, or just been killed at its time limit."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = "killed" if status else "survived"
        elif time.monotonic() > self._deadline:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = "timeout"
        return bool(self.status)

    def clean(self) -> None:
        """Remove what the tests left: files, and processes of a test that did not finish."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Learn, or try mutants, as the plan says."""
    plan = Plan(**json.loads(Path(os.environ["FLASH_OTEL_MUTANTS"]).read_text()))
    if not plan.mutants:
        set_mutant_under_test("stats")
        del os.environ["MUTANT_UNDER_TEST"]  # the processes that tests start have nothing to learn
    config.pluginmanager.register(
        Trying(plan) if plan.mutants else Learning(Path(plan.learned)), "planted"
    )
