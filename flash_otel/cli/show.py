"""`flash-otel show`: print a single trace, or write it to a file."""

from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import CommandError
from flash_otel.cli.open_store import (
    HOW_TO_RECORD,
    NOTHING_RECORDED,
    StoreOption,
    reading_from,
    trace_named,
    trace_to_read,
)
from flash_otel.cli.sources import FromOption, Selection

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

_MOST_LINKED = 10  # linked traces that are shown with all of their spans


def show(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE", help="Trace id, or its first digits; or last, last^1, last^2 ..."
        ),
    ] = "last",
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
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """Show a trace as a tree of spans, by default the last one.

    Failed spans are expanded, and repeated spans are folded. Traces that link to this one, such as
    later reads by its workers, follow below.
    """
    if as_json and (html is not None or opens):
        raise CommandError("--json and --html exclude each other.", "Give one of them.")
    selection = Selection(store, trace=trace_to_read(trace))
    with reading_from(sources, selection) as opened:
        if opened is None:
            raise CommandError(NOTHING_RECORDED, HOW_TO_RECORD)
        records = _records(opened, trace)
    if html is not None or opens:
        from flash_otel.cli.page import write_page

        write_page(records, html, opens=opens)
    elif as_json:
        _print_otlp(records)
    else:
        _print_tree(records)


def _records(store: "SpanStore", trace: str) -> "list[SpanRecord]":
    trace_id = trace_named(store, trace)
    return store.trace(trace_id) + _linked(store, trace_id)


def _linked(store: "SpanStore", trace_id: str) -> "list[SpanRecord]":
    """Return the traces that link to this one: the first ones whole, then linking spans."""
    linking = store.linked(trace_id)
    whole = list(dict.fromkeys(record.trace_id for record in linking))[:_MOST_LINKED]
    inside = [record for linked_id in whole for record in store.trace(linked_id)]
    return inside + [record for record in linking if record.trace_id not in whole]


def _print_otlp(records: "list[SpanRecord]") -> None:
    import json

    from flash_otel.otlp.encode import encode_json

    print(json.dumps(encode_json(records), indent=2))


def _print_tree(records: "list[SpanRecord]") -> None:
    from flash_otel.report.layout import ReportConsole
    from flash_otel.report.trace import render_trace

    render_trace(records, ReportConsole())
