"""Writing records to a store that may be damaged, locked or full.

The host is never affected, and gets at most one warning:

- a damaged file stays as it is, and a fresh one beside it is used;
- a locked database, a full disk, a file of a newer version: the records stay in memory and are
  tried again; the rest is set aside beside the store at the end, for the next run;
- any other error (such as missing permissions): nothing is stored.

Records that reach neither the store nor a file beside it go to the follower, which can send them.
Without a follower, records of an unusable store go to the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.runtime.process import swallowed
from flash_otel.runtime.streams import to_stderr
from flash_otel.store import files
from flash_otel.store.errors import StoreCorruptError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

# Well below the exit budget: what is locked for longer is tried again.
BUSY_MS: Final = 250
_BUSY_AGAIN_MS: Final = 50
# Another writer's transaction passes; a lock that lasts for longer is worth a warning.
_PATIENCE_S: Final = 2.0
_PRUNE_EVERY: Final = 10_000

Warn = Callable[[str], None]
Rescue = Callable[[list["SpanRecord"]], None]


class Follower(Protocol):
    """Continues with what is stored; called from the writer's thread."""

    def before_write(self, store: SpanStore) -> None:
        """Prepare for a write to this file.

        Raises:
            StoreError: The file cannot be used.
        """

    def after_write(self) -> None:
        """Continue with what the store holds now."""

    def on_unstorable(self, records: list[SpanRecord]) -> None:
        """Take over records that no disk takes."""


class StoreWriter:
    """Writes records to the store, which it opens with the first ones.

    Only one thread at a time may use it; it raises nothing.

    Args:
        path: The store's first file.
        warn: Called, at most once, with a warning; None writes it to standard error.
        follower: Called around each write, or None.
        rescue: Called with records that can never be stored, if there is no follower.

    Attributes:
        pending: Records that are not in the store yet.
        dead: Whether this store cannot be used at all.
        follower: As above.
    """

    def __init__(
        self,
        path: Path,
        warn: Warn | None = None,
        follower: Follower | None = None,
        rescue: Rescue | None = None,
    ) -> None:
        self.pending: list[SpanRecord] = []
        self.dead = False
        self.follower = follower
        self._path = path
        self._warn = warn or to_stderr
        self._rescue = rescue
        self._has_warned = False
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
            self._pass_to_follower()
            return False
        if not self.pending:
            return True
        try:
            self._write()
        except StoreCorruptError:
            self._replace()
        except StoreError as error:
            self._handle_transient(error)
        except Exception as error:
            self._give_up(error)
            swallowed("store write")
        return not self.pending and not self.dead

    def spill(self) -> bool:
        """At the end, set pending records aside beside the store; the follower gets the rest.

        Returns:
            Whether all records are on the disk.
        """
        if self.dead or not self.pending:
            return not self.dead
        kept = files.set_aside(self._path, self.pending)
        if kept:
            self.pending = []
            self.warn(f"spans wait beside the store, the next run takes them in: {self._trouble}")
        else:
            self.warn(f"the last spans are not stored: {self._trouble}")
            self._pass_to_follower()
        return kept

    def prune(self) -> None:
        """Delete old and surplus spans, if enough was written since the last time."""
        if self._until_prune > 0 or self._store is None:
            return
        self._until_prune = _PRUNE_EVERY
        try:
            self._store.prune()
        except StoreError:
            # Retention can wait; an error that matters shows with the next write.
            return

    def close(self) -> None:
        """Close the file; the next `commit` opens it again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def warn(self, message: str) -> None:
        """Warn the user, once in the life of this writer."""
        if self._has_warned:
            return
        self._has_warned = True
        try:
            self._warn(f"flash_otel: {message}")
        except Exception:
            swallowed("store warning")

    def _write(self) -> None:
        is_fresh = self._store is None
        if self._store is None:
            self._store = self._open()
        if self.follower is not None:
            self.follower.before_write(self._store)
        if is_fresh:
            # After `before_write`, which registers the destinations: they get these spans, too.
            files.adopt(self._store.write, self._path)
        self._store.write(self.pending)
        self._until_prune -= len(self.pending)
        self.pending = []
        self._trouble = self._troubled_since = None
        if self.follower is not None:
            self.follower.after_write()

    def _open(self, damaged: Path | None = None) -> SpanStore:
        from flash_otel.store.store import open_for_writing

        first = next(files.files_to_write(self._path))
        # After a timeout, retry with a shorter one: an exit may be waiting.
        busy_ms = BUSY_MS if self._trouble is None else _BUSY_AGAIN_MS
        store = open_for_writing(self._path, busy_ms=busy_ms, damaged=damaged)
        if store.path != first:
            self.warn(f"{first} is damaged and stays as it is; spans are now kept in {store.path}")
        return store

    def _replace(self) -> None:
        """Continue in a fresh file, because the current one turned out to be damaged."""
        damaged = None if self._store is None else self._store.path
        try:
            self.close()
            self._store = self._open(damaged)
            self._write()
        except Exception as error:
            self._give_up(error)

    def _handle_transient(self, error: StoreError) -> None:
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
        self._pass_to_follower()

    def _pass_to_follower(self) -> None:
        records, self.pending = self.pending, []
        try:
            if self.follower is not None and records:
                self.follower.on_unstorable(records)
            elif self._rescue is not None and self.dead:
                self._rescue(records)
        except Exception:
            swallowed("spans that are not stored")
