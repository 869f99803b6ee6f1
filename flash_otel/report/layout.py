"""What reports are laid out with: styled lines, drawing characters, a time axis, the console."""

from __future__ import annotations

import os
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from flash_otel import semconv
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.records import SpanRecord

STYLES: Final[dict[str, str]] = {
    semconv.RETURNED: "green",
    semconv.FAILED: "bold red",
    semconv.CANCELLED: "yellow",
    semconv.UNKNOWN: "yellow",
    words.UNFINISHED: "yellow",
}
_BAR_CELLS: Final = ((90, 24), (64, 12), (0, 0))  # least width of the console, cells for bars
_MOST_STRETCH: Final = 4  # durations of its first span that an axis may grow to either side


# Rich converts them whenever `str.isdigit` allows it, as for `²`, and then raises.
_SIZES: Final = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")
_SIZE: Final = re.compile(r"[0-9]{1,6}")


class ReportConsole(Console):
    """A console that works in any environment, and raises BrokenPipeError if its reader has gone.

    Rich would exit with 1, which in `flash-otel` means that a fault was found.

    Args:
        options: The options of Rich's console.
    """

    def __init__(self, **options: Any) -> None:
        environ = dict(os.environ)
        for name in _SIZES:
            if not _SIZE.fullmatch(environ.get(name, "")):
                environ.pop(name, None)
        super().__init__(_environ=environ, **options)

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error that Rich is handling."""
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of drawing characters."""

    branch: str
    last: str
    through: str
    gap: str
    bar: str
    open_bar: str
    before: str
    after: str
    times: str
    arrow: str
    cut: str


UNICODE: Final = Glyphs(
    branch="├─ ",
    last="└─ ",
    through="│  ",
    gap="   ",
    bar="━",
    open_bar="╌",
    before="◂",
    after="▸",
    times="\N{MULTIPLICATION SIGN}",
    arrow="→",
    cut="…",
)
ASCII: Final = Glyphs(
    branch="|- ",
    last="`- ",
    through="|  ",
    gap="   ",
    bar="=",
    open_bar="-",
    before="<",
    after=">",
    times="x",
    arrow="->",
    cut="~",
)
_SAMPLE: Final = "".join(astuple(UNICODE))


WORDS: Final = "words"
WHOLE: Final = "whole"
COMMAND: Final = "command"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line, in one of Rich's styles.

    Attributes:
        text: The text.
        style: A style of Rich's.
        hang: Of a line's first part: cells that indent the continuation of a line that is broken.
        breaks: Where a line may be broken (`flash_otel.report.wrapping`): between WORDS, or not
            inside the part (WHOLE), or as the shell continues a COMMAND.
    """

    text: str
    style: str = ""
    hang: int = 0
    breaks: str = WORDS


Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The dimensions of a report.

    Attributes:
        width: Cells of a line; None if lines must not be cut.
        cells: Cells of the column of bars.
        glyphs: The characters to draw with.
        encoding: The encoding of the output.
    """

    width: int | None
    cells: int
    glyphs: Glyphs
    encoding: str = "utf-8"


def page_for(console: Console) -> Page:
    """Return the layout for a console; piped output is never cut, so that grep finds all of it."""
    cells = next(cells for least, cells in _BAR_CELLS if console.width >= least)
    width = console.width if console.is_terminal else None
    return Page(width, cells, _glyphs_for(console), console.encoding)


def _glyphs_for(console: Console) -> Glyphs:
    try:
        _SAMPLE.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE


def print_lines(lines: Iterable[Line], console: Console) -> None:
    """Print lines to a console of any encoding."""
    for line in lines:
        parts = ((words.encodable(part.text, console.encoding), part.style) for part in line)
        # Text objects, because Rich would interpret markup in strings.
        text = Text.assemble(*parts)
        text.rstrip()
        # Lines are laid out already; Rich would break them again at spaces.
        console.print(text, soft_wrap=True)


def fitted(text: str, cells: int, glyphs: Glyphs) -> str:
    """Return `text` cut or padded to exactly `cells` cells; a mark shows a cut."""
    if cell_len(text) > cells:
        text = set_cell_size(text, cells - 1) + glyphs.cut
    return set_cell_size(text, cells)


def wrapped(text: str, cells: int) -> list[str]:
    """Return `text` broken at spaces; a longer word, such as a path, has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= cells:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True, slots=True)
class Bar:
    """The position of a span on a time axis, in cells.

    Attributes:
        offset: Empty cells before the bar.
        length: Cells of the bar; 0 if the span lies outside the axis.
        outside: -1 if the span lies before the axis, 1 if after it, else 0.
    """

    offset: int
    length: int
    outside: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of time (nanoseconds since the epoch), divided into cells."""

    start_ns: int
    end_ns: int
    cells: int

    def bar(self, record: SpanRecord) -> Bar:
        """Place a span: at least one cell, and to the end of the axis if it is unfinished."""
        if record.start_ns > self.end_ns:
            return Bar(self.cells, 0, 1)
        end = self.end_ns if record.end_ns is None else record.end_ns
        if end < self.start_ns:
            return Bar(0, 0, -1)
        first = min(self._cell(record.start_ns), self.cells - 1)
        return Bar(first, max(1, self._cell(end) - first))

    def _cell(self, time_ns: int) -> int:
        length = max(1, self.end_ns - self.start_ns)
        cell = (time_ns - self.start_ns) * self.cells / length
        return max(0, min(self.cells, round(cell)))


def axis_for(first: SpanRecord, records: Iterable[SpanRecord], cells: int) -> Axis:
    """Return the axis of a trace whose first span is `first`.

    It covers the records, but grows only a few durations of the first span to either side: a
    worker that reads an hour after the deployment must not squeeze the deployment into a dot.
    """
    times = [_limits(record) for record in records]
    start, end = _limits(first)
    if first.end_ns is None:
        end = max((late for _, late in times), default=end)
    room = _MOST_STRETCH * max(1, end - start)
    earliest = min((early for early, _ in times if early >= start - room), default=start)
    latest = max((late for _, late in times if late <= end + room), default=end)
    return Axis(min(start, earliest), max(end, latest), cells)


def _limits(record: SpanRecord) -> tuple[int, int]:
    end = record.start_ns if record.end_ns is None else record.end_ns
    return record.start_ns, max(record.start_ns, end)
