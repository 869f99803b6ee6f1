"""From the raw lines of a log to what they say: spans at full fidelity, and bracketed lines.

What was written as one is put together again: mappings over several lines, and lines that a
container's runtime has split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_prefix import Unwrapped, unwrap, with_prefix, without_colours
from flash_otel.diagnosis.readers.log_scan import NEEDLES, Scanner
from flash_otel.lines.format import ParsedLine, parse_body
from flash_otel.lines.table import MARK, ROWS
from flash_otel.otlp.decode import split_log_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.records import SpanRecord

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_ENTRY: Final = re.compile(
    rf'[^"{{}}]*?((?:{_STRING}\s*:\s*(?:{_STRING}|null)|\.\.\.)\s*,?)\s*$|[^"{{}}]*(\}})\s*$'
)
_NEEDLES: Final = tuple(needle.decode() for needle in NEEDLES)
_MAX_FOLLOWED: Final = 20_000
_MAX_OPEN: Final = 64
_LONGEST_ENTRY: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Found:
    """One bracketed line of a log.

    Attributes:
        number: The line's number in the file, from 1.
        parsed: What it says.
        stream: Which of several writers it came from, as far as the log says so.
        time_ns: When it was written, as far as the log says so.
        zoned: Whether that time named its offset from UTC.
    """

    number: int
    parsed: ParsedLine
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False


Said = Found | tuple[int, "SpanRecord"]


@dataclass(slots=True)
class _Open:
    """What goes on in later lines of its stream.

    Attributes:
        number: The line that it began on.
        line: That line, with what is known of its writer and its time.
        parts: The text so far.
        is_mapping: Whether it is a mapping over several lines, or else one line that a
            container's runtime has split.
        deadline: The number of followed lines after which nothing more is expected.
    """

    number: int
    line: Unwrapped
    parts: list[str]
    is_mapping: bool
    deadline: int

    def goes_on_with(self, line: Unwrapped) -> bool:
        """Take a line in if it belongs here."""
        if not self.is_mapping:
            if line.partial is None:
                return False
            self.parts.append(line.text)
            return True
        is_long = len(line.text) > _LONGEST_ENTRY
        entry = None if is_long else _ENTRY.match(without_colours(line.text))
        if entry is None or MARK.search(line.text):
            return False
        self.parts.append("\n" + (entry[1] or entry[2]))
        return True

    def is_whole(self, line: Unwrapped) -> bool:
        """Tell whether the line just taken in was the last."""
        return self.parts[-1].endswith("}") if self.is_mapping else not line.partial


class LogLines:
    """Reads a log's bytes as bracketed lines and spans, in their order."""

    def __init__(self) -> None:
        self._scanner = Scanner()
        self._open: dict[str, _Open] = {}
        self._followed = 0

    def read(self, chunks: Iterable[bytes]) -> Iterator[Said]:
        """Yield what the log says; nothing in it raises."""
        for number, raw, ended in self._scanner.lines(chunks):
            line = unwrap(raw.decode("utf-8", "replace"))
            if self._open:
                self._followed += 1
                yield from self._expired()
            key = self._key_of(line)
            opened = self._open.get(key)
            if opened is not None and opened.goes_on_with(line):
                if opened.is_whole(line):
                    yield from self._close(key, ended=ended)
            else:
                yield from self._close(key, ended=False)
                yield from self._begin(number, line, ended=ended)
            self._scanner.follow = bool(self._open)
        yield from self._rest()

    def _key_of(self, line: Unwrapped) -> str:
        """Name the stream that a line may continue: if it names none, the only open one."""
        if not self._open:
            return line.stream
        stream = with_prefix(line, line.text).stream
        return stream if stream or len(self._open) > 1 else next(iter(self._open))

    def _begin(self, number: int, line: Unwrapped, *, ended: bool) -> Iterator[Said]:
        if not any(needle in line.text for needle in _NEEDLES):
            return
        if line.partial:
            yield from self._hold(self._opened(number, line, line.text, is_mapping=False))
        else:
            yield from self._say(number, line, ended=ended)

    def _say(self, number: int, line: Unwrapped, *, ended: bool) -> Iterator[Said]:
        text = _readable(line.text)
        spans, text = split_log_line(text)
        yield from ((number, span) for span in spans)
        marks = list(MARK.finditer(text))
        told = with_prefix(line, text[: marks[0].start()]) if marks else line
        for at, mark in enumerate(marks):
            is_last = at + 1 == len(marks)
            body = text[mark.end() :] if is_last else text[mark.end() : marks[at + 1].start()]
            body = without_colours(body) if is_last else without_colours(body).rstrip("[")
            parsed = _parsed(body, is_cut=not (is_last and ended))
            if parsed is None:
                continue
            if is_last and ROWS[parsed.key].is_mapping and _is_open(body):
                yield from self._hold(self._opened(number, told, body, is_mapping=True))
            else:
                yield Found(number, parsed, told.stream, told.time_ns, told.zoned)

    def _hold(self, opened: _Open) -> Iterator[Said]:
        key = opened.line.stream
        yield from self._close(key, ended=False)
        if len(self._open) >= _MAX_OPEN:
            yield from self._close(next(iter(self._open)), ended=False)
        self._open[key] = opened

    def _opened(self, number: int, line: Unwrapped, text: str, *, is_mapping: bool) -> _Open:
        return _Open(number, line, [text], is_mapping, self._followed + _MAX_FOLLOWED)

    def _expired(self) -> Iterator[Said]:
        for key in [key for key, one in self._open.items() if one.deadline < self._followed]:
            yield from self._close(key, ended=False)

    def _rest(self) -> Iterator[Said]:
        while self._open:
            yield from self._close(next(iter(self._open)), ended=False)

    def _close(self, key: str, *, ended: bool) -> Iterator[Said]:
        opened = self._open.pop(key, None)
        if opened is None:
            return
        line, text = opened.line, "".join(opened.parts)
        if not opened.is_mapping:
            yield from self._say(opened.number, replace(line, text=text, partial=None), ended=ended)
            return
        parsed = parse_body(text)
        if parsed is not None:
            yield Found(opened.number, parsed, line.stream, line.time_ns, line.zoned)


def _readable(text: str) -> str:
    """Take colours out, unless what looks like one has bitten into a mark."""
    plain = without_colours(text)
    return plain if len(MARK.findall(plain)) >= len(MARK.findall(text)) else text


def _parsed(body: str, *, is_cut: bool) -> ParsedLine | None:
    parsed = parse_body(body)
    if parsed is None or ROWS[parsed.key].is_mapping:
        return parsed
    first, newline, _ = body.strip().partition("\n")
    if newline:
        return parse_body(first)
    if is_cut and parsed.last is not None:
        # Nothing tells that the value was at its end.
        return replace(parsed, cut=parsed.cut | {parsed.last})
    return parsed


def _is_open(body: str) -> bool:
    return not body.rstrip().endswith("}")
