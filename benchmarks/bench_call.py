"""What a decorated call costs, beside the SDK's own context manager and logfire's decorator."""

from __future__ import annotations

import asyncio
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from measuring import paired, per_call
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import flash_otel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measuring import Measure, Row

ROUNDS: Final = 60
CALLS: Final = 300
NAME: Final = "flash.activate"
# The six attributes that a call of `activate` gets: four when it starts, two when it ends.
AT_START: Final = {
    "flash.build_id": "b-2f1b8463",
    "flash.environment_id": "e-6f7c93f8",
    "deployment.environment.name": "production",
}
AT_END: Final = {"flash.active.object_key": "app/build.tar.gz", "flash.outcome": "returned"}
ATTRIBUTES: Final = {**AT_START, **AT_END}
ARGUMENTS: Final = ("b-2f1b8463", "e-6f7c93f8", "production")
ANSWER: Final = {"activeArtifact": {"objectKey": "app/build.tar.gz"}}
CLIENT: Final = trace.SpanKind.CLIENT
TIMES: Final = "{:.1f} against {:.1f} µs"


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def activate(build_id: str, environment_id: str, environment_name: str) -> dict[str, Any]:
    """Stand for the function that is traced: it does nothing."""
    del build_id, environment_id, environment_name
    return ANSWER


async def activate_async(
    build_id: str, environment_id: str, environment_name: str
) -> dict[str, Any]:
    """Stand for the coroutine function that is traced."""
    del build_id, environment_id, environment_name
    return ANSWER


def _loop(call: Callable[..., Any]) -> Measure:
    def run() -> None:
        for _ in range(CALLS):
            call(*ARGUMENTS)

    return lambda: per_call(run, CALLS)


def _async_loop(call: Callable[..., Any]) -> Measure:
    # One loop for all rounds: starting one costs as much as a thousand untraced calls.
    loop = asyncio.new_event_loop()

    async def run() -> float:
        begin = time.thread_time()
        for _ in range(CALLS):
            await call(*ARGUMENTS)
        return (time.thread_time() - begin) / CALLS * 1e6

    return lambda: loop.run_until_complete(run())


def _off() -> Iterator[Row]:
    """Compare untraced calls with the API's no-op spans: no provider is set yet."""
    tracer = trace.get_tracer("benchmark")

    def api(*_: str) -> None:
        with tracer.start_as_current_span(NAME):
            pass

    async def api_async(*_: str) -> None:
        with tracer.start_as_current_span(NAME):
            pass

    peer = "API alone, `with start_as_current_span`"
    for what, ours, theirs in (
        ("sync", _loop(flash_otel.trace_activate(activate)), _loop(api)),
        ("async", _async_loop(flash_otel.trace_activate(activate_async)), _async_loop(api_async)),
    ):
        name = f"tracing off, {what} call"
        yield paired(name, peer, ours, theirs, rounds=ROUNDS, goal=0.08, note=TIMES)


def _recorded() -> Iterator[Row]:
    """Compare recorded calls on one and the same provider of the application's."""
    provider = TracerProvider(shutdown_on_exit=False)
    # Large enough to drop nothing: a dropped span costs less.
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=100_000))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("benchmark")

    def sdk(*_: str) -> None:
        with tracer.start_as_current_span(NAME, kind=CLIENT, attributes=ATTRIBUTES):
            activate(*ARGUMENTS)

    async def sdk_async(*_: str) -> None:
        with tracer.start_as_current_span(NAME, kind=CLIENT, attributes=ATTRIBUTES):
            await activate_async(*ARGUMENTS)

    def by_hand(*_: str) -> None:
        """Do the least that makes the same span: nothing is looked up, nothing is scrubbed."""
        span = tracer.start_span(NAME, None, CLIENT, AT_START)
        token = context_api.attach(trace.set_span_in_context(span))
        activate(*ARGUMENTS)
        context_api.detach(token)
        for name, value in AT_END.items():
            span.set_attribute(name, value)
        span.end()

    peer = "SDK, `with start_as_current_span`, batch processor"
    traced = _loop(flash_otel.trace_activate(activate))
    for what, ours, theirs, goal in (
        ("recorded sync call, 6 attributes", traced, _loop(sdk), 0.85),
        (
            "recorded async call, 6 attributes",
            _async_loop(flash_otel.trace_activate(activate_async)),
            _async_loop(sdk_async),
            0.85,
        ),
        ("floor: the same span by hand", _loop(by_hand), _loop(sdk), None),
    ):
        yield paired(what, peer, ours, theirs, rounds=ROUNDS, goal=goal, note=TIMES)
    yield from _logfire(traced)
    provider.shutdown()


def _logfire(traced: Measure) -> Iterator[Row]:
    if find_spec("logfire") is None:
        return
    import logfire

    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(_Nowhere(), max_queue_size=100_000)],
    )
    theirs = _loop(logfire.instrument(NAME, extract_args=True)(activate))
    what = "recorded sync call"
    peer = "`logfire.instrument`"
    yield paired(what, peer, traced, theirs, rounds=ROUNDS, goal=0.25, note=TIMES)


def rows() -> Iterator[Row]:
    """Measure calls that are not recorded, then calls that are."""
    yield from _off()
    yield from _recorded()
