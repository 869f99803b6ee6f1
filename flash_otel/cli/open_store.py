"""Reading the local store for a command; what is wrong with it becomes a clear error."""

from __future__ import annotations

from contextlib import contextmanager
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
def reading(
    named: str | None, *, prepare: Callable[[SpanStore], None] = lambda _: None
) -> Iterator[SpanStore | None]:
    """Open the store that a command reads; None where nothing was recorded yet.

    What waits beside the store is taken in first.

    Args:
        named: The path that the user gave, or None for the default one.
        prepare: Called before anything is taken in.

    Raises:
        CommandError: The named file does not exist, or the store cannot be read.
    """
    from flash_otel.store.overflow import adopt_if_possible
    from flash_otel.store.store import SpanStore, default_path

    path = default_path() if named is None else Path(named).expanduser()
    file = _file(path, is_named=named is not None)
    with _explained():
        if file is None:
            yield None
        else:
            with SpanStore(file) as store:
                prepare(store)
                adopt_if_possible(store, path)
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


def _file(path: Path, *, is_named: bool) -> Path | None:
    """Return the newest readable file of the store; reading never creates one."""
    from flash_otel.store.paths import numbers
    from flash_otel.store.store import newest

    found = newest(path)
    if found is None and numbers(path):
        raise CommandError(
            f"{path} is no store of flash-otel, or it is damaged.",
            "Name another file with --store, or move this one away and record again.",
            COULD_NOT_TELL,
        )
    if found is None and is_named:
        raise CommandError(f"there is no store at {path}.", HOW_TO_RECORD)
    return found
