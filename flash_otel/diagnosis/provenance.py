"""Where a fact was read, which process made it, why it failed, and which endpoints it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a fact was read.

    Attributes:
        file: File that the record came from; empty for the local store.
        line: Line in that file; 0 where there is none.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        rebuilt: The span was rebuilt from bracketed lines: its ids name nothing.
    """

    file: str = ""
    line: int = 0
    trace_id: str = ""
    span_id: str = ""
    rebuilt: bool = False

    @property
    def place(self) -> str:
        """File and line, or an empty string."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file

    def __str__(self) -> str:
        span = f"span {self.span_id}" if self.span_id and not self.rebuilt else ""
        return " ".join(part for part in (self.place, span) if part) or "unknown place"


@dataclass(frozen=True, slots=True)
class Process:
    """The process that made a span.

    Attributes:
        instance: Its `service.instance.id`; without one, whatever stands for the process.
        host: Name of its machine; empty where nothing tells it.
        worker: It is a deployed worker, as far as its own evidence tells.
        resource_name: In a worker, the name of its resource.
        rebuilt: It is known by the lines of a log, which others may have written, too.
        naive: Its times come from a log without time zone: they compare with no other process's.
        flash_version: Version of its runpod-flash; empty where nothing tells it.
        pid: Its process id on its machine, or None.
    """

    instance: str = ""
    host: str = ""
    worker: bool = False
    resource_name: str = ""
    rebuilt: bool = False
    naive: bool = False
    flash_version: Version = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed: the kind of cause, the exception's class and its scrubbed message."""

    kind: str
    type: str = ""
    message: str = ""

    def __str__(self) -> str:
        name = self.type.rpartition(".")[2]
        if self.message.startswith(name):
            return self.message or "no cause was recorded"
        return f"{name}: {self.message}" if self.message else name


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What is known of an endpoint mapping; None for what is not known."""

    count: int | None = None
    names: tuple[str, ...] | None = None
    urls: tuple[str, ...] | None = None
    digest: str | None = None

    @property
    def all_names(self) -> frozenset[str] | None:
        """The names, or None where not all of them are known."""
        if self.names is None or (self.count is not None and len(self.names) != self.count):
            return None
        return frozenset(self.names)

    @property
    def by_name(self) -> dict[str, str]:
        """URL of each name, as far as both are known."""
        return dict(zip(self.names or (), self.urls or (), strict=False))


NOWHERE: Final = Origin()
NOBODY: Final = Process()
UNTOLD: Final = Endpoints()
