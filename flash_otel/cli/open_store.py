"""Reading the local store for a command; what is wrong with it becomes a clear error."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.cli.errors import COULD_NOT_TELL, CommandError
from flash_otel.cli.sources import STORE, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.cli.sources import Asked
    from flash_otel.store.store import SpanStore

STORE_HELP: Final = "The store's file; by default FLASH_OTEL_STORE or the user's state folder."
NOTHING_RECORDED: Final = "No traces are recorded yet."
HOW_TO_RECORD: Final = "Record one: flash-otel run -- flash deploy   (or try: flash-otel demo)"


@contextmanager
def reading(named: str | None) -> Iterator[SpanStore | None]:
    """Open the store that a command reads; None if nothing was recorded yet.

    Args:
        named: The path that the user gave, or None for the default one.

    Raises:
        CommandError: The named file does not exist, or the store cannot be read.
    """
    from flash_otel.store.store import open_for_reading

    with _explained(), _opened(named, open_for_reading) as store:
        yield store


@contextmanager
def updating(named: str | None, prepare: Callable[[SpanStore], None]) -> Iterator[SpanStore | None]:
    """Open the store that a command writes to; None if nothing was recorded yet.

    Args:
        named: The path that the user gave, or None for the default one.
        prepare: Called with the store before it takes in the spans set aside beside it.

    Raises:
        CommandError: As `reading`, or the store cannot be written to.
    """
    from flash_otel.store.store import open_existing

    with _explained(), _opened(named, lambda path: open_existing(path, prepare)) as store:
        yield store


@contextmanager
def reading_from(sources: list[str] | None, asked: Asked) -> Iterator[SpanStore | None]:
    """Open the store that a command reads or, of other sources, one that holds what they hold.

    Args:
        sources: What the user gave to `--from`; nothing stands for the store.
        asked: What is wanted.

    Raises:
        CommandError: A source cannot be read, or holds nothing.
    """
    from flash_otel.cli.spooled import spooled

    if not sources or sources == [STORE]:
        with reading(asked.store) as found:
            yield found
        return
    with _explained(), spooled(records_of(sources, asked)) as store:
        yield store


@contextmanager
def _explained() -> Iterator[None]:
    from flash_otel.store.store import StoreError

    try:
        yield
    except StoreError as error:
        raise CommandError(str(error), status=COULD_NOT_TELL) from error


@contextmanager
def _opened(
    named: str | None, open_store: Callable[[Path], SpanStore | None]
) -> Iterator[SpanStore | None]:
    from flash_otel.store.store import StoreError, default_path

    path = default_path() if named is None else Path(named).expanduser()
    try:
        store = open_store(path)
    except StoreError as error:
        hint = "Name another file with --store, or move this one away and record again."
        raise CommandError(str(error), hint, COULD_NOT_TELL) from error
    if store is None and named is not None:
        raise CommandError(f"there is no store at {path}.", HOW_TO_RECORD)
    with store or nullcontext() as opened:
        yield opened
