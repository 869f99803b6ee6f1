"""The rows of the reliability table: processes are run, and their spans are counted."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.host_process import SPANS, HostProcess

from flash_otel.otlp.decode import decode
from flash_otel.store import cursors
from flash_otel.store.files import waiting
from flash_otel.store.store import SpanStore, newest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reliability_scenes import Given, Reached, Scene

HEAD: Final = (
    "fault", "protocol", "with", "exit delay, s", "spans made", "delivered", "waiting", "lost",
    "duplicated in the store", "lines printed",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What became of the spans of a process, and of those before it in the same folder.

    Attributes:
        fault: What was wrong.
        protocol: How the collector was spoken to.
        made_with: By what the spans were made.
        exit_s: How long the exit took, in seconds; None where no exit handler runs.
        made: How many spans were made.
        delivered: Those that the collector has.
        waiting: Those that wait on the disk.
        duplicated: How many the store has more than once.
        lines: How many lines the process printed of its own accord.
    """

    fault: str
    protocol: str
    made_with: str
    exit_s: float | None
    made: int
    delivered: set[tuple[str, ...]]
    waiting: set[tuple[str, ...]] = field(default_factory=set)
    duplicated: int = 0
    lines: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the table."""
        delay = "-" if self.exit_s is None else f"{self.exit_s:.2f}"
        # What was delivered, but not noted before the end, waits as well: it is sent again.
        lost = self.made - len(self.delivered | self.waiting)
        counts = (self.made, len(self.delivered), len(self.waiting), lost)
        numbers = (*counts, self.duplicated, self.lines)
        return (self.fault, self.protocol, self.made_with, delay, *map(str, numbers))


def rows_of(scene: Scene) -> Iterator[Row]:
    """Run a scene: with flash_otel, once more without the trouble, and with the SDK alone."""
    with _folder() as folder, scene.collector() as reached:
        with scene.trouble(folder) as given:
            yield _ours(scene, folder, reached, {**given, **scene.ours}, "flash_otel", scene.spans)
        if scene.is_repeated:
            kept = {"variables": _store_of(given)}
            made = scene.spans + SPANS
            yield _ours(scene, folder, reached, kept, "flash_otel, next run", made)
    if scene.sdk is not None:
        with _folder() as folder, scene.collector() as reached, scene.trouble(folder) as given:
            yield _sdk(scene, folder, reached, {**given, **scene.sdk})


def _ours(
    scene: Scene, folder: Path, reached: Reached, given: Given, made_with: str, made: int
) -> Row:
    ended = HostProcess(folder, reached.url, reached.protocol, **_in(reached, given)).run()
    store = _store_of(given).get("FLASH_OTEL_STORE", str(folder / "spans.db"))
    stored, duplicated = standing(Path(store))
    return Row(
        scene.fault,
        reached.protocol,
        made_with,
        ended.exit_s,
        made,
        set(reached.keys),
        stored,
        duplicated,
        len(ended.lines),
    )


def _sdk(scene: Scene, folder: Path, reached: Reached, given: Given) -> Row:
    ended = HostProcess(
        folder, reached.url, reached.protocol, with_sdk=True, **_in(reached, given)
    ).run()
    delivered = set(reached.keys)
    lines = len(ended.lines)
    return Row(
        scene.fault, reached.protocol, "SDK", ended.exit_s, scene.spans, delivered, lines=lines
    )


def _in(reached: Reached, given: Given) -> Given:
    return {**given, "variables": {**reached.variables, **given.get("variables", {})}}


def _store_of(given: Given) -> dict[str, str]:
    """Return where the store is, if a trouble has put it somewhere else than into the folder."""
    store = given.get("variables", {}).get("FLASH_OTEL_STORE")
    return {"FLASH_OTEL_STORE": store} if store else {}


def standing(store: Path) -> tuple[set[tuple[str, ...]], int]:
    """Return which spans wait in a store and beside it, and how many it has more than once."""
    waits: set[tuple[str, ...]] = {
        record.key for file in waiting(store) for record in decode(json.loads(file.read_text()))
    }
    file = newest(store)
    if file is None:
        return waits, 0
    with SpanStore(file, is_read_only=True) as opened:
        keys = [record.key for record in opened.spans()]
        for status in cursors.delivery_statuses(opened.connection):
            due = cursors.due(opened.connection, status.name, status.waiting)
            waits |= {record.key for _, record in due}
    return waits, len(keys) - len(set(keys))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
