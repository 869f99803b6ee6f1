"""A log entry without its wrapping: its text, its writer and its time, found in fields by name.

JSON objects, rows of a CSV file and pairs of logfmt are all fields. Their names differ between
exporters in case and punctuation only, so names are compared without those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flash_otel.lines.table import STEMS
from flash_otel.otlp.encode import LOG_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Each bracketed line holds one of the stems, and each of a worker's spans the last needle.
NEEDLES: Final = (*STEMS, f"{LOG_MARK}{{")


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A log line without its wrapping.

    Attributes:
        text: What the program wrote, including the prefix of its own logger.
        stream: Which of several writers it came from, or empty.
        time_ns: Nanoseconds since the epoch, or None if no time was given.
        zoned: Whether that time named its offset from UTC.
        partial: Whether the line continues in the next one of its stream; None if unknown.
        cut: Whether the end of the text is missing.
    """

    text: str
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False
    partial: bool | None = None
    cut: bool = False


def has_needle(text: str) -> bool:
    """Return True if a text may hold a bracketed line or a worker's span."""
    return any(needle in text for needle in NEEDLES)


def joined(*streams: str) -> str:
    """Return the name of a writer within another one."""
    return "/".join(filter(None, streams))


# --- times -------------------------------------------------------------------------------------

_CLOCK: Final = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_ZONE: Final = r"\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?"
_TIME: Final = re.compile(rf"(\d{{4}})[-/](\d\d)[-/](\d\d)[T ]{_CLOCK}{_ZONE}")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_MONTH: Final = rf"({'|'.join(_MONTHS)})"
# Kibana and Datadog (`Nov 28, 2026 @ 10:00:09.000`), web servers (`28/Nov/2026:10:00:09 +0000`),
# and syslog, which writes no year.
_NAMED: Final = re.compile(
    rf"\b{_MONTH} {{1,2}}(\d{{1,2}})(?:, (\d{{4}}))?(?: @)? {_CLOCK}{_ZONE}"
    rf"|\b(\d{{1,2}})[/ ]{_MONTH}[/ ](\d{{4}})[: ]{_CLOCK}{_ZONE}"
)
# Syslog's times are compared within their own file only; a leap year takes every date.
_NO_YEAR: Final = 2000
_NANOS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NUMBER: Final = re.compile(r"\d{10,19}(?:\.\d{1,9})?")
# A number of digits means seconds, milliseconds, microseconds or nanoseconds since the epoch.
_UNITS: Final = ((10, 11, 9), (12, 14, 6), (15, 17, 3), (18, 19, 0))


def time_of(text: str) -> tuple[int | None, bool]:
    """Return the first time in a text (None without one), and whether it names its offset."""
    match = _TIME.search(text)
    if match is not None:
        return _nanoseconds(*match.groups())
    match = _NAMED.search(text)
    if match is None:
        return None, False
    if match[1] is not None:
        month, day, year, *rest = match.groups()[:8]
    else:
        day, month, year, *rest = match.groups()[8:]
    number = _MONTHS.index(month) + 1
    return _nanoseconds(year or _NO_YEAR, number, day, *rest)


def _nanoseconds(*parts: Any) -> tuple[int | None, bool]:
    *numbers, fraction, zone = parts
    try:
        whole = datetime(*map(int, numbers), tzinfo=timezone.utc) - _EPOCH  # type: ignore[misc,arg-type]  # six numbers, by the patterns
    except ValueError:
        return None, False
    seconds = whole.days * 86400 + whole.seconds - _offset(zone)
    return max(seconds * _NANOS + int((fraction or "0").ljust(9, "0")), 0), zone is not None


def _offset(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _time_in(value: object) -> tuple[int | None, bool]:
    """Return the time that a field holds: a text, or a number since the epoch."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = f"{value:.9f}" if isinstance(value, float) else str(value)
    if not isinstance(value, str):
        return None, False
    if _NUMBER.fullmatch(value) is None:
        return time_of(value)
    whole, _, fraction = value.partition(".")
    for shortest, longest, zeros in _UNITS:
        if shortest <= len(whole) <= longest:
            return int(whole + fraction.ljust(zeros, "0")[:zeros]), True
    return None, False


# --- fields ------------------------------------------------------------------------------------

# Names of the field with the text, the surest first.
_TEXT: Final = (
    "message", "msg", "log", "line", "text", "body", "textpayload", "jsonpayload.message",
    "content", "raw", "rawstring", "logmessage", "logentry", "logline", "shortmessage",
    "fullmessage", "event", "logs", "rawlog", "rawmessage", "renderedmessage", "m", "entry",
    "output", "data", "attributes.message", "source.message", "event.original", "log.message",
)  # fmt: skip
# Objects in which the text may be nested.
_TEXT_INSIDE: Final = (
    "jsonpayload", "source", "attributes", "content", "fields", "result", "event", "log",
    "message", "body", "payload", "data", "record",
)  # fmt: skip
# Lists of entries. An object with such a list is no entry, even if it has a message of its own.
_LISTS: Final = frozenset(
    {
        "events", "logs", "data", "hits", "results", "result", "entries", "records", "rows",
        "items", "values", "streams", "lines", "messages", "resourcelogs", "scopelogs",
        "logrecords", "container", "system",
    }
)  # fmt: skip
_TIMES: Final = (
    "timeunixnano", "realtimetimestamp", "timestamp", "time", "ts", "tsns", "t", "dt", "date",
    "datetime", "asctime", "timegenerated", "timegenerated[utc]", "eventtime", "messagetime",
    "observedtimeunixnano", "receivetimestamp",
)  # fmt: skip
_WRITERS: Final = (
    "containername", "containerid", "container", "podname", "pod", "podid", "workerid", "worker",
    "host", "hostname", "logstreamname", "logstream", "instanceid",
)  # fmt: skip
# Objects in which the time and the writer may be nested.
_AROUND: Final = (
    "attrs", "kubernetes", "docker", "labels", "resource", "stream", "fields", "attributes",
    "metadata", "source", "content", "result", "jsonpayload",
)  # fmt: skip
_NAMES: Final = frozenset({"name", "id"})
_MAX_DEPTH: Final = 3
_MAX_NESTING: Final = 12
_PAIR: Final = 2
_BYTES: Final = range(256)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return a field's name without case and punctuation: `@message`, `_raw`, `pod_name`."""
    return name.strip().lower().lstrip("@$").replace("_", "").replace("-", "")


def _by_name(fields: Mapping[Any, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in fields.items():
        named.setdefault(_plain(str(name)), value)
    return named


def is_text_name(name: str) -> bool:
    """Return True if a field of this name, such as a column, holds texts."""
    return _plain(name) in _TEXT


def from_fields(fields: Mapping[Any, Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry that fields hold, with what its surroundings know; None for no entry."""
    named = _by_name(fields)
    text = _text(named, 0)
    if text is None or "resourcespans" in named:
        return None
    # Docker's json-file driver keeps the line end; a part of a split line has none.
    is_docker = "log" in named and isinstance(named.get("stream"), str)
    partial = not text.endswith("\n") if is_docker else outer.partial
    around = _around(named, outer)
    return replace(around, text=text.rstrip("\r\n"), partial=partial)


def _text(named: dict[str, Any], depth: int) -> str | None:
    texts = [text for name in _TEXT if (text := _string(named.get(name))) is not None]
    for text in texts:
        if has_needle(text):
            return text
    if texts:
        return texts[0]
    if depth >= _MAX_DEPTH:
        return None
    inside = (named.get(name) for name in _TEXT_INSIDE)
    found = (_text(_by_name(inner), depth + 1) for inner in inside if isinstance(inner, dict))
    return next((text for text in found if text is not None), None)


def _string(value: object) -> str | None:
    """Return the text of a field: a string, OTLP's any value, or journald's list of bytes."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        inner = value.get("stringValue", value.get("string_value"))
        return inner if isinstance(inner, str) else None
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, str) for item in value):
        return "\n".join(value)
    # journald writes a message with control characters, such as colours, as its bytes.
    is_bytes = all(type(item) is int and item in _BYTES for item in value)
    return bytes(value).decode("utf-8", "replace") if is_bytes else None


def _around(named: dict[str, Any], outer: Unwrapped) -> Unwrapped:
    """Add the time and the writer that fields name to those of their surroundings."""
    places = [named]
    for name in _AROUND:
        if isinstance(inner := named.get(name), dict):
            places.append(_by_name(inner))
            labels = inner.get("labels")
            places += [_by_name(labels)] if isinstance(labels, dict) else []
    writers = dict.fromkeys(
        writer for place in places for name in _WRITERS if (writer := _writer(place.get(name)))
    )
    time_ns, zoned = outer.time_ns, outer.zoned
    for value in (place[name] for place in places for name in _TIMES if name in place):
        found, is_zoned = _time_in(value)
        if found is not None:
            time_ns, zoned = found, is_zoned
            break
    stream = joined(outer.stream, "/".join(writers), _identifier(named))
    return replace(outer, stream=stream, time_ns=time_ns, zoned=zoned)


def _writer(value: object) -> str:
    if isinstance(value, dict):
        value = next((inner for name, inner in value.items() if name in _NAMES), None)
    return value if isinstance(value, str) else ""


def _identifier(named: dict[str, Any]) -> str:
    """Return the program and process that journald names."""
    name, pid = named.get("syslogidentifier"), named.get("pid")
    if not isinstance(name, str):
        return ""
    return f"{name}[{pid}]" if isinstance(pid, (str, int)) else name


def entries_in(value: object, outer: Unwrapped, depth: int = 0) -> Iterator[Unwrapped]:
    """Yield the log entries within a JSON value, whatever objects and lists are around them."""
    if depth > _MAX_NESTING:
        return
    if isinstance(value, str):
        yield replace(outer, text=value.rstrip("\r\n"))
    elif isinstance(value, dict):
        yield from _in_object(value, outer, depth)
    elif isinstance(value, list):
        whole = _pair(value, outer) or _row(value, outer)
        if whole is not None:
            yield whole
            return
        for inner in value:
            yield from entries_in(inner, outer, depth + 1)


def _in_object(value: dict[str, Any], outer: Unwrapped, depth: int) -> Iterator[Unwrapped]:
    entry = entry_of(value, outer)
    if entry is not None:
        yield entry
        return
    around = surroundings(value, outer)
    for name, inner in value.items():
        # A list of strings is one of lines only under such a name: it may be one of tags.
        is_list = isinstance(inner, list) and inner and not isinstance(inner[0], str)
        if is_list or isinstance(inner, dict) or (_plain(name) in _LISTS and _is_lines(inner)):
            yield from entries_in(inner, around, depth + 1)


def _is_lines(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def entry_of(value: dict[str, Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry that an object is, or None if it holds entries or something else."""
    holds = any(_nests(inner) for name, inner in value.items() if _plain(name) in _LISTS)
    return None if holds else from_fields(value, outer)


def holds_entries(value: object) -> bool:
    """Return True if a JSON value is no entry, but holds objects or lists that may be entries."""
    if isinstance(value, dict):
        inside = [inner for inner in value.values() if isinstance(inner, (dict, list))]
        is_flat = all(isinstance(inner, list) and not _nests(inner) for inner in inside)
        return not is_flat and entry_of(value, Unwrapped("")) is None
    return _nests(value) and _row(value, Unwrapped("")) is None  # type: ignore[arg-type]  # a list


def _nests(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], (dict, list))


def surroundings(fields: Mapping[Any, Any], outer: Unwrapped) -> Unwrapped:
    """Return what the fields of an object that holds entries say about all of them."""
    return _around(_by_name(fields), outer)


def _pair(value: list[Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry of Loki's `[time, line]`, which may have metadata behind it."""
    if len(value) < _PAIR or not isinstance(value[1], str):
        return None
    is_time = isinstance(value[0], str) and _NUMBER.fullmatch(value[0])
    if not is_time:
        return None
    time_ns, zoned = _time_in(value[0])
    return replace(outer, text=value[1].rstrip("\r\n"), time_ns=time_ns, zoned=zoned)


def _row(value: list[Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry of a row of CloudWatch's Logs Insights: a list of fields and values."""
    if not value or not all(isinstance(cell, dict) and "field" in cell for cell in value):
        return None
    return from_fields({str(cell["field"]): cell.get("value") for cell in value}, outer)
