"""Faults of a collector: the host ends as without tracing, and no span is lost.

Times are measured by the process itself, and compared with bounds far beyond its budget, because
the machine may be busy.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.bad_endpoints import BAD
from support.host_process import ENDINGS, SPANS, STATUSES, HostProcess
from support.scripted_collector import KINDS, HttpCollector, Reply
from support.scripted_proxy import USER, ScriptedProxy

from flash_otel.store import cursors
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

# A budget that does nothing would come to the collector's own timeout.
LATE_S = 40.0
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "80000"}


def waiting(folder: Path) -> list[cursors.DeliveryStatus]:
    """Return the delivery statuses in a victim's store."""
    with SpanStore(folder / "spans.db") as store:
        keys = [record.key for record in store.spans()]
        assert len(keys) == len(set(keys))
        return cursors.delivery_statuses(store.connection)


@pytest.mark.parametrize("protocol", [kind.protocol for kind in KINDS])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_collector(fault: str, protocol: str, tmp_path: Path) -> None:
    """The exit stays within its budget, and all spans wait, with one warning."""
    with BAD[fault]() as url:
        ended = HostProcess(tmp_path, url, protocol, variables=PATIENT).run()
    assert (ended.status, ended.stdout) == (0, "done\n")
    assert len(ended.lines) == 1, ended.stderr
    assert f"{SPANS} spans wait for " in ended.lines[0]
    assert ended.lines[0].endswith("or: flash-otel push")
    assert ended.exit_s is not None
    assert ended.exit_s < LATE_S
    (status,) = waiting(tmp_path)
    assert (status.waiting, status.rejected) == (SPANS, 0)
    assert status.reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [0, 407])
def test_a_proxy_with_a_password(kind: Any, status: int, tmp_path: Path) -> None:
    """Spans pass the proxy, or wait if it refuses; nothing that is kept or shown is secret."""
    with kind() as collector, ScriptedProxy(USER, status=status) as proxy:
        proxy.upstream = collector.url.removeprefix("http://")
        variables = {
            "http_proxy": proxy.url,
            "no_proxy": "",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary-key",
            "FLASH_OTEL_EXIT_BUDGET": "30",
        }
        url = "http://me:canary-user@collector.example:4318"
        ended = HostProcess(tmp_path, url, collector.protocol, variables=variables).run()
        assert len(set(collector.keys)) == (0 if status else SPANS)
        assert {target.split()[0] for target in proxy.targets} <= {"POST", "CONNECT"}
    (delivery,) = waiting(tmp_path)
    assert (delivery.waiting, delivery.rejected) == (SPANS if status else 0, 0)
    assert len(ended.lines) == bool(status)
    assert ("wants a user and a password" in ended.stderr) is bool(status)
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("spans.db*"))
    assert b"canary" not in kept + ended.stdout.encode() + ended.stderr.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_scheme(kind: Any, tmp_path: Path) -> None:
    """Nothing is sent in the clear to an address that may mean encryption."""
    with kind() as collector:
        url = collector.url.replace("http:", "grpcs:")
        ended = HostProcess(tmp_path, url, collector.protocol).run()
        assert collector.received == []
    assert len(ended.lines) == 1
    assert [each.waiting for each in waiting(tmp_path)] == [SPANS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_collector_that_comes_back(kind: Any, tmp_path: Path) -> None:
    """The next run first sends the spans of an outage, then its own."""
    outage = Reply(503, code="UNAVAILABLE")
    # Not once but until it ends: on a busy machine, the first run may not get as far as a request.
    is_over = threading.Event()
    with kind(script=lambda _: Reply() if is_over.is_set() else outage) as collector:
        dead = HostProcess(tmp_path, collector.url, collector.protocol).run()
        assert len(dead.lines) == 1
        assert collector.keys == []
        is_over.set()
        alive = HostProcess(
            tmp_path,
            collector.url,
            collector.protocol,
            variables={"FLASH_OTEL_EXIT_BUDGET": "30"},
        ).run()
        assert (alive.stdout, alive.stderr) == ("done\n", "")
        assert len(set(collector.keys)) == 2 * SPANS
    (status,) = waiting(tmp_path)
    assert status.waiting == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_with_a_live_collector(ending: str, tmp_path: Path) -> None:
    """For every way to end, the spans arrive, and the host's status and output are unchanged."""
    with HttpCollector() as collector:
        variables = {"FLASH_OTEL_EXIT_BUDGET": "30"}
        ended = HostProcess(tmp_path, collector.url, ending=ending, variables=variables).run()
        assert len(set(collector.keys)) == len(collector.keys) == SPANS
    assert (ended.status, ended.stdout, ended.lines) == (STATUSES[ending], "done\n", [])


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_with_a_dead_collector(ending: str, tmp_path: Path) -> None:
    """The same with a collector that refuses connections: all spans wait, with one warning."""
    with BAD["refuses"]() as url:
        ended = HostProcess(tmp_path, url, ending=ending).run()
    assert (ended.status, ended.stdout) == (STATUSES[ending], "done\n")
    assert len(ended.lines) == 1, ended.stderr
    assert [status.waiting for status in waiting(tmp_path)] == [SPANS]


def test_without_an_endpoint_there_is_no_warning(tmp_path: Path) -> None:
    """Without a configured collector, the exit neither waits nor warns."""
    ended = HostProcess(tmp_path).run()
    assert (ended.status, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert waiting(tmp_path) == []


def test_other_exporters_get_their_turn(tmp_path: Path) -> None:
    """Another exporter gets its spans, though the collector never answers."""
    with BAD["never answers"]() as url:
        variables = {"OTEL_TRACES_EXPORTER": "console,otlp", "FLASH_OTEL_EXIT_BUDGET": "5"}
        ended = HostProcess(tmp_path, url, variables=variables, spans=1).run()
    assert '"flash.build_id": "b-0"' in ended.stdout
    assert len(ended.lines) == 1


def test_a_second_interrupt_ends_the_wait(tmp_path: Path) -> None:
    """Ctrl-C while the exit waits for a collector ends it at once, without a traceback."""
    ending = """
        import signal, threading
        from flash_otel import pipeline
        assert pipeline.flush_store(30)
        print('done')
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        atexit.register(timer.start)
    """
    with BAD["never answers"]() as url:
        variables = {"FLASH_OTEL_EXIT_BUDGET": "60"}
        ended = HostProcess(tmp_path, url, ending=ending, variables=variables).run()
    assert (ended.status, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert ended.exit_s is not None
    assert ended.exit_s < 30
    assert [status.waiting for status in waiting(tmp_path)] == [SPANS]


def test_a_handler_of_the_host_stays(tmp_path: Path) -> None:
    """A host's own handler of SIGTERM is not replaced."""
    before = """
        import signal
        def handle(number, frame):
            print("handled", flush=True)
            sys.exit(7)
        signal.signal(signal.SIGTERM, handle)
    """
    with HttpCollector() as collector:
        variables = {"FLASH_OTEL_EXIT_BUDGET": "30"}
        victim = HostProcess(
            tmp_path, collector.url, ending="SIGTERM", before=before, variables=variables
        )
        ended = victim.run()
        assert len(collector.keys) == SPANS
    assert (ended.status, ended.stdout, ended.stderr) == (7, "done\nhandled\n", "")


def test_tracing_that_ends_gives_the_signal_back(tmp_path: Path) -> None:
    """`uninstrument()` restores the default of SIGTERM."""
    ending = """
        import signal
        flash_otel.uninstrument()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    """
    # Under nohup every child inherits an ignored SIGHUP, which is not its default.
    early = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    ended = HostProcess(tmp_path, early=early, ending=ending).run()
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.parametrize("store", ["spans.db", "off"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_forked_child_sends_its_own(kind: Any, store: str, tmp_path: Path) -> None:
    """Parent and child each send their own spans, once, and neither hangs."""
    ending = """
        flash_otel.flush(30)
        child = os.fork()
        work(5)
        if child == 0:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    with kind() as collector:
        variables = {"FLASH_OTEL_EXIT_BUDGET": "30", "FLASH_OTEL_STORE": store}
        victim = HostProcess(
            tmp_path, collector.url, collector.protocol, ending=ending, variables=variables
        )
        ended = victim.run()
        assert (ended.status, ended.stderr) == (0, "")
        assert len(set(collector.keys)) == len(collector.keys) == SPANS + 10


def test_processes_at_once_send_once(tmp_path: Path) -> None:
    """Several processes with the same store deliver each span once."""
    from concurrent.futures import ThreadPoolExecutor

    with HttpCollector() as collector:
        variables = {"FLASH_OTEL_EXIT_BUDGET": "30"}
        victims = [HostProcess(tmp_path, collector.url, variables=variables)] * 4
        with ThreadPoolExecutor(len(victims)) as pool:
            ended = list(pool.map(HostProcess.run, victims))
        assert [process.status for process in ended] == [0] * len(victims)
        HostProcess(tmp_path, collector.url, variables=variables, spans=1).run()
        assert len(collector.keys) == len(set(collector.keys)) == len(victims) * SPANS + 1


def test_secrets_of_the_headers_are_nowhere(tmp_path: Path) -> None:
    """Credentials go to the collector and nowhere else."""
    canary = "c4n4ry-value"
    reply = Reply(400, {"x-echo": canary})
    with HttpCollector(reply) as collector:
        url = collector.url.replace("http://", f"http://user:{canary}@")
        variables = {
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={canary}",
            "FLASH_OTEL_EXIT_BUDGET": "30",
        }
        ended = HostProcess(tmp_path, url, variables=variables).run()
        assert collector.headers[0]["api-key"] == canary
    assert canary not in ended.stdout + ended.stderr
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert canary.encode() not in written
