from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from store.processes import finished, running

from flash_otel.store.store import SpanStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spans.db"


def _names(path: Path) -> Counter[str]:
    with SpanStore(path) as store:
        return Counter(span.name for span in store.spans())


def test_a_killed_deployment_shows_as_unfinished(path: Path) -> None:
    """After SIGKILL the root is stored as started, and the finished children are complete."""
    code = """
        root = tracer.start_span("flash.deploy", attributes={"flash.app_name": "demo"})
        from opentelemetry.trace import set_span_in_context
        tracer.start_span("flash.build", context=set_span_in_context(root)).end()
        processor.force_flush()
        print("ready", flush=True)
        sys.stdin.read()
    """
    with running(code, path) as process:
        process.kill()
        process.wait()
    with SpanStore(path) as store:
        (trace,) = store.traces()
        assert (trace.root_name, trace.app_name) == ("flash.deploy", "demo")
        assert (trace.unfinished, trace.end_ns, trace.span_count) == (True, None, 2)
        assert [span.end_ns is None for span in store.trace(trace.trace_id)] == [True, False]


def test_spans_are_committed_without_being_asked(path: Path) -> None:
    """A process that never flushes has its spans in the file while it runs."""
    code = """
        import sqlite3
        tracer.start_span("flash.call").end()
        while True:
            try:
                with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as plain:
                    if plain.execute("SELECT end_ns FROM spans").fetchall():
                        break
            except sqlite3.Error:
                pass
        print("ready", flush=True)
        sys.stdin.read()
    """
    with running(code, path) as process:
        process.kill()
        process.wait()
    assert _names(path) == {"flash.call": 1}


def test_several_processes_write_at_once(path: Path) -> None:
    """Four processes that create and write the same store at once lose and damage nothing."""
    code = """
        # How long a busy machine takes is not the point here.
        from flash_otel.store import processor as module, writer
        module._STALL_S = writer.BUSY_MS = 60_000
        for _ in range(500):
            with tracer.start_as_current_span("flash.deploy"):
                tracer.start_span("flash.build").end()
        processor.shutdown(60_000)
    """
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: finished(code, path), range(4)))
    assert [process.stderr for process in done] == [""] * 4
    assert _names(path) == {"flash.deploy": 2_000, "flash.build": 2_000}
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_has_a_queue_and_a_connection_of_its_own(path: Path) -> None:
    """Spans queued before the fork are stored once, by the parent; the child stores its own."""
    code = """
        root = tracer.start_span("parent.root")
        processor.force_flush()
        for _ in range(300):
            tracer.start_span("parent.queued").end()
        children = []
        for _ in range(3):
            pid = os.fork()
            if not pid:
                for _ in range(200):
                    tracer.start_span("child.own").end()
                processor.shutdown()
                os._exit(0)
            children.append(pid)
            tracer.start_span("parent.after").end()
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        root.end()
        processor.shutdown()
    """
    assert finished(code, path).stderr == ""
    assert _names(path) == {
        "parent.root": 1,
        "parent.queued": 300,
        "parent.after": 3,
        "child.own": 600,
    }
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_that_outlives_the_writing_parent_keeps_its_spans(path: Path) -> None:
    """The child loses nothing if the parent closes its last connection meanwhile."""
    code = """
        tracer.start_span("parent").end()
        processor.force_flush()
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            tracer.start_span("child.early").end()
            processor.force_flush()
            os.read(read, 1)
            tracer.start_span("child.late").end()
            processor.shutdown()
            os._exit(0)
        tracer.start_span("parent.late").end()
        processor.shutdown()
        os.write(write, b"x")
        assert os.waitpid(pid, 0)[1] == 0
    """
    finished(code, path)
    assert _names(path) == {"parent": 1, "parent.late": 1, "child.early": 1, "child.late": 1}


def test_nothing_is_loaded_or_started_before_the_first_span(path: Path) -> None:
    """Creating the processor loads no SQLite, starts no thread and creates no file."""
    code = """
        import threading
        tracer = provider.get_tracer("users.own")
        tracer.start_span("theirs").end()
        assert processor.force_flush()
        processor.shutdown()
        assert "sqlite3" not in sys.modules
        assert threading.active_count() == 1
    """
    finished(code, path)
    assert not path.parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc")
def test_a_child_inherits_no_open_database(path: Path) -> None:
    """The connection is closed before a fork, as a connection that crosses it breaks the locks."""
    code = """
        def open_files():
            found = []
            for number in os.listdir("/proc/self/fd"):
                try:
                    found.append(os.readlink(f"/proc/self/fd/{number}"))
                except OSError:
                    pass  # the listing's own
            return [file for file in found if "spans.db" in file]
        tracer.start_span("parent").end()
        assert processor.force_flush()
        with processor._in_store:
            assert open_files(), "the writer keeps its connection between commits"
        pid = os.fork()
        if not pid:
            os._exit(len(open_files()))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        tracer.start_span("after").end()
        processor.shutdown()
    """
    finished(code, path)
    assert _names(path) == {"parent": 1, "after": 1}


LOCKER = """
    import sqlite3
    plain = sqlite3.connect(sys.argv[1], isolation_level=None)
    plain.execute("BEGIN IMMEDIATE")
    print("ready", flush=True)
    sys.stdin.readline()
    plain.execute("COMMIT")
    print("released", flush=True)
    sys.stdin.read()
"""


def test_a_locked_database_delays_and_loses_nothing(path: Path) -> None:
    """The host does not wait for another process's lock; afterwards all spans are stored."""
    SpanStore(path).close()
    code = """
        print("ready", flush=True)
        tracer.start_span("flash.deploy").end()
        assert not processor.force_flush(10_000)
        print("held", flush=True)
        sys.stdin.readline()
        tracer.start_span("flash.call").end()
        assert processor.force_flush()
        print("stored", flush=True)
    """
    with (
        running(LOCKER, path) as locker,
        running(code, path) as host,
    ):
        assert host.stdout is not None
        assert host.stdin is not None
        assert locker.stdin is not None
        assert locker.stdout is not None
        assert host.stdout.readline() == "held\n"
        locker.stdin.write("\n")
        locker.stdin.flush()
        assert locker.stdout.readline() == "released\n"
        host.stdin.write("\n")
        host.stdin.flush()
        assert host.stdout.readline() == "stored\n"
        host.wait()
    assert _names(path) == {"flash.deploy": 1, "flash.call": 1}


def test_an_exit_does_not_wait_for_a_lock(path: Path) -> None:
    """A host that ends while the store is locked ends in time, with one warning."""
    SpanStore(path).close()
    code = """
        tracer.start_span("flash.deploy").end()
        processor.force_flush(500)
        processor.shutdown()
        tracer.start_span("too late").end()
        processor.shutdown()
    """
    with running(LOCKER, path):
        warning = finished(code, path).stderr
    assert warning.startswith("flash_otel: ")
    assert warning.count("\n") == 1


def test_a_lock_that_lasts_is_one_warning(path: Path) -> None:
    """Spans that wait for a long time cause one warning."""
    SpanStore(path).close()
    code = """
        from flash_otel.store import writer
        writer._PATIENCE_S = 0
        for _ in range(4):
            tracer.start_span("flash.deploy").end()
            processor.force_flush(10_000)
    """
    with running(LOCKER, path):
        warning = finished(code, path).stderr
    assert warning.startswith("flash_otel: spans wait to be stored: ")
    assert warning.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit")
def test_a_full_disk_costs_no_span_once_there_is_room(path: Path) -> None:
    """Once the file can grow again everything is stored, without a warning."""
    code = """
        import resource
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        tracer.start_span("before").end()
        assert processor.force_flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
        for _ in range(50):
            tracer.start_span("large", attributes={"x": "y" * 10_000}).end()
        assert not processor.force_flush()
        assert not processor.force_flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        tracer.start_span("after").end()
        assert processor.force_flush()
        processor.shutdown()
    """
    finished(code, path)
    assert _names(path) == {"before": 1, "large": 50, "after": 1}


def _small_disk(folder: Path) -> tuple[str, ...]:
    """Return a command prefix that mounts a disk of 512 KiB at `folder` for its command.

    The disk is in a mount namespace of that process alone and vanishes with it.
    """
    mount = 'mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@"'
    return ("unshare", "--mount", "--map-root-user", "sh", "-c", mount, str(folder))


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    with TemporaryDirectory() as folder:
        command = [*_small_disk(Path(folder)), "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="no right to mount a small disk")
def test_a_disk_without_space_lets_the_host_go_on(tmp_path: Path) -> None:
    """On a full disk the host ends normally, with one warning, and keeps what fitted."""
    code = """
        tracer.start_span("before").end()
        assert processor.force_flush()
        for _ in range(100):
            tracer.start_span("large", attributes={"x": "y" * 10_000}).end()
        assert not processor.force_flush()
        processor.shutdown()
        from flash_otel.store.store import SpanStore
        with SpanStore(sys.argv[1]) as store:
            print([span.name for span in store.spans()][0])
    """
    done = finished(code, tmp_path / "spans.db", _small_disk(tmp_path))
    assert done.stdout == "before\n"
    assert done.stderr.startswith("flash_otel: ")
    assert "stored: " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit")
def test_a_disk_that_is_full_from_the_start_lets_the_host_go_on(path: Path) -> None:
    """If not even an empty store fits, the host ends normally, with one warning."""
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        for _ in range(3):
            tracer.start_span("flash.deploy").end()
            processor.force_flush(10_000)
        processor.shutdown()
    """
    warning = finished(code, path).stderr
    assert warning.startswith("flash_otel: ")
    assert "stored: " in warning
    assert warning.count("\n") == 1
