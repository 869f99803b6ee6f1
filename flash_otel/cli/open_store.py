"""Open the store for a command; every problem with it becomes a clear error."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel import semconv
from flash_otel.cli.app import COULD_NOT_TELL, CommandError, MissingError
from flash_otel.cli.sources import STORE, Selection, from_options, records_of, resolved
from flash_otel.cli.suggest import did_you_mean
from flash_otel.wording import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help="Path of the store; by default FLASH_OTEL_STORE, or in the user's state folder.",
    ),
]
NOTHING_RECORDED: Final = "No traces are recorded yet."
HOW_TO_RECORD: Final = "Record one: flash-otel run -- flash deploy   (or try: flash-otel demo)"
HOW_TO_LIST: Final = "List the recorded traces: flash-otel traces"

_BATCH: Final = 1_000
_FLUSH_TIMEOUT_S: Final = 2.0
_SUGGESTED_FROM: Final = 200  # newest traces, whose names and ids are suggested
_SEARCHED_TRACES: Final = 20  # other processes may write to the same store


@contextmanager
def reading(named: str | None) -> Iterator[SpanStore | None]:
    """Open the store read-only; None if nothing is recorded yet.

    Args:
        named: The path that the user gave; None for the default.

    Raises:
        CommandError: The named file does not exist, or the store cannot be read.
    """
    from flash_otel.store.store import open_for_reading

    with _opened(named, open_for_reading) as store:
        yield store


@contextmanager
def updating(named: str | None, prepare: Callable[[SpanStore], None]) -> Iterator[SpanStore | None]:
    """Open an existing store for writing; None if nothing is recorded yet.

    Args:
        named: The path that the user gave; None for the default.
        prepare: Called with the store before it takes in the spans set aside beside it.

    Raises:
        CommandError: The named file does not exist, or the store cannot be used.
    """
    from flash_otel.store.store import open_existing

    with _opened(named, lambda path: open_existing(path, prepare)) as store:
        yield store


@contextmanager
def listing_from(
    sources: list[str] | None, selection: Selection, *, evidence_since_ns: int | None = None
) -> Iterator[tuple[SpanStore, RecordedSpans] | None]:
    """Open the store, or a temporary one, together with its spans as a diagnosis looks them up.

    Args:
        sources: The values of `--from`; None for the store.
        selection: The wanted records.
        evidence_since_ns: Earliest start of the store's spans that count as evidence, in
            nanoseconds since the epoch.

    Raises:
        CommandError: A source cannot be read, or all of them are empty.
    """
    from flash_otel.diagnosis.recorded import laid_out, local_spans

    names, selection = resolved(sources or [STORE], selection)
    if names == [STORE]:
        with _suggesting(sources), reading(selection.store) as local:
            yield None if local is None else (local, local_spans(local, evidence_since_ns))
        return
    from flash_otel.diagnosis.mending import without_lines
    from flash_otel.store.store import temporary_store

    def kept(records: Iterator[SpanRecord]) -> Iterator[SpanRecord]:
        while batch := list(islice(records, _BATCH)):
            store.write(map(without_lines, batch))
            yield from batch

    with (
        _suggesting(sources),
        _explained(),
        temporary_store() as store,
        laid_out(kept(records_of(names, selection))) as spans,
    ):
        yield store, spans


def confirmed(question: str, without_asking: str) -> bool:
    """Ask a question on the terminal, and return whether the answer is yes.

    Args:
        question: The question.
        without_asking: The next step if there is no terminal.

    Raises:
        CommandError: There is no terminal to ask on.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask on.", without_asking)
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def trace_to_read(name: str | None) -> str | None:
    """Return the part of a trace's name by which sources can select; None if all is needed."""
    from flash_otel.store.queries import trace_position

    return None if name is None or trace_position(name) is not None else name


def trace_named(store: SpanStore, name: str) -> str:
    """Return the id of the trace that a person names (`SpanStore.trace_id`).

    Raises:
        CommandError: There is no such trace, or there are several.
    """
    from flash_otel.store.errors import AmbiguousTraceError

    try:
        trace_id = store.trace_id(name)
    except AmbiguousTraceError as error:
        raise CommandError(str(error), HOW_TO_LIST) from error
    if trace_id is not None:
        return trace_id
    if store.latest_trace_id() is None:
        raise MissingError(NOTHING_RECORDED, HOW_TO_RECORD)
    if trace_to_read(name) is None:
        raise CommandError(f"there is no {name}: fewer traces are recorded.", HOW_TO_LIST)
    begins = [summary.trace_id[: len(name)] for summary in store.traces(_SUGGESTED_FROM)]
    steps = filter(None, (did_you_mean(name, begins), HOW_TO_LIST))
    raise CommandError(f"no recorded trace begins with {name!r}.", "\n".join(steps))


def similar_names(
    sources: list[str] | None,
    selection: Selection,
    *,
    env: str | None = None,
    app: str | None = None,
    trace: str | None = None,
) -> list[str]:
    """Return questions that name what was probably meant, for each name that is not recorded.

    Args:
        sources: The values of `--from`; only a store is searched, because files may be long.
        selection: The wanted records.
        env: The environment that was asked for.
        app: The app that was asked for.
        trace: The first digits of the trace that was asked for.
    """
    names, selection = resolved(sources or [STORE], selection)
    if names != [STORE]:
        return []
    with reading(selection.store) as store:
        found = store.traces(_SUGGESTED_FROM) if store is not None else []
    environments = [(known.environment_name, known.environment_id) for known in found]
    asked: list[tuple[str | None, Iterable[str | None]]] = [
        (env, chain.from_iterable(environments)),
        (app, [known.app_name for known in found]),
        (trace, [known.trace_id[: len(trace or "")] for known in found]),
    ]
    return [question for given, known in asked for question in _questions(given, known)]


def _questions(given: str | None, known: Iterable[str | None]) -> Iterator[str]:
    recorded = dict.fromkeys(filter(None, known))
    if given and given not in recorded and (question := did_you_mean(given, recorded)):
        yield clean(question)


def recorded_since(started_ns: int) -> list[SpanRecord]:
    """Return the spans of the last trace that this process took part in, if there is one.

    Args:
        started_ns: Earliest start, in nanoseconds since the epoch.
    """
    from flash_otel import pipeline

    # `flash --help` records nothing, and must not pay for SQLite.
    if not pipeline.has_traced():
        return []
    from flash_otel.store.store import open_for_reading

    path = pipeline.store_path()
    if path is None:
        return []
    pipeline.flush_store(_FLUSH_TIMEOUT_S)
    # A run must not wait at its end for spans that others set aside.
    store = open_for_reading(path, adopts=False)
    if store is None:
        return []
    with store:
        return _own_trace(store, started_ns)


def _own_trace(store: SpanStore, started_ns: int) -> list[SpanRecord]:
    from flash_otel.pipeline import resource
    from flash_otel.store.queries import TraceFilter

    instance = resource.create().attributes.get(semconv.SERVICE_INSTANCE_ID)
    for summary in store.traces(_SEARCHED_TRACES, TraceFilter(since_ns=started_ns)):
        records = store.trace(summary.trace_id)
        instances = {record.resource.get(semconv.SERVICE_INSTANCE_ID) for record in records}
        if instance in instances:
            return records
    return []


@contextmanager
def _opened(
    named: str | None, open_store: Callable[[Path], SpanStore | None]
) -> Iterator[SpanStore | None]:
    from flash_otel.store.store import StoreError, locate

    try:
        path = locate(named)
        store = open_store(path)
    except StoreError as error:
        hint = "Name another file with --store, or move this one away and record again."
        raise CommandError(str(error), hint, COULD_NOT_TELL) from error
    if store is None and named is not None:
        raise CommandError(f"there is no store at {named}.", HOW_TO_RECORD)
    with _explained(), store or nullcontext() as opened:
        yield opened


@contextmanager
def _suggesting(sources: list[str] | None) -> Iterator[None]:
    """Let the commands that an error suggests read the same sources."""
    try:
        yield
    except CommandError as error:
        error.next_step = error.next_step.replace(HOW_TO_LIST, HOW_TO_LIST + from_options(sources))
        raise


@contextmanager
def _explained() -> Iterator[None]:
    from flash_otel.store.store import StoreError

    try:
        yield
    except StoreError as error:
        raise CommandError(str(error), status=COULD_NOT_TELL) from error
