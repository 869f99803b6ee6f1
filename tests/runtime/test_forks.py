"""Processes that fork and spawn under load neither hang nor lose or duplicate spans."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from support.scripted_collector import GrpcCollector, HttpCollector

from flash_otel.runtime import process
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

CHILDREN = 4
EACH = 25
TIMEOUT_S = 60
BUSY_MS = 20_000  # less than the exit budget of `run`

SCRIPT = """
import concurrent.futures, multiprocessing, os, sys, threading, time

import flash_otel
from flash_otel.store import writer

# On a busy machine, another process may hold the database for longer than an exit waits for it.
# Its spans would then go to a file beside the store, with a warning, which is not tested here.
writer.BUSY_MS = writer._BUSY_AGAIN_MS = {busy_ms}
flash_otel.instrument(legacy_logs=False)
CHILDREN, EACH = {children}, {each}

@flash_otel.trace_activate
def activate(build_id):
    return build_id

def child(number=0):
    for index in range(EACH):
        activate(f"child-{{number}}-{{index}}")

def child_that_waits(ready):
    child()
    ready.set()
    while True:  # a handler waits for the call that is running when its signal comes
        time.sleep(0.01)

class Load:
    \"\"\"Threads that make spans all the time, to have every lock held at some fork.\"\"\"

    def __enter__(self):
        self.made, self.over = [], threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def run(self):
        while not self.over.wait(0.001):
            self.made.append(activate("parent"))

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

def processes(context):
    started = [context.Process(target=child, args=(number,)) for number in range(CHILDREN)]
    for process in started:
        process.start()
    for process in started:
        process.join({timeout})
    assert [process.exitcode for process in started] == [0] * CHILDREN

def meet_at(barrier):
    global both
    both = barrier

def child_of_pool(number):
    both.wait({timeout})  # or one process could be quick enough to take every task
    child(number)

def pool(context):
    with concurrent.futures.ProcessPoolExecutor(
        2, mp_context=context, initializer=meet_at, initargs=(context.Barrier(2),)
    ) as executor:
        assert list(executor.map(child_of_pool, range(CHILDREN))) == [None] * CHILDREN

def terminated(context):
    for _ in range(CHILDREN):
        ready = context.Event()
        process = context.Process(target=child_that_waits, args=(ready,))
        process.start()
        assert ready.wait({timeout})
        process.terminate()
        process.join({timeout})
        assert process.exitcode == -15

def plain(_context):
    children = []
    for number in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            load.threads = []  # they did not come along
            child(number)
            sys.exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * CHILDREN

if __name__ == "__main__":
    with Load() as load:
        globals()[sys.argv[1]](multiprocessing.get_context(sys.argv[2]))
    print(len(load.made) + CHILDREN * EACH)
"""


def run(folder: Path, how: str, method: str, variables: Mapping[str, str]) -> int:
    """Run the script and return the number of spans that its processes made."""
    script = folder / "host.py"
    values = {"children": CHILDREN, "each": EACH, "timeout": TIMEOUT_S, "busy_ms": BUSY_MS}
    script.write_text(SCRIPT.format(**values))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLASH_", "OTEL_", "RUNPOD_", "TRACEPARENT"))
    }
    done = subprocess.run(
        [sys.executable, str(script), how, method],
        cwd=folder,
        env={
            **kept,
            "HOME": str(folder),
            "FLASH_OTEL_RAISE": "1",
            "FLASH_OTEL_EXIT_BUDGET": "30",
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Children inherit unflushed text of standard output and print it as well.
    return int(done.stdout.splitlines()[-1])


def run_code(folder: Path, code: str) -> None:
    """Run code that forks, with a store of its own."""
    subprocess.run(
        [sys.executable, "-c", dedent(code)],
        check=True,
        timeout=TIMEOUT_S,
        cwd=folder,
        env={
            **os.environ,
            "FLASH_OTEL_STORE": str(folder / "spans.db"),
            "FLASH_OTEL_RAISE": "1",
        },
    )


def stored(folder: Path) -> list[SpanRecord]:
    with SpanStore(folder / "spans.db") as store:
        return list(store.spans())


HOSTS = [
    ("processes", "fork"),
    ("processes", "spawn"),
    ("pool", "fork"),
    ("terminated", "fork"),
    ("plain", "fork"),
]


@pytest.mark.parametrize(("how", "method"), HOSTS)
def test_without_a_store(how: str, method: str, tmp_path: Path) -> None:
    """Every process sends its own queue: each span arrives exactly once."""
    with HttpCollector() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "FLASH_OTEL_STORE": "off"}
        made = run(tmp_path, how, method, variables)
        assert len(collector.keys) == made
        assert len(set(collector.keys)) == made


@pytest.mark.parametrize(("how", "method"), HOSTS)
def test_with_a_store(how: str, method: str, tmp_path: Path) -> None:
    """Every process stores its own spans, each once and with its own resource."""
    made = run(tmp_path, how, method, {"FLASH_OTEL_STORE": str(tmp_path / "spans.db")})
    records = stored(tmp_path)
    assert len({record.key for record in records}) == len(records) == made
    by_process: dict[object, set[object]] = {}
    for record in records:
        process = record.resource["process.pid"]
        by_process.setdefault(process, set()).add(record.resource["service.instance.id"])
    assert len(by_process) == 1 + (2 if how == "pool" else CHILDREN)
    assert all(len(instances) == 1 for instances in by_process.values())
    assert len(set().union(*by_process.values())) == len(by_process)


def test_over_grpc(tmp_path: Path) -> None:
    """A child opens a channel of its own beside its parent's."""
    with GrpcCollector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": collector.protocol,
            "FLASH_OTEL_STORE": "off",
        }
        made = run(tmp_path, "processes", "fork", variables)
        assert len(collector.keys) == len(set(collector.keys)) == made


def test_with_both(tmp_path: Path) -> None:
    """Spans that children stored are sent once, by the process that holds the lock."""
    with HttpCollector() as collector:
        store = str(tmp_path / "spans.db")
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "FLASH_OTEL_STORE": store}
        made = run(tmp_path, "processes", "fork", named)
        assert len(collector.keys) == len(set(collector.keys)) == made
    assert len(stored(tmp_path)) == made


def test_a_lock_that_another_thread_holds(tmp_path: Path) -> None:
    """A fork waits for a lock for a limited time, and the child records and ends normally."""
    code = """
        import os, threading
        import flash_otel
        from flash_otel.runtime import process

        flash_otel.instrument(legacy_logs=False)
        held, over = threading.Event(), threading.Event()

        def hold():
            with process.forks_held_off():
                held.set()
                over.wait()

        threading.Thread(target=hold).start()
        held.wait()
        process.IMPORT_S = 0.01
        pid = os.fork()
        if pid == 0:
            flash_otel.trace_activate(lambda build_id: build_id)("b-1")
            flash_otel.uninstrument()
            os._exit(0)
        over.set()
        assert os.waitpid(pid, 0)[1] == 0
    """
    run_code(tmp_path, code)
    assert [record.name for record in stored(tmp_path)] == ["flash.activate"]


def test_nothing_is_half_imported(tmp_path: Path) -> None:
    """A fork waits for imports of flash_otel's threads, which the child could never complete."""
    code = """
        import builtins, os, sys, threading
        import flash_otel

        flash_otel.instrument(legacy_logs=False)
        importing, real = threading.Event(), builtins.__import__

        def slowly(name, *rest):
            if name == "opentelemetry.sdk.trace" and threading.current_thread() is thread:
                importing.set()
                over.wait(0.2)
            return real(name, *rest)

        over = threading.Event()
        activate = flash_otel.trace_activate(lambda build_id: build_id)
        thread = threading.Thread(target=activate, args=("b-1",))
        builtins.__import__ = slowly
        thread.start()
        assert importing.wait(30)
        pid = os.fork()
        if pid == 0:
            activate("b-2")
            flash_otel.uninstrument()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    run_code(tmp_path, code)
    names = sorted(str(record.attributes["flash.build_id"]) for record in stored(tmp_path))
    assert names == ["b-1", "b-2"]


def test_a_failing_handler_affects_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error in a handler, the other handlers run and the fork succeeds."""
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    calls: list[str] = []

    class Broken(process.ForkAware):
        """Fails in every handler."""

        def before_fork(self) -> None:
            raise OSError

        after_fork_in_parent = after_fork_in_child = before_fork

    class Sound(process.ForkAware):
        """Records each handler's call."""

        def before_fork(self) -> None:
            calls.append("before")

        def after_fork_in_parent(self) -> None:
            calls.append("parent")

    members = [kind() for kind in (Broken, Sound, Broken)]
    for member in members:
        process.register_for_forks(member)
    _fork()
    assert calls == ["before", "parent"]


def test_two_threads_that_fork_at_once(tmp_path: Path) -> None:
    """The second fork neither runs the handlers again nor releases what the first one locked.

    In a process of its own: `concurrent.futures.thread` locks in a fork handler, too, and where it
    was imported last, its lock would serialize the two forks.
    """
    code = """
        import os, threading
        from flash_otel.runtime import process

        process.IMPORT_S = 0.01
        inside, over, steps = threading.Event(), threading.Event(), []

        class Slow(process.ForkAware):
            def before_fork(self):
                steps.append("before")
                inside.set()
                over.wait(60)

            def after_fork_in_parent(self):
                steps.append("after")

        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0

        member = Slow()
        process.register_for_forks(member)
        first = threading.Thread(target=fork)
        first.start()
        assert inside.wait(60)
        fork()
        assert steps == ["before"]
        over.set()
        first.join(60)
        assert steps == ["before", "after"]
        assert process._gate.value.acquire(blocking=False)
        process._gate.value.release()
        assert process._forking.value == {}
    """
    run_code(tmp_path, code)


def _fork() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads run
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
