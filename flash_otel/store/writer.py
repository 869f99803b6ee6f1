"""What the store's writer does with records when the store itself has trouble.

The host goes on whatever happens, and hears of it in one line:

- a damaged file stays as it is, and a fresh one beside it is used;
- a locked database, a full disk, a file of a newer version: the records are kept in memory and
  tried again; what is left at the end waits beside the store for the next run;
- anything else (no right to write): nothing is stored.

What gets neither into the store nor beside it goes to whoever follows, who may send it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.runtime.exit import to_stderr
from flash_otel.runtime.guard import swallowed
from flash_otel.store.paths import files_to_write

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord
    from flash_otel.store.errors import StoreError
    from flash_otel.store.store import SpanStore

# One attempt must end well within the exit budget; what is locked longer is tried again.
BUSY_MS: Final = 250
_BUSY_AGAIN_MS: Final = 50
# A trouble that lasts is worth a line, one in passing (another writer's transaction) is not.
_PATIENCE_S: Final = 2.0
_PRUNE_EVERY: Final = 10_000

Warn = Callable[[str], None]


class Follower(Protocol):
    """Whoever goes on with what is in the store: it is told from the writer's thread."""

    def committing(self, store: SpanStore) -> None:
        """Learn which file is about to be written to.

        Raises:
            StoreError: The file cannot be used.
        """

    def committed(self) -> None:
        """Learn that the store holds more than before."""

    def unstored(self, records: list[SpanRecord]) -> None:
        """Take what no disk keeps."""


class StoreSink:
    """Writes records to the store, opening it when the first come.

    One thread at a time may use it; it raises nothing.

    Attributes:
        pending: Records that are not in the store yet.
        dead: Whether this store cannot be used at all.
        follower: Who is told of commits, or None.
    """

    def __init__(
        self, path: Path, warn: Warn | None = None, follower: Follower | None = None
    ) -> None:
        self.pending: list[SpanRecord] = []
        self.dead = False
        self._path = path
        self._say = warn or to_stderr
        self.follower = follower
        self._warned = False
        self._store: SpanStore | None = None
        self._trouble: StoreError | None = None
        self._troubled_since: float | None = None
        self._until_prune = 0

    def commit(self, records: list[SpanRecord]) -> bool:
        """Add records to the pending ones and write all of them.

        Returns:
            Whether nothing is pending any more.
        """
        self.pending += records
        if self.dead:
            self._hand_over()
            return False
        if not self.pending:
            return True
        from flash_otel.store.errors import StoreCorruptError, StoreError

        try:
            self._write()
        except StoreCorruptError:
            self._replace()
        except StoreError as error:
            self._suffer(error)
        except Exception as error:
            self._give_up(error)
            swallowed("store write")
        return not self.pending and not self.dead

    def rescue(self) -> bool:
        """At the end, keep what is pending beside the store; tell whether all is on the disk.

        What cannot be kept there either goes to whoever follows.
        """
        if self.dead or not self.pending:
            return not self.dead
        from flash_otel.store import overflow

        kept = overflow.keep(self._path, self.pending)
        if kept:
            self.pending = []
            self.warn(f"spans wait beside the store, the next run takes them in: {self._trouble}")
        else:
            self.warn(f"the last spans are not stored: {self._trouble}")
            self._hand_over()
        return kept

    def prune(self) -> None:
        """Delete what is old or too much, if enough was written since the last time."""
        if self._until_prune > 0 or self._store is None:
            return
        from flash_otel.store.errors import StoreError

        self._until_prune = _PRUNE_EVERY
        try:
            self._store.prune()
        except StoreError:
            # Retention is a courtesy; a trouble that matters shows when something is written.
            return

    def close(self) -> None:
        """Close the file; the next `commit` opens it again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def warn(self, message: str) -> None:
        """Tell the user, once in the life of this sink."""
        if self._warned:
            return
        self._warned = True
        try:
            self._say(f"flash_otel: {message}")
        except Exception:
            swallowed("store warning")

    def _write(self) -> None:
        fresh = self._store is None
        if self._store is None:
            self._store = self._open()
        if self.follower is not None:
            self.follower.committing(self._store)
        if fresh:
            from flash_otel.store import overflow

            # Not before the destinations are known to it: they get these spans, too.
            overflow.adopt(self._store.write, self._path)
        self._store.write(self.pending)
        self._until_prune -= len(self.pending)
        self.pending = []
        self._trouble = self._troubled_since = None
        if self.follower is not None:
            self.follower.committed()

    def _open(self, damaged: Path | None = None) -> SpanStore:
        from flash_otel.store.store import open_for_writing

        first = next(files_to_write(self._path))
        # Who has waited in vain once does not wait so long again: an exit may be waiting.
        busy_ms = BUSY_MS if self._trouble is None else _BUSY_AGAIN_MS
        store = open_for_writing(self._path, busy_ms=busy_ms, damaged=damaged)
        if store.path != first:
            self.warn(f"{first} is damaged and stays as it is; spans are now kept in {store.path}")
        return store

    def _replace(self) -> None:
        """Go on in a fresh file: the one in use turned out to be damaged."""
        damaged = None if self._store is None else self._store.path
        try:
            self.close()
            self._store = self._open(damaged)
            self._write()
        except Exception as error:
            self._give_up(error)

    def _suffer(self, error: StoreError) -> None:
        if not error.transient:
            self._give_up(error)
            return
        self._trouble = error
        self.close()
        now = time.monotonic()
        self._troubled_since = self._troubled_since or now
        if now - self._troubled_since > _PATIENCE_S:
            self.warn(f"spans wait to be stored: {error}")

    def _give_up(self, error: Exception) -> None:
        self.dead = True
        try:
            self.close()
        except Exception:
            swallowed("store close")
        self.warn(f"spans are not stored: {error}")
        self._hand_over()

    def _hand_over(self) -> None:
        records, self.pending = self.pending, []
        try:
            if self.follower is not None and records:
                self.follower.unstored(records)
        except Exception:
            swallowed("spans that are not stored")
