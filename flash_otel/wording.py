"""Words for what traced processes and commands print: outcomes, causes, durations, fitted lines.

Pure functions that need no terminal. Text from a span passes `clean` before it is shown, because
names, ids and messages in a recording may come from an attacker.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.records import SpanRecord

UNFINISHED: Final = "unfinished"
NO_CAUSE: Final = "no cause was recorded"
_INDENT: Final = "    "
_CONTINUED: Final = "" if os.name == "nt" else " \\"
_WORD: Final = re.compile(r"\S+")
_SHELL_WORD: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\S)+""")
# Behind a label or an indent, and the variables that it gets: the program's name or path.
_LABELLED_COMMAND: Final = re.compile(
    r"""(?P<label>(?:.{0,200}?:[ ]+|[ ]*))
    (?P<command>(?:\w+=\S+[ ])*
        (?:env|export|uv|pipx|(?:[^\s']*/)?(?:flash-otel|python[\w.]*)|'[^']*/(?:flash-otel|python[\w.]*)')
        [ ](?:'[^']*'|"[^"]*"|[^'" ]|[ ](?![ ]{2}))*)
    (?P<rest>[ ]{3}.*)?""",
    re.VERBOSE,
)
# Control and format characters (bidirectional overrides among them), private use, surrogates, and
# the separators that begin a line.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_OUTCOMES: Final = frozenset(
    {semconv.RETURNED, semconv.FAILED, semconv.CANCELLED, semconv.UNKNOWN},
)


def clean(text: object) -> str:
    r"""Return `text` on one line, with control and invisible characters spelled out.

    An escape sequence of a hostile span name shows as `\x1b[2J` instead of clearing the terminal.
    """
    line = str(text)
    # Python calls no character of the unsafe categories printable.
    return line if line.isprintable() else "".join(map(_visible, line))


def _visible(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")


def encodable(text: str, encoding: str) -> str:
    r"""Return `text` with `\u...` in place of characters that an encoding lacks."""
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def duration(nanoseconds: int | None) -> str:
    """Format a duration (in nanoseconds) in the unit that fits it; `?` if it is unknown."""
    if nanoseconds is None:
        return "?"
    # Rounded down throughout: 999.99 ms must not become 1000 ms.
    seconds = nanoseconds / 1e9
    if seconds < 0:
        return f"-{duration(-nanoseconds)}"
    if seconds < 1:
        return _milliseconds(seconds * 1000)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{_floored(seconds):.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    return _hours(*divmod(minutes, 60))


def _hours(hours: int, minutes: int) -> str:
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004 - two days


def _milliseconds(value: float) -> str:
    return f"{math.floor(value)} ms" if value >= 10 else f"{_floored(value):.2f} ms"  # noqa: PLR2004 - two digits either way


def _floored(value: float) -> float:
    return math.floor(value * 100) / 100


def outcome(record: SpanRecord) -> str:
    """Return how a span ended: returned, failed, cancelled, unknown or unfinished."""
    if record.end_ns is None:
        return UNFINISHED
    recorded = record.attributes.get(semconv.OUTCOME)
    # A call that returned may still be a failure, by a fault that is visible on the span.
    if isinstance(recorded, str) and recorded in _OUTCOMES - {semconv.RETURNED}:
        return recorded
    # A read that is bad, whoever's fault it is, did return: a diagnosis names the fault.
    is_open = (
        semconv.FAULT_CANDIDATES in record.attributes and semconv.FAULT not in record.attributes
    )
    if is_open and recorded == semconv.RETURNED:
        return semconv.RETURNED
    return semconv.FAILED if record.status == "error" else semconv.RETURNED


def cause(record: SpanRecord) -> str:
    """Return why a span failed: its fault, else its exception, else its status."""
    fault = record.attributes.get(semconv.FAULT)
    if isinstance(fault, str) and fault in semconv.FAULTS:
        return f"{fault}: {semconv.FAULTS[fault]}"
    return _exception(record) or _status(record) or NO_CAUSE


def _exception(record: SpanRecord) -> str:
    raised = [event for event in record.events if event.name == semconv.EXCEPTION]
    if not raised:
        return ""
    attributes = raised[-1].attributes
    kind = str(attributes.get(semconv.EXCEPTION_TYPE, "")).rpartition(".")[2]
    message = str(attributes.get(semconv.EXCEPTION_MESSAGE, "")).strip()
    return clean(": ".join(part for part in (kind, message) if part))


def _status(record: SpanRecord) -> str:
    if record.status != "error":
        return ""
    kind = record.attributes.get(semconv.ERROR_TYPE, "")
    return clean(record.status_message or kind)


def fitted(lead: str, text: str, width: int | None, *, is_command: bool = False) -> Iterator[str]:
    """Yield a text in lines that fit, broken between words; nothing if it is empty.

    Args:
        lead: What the first line begins with; the others are indented.
        text: The text.
        width: Cells of a line; None if the text must not be broken.
        is_command: Break it as a shell continues a command, so that it can be pasted.
    """
    if width is None or not text or _cells(lead + text) <= width:
        yield from [lead + text] * bool(text)
        return
    end = _CONTINUED if is_command else ""
    first, *rest = (_SHELL_WORD if is_command else _WORD).findall(text) or [""]
    line = lead + first
    if lead.strip() and _cells(line + end) > width:
        yield lead.rstrip()
        line = _indented(first, width, end)
    for number, word in enumerate(rest, 1):
        if _cells(f"{line} {word}{end if number < len(rest) else ''}") <= width:
            line += f" {word}"
        else:
            yield line + end
            line = _indented(word, width, end)
    yield line


def _indented(word: str, width: int, end: str) -> str:
    """Return the beginning of a line: less indented than others if its first word is long."""
    return " " * max(0, min(len(_INDENT), width - _cells(word + end))) + word


def fitted_line(line: str, width: int | None) -> Iterator[str]:
    """Yield a printed line in lines that fit.

    Args:
        line: The line. A command behind its last label (`List all: flash-otel traces`) stays
            pasteable; what follows it behind three spaces is text again.
        width: Cells of a line; None if it must not be broken.
    """
    if width is None or _cells(line) <= width:
        yield line
        return
    found = _LABELLED_COMMAND.fullmatch(line)
    if found is None:
        text = line.lstrip()
        yield from fitted(line[: len(line) - len(text)], text, width)
        return
    yield from fitted(found["label"], found["command"], width, is_command=True)
    yield from fitted(_INDENT, (found["rest"] or "").strip(), width)


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
