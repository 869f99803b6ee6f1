"""Plant bugs at random, and list those that no fast test notices: `make mutants`.

mutmut makes every mutant of the named rooms and learns which tests call each function. A sample of
the mutants is tried (its seed makes a run repeatable): their tests run in a fork, fastest first,
until one fails. Fast tests are those of the table below that need no real Flash.

A fork inherits the imported modules, and so what their functions returned at import, when no mutant
was active: decorators, tables, the closures in them. Each survivor is therefore tried again in a
fresh process, where the variable MUTANT_UNDER_TEST names the mutant before the import.

mutmut cannot mutate properties and other decorated functions.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import libcst as cst
from mutmut.__main__ import (
    CatchOutput,
    _run,
    collect_source_file_mutation_data,
    create_mutants,
)
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_src_dir
from mutmut.workers.isolation import ForkRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mutmut.workers.isolation import MutantResult

# A room's fast tests: its own, and those of the rooms whose tests lead through it.
TESTS = {
    "diagnosis": ["diagnosis", "readers", "report"],
    "verify": ["verify", "report"],
    "report": ["report", "diagnosis", "verify"],
    "tracing": ["tracing"],
    "pipeline": ["pipeline", "tracing"],
}
NOTICED = {"killed", "timeout", "segfault"}
BUDGET_S = 60.0
# A fresh process may take so many times as long with a mutant as without one.
PATIENCE = 5
KILLED, TIMEOUT = 1, 36  # mutmut's exit codes
_RUN_TESTS = PytestRunner.run_tests
_WAIT_FOR_RESULT = ForkRunner.wait_for_result


def drop_call(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """Leave out a call whose value is not used."""
    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def return_none(node: cst.Return) -> Iterator[cst.CSTNode]:
    """Return None instead of a value."""
    if node.value and not node.value.deep_equals(cst.Name("None")):
        yield node.with_changes(
            value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" ")
        )


def negate(node: cst.If | cst.CompIf) -> Iterator[cst.CSTNode]:
    """Invert the condition of a statement or of a comprehension."""
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


def run_tests(runner: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
    """Compare literal reports first, which notice most mutants; then run the other fast tests."""
    chosen = list(tests)
    first = [test for test in chosen if "test_literals" in test]
    rest = list(_within_budget(test for test in chosen if test not in first))
    for part in [part for part in (first, rest) if part] or [[]]:
        status: int = _RUN_TESTS(runner, mutant_name=mutant_name, tests=part)
        if status:
            return status
    return 0


def wait_for_result(runner: ForkRunner, timeout: float | None = None) -> MutantResult:
    """Wait for the end of a mutant, not of another process that the tests have started."""
    while True:
        with suppress(KeyError):
            return _WAIT_FOR_RESULT(runner, timeout)


def _within_budget(tests: Iterable[str]) -> Iterator[str]:
    """Yield the fastest tests, until they have taken the seconds that a mutant may cost."""
    seconds = 0.0
    durations = state().duration_by_test
    for test in sorted(tests, key=durations.__getitem__):
        seconds += durations[test]
        if seconds > BUDGET_S:
            return
        yield test


# Removed arguments are left out: half of mutmut's mutants, and nearly each one a TypeError.
mutation_operators[:] = [
    *(row for row in mutation_operators if row[1] is not operator_arg_removal),
    (cst.Expr, drop_call),
    (cst.Return, return_none),
    (cst.If, negate),
    (cst.CompIf, negate),
]


def generate(rooms: list[str]) -> list[str]:
    """Write every mutant of the rooms to `mutants/`, and return their names."""
    made = {path.parts[2] for path in Path("mutants").glob("flash_otel/*/**/*.meta")}
    if made != set(rooms):  # mutmut would take mutants of other rooms for up to date
        shutil.rmtree("mutants", ignore_errors=True)
    settings = config()
    settings.only_mutate = [f"flash_otel/{room}/*" for room in rooms]
    settings.pytest_add_cli_args_test_selection = sorted(
        {f"tests/{folder}" for room in rooms for folder in TESTS[room]}
    )
    with CatchOutput(spinner_title="Generating mutants"):
        copy_src_dir()
        create_mutants(1)
    return [name for _, name, _ in collect_source_file_mutation_data(mutant_names=())[0]]


def run_afresh(mutant: str, room: str, limit_s: float | None = None) -> int:
    """Run a room's fast tests in a fresh process that imports `mutants/`; return an exit code."""
    options = ["-x", "-q", "-p", "no:random-order", *config().pytest_add_cli_args]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "--rootdir=.", *options]
        + [f"tests/{folder}" for folder in TESTS[room]],
        cwd="mutants",
        env={
            **os.environ,
            "MUTANT_UNDER_TEST": mutant,
            # For the processes that tests start.
            "PYTHONPATH": str(Path("mutants").absolute()),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return KILLED if process.wait(limit_s) else 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return TIMEOUT


def limit_of(room: str) -> float:
    """Return the seconds that a room's tests may take in a fresh process.

    Raises:
        SystemExit: They fail without a mutant, or do not import the mutants.
    """
    begin = time.monotonic()
    if run_afresh("", room):
        raise SystemExit(f"the tests of {room} fail in a fresh process, without a mutant")
    if not run_afresh("fail", room):  # every function that has mutants raises
        raise SystemExit(f"the tests of {room} do not import the package in mutants/")
    return PATIENCE * (time.monotonic() - begin)


def retry(sample: list[str], workers: int) -> None:
    """Try each mutant that survived the forks in a fresh process."""
    tried, _ = collect_source_file_mutation_data(mutant_names=sample)
    survivors = [row for row in tried if status_by_exit_code[row[2]] not in NOTICED]
    room_of = {name: name.split(".")[1] for _, name, _ in survivors}
    limits = {room: limit_of(room) for room in sorted(set(room_of.values()))}
    print(f"Trying {len(survivors)} survivors in fresh processes", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        rooms = room_of.values()
        codes = pool.map(run_afresh, room_of, rooms, [limits[room] for room in rooms])
        for (data, name, _), code in zip(survivors, codes, strict=True):
            data.exit_code_by_key[name] = code
            data.save()


def main() -> None:
    """Try a sample of the mutants, or those that are named, and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rooms", nargs="+", choices=TESTS, default=["diagnosis", "verify", "report"]
    )
    parser.add_argument("--sample", type=int, default=300, help="how many mutants to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes at the same time")
    parser.add_argument("--names", nargs="+", help="mutants to try, instead of a sample")
    options = parser.parse_args()
    names = generate(options.rooms)
    sample = options.names or random.Random(options.seed).sample(names, options.sample)  # noqa: S311 - no secret
    PytestRunner.run_tests = run_tests
    ForkRunner.wait_for_result = wait_for_result
    # The tests have just passed, when mutmut learned which of them call a function.
    ForkRunner.run_clean_tests = lambda _runner, tests: 0  # noqa: ARG005 - mutmut's signature
    _run(sample, options.workers)
    retry(sample, options.workers)
    show(sample, len(names))


def show(sample: list[str], total: int) -> None:
    """Print the diff of each survivor, and how many were noticed."""
    tried, _ = collect_source_file_mutation_data(mutant_names=sample)
    statuses = {name: status_by_exit_code[code] for _, name, code in tried}
    for name, status in sorted(statuses.items()):
        if status not in NOTICED:
            print(f"\n{name}: {status}\n{get_diff_for_mutant(name)}")
    late = sorted(name for name, status in statuses.items() if status == "timeout")
    if late:
        print("\nTimed out, perhaps because the machine was busy (try them with --names):", *late)
    counts = Counter(statuses.values())
    noticed = sum(counts[status] for status in NOTICED)
    print(f"\n{noticed} of {len(sample)} noticed, {noticed / len(sample):.1%}: {dict(counts)}")
    print(f"The rooms have {total} mutants.")


if __name__ == "__main__":
    main()
