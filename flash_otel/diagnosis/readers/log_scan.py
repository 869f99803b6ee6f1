"""Find the few lines of a log that matter, and take off what was put around them.

Whole chunks are searched for marks, at the speed at which bytes can be searched; only a line with
a mark is decoded. Unwrapping removes what container runtimes and loggers add to a line, and keeps
the writer and the time that they name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from flash_otel.lines.table import STEMS
from flash_otel.otlp.encode import LOG_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# --- scanning ----------------------------------------------------------------------------------

# Each bracketed line holds one of the stems, and each of a worker's spans the last needle.
NEEDLES: Final = (*(stem.encode() for stem in STEMS), f"{LOG_MARK}{{".encode())
# Bytes that ordinary logs rarely hold, the rarest first. memchr finds a single byte ten times as
# fast as a needle, so the two rarest of each needle are searched for first.
_RARE_BYTES: Final = b"{_YUGPM"
_SOUGHT: Final = tuple(
    (needle, [bytes([byte]) for byte in _RARE_BYTES if byte in needle][:2]) for needle in NEEDLES
)
_NEAR: Final = 4096

MAX_LINE: Final = 16 * 1024 * 1024


class Scanner:
    """Yields the lines that hold a mark.

    Attributes:
        follow: Set by the caller between two lines: the next line is wanted whatever it holds.
    """

    def __init__(self) -> None:
        self.follow = False
        self._number = 0

    def lines(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (number, line without its line end, whether it had one), in order.

        A line longer than `MAX_LINE` is searched in parts.
        """
        pending = b""
        for chunk in chunks:
            block = pending + chunk if pending else chunk
            end = block.rfind(b"\n") + 1
            if not end and len(block) > MAX_LINE:
                end = len(block)
            pending = block[end:]
            yield from self._wanted(block, end)
        if pending:
            yield from self._wanted(pending, len(pending))

    def _wanted(self, block: bytes, end: int) -> Iterator[tuple[int, bytes, bool]]:
        at = counted = 0
        positions = dict.fromkeys(NEEDLES, -1)
        while at < end:
            begin = at if self.follow else self._next(block, at, end, positions)
            if begin < 0:
                break
            stop = block.find(b"\n", begin, end)
            ended = stop >= 0
            stop = stop if ended else end
            self._number += block.count(b"\n", counted, begin)
            counted = begin
            yield self._number + 1, block[begin:stop].rstrip(b"\r"), ended
            at = stop + 1
        self._number += block.count(b"\n", counted, end)

    @staticmethod
    def _next(block: bytes, at: int, end: int, positions: dict[bytes, int]) -> int:
        """Return where the next line with a mark begins, or -1."""
        for (needle, rare), position in zip(_SOUGHT, tuple(positions.values()), strict=True):
            if position < at:
                positions[needle] = _find(block, needle, rare, at, end)
        first = min(positions.values())
        return -1 if first >= end else max(block.rfind(b"\n", at, first) + 1, at)


def _find(block: bytes, needle: bytes, rare: list[bytes], at: int, end: int) -> int:
    """Return where the needle is in block[at:end], or `end`."""
    while at < end:
        first, second = block.find(rare[0], at, end), block.find(rare[1], at, end)
        if first < 0 or second < 0:
            break
        at = max(first - len(needle), second - len(needle), at)
        stop = min(at + _NEAR, end)
        position = block.find(needle, at, stop)
        if position >= 0:
            return position
        # A needle may lie across the border to the next stretch.
        at = end if stop == end else stop - len(needle) + 1
    return end


# --- unwrapping --------------------------------------------------------------------------------

# Colours and other control sequences of terminals (ECMA-48).
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")

# Kubernetes writes `time stream flag text`; the flag P means that the line continues.
_CRI: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,30}) (stdout|stderr) ([FP]) (.*)", re.DOTALL)

# Fields of JSON logs: the writer, objects in which it may be nested, the time, the text.
_WRITER_FIELDS: Final = (
    "container_name", "container_id", "container", "pod_name", "pod", "podId", "pod_id",
    "workerId", "worker_id", "worker", "host", "hostname",
)  # fmt: skip
_NESTED: Final = ("attrs", "kubernetes", "docker", "labels")
_TIME_FIELDS: Final = ("time", "timestamp", "@timestamp", "ts", "dt", "asctime")
_TEXT_FIELDS: Final = (
    "log", "message", "msg", "text", "body", "line", "event", "MESSAGE", "textPayload",
)  # fmt: skip

# Prefixes that name the writer.
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
_MAX_LAYERS: Final = 3  # a JSON logger in Docker in Kubernetes


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A log line without its wrapping.

    Attributes:
        text: What the program wrote, including the prefix of its own logger.
        stream: Which of several writers it came from, or empty.
        time_ns: Nanoseconds since the epoch, or None if no time was given.
        zoned: Whether that time named its offset from UTC.
        partial: Whether the line continues in the next one of its stream; None if unknown.
    """

    text: str
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False
    partial: bool | None = None


def unwrap(line: str) -> Unwrapped:
    """Take off every layer of wrapping that is recognised."""
    unwrapped = Unwrapped(line)
    for _ in range(_MAX_LAYERS):
        inner = _from_cri(unwrapped) or _from_json(unwrapped)
        if inner is None:
            break
        unwrapped = inner
    return unwrapped


def time_of(text: str) -> tuple[int | None, bool]:
    """Return the first time in a text (None without one), and whether it names its offset."""
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


def without_colours(text: str) -> str:
    """Remove the control sequences of terminals."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def with_prefix(line: Unwrapped, prefix: str) -> Unwrapped:
    """Add the writer and the time that the text before a mark names."""
    # A progress bar overwrites its line with carriage returns: only the last part was visible.
    plain = without_colours(prefix).rpartition("\r")[2]
    stream = next((match[1] for each in _PREFIXES if (match := each.search(plain))), "")
    time_ns, zoned = line.time_ns, line.zoned
    if time_ns is None:
        time_ns, zoned = time_of(plain)
    return replace(line, stream=_joined(line.stream, stream), time_ns=time_ns, zoned=zoned)


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
    if not isinstance(fields, dict) or "resourceSpans" in fields:
        return None
    text = next((fields[name] for name in _TEXT_FIELDS if isinstance(fields.get(name), str)), None)
    if text is None:
        return None
    # Docker's json-file driver keeps the line end; a part of a split line has none.
    partial = not text.endswith("\n") if "log" in fields and "stream" in fields else None
    writer = "/".join(dict.fromkeys(_strings(fields, _WRITER_FIELDS)))
    outer = with_prefix(outer, outer.text[:begin])
    return _layer(outer, text, writer, next(_strings(fields, _TIME_FIELDS), ""), partial=partial)


def _layer(
    outer: Unwrapped, text: str, stream: str, time: str, *, partial: bool | None
) -> Unwrapped:
    time_ns, zoned = time_of(time)
    if time_ns is None:
        time_ns, zoned = outer.time_ns, outer.zoned
    partial = outer.partial if partial is None else partial
    return Unwrapped(text.rstrip("\r\n"), _joined(outer.stream, stream), time_ns, zoned, partial)


def _joined(*streams: str) -> str:
    return "/".join(filter(None, streams))


def _strings(fields: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    nested = (fields.get(name) for name in _NESTED)
    for place in (fields, *(inner for inner in nested if isinstance(inner, dict))):
        yield from (value for name in names if isinstance(value := place.get(name), str) and value)
