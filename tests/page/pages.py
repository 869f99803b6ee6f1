"""Pages for the browser: of recorded deployments, of hostile spans, and of very many spans."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from support.samples import healthy_deployment

from flash_otel.demo import processes
from flash_otel.diagnosis import diagnose
from flash_otel.records import Event, Link
from flash_otel.report.html import trace_html
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.records import SpanRecord

# Ends of the script element, a request, escape sequences that clear a screen or write the
# clipboard, bidirectional overrides, an invisible character, and a NUL.
EVIL: Final = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07\u202eeslaf\u202c\u2066\u200b\x00"
)
LONG: Final = "0123456789abcdef" * 65_536  # a megabyte


def write(file: Path, records: list[SpanRecord]) -> Path:
    """Write the page of records."""
    file.write_text(trace_html(records, diagnose(records)), encoding="utf-8")
    return file


def recorded(run: RunArtifacts, folder: Path) -> list[SpanRecord]:
    """Return the joined trace of a run, with the traces of its workers that link to it."""
    store = shutil.copy(run.store, folder / "joined.db")
    processes.join_worker_logs(folder / "joined.db", run.worker_logs)
    with SpanStore(folder / "joined.db", is_read_only=True) as opened:
        trace_id = run.trace_id or opened.latest_trace_id() or ""
        linked = dict.fromkeys(record.trace_id for record in opened.linked(trace_id))
        assert store
        return [record for known in (trace_id, *linked) for record in opened.trace(known)]


def hostile() -> list[SpanRecord]:
    """Return a deployment whose every text is hostile, with a value of a megabyte."""
    first, *others = healthy_deployment()
    attributes = {**first.attributes, EVIL: EVIL, "long": LONG, "many": ("\x1b",) * 5000}
    event = Event(EVIL, first.start_ns, {EVIL: EVIL, "controls": "\x1b" * 100_000})
    evil = replace(
        first,
        name=f"flash.deploy {EVIL}",
        attributes=attributes,
        events=(event,),
        links=(Link("f" * 32, "e" * 16, {EVIL: EVIL}),),
        status="error",
        status_message=EVIL,
        resource={"service.name": EVIL, "host.name": EVIL, EVIL: EVIL},
        trace_state=EVIL,
    )
    return [evil, *(replace(record, resource=evil.resource) for record in others)]
