"""The faults of the reliability table, but for those that need a real Flash."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from support.bad_endpoints import BAD
from support.disks import (
    CORRUPT,
    LIMIT,
    NO_HOME,
    can_map_users,
    can_mount,
    full_disk,
    locked,
    locked_from_the_start,
    make_newer,
    read_only,
)
from support.host_faults import CLOCK, JUMPS, TASKS, jumping, many_tasks
from support.host_process import ENDINGS, SPANS
from support.scripted_collector import KINDS, HttpCollector, Reply
from support.scripted_proxy import USER, ScriptedProxy

from flash_otel.store.schema import VERSION
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.scripted_collector import Key, ScriptedCollector

Given = dict[str, Any]
"""Arguments for a `HostProcess`."""


@dataclass(frozen=True)
class Reached:
    """Where a process sends its spans.

    Attributes:
        url: The collector's.
        protocol: How it is spoken to.
        collector: The collector; None if nothing receives.
        variables: The environment of the processes that send there.
    """

    url: str
    protocol: str
    collector: ScriptedCollector | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        """Ids of the spans that it has taken, repeated as often as it took them."""
        return self.collector.keys if self.collector else []


@dataclass(frozen=True)
class Scene:
    """One fault, under which a process is run with flash_otel, again, and with the SDK alone.

    Attributes:
        fault: What it is called.
        collector: Makes the collector.
        trouble: Given a folder, makes the trouble of the first run.
        ours: What the first run with flash_otel is given.
        sdk: What the run with the SDK alone is given; None for no such run.
        spans: How many spans the first run makes.
        is_repeated: Whether there is a second run.
    """

    fault: str
    collector: Callable[[], AbstractContextManager[Reached]]
    trouble: Callable[[Path], AbstractContextManager[Given]] = lambda _: nullcontext({})
    ours: Given = field(default_factory=dict)
    sdk: Given | None = field(default_factory=dict)
    spans: int = SPANS
    is_repeated: bool = True


def scenes() -> Iterator[Scene]:
    """Yield all of them, in the order of the table."""
    for kind in KINDS:
        for fault, bad in BAD.items():
            yield Scene(fault, _reaching_nobody(bad, kind.protocol))
        yield Scene("none", _reaching(kind))
        yield Scene("busy once (503)", _reaching(kind, Reply(503, code="UNAVAILABLE")))
        yield Scene("proxy with a password", _reaching_through(kind))
        yield Scene("proxy refuses the password (407)", _reaching_through(kind, status=407))
        yield Scene("unknown scheme", _reaching(kind, scheme="grpcs"))
    live = _reaching(HttpCollector)
    for fault, trouble in _STORES.items():
        yield Scene(fault, live, trouble)
    for fault, code, spans in _HOSTS:
        early = CLOCK if code is jumping else ""
        given = [{"ending": code(with_sdk=which), "early": early} for which in (False, True)]
        yield Scene(fault, live, ours=given[0], sdk=given[1], spans=spans)
    dying = {"ending": "print('done', flush=True); time.sleep(100)", "killed_after_s": 0.2}
    yield Scene("kill -9, 0.2 s after the last span", live, ours=dying, sdk=dying)
    for ending in ENDINGS:
        given = {"ending": ending}
        # That one's code flushes by hand, through flash_otel.
        sdk = None if ending == "SIGINT" else given
        yield Scene(f"none, {ending}", live, ours=given, sdk=sdk, is_repeated=False)


def _reaching_nobody(
    bad: Callable[[], AbstractContextManager[str]], protocol: str
) -> Callable[[], AbstractContextManager[Reached]]:
    @contextmanager
    def reaching() -> Iterator[Reached]:
        with bad() as url:
            yield Reached(url, protocol)

    return reaching


def _reaching(
    kind: Any, *replies: Reply, scheme: str = "http"
) -> Callable[[], AbstractContextManager[Reached]]:
    @contextmanager
    def reaching() -> Iterator[Reached]:
        with kind(*replies) as collector:
            url = collector.url.replace("http:", f"{scheme}:")
            yield Reached(url, kind.protocol, collector)

    return reaching


def _reaching_through(kind: Any, status: int = 0) -> Callable[[], AbstractContextManager[Reached]]:
    @contextmanager
    def reaching() -> Iterator[Reached]:
        with kind() as collector, ScriptedProxy(USER, status=status) as proxy:
            proxy.upstream = collector.url.removeprefix("http://")
            variables = {"http_proxy": proxy.url, "no_proxy": ""}
            yield Reached("http://collector.example:4318", kind.protocol, collector, variables)

    return reaching


@contextmanager
def _full_disk(folder: Path) -> Iterator[Given]:
    disk, saved = folder / "disk", folder / "saved"
    with SpanStore(disk / "spans.db"):
        pass
    variables = {"FLASH_OTEL_STORE": str(disk / "spans.db")}
    yield {"variables": variables, "wrapper": full_disk(disk, saved)}
    if saved.exists():
        shutil.copytree(saved, disk, dirs_exist_ok=True)


@contextmanager
def _read_only_home(folder: Path) -> Iterator[Given]:
    home = folder / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_STATE_HOME": "", "FLASH_OTEL_STORE": ""}
    yield {"variables": variables, "wrapper": read_only(home)}


@contextmanager
def _limited(_: Path) -> Iterator[Given]:
    yield {"before": LIMIT}


@contextmanager
def _locked(folder: Path) -> Iterator[Given]:
    with locked(folder / "spans.db"):
        yield {}


@contextmanager
def _locked_first(folder: Path) -> Iterator[Given]:
    with locked_from_the_start(folder / "spans.db"):
        yield {}


@contextmanager
def _no_home(_: Path) -> Iterator[Given]:
    yield {"wrapper": NO_HOME}


@contextmanager
def _newer(folder: Path) -> Iterator[Given]:
    make_newer(folder / "spans.db")
    yield {}
    with closing(sqlite3.connect(folder / "spans.db")) as plain:
        plain.execute(f"PRAGMA user_version = {VERSION}")


def _corrupt(damage: str) -> Callable[[Path], AbstractContextManager[Given]]:
    @contextmanager
    def corrupt(folder: Path) -> Iterator[Given]:
        with SpanStore(folder / "spans.db"):
            pass
        CORRUPT[damage](folder / "spans.db")
        yield {}

    return corrupt


_MOUNTED: Final = {"disk full": _full_disk, "home read-only": _read_only_home}
_STORES: Final[dict[str, Callable[[Path], AbstractContextManager[Given]]]] = {
    **(_MOUNTED if can_mount() else {}),
    **({"no home, user without an entry": _no_home} if can_map_users() else {}),
    "files limited to 1 KiB": _limited,
    "store locked by another process": _locked,
    "store locked from the first run on": _locked_first,
    "store of a newer version": _newer,
    **{f"store damaged: {damage}": _corrupt(damage) for damage in CORRUPT},
}
_HOSTS: Final = (
    ("clock jumps by years, both ways", jumping, SPANS + JUMPS * 10),
    (f"{TASKS:,} tasks at once", many_tasks, SPANS + TASKS),
)
