"""`flash-otel prune`: delete old traces, or all of them, from the local store."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli import open_store
from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.sources import age_in_seconds
from flash_otel.cli.streams import print_text
from flash_otel.report.words import clean, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.store.retention import Surplus
    from flash_otel.store.store import SpanStore


def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Delete the traces without a span of the last 30m, 2h, 7d ..."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all traces.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    store: open_store.StoreOption = None,
) -> int:
    """Delete old traces, or all of them, from the local store.

    Whole traces are deleted, with the spans that still wait for a destination; how many do is shown
    first. Without --yes, the command asks on a terminal, and elsewhere only shows what it would
    delete. (Traces that are older than 30 days are deleted without this command.)
    """
    if (older_than is None) != everything:
        raise CommandError(
            "it is not clear what to delete.", "Give either --older-than AGE, such as 7d, or --all."
        )
    age_s = None if older_than is None else age_in_seconds(older_than)
    with open_store.updating(store, lambda _: None) as opened:
        if opened is None:
            print_text(open_store.NOTHING_RECORDED)
            return CLEAN
        _prune(opened, age_s, older_than, is_sure=yes)
        for other in _others(opened, store):
            print_text(f"{other} is another file of this store, which cannot be read. It stays.")
    return CLEAN


def _others(store: SpanStore, named: str | None) -> list[Path]:
    """Return the files of a store that were found damaged, and replaced by another one."""
    from flash_otel.store import files
    from flash_otel.store.store import locate

    first = locate(named)
    found = (files.numbered(first, number) for number in files.numbers(first))
    return [file for file in found if file != store.path]


def _prune(store: SpanStore, age_s: float | None, age: str | None, *, is_sure: bool) -> None:
    from flash_otel.store import retention
    from flash_otel.store.errors import translated

    before = {} if age_s is None else {"before_ns": time.time_ns() - int(age_s * 1e9)}
    with translated(store.path):
        chosen = retention.surplus(store.connection, **before)
    if not chosen.traces:
        reason = f"no trace is older than {age}" if age else "no traces are recorded"
        print_text(f"Nothing to delete: {reason}.")
        return
    print_text("\n".join(_plan(store, chosen)))
    question, without_asking = "Delete them?", "Add --yes to delete without asking."
    if not is_sure and not open_store.confirmed(question, without_asking):
        print_text("Nothing is deleted.")
        return
    with _no_sender(store), translated(store.path):
        deleted = retention.delete(store.connection, chosen)
    print_text(f"Deleted: {_spans(deleted)}.")


def _plan(store: SpanStore, chosen: Surplus) -> Iterator[str]:
    """Describe what will be deleted, and what is lost with it."""
    times = f"{moment(chosen.first_ns or 0)} to {moment(chosen.last_ns or 0)}"
    traces = _count(chosen.traces, "trace")
    yield f"{store.path}: {traces} ({_spans(chosen.spans)}) to delete, of {times}"
    yield f"  {_count(chosen.kept, 'other trace')} will stay"
    for name, waiting in chosen.waiting:
        yield f"  {_spans(waiting)} of them, not sent yet to {clean(name)}, will never be sent"
    if chosen.waiting:
        yield "  to send them first: flash-otel push"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _spans(number: int) -> str:
    return _count(number, "span")


@contextmanager
def _no_sender(store: SpanStore) -> Iterator[None]:
    """Keep other processes from sending, because the delivery cursors may begin again.

    Raises:
        CommandError: A process is sending right now.
    """
    from flash_otel.export.delivery import StoreSpanSource
    from flash_otel.store.cursors import delivery_statuses
    from flash_otel.store.errors import translated

    with translated(store.path):
        names = [status.name for status in delivery_statuses(store.connection)]
    with ExitStack() as sessions:
        for name in names:
            if not sessions.enter_context(StoreSpanSource(store.path, name).session()):
                message = f"another process is sending spans to {clean(name)}."
                raise CommandError(message, "Nothing is deleted. Try again.", COULD_NOT_TELL)
        yield
