"""`flash-otel demo --jaeger` waits until the run's spans have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.jaeger_server import Jaeger, serving
from support.samples import TRACE, healthy_deployment, span

from flash_otel.cli import demo_recording

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from flash_otel.records import SpanRecord


class Filling(Jaeger):
    """A Jaeger in which spans become visible one after another, with each request."""

    def __init__(self, visible: list[SpanRecord], later: list[SpanRecord]) -> None:
        super().__init__(visible)
        self._visible = visible
        self._later = later

    def handle(self, to: BaseHTTPRequestHandler) -> None:
        """Answer one request, and make the next span visible."""
        super().handle(to)
        self._visible += [self._later.pop(0)] if self._later else []


@pytest.mark.parametrize("first", range(1, 10))
def test_all_spans_around_the_call_have_arrived(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many spans the first look finds, the trace is returned whole."""
    monkeypatch.setattr(demo_recording, "_POLL_SECONDS", 0.0)
    root, *steps = healthy_deployment()
    call = span(9, 1, "flash.call", 5_000, 6_000)
    spans = [root, call, *steps]
    with serving(Filling(spans[:first], spans[first:]).handle) as url:
        arrived = demo_recording._arrived(url, TRACE)
    assert {record.span_id for record in arrived} == {record.span_id for record in spans}


def test_spans_that_never_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the worker's call, the wait ends with the address and the time."""
    monkeypatch.setattr(demo_recording, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(demo_recording, "_ARRIVAL_SECONDS", 0.2)
    with (
        serving(Jaeger(healthy_deployment()).handle) as url,
        pytest.raises(TimeoutError, match=f"did not arrive at {url} within 0 seconds"),
    ):
        demo_recording._arrived(url, TRACE)
