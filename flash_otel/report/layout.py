"""Lines as plain data, the page they are laid out for, and how they reach a console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.glyphs import Glyphs, glyphs_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

STYLES: Final[dict[str, str]] = {
    semconv.RETURNED: "green",
    semconv.FAILED: "bold red",
    semconv.CANCELLED: "yellow",
    semconv.UNKNOWN: "yellow",
    words.UNFINISHED: "yellow",
}
_BAR_CELLS: Final = ((90, 24), (64, 12), (0, 0))  # least width of the console, cells for bars


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line, in one of Rich's styles."""

    text: str
    style: str = ""


Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What lines are laid out for.

    Attributes:
        width: Cells that a line may take; None where nothing may be cut.
        cells: Cells of the column of bars.
        glyphs: The characters to draw with.
    """

    width: int | None
    cells: int
    glyphs: Glyphs


def page_for(console: Console) -> Page:
    """Return the layout for a console; what is piped is never cut, for those who search it."""
    cells = next(cells for least, cells in _BAR_CELLS if console.width >= least)
    return Page(console.width if console.is_terminal else None, cells, glyphs_for(console))


def print_lines(lines: Iterable[Line], console: Console) -> None:
    """Print lines, whatever the encoding of the console's stream.

    Lines become text objects, in which Rich's markup has no effect.
    """
    from rich.text import Text

    for line in lines:
        parts = ((words.encodable(part.text, console.encoding), part.style) for part in line)
        text = Text.assemble(*parts)
        text.rstrip()
        console.print(text, soft_wrap=True)


def fitted(text: str, cells: int, glyphs: Glyphs) -> str:
    """Return `text` in exactly so many cells, cut with a mark or filled up with spaces."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > cells:
        text = set_cell_size(text, cells - 1) + glyphs.cut
    return set_cell_size(text, cells)
