"""A store for the length of a command, which holds the records of other sources."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from flash_otel.store.errors import StoreError
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nothing in the file must survive the process: it needs no journal and never waits for the disk.
_SETTINGS: Final = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    f"PRAGMA cache_size = -{32 * 1024}",  # KiB
)


@contextmanager
def temporary_store() -> Iterator[SpanStore]:
    """Open an empty store in a private folder, which is removed after the block.

    Raises:
        StoreError: The temporary folder cannot be written to.
    """
    try:
        with (
            TemporaryDirectory(prefix="flash-otel-", ignore_cleanup_errors=True) as folder,
            SpanStore(Path(folder) / "spans.db") as store,
        ):
            for setting in _SETTINGS:
                store.connection.execute(setting)
            yield store
    except (StoreError, OSError) as error:
        raise StoreError(
            f"the records could not be laid out on disk ({error}); TMPDIR may name another folder"
        ) from error
