"""`flash-otel show`: print a single trace with its verdict, or write it to a file."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import CommandError, MissingError, program
from flash_otel.cli.open_store import (
    HOW_TO_RECORD,
    NOTHING_RECORDED,
    StoreOption,
    listing_from,
    trace_named,
    trace_to_read,
)
from flash_otel.cli.sources import STORE, FromOption, Selection

if TYPE_CHECKING:
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.report.overview import Overview
    from flash_otel.store.store import SpanStore

_LAST = "last"
_MOST_WHOLE = 40  # other traces that are shown with all of their spans


def show(
    trace: Annotated[
        str | None,
        typer.Argument(
            metavar="TRACE",
            help="Trace id, or its first digits; or last, last^1, last^2 ... By default, the "
            "deployment of the last trace.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print OTLP JSON, as the Collector's file exporter writes it."),
    ] = False,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="Write one HTML file with the diagnosis, to attach to a ticket. Without FILE, it "
            "is flash-trace-<id>.html.",
        ),
    ] = None,
    opens: Annotated[
        bool, typer.Option("--open", help="Write the HTML file, and open it in the browser.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="Show the captured GraphQL responses.")
    ] = False,
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """Show a trace as a tree of spans, by default that of the last deployment.

    Above it stand the verdict of `diagnose`, and what the workers got. Failed spans and the
    evidence of a fault are expanded, and repeated spans are folded. Reads and calls of the workers
    lie on the same time axis, and long waits are folded.
    """
    if as_json and (html is not None or opens):
        raise CommandError("--json and --html exclude each other.", "Give one of them.")
    shown = trace_shown(trace, sources, store)
    if html is not None or opens:
        from flash_otel.cli.page import write_page

        write_page(shown.records, shown.diagnosis, html, opens=opens)
    elif as_json:
        _print_otlp(shown.records)
    else:
        _print_tree(shown, _diagnose_command(shown, sources, store), has_answers=answers)


def trace_shown(trace: str | None, sources: list[str] | None, store: str | None) -> "Shown":
    """Return what is shown of a trace; the parameters are those of the command.

    Raises:
        CommandError: There is no such trace, or a source cannot be read.
    """
    selection = Selection(store, trace=trace_to_read(trace))
    with listing_from(sources, selection) as opened:
        if opened is None:
            raise MissingError(NOTHING_RECORDED, HOW_TO_RECORD)
        source = _Source(*opened, is_local=not sources or set(sources) == {STORE})
        return source.default() if trace is None else source.named(trace)


@dataclass(frozen=True)
class Shown:
    """What is shown.

    Attributes:
        records: The spans of the trace, followed by those of the traces that belong to it.
        diagnosis: The diagnosis of its deployment; None if nothing of Flash is recorded.
    """

    records: "list[SpanRecord]"
    diagnosis: "Diagnosis | None"

    @property
    def overview(self) -> "Overview | None":
        """What is known of the deployment."""
        from flash_otel.cli.sources import is_running
        from flash_otel.report.overview import overview_of

        if self.diagnosis is None:
            return None
        return overview_of(self.diagnosis.judged[0], self.records, is_running)


@dataclass(frozen=True)
class _Source:
    """Traces, and the same spans as a diagnosis looks them up.

    Attributes:
        store: The store, or a temporary one with the records of files.
        spans: Its spans.
        is_local: It is the local store.
    """

    store: "SpanStore"
    spans: "RecordedSpans"
    is_local: bool

    def named(self, name: str) -> Shown:
        """Return a trace with its diagnosis, and what belongs to it.

        Raises:
            CommandError: There is no such trace, or there are several.
        """
        trace_id = trace_named(self.store, name)
        diagnosis = self._diagnosis(trace_id)
        return Shown(self._records(trace_id, diagnosis), diagnosis)

    def default(self) -> Shown:
        """Return the deployment that the last trace belongs to.

        Raises:
            CommandError: There are no traces.
        """
        # All that is given in files belongs together, even without times.
        last = trace_named(self.store, _LAST) if self.is_local else ""
        diagnosis = self._diagnosis(last or None)
        main = _of_deployment(diagnosis, last) or trace_named(self.store, _LAST)
        return Shown(self._records(main, diagnosis), diagnosis)

    def _diagnosis(self, trace_id: str | None) -> "Diagnosis | None":
        """Return the diagnosis of a trace's deployment; without a trace, of the last one."""
        from flash_otel.cli.sources import is_running
        from flash_otel.diagnosis import Limits, diagnose

        limits = Limits(is_running=is_running)
        if trace_id is not None:
            found = diagnose(self.spans, trace_id=trace_id, limits=limits)
            if not found.is_unmatched:
                return found
        # Deployments that were rebuilt from bracketed lines have no trace of their own.
        return _chosen(diagnose(self.spans, limits=limits), trace_id)

    def _records(self, main: str, diagnosis: "Diagnosis | None") -> "list[SpanRecord]":
        """Return a trace, the traces around it (the first ones whole), and other linking spans."""
        linking = self.store.linked(main)
        judged = diagnosis.judged[0] if diagnosis else None
        findings = judged.findings if judged else ()
        around = [
            *(exhibit.origin.trace_id for finding in findings for exhibit in finding.evidence),
            *(judged.trace_ids if judged else ()),
            *(record.trace_id for record in linking),
        ]
        whole = [main, *(known for known in dict.fromkeys(around) if known and known != main)]
        whole = whole[: _MOST_WHOLE + 1]
        records = [record for known in whole for record in self.store.trace(known)]
        records += [record for record in linking if record.trace_id not in whole]
        return self._with_origins(records, whole)

    def _with_origins(self, records: "list[SpanRecord]", traces: "list[str]") -> "list[SpanRecord]":
        """Return records with the places in files where they were read."""
        if self.is_local:
            return records
        origins = {known.key: known.origin for known in self.spans.in_traces(traces)}
        return [replace(record, origin=origins.get(record.key, "")) for record in records]


def _chosen(diagnosis: "Diagnosis", trace_id: str | None) -> "Diagnosis | None":
    """Return a diagnosis with the results for a trace alone; without a trace, the last ones."""
    judged = [
        known for known in diagnosis.judged if trace_id is None or trace_id in known.trace_ids
    ]
    if not judged:
        return None
    # Of results without times, the gravest comes first already.
    first = max(judged, key=lambda known: known.deployment.start_ns or 0)
    return replace(diagnosis, judged=(first,), verdict=first.verdict, findings=first.findings)


def _of_deployment(diagnosis: "Diagnosis | None", trace_id: str) -> str:
    """Return the trace of the deployment that a trace belongs to, or else the trace itself."""
    if diagnosis is None:
        return trace_id
    from flash_otel.diagnosis.judge import traces_of

    judged = diagnosis.judged[0]
    own = traces_of(judged.deployment)
    if trace_id in own or not own:
        return trace_id or next(iter(judged.trace_ids), "")
    return own[0]


def _diagnose_command(shown: Shown, sources: "list[str] | None", store: str | None) -> str:
    """Return the command that shows the diagnosis in full."""
    import shlex

    first = shown.records[0]
    words = [program(), "diagnose"]
    if not first.origin:
        words += ["--trace", first.trace_id[:12]]
    words += [word for name in sources or () for word in ("--from", shlex.quote(name))]
    words += ["--store", shlex.quote(store)] if store else []
    return " ".join(words)


def _print_otlp(records: "list[SpanRecord]") -> None:
    import json

    from flash_otel.otlp.encode import encode_json

    print(json.dumps(encode_json(records), indent=2))


def _print_tree(shown: Shown, command: str, *, has_answers: bool) -> None:
    from flash_otel.report.layout import ReportConsole, page_for, print_lines
    from flash_otel.report.trace import trace_lines
    from flash_otel.report.view import view_of

    console = ReportConsole()
    view = view_of(page_for(console), shown.records, shown.overview, has_answers=has_answers)
    print_lines(trace_lines(shown.records, view, command), console)
