"""Checks of where spans go: the store, its undelivered spans, and the OTLP destinations."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from flash_otel.doctor import NOTE, OK, PROBLEM, UNKNOWN, DoctorCheck, export, unset, verdict
from flash_otel.export import address as addresses
from flash_otel.runtime import environment
from flash_otel.runtime.options import in_worker, resolve
from flash_otel.store import errors, files, location

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import ExportResult, Transport
    from flash_otel.store.store import SpanStore


SKEW_S: Final = 30.0
_OTHERS: Final = 0o077
_KIB: Final = 1024
_NAME: Final = location.ENVIRONMENT_VARIABLE
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def store() -> Iterator[DoctorCheck]:
    """Check the store without changing it; the first deployment creates a missing one."""
    from flash_otel.store.store import open_for_reading

    if location.is_off():
        text = f"{_NAME} switches the store off: spans that cannot be sent are lost"
        yield DoctorCheck("store", NOTE, text)
    try:
        path = location.locate()
    except errors.StoreError as error:
        text = f"spans are not stored: {error}"
        yield DoctorCheck("store", PROBLEM, text, command=_elsewhere())
        return
    try:
        opened = open_for_reading(path, adopts=False)
    except errors.StoreError as error:
        yield from _unreadable(path, error)
    else:
        if opened is None:
            yield DoctorCheck("store", OK, f"{path} (nothing is recorded yet)")
            yield from _folder(path.parent)
        else:
            with opened:
                yield from _file(opened.path)
                yield from _content(opened)
    yield from _set_aside(path)


def _unreadable(path: Path, error: errors.StoreError) -> Iterator[DoctorCheck]:
    """Report why a store cannot be opened; wrong permissions come first."""
    newest = next((files.numbered(path, number) for number in files.numbers(path)), path)
    rights = [check for check in _rights(newest) if check.result == PROBLEM]
    yield from rights
    if rights:
        return
    if isinstance(error, errors.StoreBusyError):
        text = f"the store is in use by another process, and cannot be checked now: {error}"
        yield DoctorCheck("store", UNKNOWN, text, "Check again:", "flash-otel doctor")
    elif isinstance(error, errors.StoreNewerError):
        upgrade = f"{shlex.quote(sys.executable)} -m pip install --upgrade flash-otel"
        yield DoctorCheck("store", PROBLEM, str(error), command=upgrade)
    elif isinstance(error, errors.StoreCorruptError):
        text = f"the store is damaged, or not a store of flash_otel: {error}"
        yield DoctorCheck("store", PROBLEM, text, command=_away(newest))
    else:
        text = f"the store cannot be used: {error}"
        yield DoctorCheck("store", PROBLEM, text, command=_elsewhere())


def _folder(folder: Path) -> Iterator[DoctorCheck]:
    existing = _existing(folder)
    if not os.access(existing, os.W_OK | os.X_OK):
        text = f"{existing} is not writable: spans are not stored"
        yield DoctorCheck("store_rights", PROBLEM, text, command=_elsewhere())


def _existing(folder: Path) -> Path:
    """Return the deepest existing folder: the store creates those that are missing."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _file(path: Path) -> Iterator[DoctorCheck]:
    found = [file for file in path.parent.glob(f"{path.name}*") if file.is_file()]
    size = sum(file.stat().st_size for file in found)
    yield DoctorCheck("store", OK, f"{path} ({size // _KIB} KiB)")
    yield from _rights(path)


def _rights(path: Path) -> Iterator[DoctorCheck]:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        text = f"{path} is a symbolic link, which flash_otel does not follow"
        target = export(_NAME, str(path.resolve()))
        yield DoctorCheck("store_rights", PROBLEM, text, command=target)
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        text = f"{path} belongs to another user: flash_otel does not use it"
        yield DoctorCheck("store_rights", PROBLEM, text, command=_elsewhere())
    elif os.name == "posix" and found.st_mode & _OTHERS:
        text = f"{path} is accessible to other users until the next deployment"
        yield DoctorCheck("store_rights", NOTE, text, command=_private(path))
    elif not os.access(path, os.R_OK | os.W_OK):
        text = f"{path} is not writable"
        yield DoctorCheck("store_rights", PROBLEM, text, command=_private(path))
    else:
        yield DoctorCheck("store_rights", OK, "only its owner can read the store")


def _content(store: SpanStore) -> Iterator[DoctorCheck]:
    try:
        with errors.translated(store.path):
            database = store.connection
            # Not integrity_check, which compares every index with its table as well.
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                text = f"the store is damaged: {answer}"
                hint = "flash_otel starts a new one, and `flash-otel diagnose --from` reads this."
                yield DoctorCheck("store_integrity", PROBLEM, text, hint, _away(store.path))
                return
            (spans,) = database.execute("SELECT count(*) FROM spans").fetchone()
            yield DoctorCheck("store_integrity", OK, f"the store is intact and holds {spans} spans")
            yield from _undelivered(database)
    except errors.StoreError as error:
        yield from _unreadable(store.path, error)


def _private(path: Path) -> str:
    return f"chmod 600 {shlex.quote(str(path))}"


def _away(path: Path) -> str:
    """Return the command that moves a store away, with the files that SQLite keeps beside it."""
    pattern = shlex.quote(str(path))
    folder = shlex.quote(str(path.with_name(f"away-{int(time.time())}-{path.name}")))
    return f"mkdir {folder} && mv {pattern}* {folder}"


def _elsewhere() -> str:
    """Return the command that keeps the store in another place."""
    if os.environ.get(_NAME) and _is_default_usable():
        return unset(_NAME)
    folder = "$PWD" if os.access(os.curdir, os.W_OK | os.X_OK) else "${TMPDIR:-/tmp}"
    return f'export {_NAME}="{folder}/{location.FILE_NAME}"'


def _is_default_usable() -> bool:
    try:
        return os.access(_existing(location.state_folder()), os.W_OK | os.X_OK)
    except errors.StoreError:
        return False


def _set_aside(path: Path) -> Iterator[DoctorCheck]:
    """Report files of spans that a locked store could not accept."""
    found = sum(1 for _ in files.waiting(path))
    if found:
        files_are = "file of spans is" if found == 1 else "files of spans are"
        text = f"{found} {files_are} set aside beside the store"
        hint = "The next deployment, and each command that reads the store, takes them in."
        yield DoctorCheck("set_aside", NOTE, text, hint, "flash-otel traces")


def _undelivered(database: sqlite3.Connection) -> Iterator[DoctorCheck]:
    from flash_otel.export.forwarder import count_spans
    from flash_otel.store.cursors import delivery_statuses

    for status in delivery_statuses(database):
        if status.waiting:
            why = f" ({status.reason})" if status.reason else ""
            waiting = count_spans(status.waiting, "waits", "wait")
            text = f"{waiting} for {status.name}{why}"
            yield DoctorCheck("waiting", NOTE, text, command="flash-otel push")
        if status.rejected:
            rejected = count_spans(status.rejected)
            text = f"{status.name} rejected {rejected} ({status.rejected_reason})"
            yield DoctorCheck("rejected", NOTE, text, command="flash-otel push --rejected")


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
        checks = [*_address(destination), *_proxy(destination)]
        yield from checks
        if verdict(checks) == PROBLEM:
            continue
        if timeout_s is None:
            text = f"{destination.host} ({destination.protocol}) was not checked"
            yield DoctorCheck("destination", NOTE, text)
        else:
            yield from _probe(replace(destination, timeout_s=timeout_s))


def _address(destination: Destination) -> Iterator[DoctorCheck]:
    """Report an address that nothing is sent to, or with a scheme that is not used as written."""
    address = destination.address
    name = f"{destination.host} ({destination.protocol})"
    if destination.problem:
        text = f"nothing is sent to {name}: {destination.problem}"
        command = _readdressed() if address.problem else unset(*_headers())
        yield DoctorCheck("address", PROBLEM, text, "Spans wait in the store.", command)
    elif address.remark:
        hint = "Correct OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_INSECURE."
        yield DoctorCheck("address", NOTE, f"{name}: {address.remark}", hint)


def _readdressed() -> str:
    """Return the command that sets a usable address, or else unsets the variable."""
    name = next((name for name in _ENDPOINTS if environment.text(name)), _ENDPOINTS[-1])
    value = environment.text(name)
    grpc = addresses.parse_grpc(value)
    if not grpc.problem and not grpc.remark:
        return export("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    encrypted = f"https://{value.rpartition('://')[2]}"
    is_shown = environment.shown(name, encrypted) == encrypted
    if addresses.parse_http(encrypted).problem or not is_shown:
        return unset(name)
    return export(name, encrypted)


def _headers() -> list[str]:
    names = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
    return [name for name in names if name in os.environ]


def _proxy(destination: Destination) -> Iterator[DoctorCheck]:
    """Report the HTTP proxy of a destination; gRPC finds its own."""
    from flash_otel.export.destination import GRPC
    from flash_otel.export.proxy import ProxyError, proxy_for

    if destination.protocol == GRPC or destination.problem:
        return
    try:
        proxy = proxy_for(destination.address)
    except ProxyError as error:
        names = (f"{_scheme(destination)}_proxy", "all_proxy")
        is_set = [name for lower in names for name in (lower, lower.upper()) if name in os.environ]
        yield DoctorCheck("proxy", PROBLEM, str(error), command=unset(*is_set))
        return
    if proxy is not None:
        text = f"{destination.host} is reached through the proxy {proxy.place}"
        hint = "To reach it directly, add its host to NO_PROXY."
        yield DoctorCheck("proxy", NOTE, text, hint)


def _scheme(destination: Destination) -> str:
    return "https" if destination.is_secure else "http"


def _no_destination() -> DoctorCheck:
    command = export("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    none = "no OTLP endpoint is configured"
    if resolve().has_store:
        text = f"{none}: spans stay in the store"
        return DoctorCheck("destination", OK, text, "To send them:", command)
    if in_worker():
        return DoctorCheck("destination", OK, f"{none}: spans go to the worker's log")
    text = f"{none}, and the store is off: OTLP gets no spans, and none are kept"
    return DoctorCheck("destination", NOTE, text, "To send them:", command)


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
    yield from _clock(destination, transport)


def _delivery(destination: Destination, result: ExportResult) -> DoctorCheck:
    from flash_otel.export.sending import Verdict

    name = f"{destination.host} ({destination.protocol})"
    if result.verdict is Verdict.DELIVERED:
        return DoctorCheck("destination", OK, f"{name} accepts spans")
    reason = result.reason or "no reason was given"
    hint, command = next(
        (hint, command) for part, hint, command in _REMEDIES if re.search(part, reason)
    )
    text = f"{name} does not accept spans: {reason}"
    command = command.format(scheme=_scheme(destination))
    return DoctorCheck("destination", PROBLEM, text, hint, command)


# The first pattern that matches the reason applies.
_REMEDIES: Final = (
    (
        r"\bproxy\b",
        "The proxy refuses, not the collector: check its address, user and password:",
        "export {scheme}_proxy=http://USER:PASSWORD@PROXY:PORT",
    ),
    (
        r"HTTP 40[13]|UNAUTHENTICATED|PERMISSION_DENIED",
        "Check the credentials in OTEL_EXPORTER_OTLP_HEADERS:",
        "export OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN",
    ),
    (
        r"HTTP [34]|UNIMPLEMENTED|INVALID_ARGUMENT",
        "Check the path of the address, and the protocol (grpc, http/protobuf, http/json):",
        "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ),
    (
        "",
        "Is the collector running there? Spans wait in the store. Once it runs:",
        "flash-otel push",
    ),
)


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
