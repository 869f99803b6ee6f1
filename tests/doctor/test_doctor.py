"""`flash-otel doctor` names every problem with its next step, and shows no secret."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bad_endpoints import BAD
from support.commands import flash_otel, keep
from support.scripted_collector import KINDS, HttpCollector, Reply
from support.scripted_proxy import USER, ScriptedProxy

from flash_otel.doctor import (
    NOTE,
    OK,
    PROBLEM,
    UNKNOWN,
    DoctorCheck,
    delivery,
    installation,
    variables,
    verdict,
)
from flash_otel.export.destination import Destination
from flash_otel.runtime.environment import shown
from flash_otel.runtime.interpreters import requirement
from flash_otel.testing import recording
from flash_otel.tracing.flash import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = Path(installation.__file__).parents[1]
CANARY = "canary-6f2d9c41"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of flash_otel, Flash and OpenTelemetry."""
    for name in list(os.environ):
        if name.startswith(("FLASH_", "OTEL_", "RUNPOD_")) or name == "PYTHONPATH":
            monkeypatch.delenv(name)


def results(checks: Iterable[DoctorCheck]) -> dict[str, str]:
    return {check.name: check.result for check in checks}


def only(checks: Iterable[DoctorCheck]) -> DoctorCheck:
    (check,) = checks
    return check


@pytest.fixture
def store_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that holds a deployment, at FLASH_OTEL_STORE."""
    import flash_otel as api

    with recording() as spans:
        api.trace_deploy(lambda app_name: app_name)("shop")
    keep(tmp_path, spans.records)
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    return tmp_path / "spans.db"


# --- the command --------------------------------------------------------------------------------


def examined(folder: Path, *options: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return its exit status and checks."""
    done = flash_otel(folder, "doctor", "--json", *options, env=env)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert CANARY not in done.stdout
    assert found["verdict"] == verdict(
        DoctorCheck("", check["result"], "") for check in found["checks"]
    )
    return done.returncode, found["checks"]


def test_a_destination_that_takes_spans(tmp_path: Path) -> None:
    """A destination gets an empty batch with the configured headers, and no span."""
    with HttpCollector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{CANARY}",
        }
        _, checks = examined(tmp_path, **variables)
        assert collector.requests == [[]]
        assert collector.headers[0]["authorization"] == f"Bearer {CANARY}"
    found = {check["check"]: check["result"] for check in checks}
    assert (found["destination"], found["clock"]) == (OK, OK)


def test_offline(tmp_path: Path) -> None:
    """--offline sends nothing."""
    with HttpCollector() as collector:
        _, checks = examined(tmp_path, "--offline", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert collector.requests == []
    assert [check["result"] for check in checks if check["check"] == "destination"] == [NOTE]


def test_text(tmp_path: Path) -> None:
    """The verdict comes first, then problems with the line to type; what is fine is a count."""
    done = flash_otel(tmp_path, "doctor", env={"FLASH_OTEL_STROE": "x\x1b[2J"})
    assert done.returncode == 1
    assert done.stdout.startswith("Tracing will not work as configured.\n\nproblem  ")
    assert "problem  FLASH_OTEL_STROE=x [2J is not a variable of flash_otel\n" in done.stdout
    assert "         Did you mean FLASH_OTEL_STORE?\n           unset FLASH_OTEL_S" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.count("\nok ") == 1
    assert "flash-otel doctor --verbose" in " ".join(done.stdout.split())
    for option in ("-v", "--verbose"):
        opened = flash_otel(tmp_path, "doctor", option)
        assert opened.stdout.count("\nok ") > 5
        assert "--verbose" not in opened.stdout


def test_bad_usage(tmp_path: Path) -> None:
    """An invalid timeout is bad usage."""
    assert flash_otel(tmp_path, "doctor", "--timeout", "0").returncode == 2


def test_verdicts() -> None:
    """The worst result counts; `unknown` ranks below `problem`."""
    order = [OK, NOTE, UNKNOWN, PROBLEM]
    for number, worst in enumerate(order):
        assert verdict(DoctorCheck("", result, "") for result in order[: number + 1]) == worst
    assert verdict([]) == OK


def test_a_check_that_fails_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error makes its topic `unknown` and affects no other."""
    from flash_otel.cli.doctor import examine

    def broken() -> Iterator[DoctorCheck]:
        yield from [DoctorCheck("", OK, "")][1:]
        raise RuntimeError(CANARY)

    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    monkeypatch.setattr(delivery, "store", broken)
    found = dict(examine(None))
    assert results(found["store"]) == {"store": UNKNOWN}
    assert CANARY not in found["store"][0].text
    assert found["versions"]
    assert found["destinations"]


# --- variables ----------------------------------------------------------------------------------


def test_every_variable_is_known() -> None:
    """The doctor knows every FLASH_OTEL_* variable that users can set."""
    read = {
        name
        for file in PACKAGE.rglob("*.py")
        for name in re.findall(r"\bFLASH_OTEL_[A-Z][A-Z_]*[A-Z]", file.read_text(encoding="utf-8"))
    }
    ours = {name for name in variables.VARIABLES if name.startswith("FLASH_OTEL_")}
    assert {name for name in read if not name.startswith("FLASH_OTEL_DEMO")} == ours


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("FLASH_OTEL_EXIT_BUDGET", "0.5", OK),
        ("FLASH_OTEL_SUMMARY", "0", OK),
        ("FLASH_OTEL_SUMMARY", "short", PROBLEM),
        ("FLASH_OTEL_EXIT_BUDGET", "half", PROBLEM),
        ("FLASH_OTEL_EXIT_BUDGET", "61", PROBLEM),
        ("FLASH_OTEL_PROPAGATION", "auto", OK),
        ("FLASH_OTEL_PROPAGATION", "child", PROBLEM),
        ("FLASH_OTEL_DISABLED", "maybe", PROBLEM),
        ("FLASH_OTEL_BUDGET", "1", PROBLEM),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", OK),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", PROBLEM),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", PROBLEM),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no pair", PROBLEM),
        ("FLASH_OTEL_LEGACY_LOGS", "logger:stderr", OK),
        ("FLASH_OTEL_LEGACY_LOGS", "On", OK),
        ("FLASH_OTEL_LEGACY_LOGS", "stderr", PROBLEM),
        ("FLASH_OTEL_LEGACY_LOGS", "/tmp/lines.log", PROBLEM),
        ("OTEL_TRACES_EXPORTER", "none", OK),
        ("OTEL_TRACES_EXPORTER", "console, None", PROBLEM),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=%0d", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "tenant=1,kéy=a", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=a", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Content-Type=a", PROBLEM),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "key=a,KEY=b", PROBLEM),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=a=b,, tenant = c%20d ,empty=", OK),
        ("FLASH_OTEL_JAEGER_HEADERS", "a b=c", PROBLEM),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file", PROBLEM),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/", PROBLEM),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "x" * 5000, PROBLEM),
        ("OTEL_TRACES_EXPORTER", "otlp,console", OK),
        ("OTEL_TRACES_EXPORTER", "oltp", PROBLEM),
        ("OTEL_TRACES_SAMPLER", "sometimes", PROBLEM),
        ("OTEL_TRACES_SAMPLER", "", OK),
        ("OTEL_EXPORTER_OTLP_ENDPONT", "http://a", NOTE),
    ],
)
def test_variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str, result: str) -> None:
    """Invalid values and unread names are reported."""
    monkeypatch.setenv(name, value)
    assert only(variables.variables()).result == result


def test_a_folder_in_place_of_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It exists, so the reason is another one."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path))
    assert "it is not a file that can be read" in only(variables.variables()).text


@pytest.mark.parametrize("value", ["1", "yes", "tru"])
def test_what_an_invalid_boolean_means(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """It is false, which is not the default where being unset leaves the choice to the scheme."""
    from flash_otel.export.destination import configured

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317")
    (destination,) = configured(["otlp_proto_grpc"])
    assert destination.insecure is False
    found = [check for check in variables.variables() if "INSECURE" in check.name]
    assert f"INSECURE={value} is invalid, so it means false" in only(found).text


def test_other_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables for metrics and logs alone are notes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a")
    check = only(variables.variables())
    assert (check.result, check.text) == (
        NOTE,
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://a: flash_otel emits no metrics",
    )


def test_quotes_that_the_application_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    """flash_otel removes them, but the variable's other readers do not: the line removes them."""
    monkeypatch.setenv("OTEL_PROPAGATORS", '"tracecontext"')
    check = only(variables.variables())
    assert (check.result, check.command) == (NOTE, "export OTEL_PROPAGATORS=tracecontext")
    assert "quotes" in check.text


@pytest.mark.parametrize(
    ("store", "is_worker", "result", "text"),
    [
        ("", False, OK, "stay in the store"),
        ("", True, OK, "go to the worker's log"),
        ("spans.db", True, OK, "stay in the store"),
        ("off", True, OK, "go to the worker's log"),
        ("off", False, NOTE, "the store is off"),
    ],
)
def test_where_spans_are_without_a_destination(
    store: str, is_worker: bool, result: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It depends on the store, too, and doctor does not name a place where no span arrives."""
    monkeypatch.setenv("FLASH_OTEL_STORE", store)
    if is_worker:
        monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "endpoint")
    check = only(delivery.destinations(None))
    assert check.result == result
    assert text in check.text


def test_values_of_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check shows headers or credentials, valid or not."""
    for name, value in {
        "OTEL_EXPORTER_OTLP_HEADERS": f"{CANARY}",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={CANARY}",
        "FLASH_OTEL_JAEGER_HEADERS": f"authorization=Bearer {CANARY}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{CANARY}@host:4318/?token={CANARY}",
        "OTEL_RESOURCE_ATTRIBUTES": f"api_key={CANARY}",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"/no/{CANARY}",
        "FLASH_OTEL_APIKEY": CANARY,
    }.items():
        monkeypatch.setenv(name, value)
    found = list(variables.variables())
    assert len(found) == 7
    assert CANARY not in repr(found)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_any_value(value: str) -> None:
    """No value of a variable raises."""
    with pytest.MonkeyPatch.context() as patched:
        for name in variables.VARIABLES:
            patched.setenv(name, value)
        assert len(list(variables.variables())) == len(variables.VARIABLES)


# --- the store ----------------------------------------------------------------------------------


def test_a_store(store_file: Path) -> None:
    """An intact store passes; permissions for others are a note."""
    assert results(delivery.store()) == {"store": OK, "store_rights": OK, "store_integrity": OK}
    store_file.chmod(0o644)
    assert results(delivery.store())["store_rights"] == NOTE


def test_no_store_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing store is fine, and the check does not create it."""
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "later" / "spans.db"))
    assert results(delivery.store()) == {"store": OK}
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store that is off is a note."""
    monkeypatch.setenv("FLASH_OTEL_STORE", "off")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert next(delivery.store()).result == NOTE


def test_a_planted_store(store_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbolic link in its place is a problem: the writer refuses it."""
    link = store_file.with_name("link.db")
    link.symlink_to(store_file)
    monkeypatch.setenv("FLASH_OTEL_STORE", str(link))
    assert results(delivery.store())["store_rights"] == PROBLEM


def test_a_foreign_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of file in its place is a problem."""
    (tmp_path / "spans.db").write_bytes(b"something else" * 1000)
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    assert results(delivery.store()) == {"store": PROBLEM}


def test_a_damaged_store(store_file: Path) -> None:
    """An overwritten page is found, though the store still opens."""
    with closing(sqlite3.connect(store_file)) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = plain.execute("PRAGMA page_size").fetchone()
        (root,) = plain.execute(
            "SELECT rootpage FROM sqlite_master WHERE type = 'index' ORDER BY rootpage DESC"
        ).fetchone()
    with store_file.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    found = results(delivery.store())
    assert found.get("store_integrity", found["store"]) in (PROBLEM, UNKNOWN)


def test_undelivered_spans(store_file: Path) -> None:
    """Spans that wait for a destination are reported with the reason and the command."""
    from flash_otel.store.cursors import fail, register
    from flash_otel.store.store import SpanStore

    with SpanStore(store_file) as opened:
        register(opened.connection, ["grpc http://c:4317"])
        fail(opened.connection, "grpc http://c:4317", "connection refused", 0)
        opened.connection.execute(
            """UPDATE resources SET attributes = '{"telemetry.distro.name":"flash-otel"}'"""
        )
        opened.connection.execute("UPDATE destinations SET cursor = 0")
    found = [check for check in delivery.store() if check.name == "waiting"]
    assert only(found).command == "flash-otel push"
    assert "1 span waits for grpc http://c:4317 (connection refused)" in found[0].text


def test_spans_set_aside(store_file: Path) -> None:
    """Spans that a locked store could not take are reported, and not taken in."""
    from flash_otel.store.files import set_aside, waiting

    with recording() as spans:
        import flash_otel as api

        api.trace_deploy(lambda app_name: app_name)("shop")
    assert set_aside(store_file, spans.records)
    (found,) = [check for check in delivery.store() if check.name == "set_aside"]
    assert (found.result, found.command) == (NOTE, "flash-otel traces")
    assert len(list(waiting(store_file))) == 1


def test_a_locked_store(store_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a store that another process holds locked could not be made."""
    from flash_otel.store.store import SpanStore

    # Locks are waited for for seconds.
    defaults = SpanStore.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "busy_ms", 20)
    with closing(sqlite3.connect(store_file)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        found = results(delivery.store())
    assert found == {"store": UNKNOWN}


# --- destinations -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_destinations(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination that accepts spans, and one that demands credentials, over HTTP and gRPC."""
    with kind() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", collector.protocol)
        assert next(delivery.destinations(30)).result == OK
    with kind(Reply(401, code="UNAUTHENTICATED")) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        refused = next(delivery.destinations(30))
    assert refused.result == PROBLEM
    assert "HEADERS" in refused.next_step


@pytest.mark.parametrize(
    ("endpoint", "protocol", "result", "text"),
    [
        ("grpcs://me:canary@127.0.0.1:1", "grpc", NOTE, "the scheme grpcs:// is unknown; TLS"),
        ("htps://me:canary@127.0.0.1:1", "http/protobuf", PROBLEM, "the scheme htps:// is unknown"),
        ("http://me:can ary@127.0.0.1:1", "http/protobuf", PROBLEM, "percent-encoded"),
        ("dns:///me:canary@h:1", "grpc", PROBLEM, "percent-encoded"),
        ("http://me:canary", "grpc", PROBLEM, "port"),
    ],
)
def test_addresses_that_do_not_lead_where_they_say(
    endpoint: str, protocol: str, result: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown scheme and an invalid address are named, without the password."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary")
    found = [*delivery.destinations(0.5), *delivery.destinations(None)]
    assert found[0].result == result
    assert text in found[0].text
    assert found[0].next_step
    assert "canary" not in str(found)
    words = re.split(r"[ /@:]", shown("OTEL_EXPORTER_OTLP_ENDPOINT"))
    assert not {"can", "ary", "canary"} & set(words)


def test_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is named without its password, and one that cannot be used is a problem."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with HttpCollector() as collector, ScriptedProxy(USER) as proxy:
        proxy.upstream = collector.url.removeprefix("http://")
        monkeypatch.setenv("http_proxy", proxy.url)
        found = {check.name: check for check in delivery.destinations(30)}
    assert found["destination"].result == OK
    assert found["proxy"].text.endswith(f"through the proxy 127.0.0.1:{proxy.port}")
    assert "canary" not in str(found)
    monkeypatch.setenv("http_proxy", "socks5://me:canary@127.0.0.1:1080")
    found = {check.name: check for check in delivery.destinations(30)}
    assert "SOCKS" in found["proxy"].text
    assert "canary" not in str(found)


@pytest.mark.parametrize("is_tunnel", [False, True])
def test_a_proxy_that_wants_a_password(monkeypatch: pytest.MonkeyPatch, *, is_tunnel: bool) -> None:
    """A proxy's 407 is the proxy's problem, found by the probe; its password is not shown."""
    scheme = "https" if is_tunnel else "http"
    with ScriptedProxy(authorization="Basic expected") as proxy:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{scheme}://collector.example:4318")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:{CANARY}@127.0.0.1:{proxy.port}")
        through, refused, *_ = delivery.destinations(30)
    assert (through.name, through.result) == ("proxy", NOTE)
    assert refused.result == PROBLEM
    assert "HTTP 407" in refused.text
    assert refused.command == f"export {scheme}_proxy=http://USER:PASSWORD@PROXY:PORT"
    assert CANARY not in repr((through, refused))


@pytest.mark.parametrize(
    ("proxy", "part"),
    [("socks5://proxy:1080", "SOCKS"), ("http://[", "invalid"), ("ftp://proxy", "scheme")],
)
@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, part: str
) -> None:
    """It is found without sending anything, and named with its variable."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
    monkeypatch.setenv(name, proxy)
    found = only(delivery.destinations(None))
    assert (found.name, found.result, found.command) == ("proxy", PROBLEM, f"unset {name}")
    assert part in found.text


@pytest.mark.parametrize(
    ("endpoint", "command"),
    [
        ("htps://host:4318", "export OTEL_EXPORTER_OTLP_ENDPOINT=https://host:4318"),
        ("'grpcs://host:1'", "export OTEL_EXPORTER_OTLP_ENDPOINT=https://host:1"),
        ("dns:///host:4317", "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ("http://host:nine", "unset OTEL_EXPORTER_OTLP_ENDPOINT"),
        (f"htps://me:{CANARY}@host:1", "unset OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_an_address_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, command: str
) -> None:
    """It is found without sending anything, with the line that corrects it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    found = only(delivery.destinations(None))
    assert (found.name, found.result, found.command) == ("address", PROBLEM, command)


@pytest.mark.parametrize("fault", ["refuses", "never answers", "TLS error"])
def test_bad_destinations(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure is a problem with its reason, reported within the timeout."""
    with BAD[fault]() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        found = only(delivery.destinations(0.5))
    assert found.result == PROBLEM
    assert "no reason" not in found.text


@pytest.mark.parametrize(
    ("ahead_s", "expected"), [(0, OK), (20, OK), (-20, OK), (120, NOTE), (-86_400, NOTE)]
)
def test_clocks(ahead_s: int, expected: str) -> None:
    """A clock that differs by minutes, in either direction, is a note."""

    class Answered:
        """A transport whose server sent its time."""

        date = formatdate(time.time() + ahead_s, usegmt=True)

    where = Destination("http/protobuf", "http://collector:4318")
    assert only(delivery._clock(where, Answered())).result == expected  # type: ignore[arg-type]  # as far as needed


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 99:99:99 GMT"])
def test_a_server_without_a_valid_date(date: str) -> None:
    """Without a valid date, the clock is not checked."""

    class Answered:
        """A transport whose server sent an invalid date."""

    Answered.date = date  # type: ignore[attr-defined]  # made up here
    where = Destination("http/protobuf", "http://collector:4318")
    assert list(delivery._clock(where, Answered())) == []  # type: ignore[arg-type]  # as far as needed


# --- providers, places, versions, targets -------------------------------------------------------


def test_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider set by others is a note about who exports the spans."""
    assert results(installation.providers())["provider"] == OK
    folder = os.path.join(  # noqa: PTH118 - as opentelemetry-instrument writes it
        "/usr/lib", "opentelemetry", "instrumentation", "auto_instrumentation"
    )
    monkeypatch.setenv("PYTHONPATH", f"/a{os.pathsep}{folder}")
    launched = next(check for check in installation.providers() if check.name == "provider")
    assert launched.result == NOTE
    assert "The application's exporters send the spans" in launched.text
    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "sdk_tracer_provider")
    named = next(check for check in installation.providers() if check.name == "provider")
    assert "OTEL_PYTHON_TRACER_PROVIDER" in named.text
    monkeypatch.setenv("FLASH_OTEL_DISABLED", "1")
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "httpx, runpod_flash")
    found = results(installation.providers())
    assert (found["disabled"], found["instrumentation_disabled"]) == (PROBLEM, NOTE)


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker, a pod and any other machine are distinguished."""
    assert only(installation.place()).text.startswith("not a worker")
    monkeypatch.setenv("RUNPOD_POD_ID", "pod")
    assert only(installation.place()).text.startswith("a pod")
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "endpoint")
    assert only(installation.place()).text.startswith("a deployed worker")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_closed_streams(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """A standard stream that was closed at the start is a note."""
    monkeypatch.setattr("sys." + stream, None)
    found = next(check for check in installation.place() if check.name == "streams")
    assert found.result == NOTE
    assert stream in found.text


def test_flash_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flash in another interpreter is reported with the command that adds flash-otel there."""
    script = tmp_path / "bin" / "flash"
    script.parent.mkdir()
    script.write_text(f"#!{script.parent}/python\nfrom runpod_flash.cli.main import app\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(installation, "version_of", lambda _name: None)
    found = next(check for check in installation.versions() if check.name == "flash_elsewhere")
    assert found.result == PROBLEM
    assert f"{script.parent}/python -m pip install {requirement()}" in found.command
    monkeypatch.setenv("PATH", str(tmp_path))
    assert results(installation.versions())["flash"] == PROBLEM


@pytest.mark.parametrize(
    ("version", "result"), [("1.0.0", OK), ("1.21.0", OK), ("2.0.0rc2", NOTE), ("0.9", NOTE)]
)
def test_versions(monkeypatch: pytest.MonkeyPatch, version: str, result: str) -> None:
    """Unknown versions are a note."""
    monkeypatch.setattr(installation, "version_of", lambda _name: version)
    monkeypatch.setenv("PATH", "")
    assert results(installation.versions())["flash"] == result


def test_every_target_has_a_purpose() -> None:
    """The purposes list every target of Flash, and no others."""
    counted = {name for names in installation.PURPOSES.values() for name in names}
    assert counted == {
        target.name for target in TARGETS if target.module.startswith("runpod_flash")
    }


def test_a_flash_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation without any function in the installed version is a problem."""
    module = tmp_path / "runpod_flash" / "core" / "resources" / "app.py"
    module.parent.mkdir(parents=True)
    module.write_text("class FlashApp:\n    async def upload_build(self, tar_path): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = results(installation.targets())
    assert found.pop("target the artifact's upload") == OK
    assert set(found.values()) == {PROBLEM}


@given(st.binary())
def test_any_source(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """An unreadable module has no names, and does not raise."""
    folder = tmp_path_factory.getbasetemp() / "some_package"
    folder.mkdir(exist_ok=True)
    (folder / "module.py").write_bytes(content)
    installation.names_in(folder, "some_package.module")
