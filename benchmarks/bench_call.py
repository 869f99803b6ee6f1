"""What a decorated call costs, beside the SDK's own context manager and logfire's decorator.

Each figure is a ratio of two peers measured in turn (A B A B ...) in this very run; the goals are
printed beside them. Run it on an otherwise idle machine: `python benchmarks/bench_call.py`.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import flash_otel

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
CALLS = 3_000
ATTRIBUTES = {
    "flash.deployment_id": "00f067aa0ba902b7",
    "flash.build_id": "b-2f1b8463",
    "flash.environment_id": "e-6f7c93f8",
    "flash.environment_name": "production",
    "flash.active.object_key": "app/build.tar.gz",
    "flash.outcome": "returned",
}


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def _activate(build_id: str, environment_id: str, environment_name: str, key: str) -> None:
    pass


async def _activate_async(
    build_id: str, environment_id: str, environment_name: str, key: str
) -> None:
    pass


ARGUMENTS = ("b-2f1b8463", "e-6f7c93f8", "production", "app/build.tar.gz")


def _paired(ours: Callable[[], None], peer: Callable[[], None]) -> tuple[float, float, float]:
    """Return the median ratio of the pairs and both medians in microseconds per call."""
    ratios, first, second = [], [], []
    for one in (ours, peer):
        one()
    for _ in range(ROUNDS):
        times = []
        for one in (ours, peer):
            begin = time.perf_counter()
            one()
            times.append((time.perf_counter() - begin) / CALLS * 1e6)
        first.append(times[0])
        second.append(times[1])
        ratios.append(times[0] / times[1])
    return statistics.median(ratios), statistics.median(first), statistics.median(second)


def _report(what: str, goal: float, measured: tuple[float, float, float]) -> None:
    ratio, ours, peer = measured
    verdict = "goal" if ratio <= goal else "ABOVE goal"
    times = f"{ours:7.2f} us  peer {peer:7.2f} us"
    print(f"{what:<24} {times}  ratio {ratio:.2f} ({verdict} {goal})")


def _loop(call: Callable[..., Any]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(CALLS):
            call(*ARGUMENTS)

    return run


def _async_loop(call: Callable[..., Any]) -> Callable[[], None]:
    async def many() -> None:
        for _ in range(CALLS):
            await call(*ARGUMENTS)

    return lambda: asyncio.run(many())


def main() -> None:
    """Print every ratio with its goal."""
    api_tracer = trace.get_tracer("benchmark")

    def api_only(*_: str) -> None:
        with api_tracer.start_as_current_span("flash.activate"):
            pass

    traced = flash_otel.trace_activate(_activate)
    _report("tracing off, sync", 0.08, _paired(_loop(traced), _loop(api_only)))

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("benchmark")

    def sdk(*_: str) -> None:
        with tracer.start_as_current_span(
            "flash.activate", kind=trace.SpanKind.CLIENT, attributes=ATTRIBUTES
        ):
            _activate(*ARGUMENTS)

    async def sdk_async(*_: str) -> None:
        with tracer.start_as_current_span(
            "flash.activate", kind=trace.SpanKind.CLIENT, attributes=ATTRIBUTES
        ):
            await _activate_async(*ARGUMENTS)

    _report("recorded, sync", 0.85, _paired(_loop(traced), _loop(sdk)))
    traced_async = flash_otel.trace_activate(_activate_async)
    _report("recorded, async", 0.85, _paired(_async_loop(traced_async), _async_loop(sdk_async)))
    provider.shutdown()


if __name__ == "__main__":
    main()
