"""Find a log entry in fields by their names: in JSON objects, rows of tables and pairs of logfmt.

The names differ between exporters in case and punctuation only, so they are compared without those.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flash_otel.diagnosis.readers.log_entry import (
    EPOCH_NUMBER,
    Unwrapped,
    has_needle,
    joined,
    time_in,
)
from flash_otel.lines.table import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Names of the field with the text, the surest first.
_TEXT: Final = (
    "message", "msg", "log", "line", "text", "body", "textpayload", "jsonpayload.message",
    "content", "raw", "rawstring", "logmessage", "logentry", "logline", "shortmessage",
    "fullmessage", "event", "logs", "rawlog", "rawmessage", "renderedmessage", "m", "entry",
    "output", "data", "attributes.message", "source.message", "event.original", "log.message",
    "userdata", "logtext", "original", "stderr", "stdout",
)  # fmt: skip
# Objects in which the text may be nested.
_TEXT_INSIDE: Final = (
    "jsonpayload", "source", "attributes", "content", "fields", "result", "event", "log",
    "message", "body", "payload", "data", "record", "properties", "map",
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
    "datetime", "asctime", "timegenerated", "eventtime", "messagetimems", "messagetime", "logtime",
    "observedtimeunixnano", "receivetimestamp", "receivedat", "createdat", "timestampms", "when",
)  # fmt: skip
_WRITERS: Final = (
    "containername", "containerid", "container", "podname", "pod", "podid", "workerid", "worker",
    "host", "hostname", "logstreamname", "logstream", "instanceid",
)  # fmt: skip
# Objects in which the time and the writer may be nested.
_AROUND: Final = (
    "attrs", "kubernetes", "docker", "labels", "resource", "stream", "fields", "attributes",
    "metadata", "source", "content", "result", "jsonpayload", "properties", "map",
)  # fmt: skip
_NAMES: Final = frozenset({"name", "id"})
# Docker's json-file driver writes these and nothing else.
_DOCKER: Final = frozenset({"log", "stream", "time"})
# Suffixes that Azure adds to names: the zone of a time, and the type of a custom column.
_ADDED: Final = re.compile(r"\s*[\[(]utc[\])]|_[stdbg]\Z")
_MOST_NAMES: Final = 64
_MAX_DEPTH: Final = 3
_MAX_NESTING: Final = 12
_PAIR: Final = 2
_BYTES: Final = range(256)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return a field's name without case and punctuation: `@message`, `_raw`, `pod_name`."""
    plain = _ADDED.sub("", name.strip().lower().lstrip("@$"))
    return plain.replace("_", "").replace("-", "").replace(" ", "")


class _Plan(NamedTuple):
    """Which fields of an object are of interest: exporters write many objects with equal names.

    Attributes:
        texts: Names of fields that may hold the text, the surest first.
        inside: Names of objects that may hold it.
        times: Names of fields with a time.
        writers: Names of fields with the writer.
        around: Names of objects that may hold the time and the writer.
        lists: Names of fields that may be lists of entries.
        is_docker: Whether Docker's json-file driver writes such objects.
        is_spans: Whether it is OTLP instead of a log entry.
        program: Names of journald's fields with the program and its process.
    """

    texts: tuple[str, ...]
    inside: tuple[str, ...]
    times: tuple[str, ...]
    writers: tuple[str, ...]
    around: tuple[str, ...]
    lists: tuple[str, ...]
    is_docker: bool
    is_spans: bool
    program: tuple[str, ...]


@lru_cache(maxsize=1024)
def _plan(names: tuple[str, ...]) -> _Plan:
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(_plain(name), name)

    def those(wanted: Iterable[str]) -> tuple[str, ...]:
        return tuple(known[name] for name in wanted if name in known)

    return _Plan(
        those(_TEXT),
        those(_TEXT_INSIDE),
        those(_TIMES),
        those(_WRITERS),
        those(_AROUND),
        tuple(name for name in names if _plain(name) in _LISTS),
        _DOCKER <= known.keys() <= _DOCKER | {"attrs"},
        "resourcespans" in known,
        those(("syslogidentifier", "pid")) if "syslogidentifier" in known else (),
    )


def _plan_of(fields: Mapping[str, Any]) -> _Plan:
    names = tuple(fields)
    # Objects with very many names, or long ones, are no log entries worth remembering.
    return _plan(names) if len(names) <= _MOST_NAMES else _plan.__wrapped__(names)


def is_text_name(name: str) -> bool:
    """Return True if a field of this name, such as a column, holds texts."""
    return _plain(name) in _TEXT


def from_fields(fields: Mapping[str, Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry that fields hold, with what its surroundings know; None for no entry."""
    plan = _plan_of(fields)
    text = None if plan.is_spans else _text(fields, plan, 0)
    if text is None:
        return None
    # Docker's json-file driver keeps the line end; a part of a split line has none.
    is_docker = plan.is_docker and isinstance(fields.get("stream"), str)
    partial = not text.endswith("\n") if is_docker else outer.partial
    around = surroundings(fields, outer)
    text = text.rstrip("\r\n")
    return Unwrapped(text, around.stream, around.time_ns, around.zoned, partial, outer.cut)


def _text(fields: Mapping[str, Any], plan: _Plan, depth: int) -> str | None:
    texts = [text for name in plan.texts if (text := _string(fields[name])) is not None]
    if texts:
        wanted = [text for text in texts if has_needle(text)] or texts
        # A short form of the text may precede the whole text.
        begun = wanted[0].rstrip(".… ")
        return max((text for text in wanted if text.startswith(begun)), key=len)
    if depth >= _MAX_DEPTH:
        return None
    for name in plan.inside:
        inner = fields[name]
        if isinstance(inner, dict):
            text = _text(inner, _plan_of(inner), depth + 1)
            if text is not None:
                return text
    return None


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


def surroundings(fields: Mapping[str, Any], outer: Unwrapped) -> Unwrapped:
    """Add the time and the writer that fields name to those of their surroundings."""
    places = [(fields, plan := _plan_of(fields))]
    for name in plan.around:
        if isinstance(inner := fields[name], dict):
            places.append((inner, _plan_of(inner)))
            labels = inner.get("labels")
            places += [(labels, _plan_of(labels))] if isinstance(labels, dict) else []
    writers: dict[str, None] = {}
    time_ns, zoned = None, False
    for place, found in places:
        for name in found.writers:
            if writer := _writer(place[name]):
                writers[writer] = None
        for name in found.times if time_ns is None else ():
            time_ns, zoned = time_in(place[name])
            if time_ns is not None:
                break
    if time_ns is None:
        time_ns, zoned = outer.time_ns, outer.zoned
    stream = joined(outer.stream, "/".join(writers), _program(fields, plan))
    return Unwrapped("", stream, time_ns, zoned, outer.partial, outer.cut)


def _writer(value: object) -> str:
    if isinstance(value, dict):
        value = next((inner for name, inner in value.items() if name in _NAMES), None)
    return value if isinstance(value, str) else ""


def _program(fields: Mapping[str, Any], plan: _Plan) -> str:
    """Return the program and the process that journald names."""
    parts = [fields[name] for name in plan.program]
    if not parts or not all(isinstance(part, (str, int)) for part in parts):
        return ""
    return str(parts[0]) + "".join(f"[{part}]" for part in parts[1:])


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
    rows = _rows_of(value)
    if rows is not None:
        found = (from_fields(row, outer) for row in rows)
        yield from (entry for entry in found if entry is not None)
        return
    entry = entry_of(value, outer)
    if entry is not None:
        yield entry
        return
    around, lists = surroundings(value, outer), _plan_of(value).lists
    is_empty = True
    for name, inner in value.items():
        # A list of strings is one of lines only under such a name: it may be one of tags.
        is_list = isinstance(inner, list) and inner and not isinstance(inner[0], str)
        if is_list or isinstance(inner, dict) or (name in lists and _is_lines(inner)):
            for entry in entries_in(inner, around, depth + 1):
                is_empty = False
                yield entry
    text = _marked(value) if is_empty else None
    if text is not None:
        yield replace(around, text=text.rstrip("\r\n"))


def _marked(fields: Mapping[str, Any]) -> str | None:
    """Return the longest text with a mark, whatever the name of its field; None without one."""
    texts = (value for value in fields.values() if isinstance(value, str))
    return max((text for text in texts if MARK.search(text)), key=len, default=None)


def _is_lines(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def entry_of(value: dict[str, Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry that an object is, or None if it holds entries or something else."""
    return None if _has_list(value) else from_fields(value, outer)


def _has_list(value: dict[str, Any]) -> bool:
    return any(_nests(value[name]) for name in _plan_of(value).lists)


def holds_entries(value: object) -> bool:
    """Return True if a JSON value is no entry, but holds objects or lists that may be entries."""
    if isinstance(value, dict):
        if _rows_of(value) is not None:
            return False
        if not any(isinstance(inner, dict) or _nests(inner) for inner in value.values()):
            return False
        return _has_list(value) or _text(value, _plan_of(value), 0) is None
    return isinstance(value, list) and _nests(value) and _row(value, Unwrapped("")) is None


def _rows_of(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of a table in an object, which holds names apart from rows or columns.

    Azure's queries have `columns` and `rows`, BigQuery's answers a schema with fields and cells,
    and Grafana's data frames a schema with fields and columns.
    """
    schema, data = value.get("schema"), value.get("rows", value.get("data"))
    columns = value.get("columns", schema.get("fields") if isinstance(schema, dict) else None)
    if not isinstance(columns, list) or not columns:
        return None
    names = [column.get("name") if isinstance(column, dict) else column for column in columns]
    if isinstance(data, dict) and isinstance(data.get("values"), list):
        data = _turned(data["values"])
    if not isinstance(data, list) or not all(isinstance(name, str) for name in names):
        return None
    rows = [_cells_of(row) for row in data]
    return [dict(zip(names, row, strict=False)) for row in rows if row]  # type: ignore[arg-type]  # strings, as was checked


def _turned(columns: list[Any]) -> list[list[Any]]:
    lists = [column for column in columns if isinstance(column, list)]
    return [list(row) for row in zip(*lists, strict=False)] if len(lists) == len(columns) else []


def _cells_of(row: object) -> list[Any]:
    """Return the cells of a row: a list, or BigQuery's `{"f": [{"v": ...}]}`."""
    cells = row.get("f") if isinstance(row, dict) else row
    if not isinstance(cells, list):
        return []
    return [
        cell["v"] if isinstance(cell, dict) and cell.keys() == {"v"} else cell for cell in cells
    ]


def _nests(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], (dict, list))


def _pair(value: list[Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry of Loki's `[time, line]`, which may have metadata behind it."""
    if len(value) < _PAIR or not isinstance(value[1], str):
        return None
    is_time = isinstance(value[0], str) and EPOCH_NUMBER.fullmatch(value[0])
    if not is_time:
        return None
    time_ns, zoned = time_in(value[0])
    return replace(outer, text=value[1].rstrip("\r\n"), time_ns=time_ns, zoned=zoned)


def _row(value: list[Any], outer: Unwrapped) -> Unwrapped | None:
    """Return the entry of a row of CloudWatch's Logs Insights: a list of fields and values."""
    if not value or not all(isinstance(cell, dict) and "field" in cell for cell in value):
        return None
    return from_fields({str(cell["field"]): cell.get("value") for cell in value}, outer)
