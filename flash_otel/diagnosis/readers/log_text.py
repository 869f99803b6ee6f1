"""From the lines of a log to its content: bracketed lines, and spans that a worker wrote.

Lines that a container runtime split, and mappings over several lines, are joined before they are
parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_entry import Unwrapped, has_needle
from flash_otel.diagnosis.readers.log_scan import Scanner, unwrap, with_prefix, without_colours
from flash_otel.lines.format import ParsedLine, parse_body
from flash_otel.lines.table import FIRST, MARK, ROWS
from flash_otel.lines.values import UUID
from flash_otel.otlp.decode import split_log_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.readers.containers import Container
    from flash_otel.records import SpanRecord

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
# A line of a mapping: an entry or the closing brace, behind whatever prefix.
_ENTRY: Final = re.compile(
    rf'[^"{{}}]*?((?:{_STRING}\s*:\s*(?:{_STRING}|null)|\.\.\.)\s*,?)\s*$|[^"{{}}]*(\}})\s*$'
)
_ONLY_TIME: Final = re.compile(r"\s*[\d:.,/+TZ -]{8,40}\s*").fullmatch
# What log services write behind the part of a line that they keep.
_TRUNCATION: Final = re.compile(
    r"\s*(?:…|[\[(<{.…][\[(<{.…\s]*(?:\d+ )?(?:more |other )?(?:bytes? |char(?:acter)?s? |lines? )?"
    r"(?i:truncated|cut|omitted|snip|more)\b[^\n]{0,60})\s*\Z"
)
_LONGEST_TRUNCATION: Final = 200
_MAX_FOLLOWED: Final = 20_000  # lines after which an unfinished text is given up
_MAX_UNFINISHED: Final = 64
_LONGEST_ENTRY: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """A bracketed line, with its place in the log.

    Attributes:
        number: The line's number in the file, from 1.
        parsed: Its content.
        stream: The writer among several, or empty.
        time_ns: Nanoseconds since the epoch, or None if no time was given.
        zoned: Whether that time named its offset from UTC.
        is_longest: Whether no line of the log's beginning is longer: a limit may have cut it.
        begun: The text so far of a mapping that has lost its end.
        before: The text before the log's first line: the rest of a mapping in another log.
    """

    number: int
    parsed: ParsedLine
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False
    is_longest: bool = False
    begun: str = ""
    before: str = ""


LoggedSpan = tuple[int, "SpanRecord"]
"""A span, behind the number of its line in the file."""

Logged = LoggedLine | LoggedSpan


@dataclass(slots=True)
class _Unfinished:
    """A text that continues in later lines of its stream.

    Attributes:
        number: The number of its first line.
        line: That line, with its writer and its time.
        parts: The text so far.
        is_mapping: Whether it is a mapping over several lines, or else a line that a container
            runtime split.
        deadline: The number of followed lines after which it is given up.
    """

    number: int
    line: Unwrapped
    parts: list[str]
    is_mapping: bool
    deadline: int

    def accept(self, line: Unwrapped) -> bool:
        """Add a line; return False if it does not belong here."""
        if not self.is_mapping:
            if line.partial is None:
                return False
            self.parts.append(line.text)
            return True
        # An export may hold each line twice, with the same time.
        if len(self.parts) == 1 and self.line.time_ns and line.text == self.line.text:
            return True
        entry = _entry_in(line.text)
        if entry is None:
            # Some exports have blank lines, or the next entry's time, between their entries.
            return not line.text.strip() or _ONLY_TIME(line.text) is not None
        if f"\n{entry}" != self.parts[-1]:
            self.parts.append(f"\n{entry}")
        return True

    def is_complete(self, line: Unwrapped) -> bool:
        """Return True if the line just accepted was the last."""
        return self.parts[-1].endswith("}") if self.is_mapping else not line.partial

    @property
    def text(self) -> str:
        """The text so far; of a mapping that has lost its entries, the open beginning.

        A mapping without entries is written on one line.
        """
        is_hollow = self.is_mapping and self.parts[1:] == ["\n}"]
        return self.parts[0] if is_hollow else "".join(self.parts)


def _entry_in(text: str) -> str | None:
    """Return a line that is an entry of a mapping, or the closing brace; None for any other."""
    entry = None if len(text) > _LONGEST_ENTRY else _ENTRY.match(without_colours(text))
    return None if entry is None or MARK.search(text) else entry[1] or entry[2]


class LogLines:
    """Reads a log's bytes as bracketed lines and spans, in their order.

    Args:
        container: The container of the entries, or None for plain lines.
        scanner: Searches the lines of a log.
        joins: Whether the parts of a line that a container runtime split are in order. In a log
            that is read from its end, they may not be, and only a whole line is joined.
        longest: Length of the longest line of the log's beginning, in bytes; 0 if unknown.
    """

    def __init__(
        self,
        container: Container | None = None,
        scanner: Scanner | None = None,
        *,
        joins: bool = True,
        longest: int = 0,
    ) -> None:
        self._container = container
        self._scanner = scanner or Scanner()
        self._joins = joins
        self._longest = longest
        self._is_longest = False
        self._unfinished: dict[str, _Unfinished] = {}  # by stream
        self._followed = 0
        self._before: list[str] = []
        self._rests: dict[str, list[Unwrapped]] = {}  # by stream
        self._begun = self._latest = 0  # where the latest operation begins, and its number
        self.entries = 0

    def read(self, chunks: Iterable[bytes]) -> Iterator[Logged]:
        """Yield what the log holds; no content raises."""
        for logged in self._logged(chunks):
            if not isinstance(logged, LoggedLine):
                yield logged
                continue
            numbered = self._numbered(logged)
            if self._before:
                numbered = replace(numbered, before="\n".join(self._before))
                self._before.clear()
            yield numbered

    def _numbered(self, logged: LoggedLine) -> LoggedLine:
        """Return a line that begins an operation with a number above that of the one before.

        An entry may hold several operations, and without times only numbers tell their order.
        """
        if logged.parsed.key not in FIRST:
            return logged
        is_next = self._begun <= logged.number <= self._latest
        self._begun = logged.number
        self._latest = self._latest + 1 if is_next else logged.number
        return replace(logged, number=self._latest)

    def _logged(self, chunks: Iterable[bytes]) -> Iterator[Logged]:
        is_beginning = self._scanner.follow = True
        for number, line, ended in self._lines(chunks):
            if is_beginning:
                entry = _entry_in(line.text)
                is_beginning = entry is not None and entry != "}"
                self._scanner.follow = is_beginning
                if entry is not None:
                    self._before.append(entry)
                    continue
            if self._unfinished:
                self._followed += 1
                yield from self._expire()
            if not self._joins:
                self._note_rest(line)
            key = self._key_of(line)
            unfinished = self._unfinished.get(key)
            if unfinished is not None and unfinished.accept(line):
                if unfinished.is_complete(line):
                    yield from self._finish(key, ended=ended)
            else:
                yield from self._finish(key, ended=False)
                yield from self._begin(number, line, ended=ended)
            self._scanner.follow = bool(self._unfinished)
        while self._unfinished:
            yield from self._finish(next(iter(self._unfinished)), ended=False)

    def _lines(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped, bool]]:
        """Yield each line without its wrapping, its number, and whether its end was seen."""
        if self._container is None:
            for number, raw, ended in self._scanner.lines(chunks):
                self._is_longest = len(raw) >= self._longest > 0
                for line in _unwrapped(raw.decode("utf-8", "replace")):
                    yield number, line, ended and not line.cut
            return
        for number, entry in self._container.entries(chunks):
            self.entries += 1
            for line in _unwrapped(entry.text, entry):
                yield number, line, not line.cut

    def _key_of(self, line: Unwrapped) -> str:
        """Return the stream that a line may continue: its own, else the only unfinished one."""
        if not self._unfinished:
            return line.stream
        stream = with_prefix(line, line.text).stream
        return stream if stream or len(self._unfinished) > 1 else next(iter(self._unfinished))

    def _note_rest(self, line: Unwrapped) -> None:
        """Keep the latest lines of a stream that may be the rest of the line after them."""
        rest = self._rests.setdefault(line.stream, [])
        if line.partial is not True or (rest and rest[-1].time_ns != line.time_ns):
            rest.clear()
        if line.partial is not None:
            rest.append(line)
            del rest[:-_MAX_UNFINISHED]

    def _rest_before(self, line: Unwrapped) -> str:
        """Return the parts of a split line that were read before its first part, in order."""
        *rest, _ = self._rests.get(line.stream, [line])
        is_rest = rest and rest[0].partial is False and not any(has_needle(r.text) for r in rest)
        return "".join(part.text for part in reversed(rest)) if is_rest else ""

    def _begin(self, number: int, line: Unwrapped, *, ended: bool) -> Iterator[Logged]:
        if not has_needle(line.text):
            return
        rest = self._rest_before(line) if line.partial and not self._joins else ""
        if rest and _is_whole(line.text + rest):
            whole = replace(line, text=line.text + rest, partial=None)
            yield from self._parse(number, whole, ended=True)
        elif line.partial:
            yield from self._hold(number, line, line.text, is_mapping=False)
        else:
            yield from self._parse(number, line, ended=ended)

    def _parse(self, number: int, line: Unwrapped, *, ended: bool) -> Iterator[Logged]:
        spans, text = split_log_line(_readable(line.text))
        yield from ((number, span) for span in spans)
        marks = list(MARK.finditer(text))
        if not marks:
            return
        line = with_prefix(line, text[: marks[0].start()])
        # Text up to another mark is a line that was cut off: its line end is missing.
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends, strict=True):
            is_last = end == len(text)
            body = without_colours(text[mark.end() : end])
            body = body if is_last else body.rstrip("[")
            parsed = _parsed(body, is_cut=not (is_last and ended))
            if parsed is None:
                continue
            is_open = ROWS[parsed.key].is_mapping and not body.rstrip().endswith("}")
            if is_last and is_open:
                yield from self._hold(number, line, body, is_mapping=True)
            else:
                place = (line.stream, line.time_ns, line.zoned)
                yield LoggedLine(number, parsed, *place, is_longest=is_last and self._is_longest)

    def _hold(
        self, number: int, line: Unwrapped, text: str, *, is_mapping: bool
    ) -> Iterator[Logged]:
        yield from self._finish(line.stream, ended=False)
        if len(self._unfinished) >= _MAX_UNFINISHED:
            yield from self._finish(next(iter(self._unfinished)), ended=False)
        deadline = self._followed + _MAX_FOLLOWED
        self._unfinished[line.stream] = _Unfinished(number, line, [text], is_mapping, deadline)

    def _expire(self) -> Iterator[Logged]:
        late = [key for key, text in self._unfinished.items() if text.deadline < self._followed]
        for key in late:
            yield from self._finish(key, ended=False)

    def _finish(self, key: str, *, ended: bool) -> Iterator[Logged]:
        unfinished = self._unfinished.pop(key, None)
        if unfinished is None:
            return
        number, line, text = unfinished.number, unfinished.line, unfinished.text
        if not unfinished.is_mapping and not self._joins and not _is_whole(text):
            yield from self._parse(number, line, ended=False)
            return
        if not unfinished.is_mapping:
            yield from self._parse(number, replace(line, text=text, partial=None), ended=ended)
            return
        parsed = parse_body(text)
        if parsed is not None:
            begun = "" if text.endswith("}") else text
            yield LoggedLine(number, parsed, line.stream, line.time_ns, line.zoned, begun=begun)


def _unwrapped(text: str, outer: Unwrapped | None = None) -> Iterator[Unwrapped]:
    """Yield the lines of a text without their wrapping: an event may hold several lines."""
    for part in text.split("\n"):
        line = unwrap(part.rstrip("\r"), outer)
        if "\n" in line.text:
            yield from (replace(line, text=inner.rstrip("\r")) for inner in line.text.split("\n"))
        else:
            yield line


def _readable(text: str) -> str:
    """Remove colours, unless removing them damages a mark: an escape may be cut before one."""
    plain = without_colours(text)
    return plain if len(MARK.findall(plain)) >= len(MARK.findall(text)) else text


def _is_whole(text: str) -> bool:
    """Return True if joined parts make a span, or a bracketed line whose end is proven."""
    spans, rest = split_log_line(_readable(text))
    mark = MARK.search(rest)
    parsed = None if mark is None else parse_body(rest[mark.end() :])
    if parsed is None or parsed.cut:
        return bool(spans)
    value = parsed.fields.get(parsed.last or "", ())
    return isinstance(value, (tuple, dict)) or UUID.fullmatch(str(value)) is not None


def _parsed(body: str, *, is_cut: bool) -> ParsedLine | None:
    # At the end only: each of a hundred thousand brackets could begin a marker.
    marker = _TRUNCATION.search(body, max(0, len(body) - _LONGEST_TRUNCATION))
    if marker is not None:
        body, is_cut = body[: marker.start()], True
    parsed = parse_body(body)
    if parsed is None or ROWS[parsed.key].is_mapping:
        return parsed
    if is_cut and parsed.last is not None:
        # The value may go on behind the cut, so it must not prove a difference.
        return replace(parsed, cut=parsed.cut | {parsed.last})
    return parsed
