"""LegacyLogSpanProcessor: writes the bracketed lines of Flash's diagnostic logging guide.

It writes from span attributes alone, when a span starts and when it ends, which keeps the lines
in the order of events.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from flash_otel.lines.format import due
from flash_otel.lines.table import END, START, Line
from flash_otel.runtime import streams
from flash_otel.runtime.process import swallowed
from flash_otel.runtime.sdk import SpanProcessor, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

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
    """A stream that lines can be written to."""

    def write(self, text: str, /) -> object:
        """Write the text."""


Mode = str | bool | Writable


class LegacyLogSpanProcessor(SpanProcessor):
    """Writes the guide's bracketed lines for the spans of the scope `flash_otel`.

    Args:
        mode: `"auto"` (bare lines on standard error when that is not a terminal), True (always),
            False (never), a text stream, or the name of a logger (`"my.app"`; with the prefix,
            `"logger:on"`, if the name could be mistaken for a mode).
    """

    def __init__(self, mode: Mode | None = AUTO) -> None:
        self._write = _writer(parse_mode(mode))

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's signature
        """Write the lines of a span's start."""
        self._lines(span, START)

    def on_end(self, span: ReadableSpan) -> None:
        """Write the lines of a span's end."""
        self._lines(span, END)

    def _lines(self, span: ReadableSpan, moment: str) -> None:
        try:
            if self._write is None or not is_ours(span):
                return
            lines = due(span.name, moment, span.attributes or {})
            if lines:
                self._write(lines)
        except Exception:
            swallowed("bracketed lines")


def parse_mode(mode: Mode | None) -> Mode:
    """Normalise a mode from `instrument()` or FLASH_OTEL_LEGACY_LOGS.

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
    """Passes each line to a logger, at the level of its row."""

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
    """Writes bare lines to the current standard error, which hosts and tests replace."""

    def __init__(self, *, even_on_terminal: bool) -> None:
        self._even_on_terminal = even_on_terminal
        self._checked: TextIO | None = None
        self._writes = False

    def __call__(self, lines: _Lines) -> None:
        stream = sys.stderr
        if stream is not self._checked:
            self._checked = stream
            self._writes = self._even_on_terminal or not streams.is_terminal(stream)
        if self._writes:
            _write(stream, lines)


def _write(stream: Any, lines: _Lines) -> None:
    """Write each line, with its line end, in one call; parse() reads escapes."""
    for _, text in lines:
        streams.write(stream, text + "\n")
