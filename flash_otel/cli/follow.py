"""`flash-otel traces --follow`: keep the list current on a terminal, print changes to a pipe."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel.cli.app import CommandError
from flash_otel.cli.open_store import reading
from flash_otel.cli.sources import STORE, Selection, resolved
from flash_otel.report.entry import RUNNING, entry_json
from flash_otel.report.layout import ReportConsole, page_for, texts
from flash_otel.report.listing import Listing, list_traces
from flash_otel.report.traces import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from flash_otel.diagnosis import Limits
    from flash_otel.report.entry import TraceEntry
    from flash_otel.report.listing import Wanted

INTERVAL_S: Final = 1.0
_WAITING: Final = "No recorded trace matches yet. Waiting for one; Ctrl-C ends."


def follow(
    wanted: Wanted,
    limits: Limits,
    sources: list[str] | None,
    selection: Selection,
    *,
    as_json: bool,
) -> None:
    """Show a list of traces until Ctrl-C, and every change of it.

    Args:
        wanted: The traces to list.
        limits: Assumptions of the diagnosis.
        sources: The values of `--from`; only stores change.
        selection: The store.
        as_json: Print one JSON object for each new or changed trace.

    Raises:
        CommandError: A source is not a store, or the store cannot be read.
    """
    names, selection = resolved(sources or [STORE], selection)
    if names != [STORE]:
        message = "--follow watches a store, and not files or Jaeger."
        raise CommandError(message, "Leave out --follow, or the sources.")
    listings = _listings(wanted, limits, selection)
    console = ReportConsole()
    with suppress(KeyboardInterrupt):
        if as_json:
            _print_changes(listings)
        elif console.is_terminal:
            _keep_current(listings, console)
        else:
            _print_rows(listings, console)


def _listings(wanted: Wanted, limits: Limits, selection: Selection) -> Iterator[Listing]:
    """Yield the list again and again, judged anew if the store has changed."""
    from flash_otel.diagnosis.recorded import local_spans

    listing, known = Listing(), None
    while True:
        begun = time.monotonic()
        with reading(selection.store) as store:
            state = store and (store.path, store.extent())
            if store is None:
                listing = Listing()
            elif state != known or _may_change(listing):
                now = replace(limits, now_ns=time.time_ns())
                listing = list_traces(store, local_spans(store), wanted, now)
            known = state
        yield listing
        # A large store must not keep a core busy.
        time.sleep(max(INTERVAL_S, 2 * (time.monotonic() - begun)))


def _may_change(listing: Listing) -> bool:
    """Return whether a process may have ended without a word to the store."""
    return any(entry.result == RUNNING for entry in listing.entries)


def _keep_current(listings: Iterator[Listing], console: ReportConsole) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for listing in listings:
            live.update(_screen(listing, console), refresh=True)


def _screen(listing: Listing, console: ReportConsole) -> Text:
    """Return the table, as far as it fits the height of the terminal."""
    from rich.text import Text

    if not listing.entries:
        return Text(_WAITING)
    lines = table_lines(listing.entries, page_for(console), time.time_ns())
    rows = texts(lines[: max(2, console.height - 1)], console)
    return Text("\n", no_wrap=True, overflow="crop").join(rows)


def _changes(listings: Iterator[Listing]) -> Iterator[tuple[Listing, list[TraceEntry]]]:
    """Yield each list with its new and changed entries, the oldest first."""
    known: dict[str, TraceEntry] = {}
    for listing in listings:
        new = [entry for entry in listing.entries if known.get(entry.trace_id) != entry]
        known.update((entry.trace_id, entry) for entry in new)
        if new:
            yield listing, new[::-1]


def _print_changes(listings: Iterator[Listing]) -> None:
    for _, entries in _changes(listings):
        for entry in entries:
            print(json.dumps(entry_json(entry)), flush=True)


def _print_rows(listings: Iterator[Listing], console: ReportConsole) -> None:
    is_first = True
    for listing, entries in _changes(listings):
        # Laid out with the other rows, so that columns stay where they are.
        head, *lines = table_lines(listing.entries, page_for(console), time.time_ns())
        rows = dict(zip(listing.entries, lines, strict=True))
        shown = [rows[entry] for entry in entries]
        for text in texts([head, *shown] if is_first else shown, console):
            console.print(text, soft_wrap=True)
        is_first = False
        console.file.flush()
