"""Plant bugs at random, and list those that no fast test notices: `make mutants`.

mutmut makes every mutant of the named rooms, and a run of their tests shows which of them call each
function. A sample of the mutants is tried (its seed makes a run repeatable): each in a fork of a
process that has imported the tests and run none, with the tests that call its function, fastest
first, until one fails. Fast tests are those of the table below that need no real Flash.

A fork inherits what functions returned at import, when no mutant was active: decorators, tables,
the closures in them. A mutant of a function that runs at import is therefore tried in a fresh
process, where the variable MUTANT_UNDER_TEST names it before the import, and with all tests of its
room.

mutmut cannot mutate properties and other decorated functions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import libcst as cst
from mutant_tests import NO_MUTANT, Learned, Plan
from mutmut.__main__ import (
    CatchOutput,
    collect_source_file_mutation_data,
    copy_also_copy_files,
    create_mutants,
)
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.mutators import (
    mutation_operators,
    operator_arg_removal,
    operator_string,
)
from mutmut.utils.file_utils import copy_src_dir
from mutmut.utils.format_utils import mangled_name_from_mutant_name

if TYPE_CHECKING:
    from collections.abc import Iterator

# A room's fast tests: its own, and those of the rooms whose tests lead through it.
TESTS = {
    "diagnosis": ["diagnosis", "readers", "report"],
    "verify": ["verify", "report"],
    "report": ["report", "diagnosis", "verify"],
    "tracing": ["tracing"],
    "pipeline": ["pipeline", "tracing"],
}
NOTICED = {"killed", "timeout"}
MUTANTS = Path("mutants")
LEARNED = MUTANTS / "learned"
LOG = MUTANTS / "pytest.log"
EVERY = 25  # mutants between two lines of progress


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


def other_text(node: cst.BaseString) -> Iterator[cst.BaseString]:
    """Put other characters into a text, and leave out its variants in capitals or without.

    The case of SQL, of a style and of an encoding makes no difference.
    """
    yield from list(operator_string(node))[:1]


# Removed arguments are left out: half of mutmut's mutants, and nearly each one a TypeError.
mutation_operators[:] = [
    *(row for row in mutation_operators if row[1] not in (operator_arg_removal, operator_string)),
    (cst.BaseString, other_text),
    (cst.Expr, drop_call),
    (cst.Return, return_none),
    (cst.If, negate),
    (cst.CompIf, negate),
]


def generate(patterns: list[str]) -> list[str]:
    """Write every mutant of the modules to `mutants/`, and return their names."""
    shutil.rmtree(MUTANTS, ignore_errors=True)  # mutmut would take other modules for up to date
    MUTANTS.mkdir()
    config().only_mutate = patterns
    with CatchOutput(spinner_title="Generating mutants"):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(os.cpu_count() or 1)
    print()
    return [name for _, name, _ in collect_source_file_mutation_data(mutant_names=())[0]]


def pytest_of(plan: Plan, tests: list[str], *options: str) -> subprocess.Popen[bytes]:
    """Start pytest in `mutants/`, whose package it imports, with a plan."""
    plugins = ["-p", "no:random-order", "-p", "mutant_tests", *config().pytest_add_cli_args]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--rootdir=.", "-q", *plugins, *options, *tests],
        cwd=MUTANTS,
        env={
            **os.environ,
            # For the processes that tests start, too.
            "PYTHONPATH": os.pathsep.join(
                str((MUTANTS / part).absolute()) for part in ("", "benchmarks")
            ),
            **plan.environment((MUTANTS / "plan.json").absolute()),
        },
        stdout=LOG.open("w"),
        stderr=subprocess.STDOUT,
        pass_fds=[plan.results] if plan.results >= 0 else [],
    )


def learn(tests: list[str], workers: int) -> Learned:
    """Run the tests without a mutant, and note what they call.

    Raises:
        SystemExit: They fail.
    """
    LEARNED.mkdir(exist_ok=True)
    print("Running the tests without a mutant", flush=True)
    with pytest_of(Plan(str(LEARNED.absolute()), []), tests, "-x", "-n", str(workers)) as process:
        if process.wait():
            raise SystemExit(f"The tests fail without a mutant: {LOG}")
    return Learned(LEARNED)


def attempt(plan: Plan, tests: list[str]) -> Iterator[dict[str, str]]:
    """Try the mutants of a plan, and yield the result of each as it comes.

    Raises:
        SystemExit: pytest ends without a result of each.
    """
    if not plan.mutants:
        return
    reading, plan.results = os.pipe()
    count = 0
    with pytest_of(plan, tests) as process:
        os.close(plan.results)
        with os.fdopen(reading) as results:
            for line in results:
                count += 1
                yield json.loads(line)
    if count < len(plan.mutants):
        if not plan.afresh:
            raise SystemExit(f"pytest ended with {process.returncode}, after {count}: {LOG}")
        yield {"mutant": plan.mutants[0], "status": "killed", "test": "the start"}


def check(row: dict[str, str]) -> None:
    """Compare the result without a mutant.

    Raises:
        SystemExit: A test failed.
    """
    if row["status"] in NOTICED:
        failed = row["test"] or row["status"]
        raise SystemExit(f"A test fails in a fork without a mutant: {failed}, {LOG}")


def show(rows: list[dict[str, str]], total: int) -> None:
    """Print the diff of each survivor, and how many were noticed."""
    for row in sorted(rows, key=lambda row: row["mutant"]):
        if row["status"] not in NOTICED:
            print(f"\n{row['mutant']}: {row['status']}\n{get_diff_for_mutant(row['mutant'])}")
    late = sorted(row["mutant"] for row in rows if row["status"] == "timeout")
    if late:
        print("\nTimed out, perhaps because the machine was busy (try them with --names):", *late)
    counts = Counter(row["status"] for row in rows)
    noticed = sum(counts[status] for status in NOTICED)
    print(f"\n{noticed} of {len(rows)} noticed, {noticed / len(rows):.1%}: {dict(counts)}")
    print(f"The rooms have {total} mutants.")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rooms", nargs="+", choices=TESTS, default=["diagnosis", "verify", "report"]
    )
    parser.add_argument("--modules", nargs="+", help="patterns, instead of whole rooms")
    parser.add_argument("--tests", nargs="+", help="files or folders, instead of the rooms' tests")
    parser.add_argument("--sample", type=int, default=300, help="how many mutants to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes at the same time")
    parser.add_argument("--budget", type=float, default=60, help="seconds of a mutant's tests")
    parser.add_argument("--names", nargs="+", help="mutants to try, instead of a sample")
    return parser.parse_args()


def main() -> None:
    """Try a sample of the mutants, or those that are named, and print the survivors."""
    chosen = options()
    rooms = {f"tests/{folder}" for room in chosen.rooms for folder in TESTS[room]}
    tests = chosen.tests or sorted(rooms)
    names = generate(chosen.modules or [f"flash_otel/{room}/*" for room in chosen.rooms])
    size = min(chosen.sample, len(names))
    sample = chosen.names or random.Random(chosen.seed).sample(names, size)  # noqa: S311 - no secret
    learned = learn(tests, chosen.workers)
    early = [name for name in sample if mangled_name_from_mutant_name(name) in learned.at_import]
    forked = [name for name in sample if name not in early]
    print(f"Trying {len(forked)} mutants in forks, {len(early)} in fresh processes", flush=True)
    plans = [
        Plan(str(LEARNED.absolute()), [NO_MUTANT, *forked], chosen.budget, chosen.workers),
        *(Plan(str(LEARNED.absolute()), [name], chosen.budget, afresh=True) for name in early),
    ]
    rows: list[dict[str, str]] = []
    with (MUTANTS / "results.jsonl").open("w") as log:
        for plan in plans:
            for row in attempt(plan, tests):
                if row["mutant"] == NO_MUTANT:
                    check(row)
                    continue
                rows.append(row)
                print(json.dumps(row), file=log, flush=True)
                if not len(rows) % EVERY:
                    noticed = sum(row["status"] in NOTICED for row in rows)
                    print(f"{len(rows)} tried, {noticed} noticed", flush=True)
    show(rows, len(names))


if __name__ == "__main__":
    main()
