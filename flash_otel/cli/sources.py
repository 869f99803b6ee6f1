"""What `--from` names: the local store, files, standard input, Jaeger."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.cli.errors import BAD_USAGE, COULD_NOT_TELL, CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers import Source
    from flash_otel.records import SpanRecord

STORE: Final = "store"
JAEGER: Final = "jaeger"
SOURCES: Final = "store|FILE|-|jaeger[=URL]"
SOURCES_HELP: Final = (
    "Logs and OTLP files, - for standard input, store for the local store, jaeger for "
    "http://localhost:16686; may be given several times. By default, the store."
)
VERIFY: Final = "Ask the State Manager itself: flash-otel verify --app APP --env ENV"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command wants of its sources.

    Attributes:
        store: The store's file as the user named it; None for the default one.
        earliest: Earliest start, in nanoseconds since the epoch; None for no bound.
        trace: The trace that it is about, or its first digits; None for all.
        most: How many traces are enough, the newest; None for all.
    """

    store: str | None = None
    earliest: int | None = None
    trace: str | None = None
    most: int | None = None


def records_of(named: list[str], asked: Asked) -> Iterator[SpanRecord]:
    """Yield the records of all sources; one that holds nothing is left out with a word.

    Args:
        named: What the user gave to `--from`.
        asked: What is wanted.

    Raises:
        CommandError: A source cannot be read, or none of them holds anything.
    """
    from flash_otel.diagnosis.readers import NothingFoundError, SourceError

    empty: list[str] = []
    names = list(dict.fromkeys(named))
    for name in names:
        try:
            yield from _of(_source(name, asked), asked.earliest)
        except NothingFoundError as error:
            empty.append(str(error))
        except SourceError as error:
            raise CommandError(f"{error}.", VERIFY, BAD_USAGE) from error
    if len(empty) == len(names):
        raise CommandError(f"{'; '.join(empty)}.", VERIFY, COULD_NOT_TELL)
    for one in empty:
        _note(one)


def from_jaeger(named: list[str]) -> str:
    """Return the option that names a Jaeger again, for a command that a report suggests."""
    jaegers = [one for one in named if one.partition("=")[0] == JAEGER]
    secret = any("@" in one for one in jaegers)
    return f" --from {shlex.quote(jaegers[0])}" if jaegers and not secret else ""


def _source(name: str, asked: Asked) -> Source:
    kind, _, url = name.partition("=")
    if kind == JAEGER:
        from flash_otel.diagnosis.readers.jaeger import DEFAULT_URL, JaegerSource

        return JaegerSource(
            url or DEFAULT_URL,
            since_ns=asked.earliest,
            trace_id=asked.trace,
            most=asked.most,
            on_note=_note,
        )
    if name == STORE:
        from flash_otel.diagnosis.readers.store import StoreSource

        return StoreSource(asked.store, asked.earliest)
    from flash_otel.diagnosis.readers import open_source

    return open_source(name)


def _of(source: Source, earliest: int | None) -> Iterator[SpanRecord]:
    """Yield a source's records since then; of those without a clock, all."""
    from flash_otel.cli.progress import progressing

    with progressing(source.name) as progress:
        for record in source.records(progress):
            if earliest is None or not record.start_ns or record.start_ns >= earliest:
                yield record


def _note(text: str) -> None:
    print(f"flash-otel: {text}", file=sys.stderr)
