"""Internal errors of flash_otel never reach the traced call."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import flash_otel
from flash_otel import manifest, pipeline
from flash_otel.runtime import process
from flash_otel.testing import recording
from flash_otel.tracing import attributes, carriers, links, outcome, scope


class Broken(RuntimeError):  # noqa: N818 - what it is
    """An internal error."""


def breaks(*_args: Any, **_kwargs: Any) -> Any:
    """Raise, whatever the arguments."""
    raise Broken


class Panic(BaseException):
    """What a package with a core in Rust raises."""


class BreaksAtStart(SpanProcessor):
    """A processor that fails on every span that starts."""

    on_start = breaks


class BreaksAtEnd(SpanProcessor):
    """A processor that fails on every span that ends."""

    on_end = breaks


@flash_otel.trace_upload(carrier=True)
def upload(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the given manifest, or raise like the user's code."""
    if "fail" in manifest:
        raise LookupError
    return manifest


@flash_otel.trace_upload(carrier=True)
async def upload_async(manifest: dict[str, Any]) -> dict[str, Any]:
    """Like `upload`, as a coroutine."""
    await asyncio.sleep(0)
    if "fail" in manifest:
        raise LookupError
    return manifest


@pytest.fixture(autouse=True)
def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swallow internal errors, as outside of flash_otel's own tests."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    process.reset()


def calls_work() -> None:
    """Check that calls return and raise as they do untraced."""
    mine = {"version": "1.0"}
    untyped: Any = upload_async

    @flash_otel.trace_deploy
    def deploy() -> dict[str, Any]:
        return upload(mine)

    for _ in range(2):
        assert deploy()["version"] == "1.0"
        assert asyncio.run(upload_async(mine))["version"] == "1.0"
        with pytest.raises(LookupError):
            upload({"fail": 1})
        with pytest.raises(LookupError):
            asyncio.run(upload_async({"fail": 1}))
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            untyped()
    assert mine == {"version": "1.0"}


FAULTS: list[tuple[Any, str]] = [
    (pipeline, "tracer"),
    (links, "relate"),
    (carriers, "write"),
    (pipeline.clock, "value"),
    (outcome, "detect"),
    (manifest, "secrets"),
    (outcome, "classify"),
    (outcome, "exception_attributes"),
    (attributes, "scrub_value"),
    (scope, "find"),
    (scope.Scope, "open"),
    (scope.Scope, "join"),
    (scope.Scope, "end"),
    (scope.Scope, "read_end"),
]


@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=[name for _, name in FAULTS])
def test_faults_inside(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """An internal error in any step reaches neither the call nor the next call."""
    with recording():
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, breaks)
            calls_work()
        calls_work()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no such signal")
@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=[name for _, name in FAULTS])
@pytest.mark.parametrize("kind", [TimeoutError, SystemExit])
def test_a_signal_inside(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kind: type[BaseException]
) -> None:
    """What a signal handler of the host raises in any step reaches the host, and nothing stays."""
    original = getattr(owner, name)
    received: list[int] = []

    def handle(number: int, _frame: object) -> None:
        received.append(number)
        raise kind

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(signal.SIGUSR1)
        return original(*args, **kwargs)

    previous = signal.signal(signal.SIGUSR1, handle)
    try:
        with recording() as spans:
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, interrupted)
                with pytest.raises((kind, LookupError)) as raised:
                    flash_otel.trace_deploy(lambda: (upload({}), upload({"fail": 1})))()
                assert issubclass(raised.type, kind) == bool(received)
            assert not trace_api.get_current_span().get_span_context().is_valid
            before = len(spans.records)
            upload({})
            assert len(spans.records) == before + 1
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no such signal")
def test_a_signal_before_the_call_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The span is not left current for the host's next calls."""
    attach = context_api.attach

    def handle(_number: int, _frame: object) -> None:
        raise TimeoutError

    def interrupted(context: context_api.Context) -> Any:
        monkeypatch.undo()
        attach(context)
        signal.raise_signal(signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, handle)
    try:
        with recording():
            monkeypatch.setattr(context_api, "attach", interrupted)
            with pytest.raises(TimeoutError):
                upload({})
        assert not trace_api.get_current_span().get_span_context().is_valid
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("processor", [BreaksAtStart(), BreaksAtEnd()])
def test_processors_that_fail(processor: SpanProcessor) -> None:
    """A failing processor of the application does not affect the call."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=False)
    calls_work()


def test_a_provider_that_fails() -> None:
    """A provider that fails to make a tracer leaves the call untraced."""

    class NoTracers(TracerProvider):
        """Makes no tracer."""

        get_tracer = breaks

    provider = NoTracers(shutdown_on_exit=False)
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=False)
    calls_work()


@pytest.mark.parametrize("kind", [Broken, SystemExit, Panic, asyncio.CancelledError])
def test_sources_that_fail(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """A failing extractor or property has found nothing, in our own tests, too."""
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")

    def fails(_call: object) -> object:
        raise kind

    class Hostile:
        """Fails on every access."""

        @property
        def id(self) -> str:
            raise kind

        def __getattr__(self, name: str) -> Any:
            raise kind(name)

    @flash_otel.trace_activate(build_id="build.id", environment_id=fails)
    def activate(build: Hostile) -> Hostile:
        return build

    hostile = Hostile()
    with recording() as spans:
        assert activate(hostile) is hostile
    (span,) = spans.records
    assert span.attributes == {"peer.service": "runpod-api", "flash.outcome": "returned"}


@pytest.mark.parametrize("kind", [Broken, SystemExit, Panic])
def test_a_value_that_cannot_be_rendered(kind: type[BaseException]) -> None:
    """A value that cannot be rendered is omitted; the span keeps its other attributes."""

    class Liar(str):
        """A string whose methods fail."""

        __slots__ = ()

        def __str__(self) -> str:
            raise kind

    with recording() as spans:
        flash_otel.trace_activate(lambda build_id, environment_id: (build_id, environment_id))(
            Liar("x"), "e-1"
        )
    (span,) = spans.records
    assert span.attributes == {
        "peer.service": "runpod-api",
        "flash.environment_id": "e-1",
        "flash.outcome": "returned",
    }


@pytest.mark.parametrize("kind", [Broken, SystemExit, Panic])
def test_an_exception_that_cannot_be_described(kind: type[BaseException]) -> None:
    """The user's exception stays the one that is raised, and its span fails without a message."""

    class Mute(Exception):  # noqa: N818 - what it is
        """An exception whose text fails."""

        def __str__(self) -> str:
            raise kind

    def raises() -> None:
        raise Mute

    with recording() as spans, pytest.raises(Mute):
        flash_otel.trace_call(raises)()
    (span,) = spans.records
    assert span.status == "error"
    assert span.attributes["error.message"] == "Mute"


def test_a_span_ends_although_its_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while the outcome is recorded does not leave the span open."""
    monkeypatch.setattr(outcome, "detect", breaks)
    with recording() as spans:
        upload({})
    assert len(spans.records) == 1


def test_reported_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error is logged once per place, at debug level, with its traceback."""
    caplog.set_level(logging.DEBUG, logger="flash_otel")
    monkeypatch.setattr(links, "relate", breaks)
    with recording():
        for _ in range(3):
            upload({})
    (record,) = [entry for entry in caplog.records if "internal error" in entry.message]
    assert record.levelno == logging.DEBUG
    assert "the start of flash.manifest.upload" in record.message
    assert record.exc_info is not None
    assert record.exc_info[0] is Broken


def test_raised_in_our_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """With FLASH_OTEL_RAISE an internal error is raised."""
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setattr(links, "relate", breaks)
    with recording(), pytest.raises(Broken):
        upload({})


def test_suppressed_instrumentation() -> None:
    """A call is not traced while the application suppresses instrumentation."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with recording() as spans:
        with suppress_instrumentation():
            assert upload({"version": 1}) == {"version": 1}
        assert spans.records == []


def test_the_context_of_a_host_whose_untraced_call_raises() -> None:
    """What the function has attached before it raised stays attached, as without tracing."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    @flash_otel.trace_activate
    def activate(build_id: str) -> None:
        context_api.attach(context_api.set_value("host", build_id))
        raise LookupError(build_id)

    def run() -> None:
        with recording(), suppress_instrumentation():
            with pytest.raises(LookupError):
                activate("b-1")
            assert context_api.get_value("host") == "b-1"

    contextvars.copy_context().run(run)
