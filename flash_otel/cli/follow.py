"""`traces --follow` and `show --follow`: print what the store holds again and again.

On a terminal, each drawing replaces the one before it. A pipe gets the changes of a list, and the
end of a deployment.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel.cli.app import INTERRUPTED, CommandError, MissingError
from flash_otel.cli.open_store import reading
from flash_otel.cli.sources import STORE, Selection, resolved
from flash_otel.cli.streams import note
from flash_otel.report.entry import RUNNING, entry_json
from flash_otel.report.layout import Part, ReportConsole, page_for, print_lines, texts
from flash_otel.report.listing import Listing, list_traces
from flash_otel.report.traces import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from flash_otel.cli.shown import Shown
    from flash_otel.diagnosis import Limits
    from flash_otel.report.entry import TraceEntry
    from flash_otel.report.layout import Line
    from flash_otel.report.listing import Wanted

    Draw = Callable[[Sequence[Line]], None]

_LIST_S: Final = 1.0  # between two looks at the store
_DEPLOYMENT_S: Final = 0.5
_WAITING: Final = "No recorded trace matches yet. Waiting for one; Ctrl-C ends."


def follow_traces(
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
        time.sleep(max(_LIST_S, 2 * (time.monotonic() - begun)))


def _may_change(listing: Listing) -> bool:
    """Return whether a process may have ended without a word to the store."""
    return any(entry.result == RUNNING for entry in listing.entries)


def _keep_current(listings: Iterator[Listing], console: Console) -> None:
    with _live(console) as draw:
        for listing in listings:
            draw(_screen(listing, console))


def _screen(listing: Listing, console: Console) -> Sequence[Line]:
    """Return the table, as far as it fits the height of the terminal."""
    if not listing.entries:
        return [(Part(_WAITING),)]
    lines = table_lines(listing.entries, page_for(console), time.time_ns())
    return lines[: max(2, console.height - 1)]


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


def follow_deployment(
    load: Callable[[str | None], Shown],
    trace: str | None,
    lines: Callable[[Shown, Console], list[Line]],
) -> int | None:
    """Draw a trace until its deployment has ended; without any recording, wait for the first.

    On a terminal, each drawing replaces the one before it. Elsewhere, only the last one is printed.

    Args:
        load: Returns a trace by its name; without a name, the deployment of the last one.
        trace: The trace's name, or None.
        lines: Returns the lines of a drawing.

    Returns:
        The exit status: that of an interrupt after Ctrl-C.

    Raises:
        CommandError: There is no such trace, or the store cannot be read.
    """
    console = ReportConsole()
    try:
        shown = _first(load, trace)
        with _drawing(console) as draw:
            draw(lines(shown, console))
            while shown.is_running:
                time.sleep(_DEPLOYMENT_S)
                # By its id: a later trace may have become the last one.
                shown = load(shown.records[0].trace_id)
                draw(lines(shown, console))
    except KeyboardInterrupt:
        return INTERRUPTED
    return None


def _first(load: Callable[[str | None], Shown], trace: str | None) -> Shown:
    """Return what is shown first, once something is recorded."""
    is_waiting = False
    while True:
        try:
            return load(trace)
        except MissingError:
            if trace is not None:
                raise
        if not is_waiting:
            note("flash-otel: nothing is recorded yet; waiting for a deployment (Ctrl-C to stop)")
            is_waiting = True
        time.sleep(_DEPLOYMENT_S)


@contextmanager
def _drawing(console: Console) -> Iterator[Draw]:
    """Yield a function that draws lines; without a terminal, the last ones are printed."""
    if console.is_terminal and not console.is_dumb_terminal:
        with _live(console) as draw:
            yield draw
        return
    last: list[Line] = []
    yield lambda lines: last.__setitem__(slice(None), lines)
    print_lines(last, console)


@contextmanager
def _live(console: Console) -> Iterator[Draw]:
    """Yield a function that draws lines in place of those that it drew before."""
    from rich.console import Group
    from rich.live import Live

    # Of more lines than the terminal has, the first ones are shown until the end.
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda lines: live.update(Group(*texts(lines, console)), refresh=True)
