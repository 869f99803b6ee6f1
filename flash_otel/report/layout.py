"""What reports are laid out with: styled lines, drawing characters, the console."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import astuple, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from flash_otel import semconv
from flash_otel.report import color, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STYLES: Final[dict[str, str]] = {
    semconv.RETURNED: "green",
    semconv.FAILED: "bold red",
    semconv.CANCELLED: "yellow",
    semconv.UNKNOWN: "yellow",
    words.UNFINISHED: "yellow",
}
VERDICT_STYLES: Final = {semconv.NONE: "bold green", semconv.INCONCLUSIVE: "bold yellow"}
FAULT_STYLE: Final = "bold red"  # of any other verdict
_BAR_CELLS: Final = ((90, 24), (64, 12), (0, 0))  # least width of the console, cells for bars


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
        environ = {name: text for name, text in os.environ.items() if name not in color.VARIABLES}
        for name in _SIZES:
            if not _SIZE.fullmatch(environ.get(name, "")):
                environ.pop(name, None)
        defaults = {"color_system": color.color_system(is_terminal=_is_terminal(**options))}
        super().__init__(_environ=environ, **{**defaults, **options})

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error that Rich is handling."""
        raise BrokenPipeError


def _is_terminal(
    *, file: Any = None, stderr: bool = False, force_terminal: bool | None = None, **_: Any
) -> bool:
    """Return whether a console with these options writes to a terminal."""
    if force_terminal is not None:
        return force_terminal
    stream = file or (sys.stderr if stderr else sys.stdout)
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of drawing characters."""

    branch: str
    last: str
    through: str
    gap: str
    bar: str
    open_bar: str
    fold: str
    wait: str
    times: str
    arrow: str
    bullet: str
    check: str
    cross: str
    cut: str


UNICODE: Final = Glyphs(
    branch="├─ ",
    last="└─ ",
    through="│  ",
    gap="   ",
    bar="━",
    open_bar="╌",
    fold="┊",
    wait="⋯",
    times="\N{MULTIPLICATION SIGN}",
    arrow="→",
    bullet="•",
    check="✓",
    cross="✗",
    cut="…",
)
ASCII: Final = Glyphs(
    branch="|- ",
    last="`- ",
    through="|  ",
    gap="   ",
    bar="=",
    open_bar="-",
    fold=":",
    wait="...",
    times="x",
    arrow="->",
    bullet="*",
    check="+",
    cross="!",
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

    def clean(self, value: object) -> str:
        """Return a recorded value as it is printed."""
        return words.encodable(words.clean(value), self.encoding)


# Rich spends as much time on a call as on a few lines.
_PRINTED_AT_ONCE: Final = 100


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
    rows = texts(lines, console)
    while some := list(islice(rows, _PRINTED_AT_ONCE)):
        # Lines are laid out already; Rich would break them again at spaces.
        console.print(Text("\n").join(some), soft_wrap=True)


def texts(lines: Iterable[Line], console: Console) -> Iterator[Text]:
    """Yield lines as Rich's texts, for a console of any encoding."""
    for line in lines:
        parts = ((words.encodable(part.text, console.encoding), part.style) for part in line)
        # Text objects, because Rich would interpret markup in strings.
        text = Text.assemble(*parts)
        text.rstrip()
        yield text


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
