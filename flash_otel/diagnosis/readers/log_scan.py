"""Find the few lines of a log that matter, and take off what was put around them.

Whole chunks are searched for marks, at the speed at which bytes can be searched; only a line with
a mark is decoded. Unwrapping removes what container runtimes and loggers add to a line, and keeps
the writer and the time that they name.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers import log_entry
from flash_otel.diagnosis.readers.log_entry import (
    Unwrapped,
    has_needle,
    joined,
    time_in,
    time_of,
)
from flash_otel.diagnosis.readers.log_fields import from_fields, is_text_name
from flash_otel.lines.table import MARK
from flash_otel.lines.values import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# --- scanning ----------------------------------------------------------------------------------

NEEDLES: Final = tuple(needle.encode() for needle in log_entry.NEEDLES)
# journald's JSON has messages with control characters as lists of bytes, which hold no needle.
JOURNAL_NEEDLES: Final = (b'"MESSAGE":[', b'"MESSAGE": [', b'"MESSAGE" : [')
# Bytes that ordinary logs rarely hold, the rarest first. memchr finds a single byte ten times as
# fast as a needle, so the two rarest of each needle are searched for first.
_RARE_BYTES: Final = b"{_YUGPM"


def _sought(needles: tuple[bytes, ...]) -> tuple[tuple[bytes, list[bytes]], ...]:
    return tuple(
        (needle, [bytes([byte]) for byte in _RARE_BYTES if byte in needle][:2])
        for needle in needles
    )


_SOUGHT: Final = _sought(NEEDLES)
_NEAR: Final = 4096

MAX_LINE: Final = 16 * 1024 * 1024


class Scanner:
    """Yields the lines that hold a mark.

    Args:
        more: Further needles; a line with any of them is yielded too.

    Attributes:
        follow: Set by the caller between two lines: the next line is wanted whatever it holds.
    """

    def __init__(self, more: tuple[bytes, ...] = ()) -> None:
        self.follow = False
        self._number = 0
        self._sought = (*_SOUGHT, *_sought(more))

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
        positions = dict.fromkeys((needle for needle, _ in self._sought), -1)
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

    def _next(self, block: bytes, at: int, end: int, positions: dict[bytes, int]) -> int:
        """Return where the next line with a mark begins, or -1."""
        for needle, rare in self._sought:
            if positions[needle] < at:
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


def text_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield all lines, without their line ends."""
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    pending = ""
    for chunk in chunks:
        *lines, pending = (pending + decode(chunk)).split("\n")
        yield from (line.rstrip("\r") for line in lines)
    pending += decode(b"", final=True)
    if pending:
        yield pending


# --- unwrapping --------------------------------------------------------------------------------

# Colours and other control sequences of terminals (ECMA-48).
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]_][^\x07\x1b]*(?:\x07|\x1b\\)")

# Kubernetes writes `time stream flag text`; the flag P means that the line continues.
_CRI: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\S{8,30}) (stdout|stderr) ([FP])(?::\w+)? (.*)", re.DOTALL
)

# Buildkite's agent writes the time in milliseconds, as a command to a program (ECMA-48's APC).
_BUILDKITE: Final = re.compile(r"(?:\x1b_)?bk;t=(\d{13})(?:\x07|\x1b\\)(.*)", re.DOTALL)

# logcli writes `time {labels} text`.
_LABELS: Final = re.compile(
    r'(\d{4}-\d\d-\d\dT\S{8,30})\s+(\{(?:[\w.]+="(?:[^"\\]|\\.)*"(?:, ?)?)*\}) ?(.*)', re.DOTALL
)
# `<priority>1 time host program process message [structured data] text` (RFC 5424). Heroku's drains
# (logplex) put a length before it, and leave the structured data out.
_SYSLOG: Final = re.compile(
    r"(?:\d{1,6} )?(?:<\d{1,3}>)?1 (-|\d{4}-\S{6,30}) (\S+) (\S+) (\S+) \S+ "
    rf'(?:-(?= |\Z)|(?:\[(?!{MARK.pattern})[^\s\]"]+(?: [^\s="]+="(?:[^"\\]|\\.)*")*\])+|) ?'
    r"\ufeff?(.*)",
    re.DOTALL,
)
# Fluent Bit's outputs to standard output and to files: `tag: [time, {fields}]`, with a number
# before it, `=>` for the colons, and metadata beside the time.
_FLUENT: Final = re.compile(
    r"(?:\[\d+\] )?\S{1,200}: \[+(\d{10}(?:\.\d{1,9})?)(?:, \{[^{}]{0,200}\}\])?, (\{.*\})\]\s*\Z"
)
_ARROW: Final = re.compile(r'("(?:[^"\\]|\\.)*")=>')
# A member of a YAML document, as `gcloud logging read` prints entries.
_YAML: Final = re.compile(r"\s*(?:- )?([\w.]{1,40}): '((?:[^']|'')*)'\s*")
# TeamCity's service messages escape with a bar.
_TEAMCITY: Final = re.compile(
    r"##teamcity\[\w{1,40} .{0,400}?\b(?:text|out)='((?:[^|']|\|.)*)'", re.DOTALL
)
_BARRED: Final = re.compile(r"\|(?:0x([0-9a-fA-F]{4})|(.))", re.DOTALL)
# rsyslog writes control characters as octal numbers, a line end among them.
_OCTAL: Final = re.compile(r"#(0[0-3][0-7])")
_OLD_SYSLOG: Final = re.compile(r"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ")

_LOGFMT_PAIR: Final = re.compile(
    r'\s*([A-Za-z_@][\w.@/-]*)=(?:"((?:[^"\\]|\\.)*)("|\\?\Z)|([^\s"]*))', re.DOTALL
)
# A member of a JSON object that is printed over several lines.
_MEMBER: Final = re.compile(r'\s*"(@?\w{3,12})"\s*:\s*("(?:[^"\\]|\\.)*")\s*,?\s*')

# Prefixes that name the writer.
_PREFIXES: Final = (
    re.compile(r"^\[pod/([^\]\s]+)\]"),  # kubectl logs --prefix
    re.compile(r"^([\w./@-]+)\s+\| "),  # docker compose logs, docker service logs
    re.compile(r"^(?:\S+\s+){0,3}?([\w.-]+\s[\w./-]+\[\d+\]):\s"),  # syslog, journald
)
_MAX_LAYERS: Final = 4  # a JSON logger in Docker in Kubernetes, exported as JSON


def unwrap(line: str, outer: Unwrapped | None = None) -> Unwrapped:
    """Take off every layer of wrapping that is recognised.

    Args:
        line: The line.
        outer: What its container knows of it.
    """
    unwrapped = Unwrapped(line) if outer is None else replace(outer, text=line)
    for _ in range(_MAX_LAYERS):
        inner = next((found for take in _LAYERS if (found := take(unwrapped)) is not None), None)
        if inner is None:
            break
        unwrapped = inner
    return unwrapped


def without_colours(text: str) -> str:
    """Remove the control sequences of terminals."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def with_prefix(line: Unwrapped, prefix: str) -> Unwrapped:
    """Add the writer and the time that the text before a mark names."""
    # A progress bar overwrites its line with carriage returns: only the last part was visible.
    plain = without_colours(prefix).rpartition("\r")[2].lstrip("\ufeff")
    stream = next((match[1] for each in _PREFIXES if (match := each.search(plain))), "")
    time_ns, zoned = line.time_ns, line.zoned
    if time_ns is None:
        time_ns, zoned = time_of(plain)
    return replace(line, stream=joined(line.stream, stream), time_ns=time_ns, zoned=zoned)


def _from_cri(outer: Unwrapped) -> Unwrapped | None:
    match = _CRI.match(outer.text)
    if match is None:
        return None
    time, _, flag, text = match.groups()
    return replace(_layer(outer, text, "", time), partial=flag == "P")


def _from_buildkite(outer: Unwrapped) -> Unwrapped | None:
    match = _BUILDKITE.match(outer.text)
    if match is None:
        return None
    time_ns, zoned = time_in(match[1])
    return replace(outer, text=match[2].rstrip("\r\n"), time_ns=time_ns, zoned=zoned)


def _from_labels(outer: Unwrapped) -> Unwrapped | None:
    match = _LABELS.match(outer.text)
    if match is None and outer.text.startswith("\x1b"):  # logcli colours them on a terminal
        match = _LABELS.match(without_colours(outer.text))
    if match is None:
        return None
    time, labels, text = match.groups()
    return _layer(outer, text, labels.strip("{}"), time)


def _from_syslog(outer: Unwrapped) -> Unwrapped | None:
    match = _SYSLOG.match(outer.text)
    if match is not None:
        time, host, program, process, text = match.groups()
        return _layer(outer, _unescaped(text), f"{host} {program}[{process}]", time)
    if "#0" in outer.text and _OLD_SYSLOG.match(outer.text):
        text = _unescaped(outer.text)
        return None if text == outer.text else replace(outer, text=text)
    return None


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _from_json(outer: Unwrapped) -> Unwrapped | None:
    begin = outer.text.find("{")
    if begin < 0 or not outer.text.rstrip().endswith("}"):
        return None
    try:
        fields = json.loads(outer.text[begin:])
    except (ValueError, RecursionError):
        return None
    return from_fields(fields, with_prefix(outer, outer.text[:begin])) if fields else None


def _from_fluent(outer: Unwrapped) -> Unwrapped | None:
    match = _FLUENT.match(outer.text)
    if match is None:
        return None
    try:
        fields = json.loads(_ARROW.sub(r"\1:", match[2]))
    except (ValueError, RecursionError):
        return None
    found = from_fields(fields, outer)
    if found is None or found.time_ns is not None:
        return found
    time_ns, zoned = time_in(match[1])
    return replace(found, time_ns=time_ns, zoned=zoned)


def _from_string(outer: Unwrapped) -> Unwrapped | None:
    """Return the text of a JSON string that fills a line."""
    line = outer.text.strip()
    if len(line) <= 1 or not (line[0] == line[-1] == '"'):
        return None
    try:
        return replace(outer, text=str(json.loads(line, strict=False)).rstrip("\r\n"))
    except ValueError:
        return None


def _from_yaml(outer: Unwrapped) -> Unwrapped | None:
    match = _YAML.fullmatch(outer.text)
    if match is None or not is_text_name(match[1]):
        return None
    return replace(outer, text=match[2].replace("''", "'"))


def _from_teamcity(outer: Unwrapped) -> Unwrapped | None:
    match = _TEAMCITY.search(outer.text)
    if match is None:
        return None
    text = _BARRED.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _BARS.get(found[2], found[2]),
        match[1],
    )
    return replace(with_prefix(outer, outer.text[: match.start()]), text=text)


_BARS: Final = {"n": "\n", "r": "\r"}


def _from_logfmt(outer: Unwrapped) -> Unwrapped | None:
    """Take the text out of `key=value` pairs; text before them is allowed if it has a needle."""
    begin = outer.text.find('="')
    if begin < 0:
        return None
    begin = outer.text.rfind(" ", 0, begin) + 1
    fields, end, is_cut = _pairs(outer.text, begin)
    if begin:
        all_fields, all_end, _ = _pairs(outer.text, 0)
        is_whole = all_end == len(outer.text.rstrip())
        fields, end = (all_fields, all_end) if is_whole else (fields, end)
    else:
        is_whole = end == len(outer.text.rstrip()) and len(fields) > 1
    found = from_fields(fields, with_prefix(outer, outer.text[:begin]))
    if found is None or not (is_whole or has_needle(found.text)):
        return None
    return replace(found, cut=found.cut or is_cut)


def _pairs(text: str, at: int) -> tuple[dict[str, str], int, bool]:
    """Return the pairs from a position on, their end, and whether their last quote is open."""
    fields, is_cut = {}, False
    while (match := _LOGFMT_PAIR.match(text, at)) is not None:
        name, quoted, end, bare = match.groups()
        fields[name] = bare if quoted is None else _unquoted(quoted)
        is_cut = quoted is not None and end != '"'
        at = match.end()
    return fields, at, is_cut


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return unescape(text)  # an escape that Go knows and JSON does not


def _from_member(outer: Unwrapped) -> Unwrapped | None:
    match = _MEMBER.fullmatch(outer.text)
    if match is None or not has_needle(match[2]):
        return None
    try:
        return from_fields({match[1]: json.loads(match[2], strict=False)}, outer)
    except ValueError:
        return None


_LAYERS: Final = (
    _from_cri,
    _from_buildkite,
    _from_labels,
    _from_syslog,
    _from_fluent,
    _from_teamcity,
    _from_json,
    _from_logfmt,
    _from_member,
    _from_string,
    _from_yaml,
)


def _layer(outer: Unwrapped, text: str, stream: str, time: str) -> Unwrapped:
    time_ns, zoned = time_of(time)
    if time_ns is None:
        time_ns, zoned = outer.time_ns, outer.zoned
    stream = joined(outer.stream, stream)
    return replace(outer, text=text.rstrip("\r\n"), stream=stream, time_ns=time_ns, zoned=zoned)
