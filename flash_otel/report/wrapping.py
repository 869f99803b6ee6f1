"""Lines that fit a terminal: broken between words, with a hanging indent.

Ids are words, so that none is ever broken. A command is broken between its own words, with a
backslash at the end of each line, so that all of it can be pasted into a shell at once.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from flash_otel.report.layout import COMMAND, WHOLE, Line, Part, page_for, print_lines
from flash_otel.report.words import encodable
from flash_otel.runtime.suggestions import pasteable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

_NARROWEST: Final = 20
_WORD: Final = re.compile(r"\S+")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_SPACE: Final = re.compile(r"\s")
# A path or a URL that is longer than a line is broken behind one of these, if possible.
_JOINTS: Final = "/&?,;:="
_CONTINUED: Final = " \\"
_GLUE: Final = "\0"


def print_wrapped(lines: Iterable[Line], console: Console) -> None:
    """Print lines; on a terminal, broken at words to fit its width."""
    encoded = (
        tuple(replace(part, text=encodable(part.text, console.encoding)) for part in line)
        for line in lines
    )
    print_lines(wrapped_lines(encoded, page_for(console).width), console)


def wrapped_lines(lines: Iterable[Line], width: int | None) -> Iterator[Line]:
    """Yield lines that are broken at words, with commands that can be pasted.

    Args:
        lines: The lines; `Part.hang` of the first part indents their continuation.
        width: Cells of a line; None if lines must not be broken.
    """
    for line in map(_with_own_command, lines):
        if width is None or sum(cell_len(part.text) for part in line) <= width:
            yield line
        else:
            yield from _Wrapper(line, max(width, _NARROWEST)).lines()


def _with_own_command(line: Line) -> Line:
    if all(part.breaks != COMMAND for part in line):
        return line
    return tuple(
        replace(part, text=pasteable(part.text)) if part.breaks == COMMAND else part
        for part in line
    )


class _Wrapper:
    """Breaks one line.

    Offsets refer to the text of the whole line, so that a word may consist of several parts.
    """

    def __init__(self, line: Line, width: int) -> None:
        self._line = line
        self._width = width
        self._hang = line[0].hang
        self._text = "".join(part.text for part in line)
        # In the same offsets, without the spaces at which the line must not be broken.
        self._breakable = "".join(map(_glued, line))
        self._command = self._range_of_command()

    def lines(self) -> Iterator[Line]:
        """Yield the lines that fit."""
        words = list(self._words()) or [(0, 0)]
        start, end = words[0]
        indent = self._indent(start, words[0])
        for word_start, word_end in words[1:]:
            room = self._width - indent - self._reserve(word_end)
            if cell_len(self._text[start:word_end]) > room:
                yield self._slice(indent, start, end, is_continued=self._splits_command(end))
                start = word_start
                indent = self._indent(self._hang, (word_start, word_end))
            end = word_end
        yield self._slice(indent, start, end)

    def _words(self) -> Iterator[tuple[int, int]]:
        """Yield where each word begins and ends; a word longer than a line in pieces."""
        for found in _WORD.finditer(self._breakable):
            start, end = found.span()
            while cell_len(self._text[start:end]) > self._width and not self._in_command(start):
                cut = start + _piece(self._text[start:end], self._width)
                yield start, cut
                start = cut
            yield start, end

    def _indent(self, cells: int, word: tuple[int, int]) -> int:
        """Return the indent of a line: less than intended, if its first word needs the room."""
        room = self._width - cell_len(self._text[word[0] : word[1]]) - self._reserve(word[1])
        return max(0, min(cells, room))

    def _slice(self, indent: int, start: int, end: int, *, is_continued: bool = False) -> Line:
        parts = [Part(" " * indent)] if indent else []
        offset = 0
        for part in self._line:
            text = part.text[max(0, start - offset) : max(0, end - offset)]
            offset += len(part.text)
            if text:
                parts.append(replace(part, text=text))
        return (*parts, Part(_CONTINUED)) if is_continued else tuple(parts)

    def _range_of_command(self) -> tuple[int, int]:
        offset = 0
        for part in self._line:
            if part.breaks == COMMAND and os.name != "nt":
                return offset, offset + len(part.text)
            offset += len(part.text)
        return 0, 0

    def _in_command(self, offset: int) -> bool:
        return self._command[0] <= offset < self._command[1]

    def _splits_command(self, offset: int) -> bool:
        return self._command[0] < offset < self._command[1]

    def _reserve(self, end: int) -> int:
        """Return the cells that a line needs behind a word that may end it."""
        return len(_CONTINUED) if self._splits_command(end) else 0


def _glued(part: Part) -> str:
    if part.breaks == WHOLE:
        inner = part.text.strip()
        return part.text.replace(inner, _SPACE.sub(_GLUE, inner)) if inner else part.text
    if part.breaks == COMMAND:
        return _QUOTED.sub(lambda quoted: _SPACE.sub(_GLUE, quoted[0]), part.text)
    return part.text


def _piece(word: str, width: int) -> int:
    """Return how many characters of a long word go on the next line."""
    most = max(1, len(set_cell_size(word, width).rstrip()))
    joint = max(word.rfind(mark, 1, most) for mark in _JOINTS)
    return joint + 1 if joint > 0 else most
