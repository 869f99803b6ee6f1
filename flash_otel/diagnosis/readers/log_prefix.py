"""Takes a log line out of what the machinery around it has put on: JSON, prefixes, colours.

Each layer tells something: when the line was written, and by which of several workers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Colours and other control sequences of terminals (ECMA-48).
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")

# Kubernetes writes `time stream flag text`; the flag P announces that the line goes on.
_CRI: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,30}) (stdout|stderr) ([FP]) (.*)", re.DOTALL)

# Fields of JSON logs that name who wrote a line.
_WHO: Final = (
    "container_name", "container_id", "container", "pod_name", "pod", "podId", "pod_id",
    "workerId", "worker_id", "worker", "host", "hostname",
)  # fmt: skip
_NESTED: Final = ("attrs", "kubernetes", "docker", "labels")
_WHEN: Final = ("time", "timestamp", "@timestamp", "ts", "dt", "asctime")
_TEXT: Final = ("log", "message", "msg", "text", "body", "line", "event", "MESSAGE", "textPayload")

# Prefixes that name who wrote a line, as other tools put them before it.
_PREFIXES: Final = (
    re.compile(r"^\[pod/([^\]\s]+)\]"),  # kubectl logs --prefix
    re.compile(r"^([\w./-]+)\s+\| "),  # docker compose logs
    re.compile(r"^(?:\S+\s+){0,3}?([\w.-]+\s[\w./-]+\[\d+\]):\s"),  # syslog, journald
)

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)
_NANOS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_LAYERS: Final = 3


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A log line without what was put around it.

    Attributes:
        text: What the program wrote, with whatever its logger put before it.
        stream: Which of several writers it came from, as far as that was said.
        time_ns: When, in nanoseconds since the epoch, as far as that was said.
        zoned: Whether that time named its offset from UTC.
        partial: Whether the line goes on in the next one of the same stream; None: not said.
    """

    text: str
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False
    partial: bool | None = None


def unwrap(line: str) -> Unwrapped:
    """Take off every layer that is there."""
    found = Unwrapped(line)
    for _ in range(_MAX_LAYERS):
        inner = _from_cri(found) or _from_json(found)
        if inner is None:
            break
        found = inner
    return found


def without_colours(text: str) -> str:
    """Take out the control sequences of terminals."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def with_prefix(found: Unwrapped, prefix: str) -> Unwrapped:
    """Add what the text before a mark says of its writer and its time."""
    plain = without_colours(prefix).rpartition("\r")[2]
    stream = next((match[1] for one in _PREFIXES if (match := one.search(plain))), "")
    time_ns, zoned = (found.time_ns, found.zoned)
    if time_ns is None:
        time_ns, zoned = time_of(plain)
    joined = "/".join(part for part in (found.stream, stream) if part)
    return replace(found, stream=joined, time_ns=time_ns, zoned=zoned)


def time_of(text: str) -> tuple[int | None, bool]:
    """Find a time in a text; the flag tells that it names its offset from UTC."""
    match = _TIME.search(text)
    if match is None:
        return None, False
    *parts, fraction, zone = match.groups()
    try:
        whole = datetime(*map(int, parts), tzinfo=timezone.utc) - _EPOCH  # type: ignore[misc,arg-type]  # six numbers, by the pattern
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


def _from_cri(outer: Unwrapped) -> Unwrapped | None:
    match = _CRI.match(outer.text)
    if match is None:
        return None
    time, _, flag, text = match.groups()
    return _layer(outer, text, "", time, partial=flag == "P")


def _from_json(outer: Unwrapped) -> Unwrapped | None:
    begin = outer.text.find("{")
    if begin < 0 or not outer.text.rstrip().endswith("}"):
        return None
    try:
        fields = json.loads(outer.text[begin:])
    except (ValueError, RecursionError):
        return None
    text = next(_texts(fields), None) if isinstance(fields, dict) else None
    if text is None or "resourceSpans" in fields:
        return None
    # Docker's own driver ends each line with its line end, or goes on in the next.
    partial = not text.endswith("\n") if "log" in fields and "stream" in fields else None
    who = "/".join(dict.fromkeys(_strings(fields, _WHO)))
    outer = with_prefix(outer, outer.text[:begin])
    return _layer(outer, text, who, next(_strings(fields, _WHEN), ""), partial=partial)


def _layer(
    outer: Unwrapped, text: str, stream: str, time: str, *, partial: bool | None
) -> Unwrapped:
    time_ns, zoned = time_of(time)
    if time_ns is None:
        time_ns, zoned = outer.time_ns, outer.zoned
    joined = "/".join(part for part in (outer.stream, stream) if part)
    keeps_partial = outer.partial if partial is None else partial
    return Unwrapped(text.rstrip("\r\n"), joined, time_ns, zoned, keeps_partial)


def _texts(fields: dict[str, Any]) -> Iterator[str]:
    return (value for name in _TEXT if isinstance(value := fields.get(name), str))


def _strings(fields: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    nested = (fields.get(name) for name in _NESTED)
    for place in (fields, *(one for one in nested if isinstance(one, dict))):
        yield from (value for name in names if isinstance(value := place.get(name), str) and value)
