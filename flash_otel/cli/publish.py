"""Send verdicts as spans to the OTLP endpoints, so that a backend shows what a diagnosis found.

They are sent at once and never stored: the store holds evidence, and a verdict is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.sources import JAEGER
from flash_otel.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import ExportResult
    from flash_otel.records import SpanRecord

ENDPOINT_VARIABLES: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
HINT: Final = f"Name one: {ENDPOINT_VARIABLES[0]}=http://localhost:4318"

_NO_ROOT: Final = (
    "flash-otel: no verdict is published: no judged deployment has a trace that it could be part of"
)


def named_destinations() -> list[Destination]:
    """Return the OTLP destinations that the environment names.

    Raises:
        CommandError: It names none.
    """
    from flash_otel.export.destination import forwarded

    destinations = forwarded()
    if not destinations:
        raise CommandError("--publish needs an OTLP endpoint.", HINT)
    return destinations


def publish(diagnosis: Diagnosis, destinations: list[Destination]) -> int:
    """Send the verdicts on all judged deployments, and note on standard error what became of them.

    Returns:
        The exit status: clean only if every destination has accepted all verdicts.
    """
    spans = _spans(diagnosis)
    if not spans:
        note(_NO_ROOT)
        return COULD_NOT_TELL
    status = CLEAN
    for destination, result in _send(spans, destinations):
        is_sent, sentence = _outcome(result, len(spans))
        note(f"{destination.host}: {sentence}")
        status = status if is_sent else COULD_NOT_TELL
    return status


def evidence_links(diagnosis: Diagnosis, names: list[str]) -> list[str]:
    """Return addresses that open the evidence of the verdict in the Jaegers that were read.

    Args:
        diagnosis: The diagnosis.
        names: The values of `--from`.
    """
    from flash_otel.collector.programs import evidence_link
    from flash_otel.diagnosis.readers.jaeger import DEFAULT_URL

    span = next(iter(_spans(diagnosis)), None)
    if span is None:
        return []
    found = str(span.attributes.get(semconv.DIAGNOSIS_SPANS, "")).split()
    sources = (name.partition("=") for name in names)
    # An address may hold a user and a password, which must not be printed.
    urls = (url or DEFAULT_URL for kind, _, url in sources if kind == JAEGER and "@" not in url)
    return [evidence_link(url.rstrip("/"), span.trace_id, found) for url in urls]


def publish_decided(diagnose: Callable[[], Diagnosis]) -> None:
    """Send a verdict beside another task, which it must neither delay nor break.

    An inconclusive one is not sent: more evidence will decide, and nothing takes back a span.

    Args:
        diagnose: Makes the diagnosis. It is only called if there is an endpoint, and is abandoned
            with the sending after the time that an exit may take.
    """
    from flash_otel.export.destination import exports, forwarded
    from flash_otel.runtime.exit import run_bounded
    from flash_otel.runtime.options import exit_budget
    from flash_otel.runtime.process import guarded

    def send() -> None:
        spans = [span for span in _spans(diagnose()) if _is_decided(span)]
        for _ in _send(spans, destinations):
            pass

    with guarded("the verdict of a run"):
        destinations = forwarded() if exports() else []
        if destinations:
            run_bounded(send, time.monotonic() + exit_budget())


def _is_decided(span: SpanRecord) -> bool:
    return span.attributes.get(semconv.DIAGNOSIS_VERDICT) != semconv.INCONCLUSIVE


def _spans(diagnosis: Diagnosis) -> list[SpanRecord]:
    from flash_otel.diagnosis.verdict_span import verdict_span

    found = map(verdict_span, diagnosis.judged)
    return [span for span in found if span is not None]


def _send(
    spans: list[SpanRecord], destinations: list[Destination]
) -> Iterator[tuple[Destination, ExportResult]]:
    """Send spans to each destination, over one connection; yield each with the result."""
    from flash_otel.export.forwarder import transport_to
    from flash_otel.runtime.instrumentation import utils

    for destination in destinations if spans else ():
        transport = transport_to(destination)
        try:
            with utils.suppress_instrumentation():
                result = transport.send(spans)
        finally:
            transport.close()
        yield destination, result


def _outcome(result: ExportResult, count: int) -> tuple[bool, str]:
    """Return whether all verdicts were accepted, and what became of them."""
    from flash_otel.export.sending import Verdict

    verdicts = "1 verdict" if count == 1 else f"{count} verdicts"
    if result.verdict is Verdict.WAIT:
        return False, f"{verdicts} not sent ({result.reason})"
    if result.verdict is not Verdict.DELIVERED:
        return False, f"{verdicts} rejected ({result.reason})"
    if result.rejected:
        return False, f"{result.rejected} of {verdicts} rejected ({result.reason})"
    return True, f"{verdicts} sent"
