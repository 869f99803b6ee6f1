"""Would spans arrive: each OTLP destination is sent an empty batch, within a bounded time."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import ExportResult, Transport

SKEW_S: Final = 30.0


def destinations(timeout_s: float | None) -> Iterator[Check]:
    """Probe every destination that the environment names.

    Args:
        timeout_s: How long each may take, in seconds; None sends nothing.
    """
    from flash_otel.export import configured

    named = configured.forwarded()
    if not named:
        yield _nowhere()
    for one in named:
        if timeout_s is None:
            yield Check("destination", NOTE, f"{one.host} ({one.protocol}) was not asked")
        else:
            yield from _probed(replace(one, timeout_s=timeout_s))


def _nowhere() -> Check:
    if os.environ.get("RUNPOD_ENDPOINT_ID"):
        return Check("destination", OK, "no OTLP endpoint is named: spans go to the worker's log")
    hint = "To send them: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
    return Check("destination", OK, "no OTLP endpoint is named: spans stay in the store", hint)


def _probed(destination: Destination) -> Iterator[Check]:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from flash_otel.export.forwarder import transport_to

    with suppress_instrumentation():
        transport = transport_to(destination)
        try:
            answer = transport.send([])
        finally:
            transport.close()
    yield _judged(destination, answer)
    yield from _clock(destination, transport)


def _judged(destination: Destination, answer: ExportResult) -> Check:
    from flash_otel.export.sending import Verdict

    whom = f"{destination.host} ({destination.protocol})"
    if answer.verdict is Verdict.DELIVERED:
        return Check("destination", OK, f"{whom} takes spans")
    waits = answer.verdict is Verdict.WAIT
    said = f"{whom} does not take spans: {answer.reason or 'no reason was given'}"
    hint = (
        "Is the collector running there, and is the address right? Spans wait in the store."
        if waits
        else "Check path, protocol and OTEL_EXPORTER_OTLP_HEADERS."
    )
    return Check("destination", PROBLEM, said, hint)


def _clock(destination: Destination, transport: Transport) -> Iterator[Check]:
    """Compare the clocks, where the server tells its own (HTTP's Date)."""
    try:
        there = parsedate_to_datetime(getattr(transport, "date", "") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    skew = there - time.time()
    if abs(skew) > SKEW_S:
        said = f"the clock of {destination.host} differs from this one by {skew:+.0f} s"
        yield Check("clock", NOTE, said, "Set both by NTP: order across machines rests on it.")
    else:
        yield Check("clock", OK, f"the clock agrees with that of {destination.host}")
