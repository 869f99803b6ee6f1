"""How calls end: the user's exception passes through unchanged, and the span describes it."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import typer

import flash_otel
from flash_otel.tracing import outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded


class ServerDisconnectedError(Exception):
    """Named like aiohttp's: the request was sent, the response was lost."""


class ClientConnectorError(ServerDisconnectedError):
    """Named like aiohttp's: the request was not sent, although the base class means that it was."""


def only(spans: Recorded) -> SpanRecord:
    """Return the only span."""
    (span,) = spans.records
    return span


def run(function: Callable[[], Any], *, is_async: bool, decorator: Any) -> None:
    """Call a function, or a coroutine function that calls it, decorated."""

    async def later() -> None:
        await asyncio.sleep(0)
        function()

    if not is_async:
        decorator(function)()
        return
    # Not asyncio.run, which turns a KeyboardInterrupt into another one.
    coroutine = decorator(later)()
    try:
        coroutine.send(None)
        coroutine.send(None)
    finally:
        coroutine.close()


def raising(error: BaseException) -> Callable[[], None]:
    """Make a function that raises."""

    def user_code() -> None:
        raise error

    return user_code


FAILURES: list[tuple[BaseException, str, str, str]] = [
    (ValueError("no"), "ValueError", "failed", "failed"),
    (KeyboardInterrupt(), "KeyboardInterrupt", "cancelled", "unknown"),
    (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", "cancelled", "unknown"),
    (GeneratorExit(), "GeneratorExit", "cancelled", "unknown"),
    (SystemExit(1), "SystemExit", "failed", "failed"),
    (SystemExit("broken"), "SystemExit", "failed", "failed"),
    (typer.Exit(1), "Exit", "failed", "failed"),
    (TimeoutError(), "TimeoutError", "failed", "unknown"),
    (ConnectionResetError(), "ConnectionResetError", "failed", "unknown"),
    (BrokenPipeError(), "BrokenPipeError", "failed", "unknown"),
    (ConnectionRefusedError(), "ConnectionRefusedError", "failed", "failed"),
    (socket.gaierror(), "socket.gaierror", "failed", "failed"),
    (ServerDisconnectedError(), "ServerDisconnectedError", "failed", "unknown"),
    (ClientConnectorError(), "ClientConnectorError", "failed", "failed"),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("error", "kind", "reading", "writing"), FAILURES)
def test_failures(
    spans: Recorded, error: BaseException, kind: str, reading: str, writing: str, *, is_async: bool
) -> None:
    """The very exception is raised; a write is unknown if it may have taken effect."""
    for decorator in (flash_otel.trace_provision, flash_otel.trace_activate):
        with pytest.raises(type(error)) as raised:
            run(raising(error), is_async=is_async, decorator=decorator)
        assert raised.value is error
        frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
        assert frames[-1] == "user_code"
    reader, writer = spans.records
    assert reader.attributes["flash.outcome"] == reading
    assert writer.attributes["flash.outcome"] == writing
    for span in (reader, writer):
        assert str(span.attributes["error.type"]).endswith(kind)
        assert span.status == "error"
        assert span.status_message.startswith(kind.rsplit(".", maxsplit=1)[-1])
        (event,) = span.events
        assert event.name == "exception"
        assert event.attributes["exception.type"] == span.attributes["error.type"]
        assert "user_code" in str(event.attributes["exception.stacktrace"])
        assert event.attributes["exception.escaped"] == "True"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(None), SystemExit(), typer.Exit(0)])
def test_clean_exits(spans: Recorded, error: BaseException, *, is_async: bool) -> None:
    """An exit with status 0 passes through, and is not a failure."""
    with pytest.raises(type(error)) as raised:
        run(raising(error), is_async=is_async, decorator=flash_otel.trace_deploy)
    assert raised.value is error
    span = only(spans)
    assert (span.status, span.events) == ("unset", ())
    assert span.attributes["flash.outcome"] == "returned"
    assert span.attributes["deployment.status"] == "succeeded"
    assert "error.type" not in span.attributes


@pytest.mark.parametrize("exiting", [typer.Exit(1), SystemExit(1)])
@pytest.mark.parametrize("way", ["context", "cause", "suppressed"])
def test_what_an_exit_stands_for(spans: Recorded, exiting: BaseException, way: str) -> None:
    """The error of an exit from an except block is the exception that it handles."""
    look_up = raising(LookupError("no such app"))

    @flash_otel.trace_deploy
    def deploy() -> None:
        try:
            look_up()
        except LookupError as error:
            if way == "context":
                raise exiting  # noqa: B904 - as Flash's commands do it
            raise exiting from (error if way == "cause" else None)

    with pytest.raises(type(exiting)) as raised:
        deploy()
    assert raised.value is exiting
    span = only(spans)
    assert span.attributes["error.type"] == "LookupError"
    assert span.status_message == "LookupError: no such app"
    assert span.attributes["deployment.status"] == "failed"


def test_an_interrupt_behind_an_exit(spans: Recorded) -> None:
    """Ctrl-C that a command turns into exit status 1 is recorded as cancelled."""

    @flash_otel.trace_deploy
    def deploy() -> None:
        try:
            raising(KeyboardInterrupt())()
        except KeyboardInterrupt:
            raise typer.Exit(1)  # noqa: B904 - as Flash's commands do it

    with pytest.raises(typer.Exit):
        deploy()
    assert only(spans).attributes["flash.outcome"] == "cancelled"


def test_a_lost_answer_inside_a_failure(spans: Recorded) -> None:
    """Flash wraps the client's error: the cause decides whether the response was lost."""

    @flash_otel.trace_upload
    def upload(*, sent: bool) -> None:
        try:
            raise ServerDisconnectedError if sent else ClientConnectorError
        except ServerDisconnectedError as error:
            raise RuntimeError("HTTP request failed") from error

    for sent in (True, False):
        with pytest.raises(RuntimeError):
            upload(sent=sent)
    assert [span.attributes["flash.outcome"] for span in spans.records] == ["unknown", "failed"]


def test_endless_causes() -> None:
    """A cycle of causes ends the search."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert outcome.classify(first, writes=True) == "failed"
    exits = [typer.Exit(1), typer.Exit(1)]
    exits[0].__cause__, exits[1].__cause__ = exits[1], exits[0]
    assert isinstance(outcome.root_cause(exits[0]), typer.Exit)


class Unprintable(Exception):  # noqa: N818 - what it is
    """Its `__str__` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("decorator", [flash_otel.trace_deploy, flash_otel.trace_manifest_fetch])
def test_an_exception_that_cannot_be_printed(
    spans: Recorded, decorator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception with a broken `__str__` passes through, and its span ends."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    error = Unprintable()
    with pytest.raises(Unprintable) as raised:
        decorator(raising(error))()
    assert raised.value is error
    span = only(spans)
    assert span.end_ns is not None
    assert (span.status, span.status_message) == ("error", "Unprintable")
    (event,) = span.events
    assert event.attributes == {
        "exception.type": f"{__name__}.Unprintable",
        "exception.message": "",
        "exception.stacktrace": event.attributes["exception.stacktrace"],
        "exception.escaped": "True",
    }
    assert isinstance(event.attributes["exception.stacktrace"], str)


def test_an_exception_whose_trace_cannot_be_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack trace is empty, and the other attributes remain."""

    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(traceback, "format_exception", broken)
    assert outcome.exception_attributes(KeyError("k")) == {
        "exception.type": "KeyError",
        "exception.message": "'k'",
        "exception.stacktrace": "",
        "exception.escaped": "True",
    }


def test_a_description_is_one_line(spans: Recorded) -> None:
    """A message of several lines is one line in the status, and complete in the event."""
    with pytest.raises(ValueError, match="first"):
        flash_otel.trace_deploy(raising(ValueError("first\n  second")))()
    span = only(spans)
    assert span.status_message == "ValueError: first second"
    assert span.events[0].attributes["exception.message"] == "first\n  second"


def test_a_deep_recursion(spans: Recorded) -> None:
    """The stack trace of a runaway recursion is truncated to its last frames."""

    def again() -> None:
        again()

    with pytest.raises(RecursionError):
        flash_otel.trace_deploy(again)()
    assert len(str(only(spans).events[0].attributes["exception.stacktrace"])) < 20_000


def test_error_inside_inner_span(spans: Recorded) -> None:
    """Every span that an exception leaves has failed; the span that handles it has not."""

    @flash_otel.trace_activate
    def activate() -> None:
        raise ValueError

    @flash_otel.trace_provision
    def provision() -> None:
        activate()

    @flash_otel.trace_deploy
    def deploy() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            provision()

    deploy()
    assert [span.status for span in spans.records] == ["unset", "error", "error"]


def test_no_exception_is_kept(spans: Recorded) -> None:
    """Tracing keeps no reference to the user's exception or to the frames of the call."""
    import gc

    class Big:
        """Referenced by a frame of the user's code."""

    @flash_otel.trace_deploy
    def deploy() -> None:
        held = Big()
        raise ValueError(str(held)[:0])

    gc.disable()
    try:
        with pytest.raises(ValueError, match=r"^$"):
            deploy()
        sys.exc_info()
        left = [each for each in gc.get_objects() if isinstance(each, Big)]
    finally:
        gc.enable()
    assert only(spans).status == "error"
    assert left == []


def test_interrupted_task(spans: Recorded) -> None:
    """The span of a cancelled task is cancelled, and so is the task, as untraced."""

    @flash_otel.trace_provision
    async def provision() -> None:
        await asyncio.Event().wait()

    async def main() -> bool:
        task: asyncio.Task[None] = asyncio.create_task(_coroutine(provision()))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main())
    span = only(spans)
    assert span.attributes["flash.outcome"] == "cancelled"
    assert (span.status, span.status_message) == ("error", "CancelledError: enough")


def _coroutine(made: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    return made


GONE = Exception("GraphQL request failed: 503 - {}")
UPLOADED = {"flash.endpoint_count": 2, "flash.endpoints_digest": "d"}


@pytest.mark.parametrize(
    ("name", "attributes", "error", "code"),
    [
        (
            "flash.manifest.upload",
            {"flash.persisted_endpoint_count": 0},
            None,
            "manifest_not_persisted",
        ),
        ("flash.manifest.upload", {"flash.persisted_endpoint_count": 1}, None, "endpoints_missing"),
        ("flash.manifest.upload", {"flash.persisted_endpoint_count": 2}, None, "endpoints_differ"),
        ("flash.manifest.upload", {"flash.persisted_endpoint_count": 3}, None, "endpoints_differ"),
        (
            "flash.manifest.upload",
            {"flash.persisted_endpoint_count": 1, "flash.persisted_digest": "d"},
            None,
            None,
        ),
        ("flash.manifest.upload", {"flash.persisted_endpoint_count": 0}, GONE, None),
        ("flash.manifest.upload", {}, None, None),
        (
            "flash.manifest.upload",
            {"flash.persisted_endpoint_count": 0, "flash.endpoint_count": 0},
            None,
            None,
        ),
        (
            "flash.activate",
            {"flash.artifact.object_key": "a", "flash.active.object_key": "b"},
            None,
            "stale_build",
        ),
        (
            "flash.activate",
            {"flash.artifact.object_key": "a", "flash.active.object_key": "a"},
            None,
            None,
        ),
        (
            "flash.activate",
            {"flash.artifact.object_key": "a", "flash.active.object_key": "b"},
            GONE,
            None,
        ),
        ("flash.activate", {"flash.artifact.object_key": "a"}, None, None),
        ("flash.activate", {"flash.active.object_key": "b"}, None, None),
        ("flash.runtime.fetch", {"flash.environment.state": "null"}, None, "environment_unknown"),
        ("flash.runtime.fetch", {"flash.environment.state": "active"}, None, None),
        ("flash.runtime.fetch", {}, GONE, "state_manager_unavailable"),
        ("flash.runtime.fetch", {"flash.environment.state": "active"}, GONE, None),
        ("flash.runtime.fetch", {}, KeyboardInterrupt(), None),
        ("flash.runtime.fetch", {}, ValueError("no"), None),
        ("flash.runtime.fetch", {}, None, None),
        ("flash.manifest.fetch", {}, Exception("GraphQL request failed: 401 - {}"), "unauthorized"),
        ("flash.build", {}, GONE, None),
    ],
)
def test_the_fault_that_a_span_proves(
    name: str, attributes: dict[str, Any], error: BaseException | None, code: str | None
) -> None:
    """Each rule needs all of its evidence, and no other span is judged by it."""
    known = {**UPLOADED, **attributes} if name == "flash.manifest.upload" else attributes
    assert outcome.detect(name, known, error) == code


def test_a_fault_is_explained_once_per_process() -> None:
    """The first span of a kind that proves a fault gets the event, the others only the attribute.

    A fault of an attempt is thus explained on the read around it, too.
    """
    assert outcome.is_first("stale_build", "flash.activate")
    assert not outcome.is_first("stale_build", "flash.activate")
    assert outcome.is_first("unauthorized", "flash.manifest.fetch")
    assert outcome.is_first("unauthorized", "flash.runtime.fetch")
    assert not outcome.is_first("unauthorized", "flash.runtime.fetch")
