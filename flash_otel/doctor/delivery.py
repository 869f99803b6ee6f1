"""Checks of where spans go: the store, its undelivered spans, and the OTLP destinations."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from flash_otel.doctor import NOTE, OK, PROBLEM, UNKNOWN, DoctorCheck
from flash_otel.runtime.options import in_worker
from flash_otel.store import files

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import ExportResult, Transport


SKEW_S: Final = 30.0
_OTHERS: Final = 0o077
_KIB: Final = 1024
_NAME: Final = "FLASH_OTEL_STORE"


def store() -> Iterator[DoctorCheck]:
    """Check the store without changing it; the first deployment creates a missing one."""
    from flash_otel.store.store import newest

    path = files.default_path()
    if files.is_off():
        text = f"{_NAME} switches the store off: spans that cannot be sent are lost"
        yield DoctorCheck("store", NOTE, text)
    found = newest(path)
    if found is None and files.numbers(path):
        text = f"{path} is damaged, or not a store of flash_otel"
        hint = f"Move it away, or name another file in {_NAME}"
        yield DoctorCheck("store", PROBLEM, text, hint)
    elif found is None:
        yield DoctorCheck("store", OK, f"{path} (nothing is recorded yet)")
        yield from _folder(path.parent)
    else:
        yield from _file(found)
        yield from _content(found)


def _folder(folder: Path) -> Iterator[DoctorCheck]:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    # The store creates missing folders, so only the deepest existing one matters.
    if not os.access(existing, os.W_OK | os.X_OK):
        text = f"{existing} is not writable: spans are not stored"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name a file elsewhere in {_NAME}.")


def _file(path: Path) -> Iterator[DoctorCheck]:
    files = [file for file in path.parent.glob(f"{path.name}*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    yield DoctorCheck("store", OK, f"{path} ({size // _KIB} KiB)")
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        text = f"{path} is a symbolic link, which flash_otel does not follow"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name the file itself in {_NAME}.")
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        text = f"{path} belongs to another user: flash_otel does not use it"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name a file of your own in {_NAME}.")
    elif os.name == "posix" and found.st_mode & _OTHERS:
        text = f"{path} is accessible to other users until the next deployment"
        yield DoctorCheck("store_rights", NOTE, text, f"chmod 600 {path}")
    elif not os.access(path, os.W_OK):
        yield DoctorCheck("store_rights", PROBLEM, f"{path} is not writable", f"chmod 600 {path}")
    else:
        yield DoctorCheck("store_rights", OK, "only its owner can read the store")


def _content(path: Path) -> Iterator[DoctorCheck]:
    from flash_otel.store.files import translated
    from flash_otel.store.store import SpanStore, StoreError

    try:
        with SpanStore(path, is_read_only=True) as opened, translated(path):
            database = opened.connection
            # Not integrity_check, which compares every index with its table as well.
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                text = f"the store is damaged: {answer}"
                hint = (
                    "Move it away: flash_otel starts a new one, and "
                    "`flash-otel diagnose --from` reads the damaged one."
                )
                yield DoctorCheck("store_integrity", PROBLEM, text, hint)
                return
            (spans,) = database.execute("SELECT count(*) FROM spans").fetchone()
            yield DoctorCheck("store_integrity", OK, f"the store is intact and holds {spans} spans")
            yield from _undelivered(database)
    except StoreError as error:
        yield DoctorCheck("store_integrity", UNKNOWN, f"the store cannot be read now: {error}")


def _undelivered(database: sqlite3.Connection) -> Iterator[DoctorCheck]:
    from flash_otel.store.cursors import delivery_statuses

    for status in delivery_statuses(database):
        if status.waiting:
            why = f" ({status.reason})" if status.reason else ""
            text = f"{status.waiting} spans wait for {status.name}{why}"
            yield DoctorCheck("waiting", NOTE, text, "flash-otel push")
        if status.rejected:
            text = f"{status.name} rejected {status.rejected} spans ({status.rejected_reason})"
            yield DoctorCheck("rejected", NOTE, text, "flash-otel push --rejected")


def destinations(timeout_s: float | None) -> Iterator[DoctorCheck]:
    """Check every destination that the environment names.

    Args:
        timeout_s: Timeout of each destination, in seconds; None sends nothing.
    """
    from flash_otel.export.destination import forwarded

    named = forwarded()
    if not named:
        yield _no_destination()
    for destination in named:
        yield from _address(destination)
        if destination.problem:
            continue
        if timeout_s is None:
            text = f"{destination.host} ({destination.protocol}) was not checked"
            yield DoctorCheck("destination", NOTE, text)
        else:
            yield from _probe(replace(destination, timeout_s=timeout_s))


def _address(destination: Destination) -> Iterator[DoctorCheck]:
    """Report an address that nothing is sent to, or that is used other than it says."""
    address = destination.address
    name = f"{destination.host} ({destination.protocol})"
    if destination.problem:
        text = f"nothing is sent to {name}: {destination.problem}"
        variable = "ENDPOINT" if address.problem else "HEADERS"
        hint = f"Correct OTEL_EXPORTER_OTLP_{variable}. Spans wait in the store."
        yield DoctorCheck("address", PROBLEM, text, hint)
    elif address.remark:
        hint = "Correct OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_INSECURE."
        yield DoctorCheck("address", NOTE, f"{name}: {address.remark}", hint)


def _no_destination() -> DoctorCheck:
    if in_worker():
        text = "no OTLP endpoint is configured: spans go to the worker's log"
        return DoctorCheck("destination", OK, text)
    text = "no OTLP endpoint is configured: spans stay in the store"
    hint = "To send them: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
    return DoctorCheck("destination", OK, text, hint)


def _probe(destination: Destination) -> Iterator[DoctorCheck]:
    from flash_otel.export.forwarder import transport_to
    from flash_otel.runtime.instrumentation import utils

    # The request must not become a span of instrumented HTTP libraries.
    with utils.suppress_instrumentation():
        transport = transport_to(destination)
        try:
            result = transport.send([])
        finally:
            transport.close()
    yield _delivery(destination, result)
    yield from _proxy(destination)
    yield from _clock(destination, transport)


def _delivery(destination: Destination, result: ExportResult) -> DoctorCheck:
    from flash_otel.export.sending import Verdict

    name = f"{destination.host} ({destination.protocol})"
    if result.verdict is Verdict.DELIVERED:
        return DoctorCheck("destination", OK, f"{name} accepts spans")
    text = f"{name} does not accept spans: {result.reason or 'no reason was given'}"
    hint = (
        "Is the collector running there, and is the address right? Spans wait in the store."
        if result.verdict is Verdict.WAIT
        else "Check path, protocol and OTEL_EXPORTER_OTLP_HEADERS."
    )
    return DoctorCheck("destination", PROBLEM, text, hint)


def _proxy(destination: Destination) -> Iterator[DoctorCheck]:
    """Report the proxy of an HTTP destination; gRPC chooses its own."""
    from flash_otel.export.destination import GRPC
    from flash_otel.export.proxy import ProxyError, proxy_for

    try:
        proxy = None if destination.protocol == GRPC else proxy_for(destination.address)
    except ProxyError:
        return  # the reason why the destination does not accept spans
    if proxy is not None:
        text = f"{destination.host} is reached through the proxy {proxy.place}"
        hint = "To reach it directly, add its host to NO_PROXY."
        yield DoctorCheck("proxy", NOTE, text, hint)


def _clock(destination: Destination, transport: Transport) -> Iterator[DoctorCheck]:
    """Compare the clocks, if the server sends its time (HTTP's Date header)."""
    try:
        server_time = parsedate_to_datetime(getattr(transport, "date", "") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    skew = server_time - time.time()
    if abs(skew) > SKEW_S:
        text = f"the clock of {destination.host} differs from this one by {skew:+.0f} s"
        hint = "Synchronize both with NTP: spans of different machines are ordered by time."
        yield DoctorCheck("clock", NOTE, text, hint)
    else:
        yield DoctorCheck("clock", OK, f"the clock agrees with that of {destination.host}")
