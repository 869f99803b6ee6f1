"""The characters that reports are drawn with, and a plain set for streams without them."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of drawing characters."""

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


def glyphs_for(console: Console) -> Glyphs:
    """Return the characters that the console's stream can hold."""
    try:
        _SAMPLE.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE
