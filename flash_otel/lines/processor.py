"""LegacyLogSpanProcessor: keeps the bracketed lines for those who grep.

It writes from span attributes alone, at the moment at which a span starts or ends, so that the
order of the lines is the order in which things happened.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from opentelemetry.sdk.trace import SpanProcessor

from flash_otel import semconv as sc
from flash_otel.lines.format import due
from flash_otel.lines.table import END, START
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flash_otel.lines.table import Line

    _Lines = Sequence[tuple[Line, str]]
    _Writer = Callable[[_Lines], None]

AUTO: Final = "auto"
LOGGER_PREFIX: Final = "logger:"

_WORDS: Final[dict[str, str | bool]] = {
    **dict.fromkeys(("", AUTO), AUTO),
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class Writable(Protocol):
    """What a stream needs to be for lines to go there."""

    def write(self, text: str, /) -> object:
        """Write the text."""


Mode = str | bool | Writable


class LegacyLogSpanProcessor(SpanProcessor):
    """Writes the guide's bracketed lines for the spans of flash_otel, and of nobody else.

    Args:
        mode: `"auto"` (bare lines on standard error when that is not a terminal), True (always),
            False (never), a text stream, or the name of a logger (`"my.app"`, or `"logger:my.app"`
            for a name that would be taken for a mode).
    """

    def __init__(self, mode: Mode | None = AUTO) -> None:
        self._write = _writer(parse_mode(mode))

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's signature
        """Write what a span's beginning makes known."""
        self._lines(span, START)

    def on_end(self, span: ReadableSpan) -> None:
        """Write what a span's end makes known."""
        self._lines(span, END)

    def _lines(self, span: ReadableSpan, moment: str) -> None:
        try:
            scope = span.instrumentation_scope
            if self._write is None or scope is None or scope.name != sc.SCOPE_NAME:
                return
            lines = due(span.name, moment, span.attributes or {})
            if lines:
                self._write(lines)
        except Exception:
            swallowed("bracketed lines")


def parse_mode(mode: Mode | None) -> Mode:
    """Understand a mode as `instrument()` and FLASH_OTEL_LEGACY_LOGS give it.

    Returns:
        `"auto"`, True, False, a stream, or `"logger:"` and a logger's name.
    """
    if mode is None:
        return AUTO
    if not isinstance(mode, str):
        return mode
    known = _WORDS.get(mode.strip().lower())
    if known is not None:
        return known
    return mode if mode.startswith(LOGGER_PREFIX) else LOGGER_PREFIX + mode


def _writer(mode: Mode) -> _Writer | None:
    if mode is False:
        return None
    if isinstance(mode, str) and mode.startswith(LOGGER_PREFIX):
        return _ToLogger(mode.removeprefix(LOGGER_PREFIX))
    if isinstance(mode, (str, bool)):
        return _ToStandardError(even_on_terminal=mode is True)
    return _ToStream(mode)


class _ToLogger:
    """Hands each line to a logger; one about a missing mapping as a warning."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __call__(self, lines: _Lines) -> None:
        for line, text in lines:
            self._logger.log(line.level, "%s", text)


class _ToStream:
    """Writes bare lines to a stream."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream

    def __call__(self, lines: _Lines) -> None:
        _write(self._stream, lines)


class _ToStandardError:
    """Writes bare lines to what standard error is at that moment."""

    def __init__(self, *, even_on_terminal: bool) -> None:
        self._even_on_terminal = even_on_terminal
        self._judged: TextIO | None = None
        self._wanted = False

    def __call__(self, lines: _Lines) -> None:
        stream = sys.stderr
        if stream is not self._judged:
            self._judged = stream
            self._wanted = stream is not None and (self._even_on_terminal or not _isatty(stream))
        if self._wanted:
            _write(stream, lines)


def _isatty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # a stand-in for a stream, or a closed one
        return False


def _write(stream: Any, lines: _Lines) -> None:
    """Write each line, with its end, in one call; a stream that is gone is no error."""
    try:
        for _, text in lines:
            _write_line(stream, text + "\n")
        # What a killed process has not flushed, nobody reads.
        if hasattr(stream, "flush"):
            stream.flush()
    except (OSError, ValueError):
        return  # a broken pipe, a full disk, a closed stream


def _write_line(stream: Any, line: str) -> None:
    try:
        stream.write(line)
    except UnicodeEncodeError as error:
        # The parser reads the escapes.
        stream.write(line.encode(error.encoding, "backslashreplace").decode(error.encoding))
