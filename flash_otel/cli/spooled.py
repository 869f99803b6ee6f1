"""Sources laid out as a store for the length of a command, so that it can be asked like one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore


@contextmanager
def spooled(records: Iterable[SpanRecord]) -> Iterator[SpanStore]:
    """Write records into a store that is removed after the block, however that ends.

    Args:
        records: What to lay out; chunks of one trace come together, and each span is kept once.

    Raises:
        StoreError: There is no room for it.
    """
    from flash_otel.store.store import SpanStore

    with (
        TemporaryDirectory(prefix="flash-otel-", ignore_cleanup_errors=True) as folder,
        SpanStore(Path(folder) / "spool.db") as store,
    ):
        store.write(records)
        yield store
