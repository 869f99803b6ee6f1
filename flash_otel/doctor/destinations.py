"""Checks of the OTLP destinations: send an empty batch, and compare the clocks."""

from __future__ import annotations

import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, DoctorCheck
from flash_otel.runtime.options import in_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import ExportResult, Transport

SKEW_S: Final = 30.0


def destinations(timeout_s: float | None) -> Iterator[DoctorCheck]:
    """Check every destination that the environment names.

    Args:
        timeout_s: Timeout of each destination, in seconds; None sends nothing.
    """
    from flash_otel.export.destination import forwarded

    named = forwarded()
    if not named:
        yield _no_destination()
    for destination in named:
        if timeout_s is None:
            text = f"{destination.host} ({destination.protocol}) was not checked"
            yield DoctorCheck("destination", NOTE, text)
        else:
            yield from _probe(replace(destination, timeout_s=timeout_s))


def _no_destination() -> DoctorCheck:
    if in_worker():
        text = "no OTLP endpoint is configured: spans go to the worker's log"
        return DoctorCheck("destination", OK, text)
    text = "no OTLP endpoint is configured: spans stay in the store"
    hint = "To send them: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
    return DoctorCheck("destination", OK, text, hint)


def _probe(destination: Destination) -> Iterator[DoctorCheck]:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from flash_otel.export.forwarder import transport_to

    # The request must not become a span of instrumented HTTP libraries.
    with suppress_instrumentation():
        transport = transport_to(destination)
        try:
            result = transport.send([])
        finally:
            transport.close()
    yield _delivery(destination, result)
    yield from _clock(destination, transport)


def _delivery(destination: Destination, result: ExportResult) -> DoctorCheck:
    from flash_otel.export.sending import Verdict

    name = f"{destination.host} ({destination.protocol})"
    if result.verdict is Verdict.DELIVERED:
        return DoctorCheck("destination", OK, f"{name} accepts spans")
    text = f"{name} does not accept spans: {result.reason or 'no reason was given'}"
    hint = (
        "Is the collector running there, and is the address right? Spans wait in the store."
        if result.verdict is Verdict.WAIT
        else "Check path, protocol and OTEL_EXPORTER_OTLP_HEADERS."
    )
    return DoctorCheck("destination", PROBLEM, text, hint)


def _clock(destination: Destination, transport: Transport) -> Iterator[DoctorCheck]:
    """Compare the clocks, if the server sends its time (HTTP's Date header)."""
    try:
        server_time = parsedate_to_datetime(getattr(transport, "date", "") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    skew = server_time - time.time()
    if abs(skew) > SKEW_S:
        text = f"the clock of {destination.host} differs from this one by {skew:+.0f} s"
        hint = "Synchronize both with NTP: spans of different machines are ordered by time."
        yield DoctorCheck("clock", NOTE, text, hint)
    else:
        yield DoctorCheck("clock", OK, f"the clock agrees with that of {destination.host}")
