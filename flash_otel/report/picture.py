"""The picture of a fault as text: deployment, State Manager and workers side by side, time down."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.diagnosis.findings import count
from flash_otel.diagnosis.picture import state_texts
from flash_otel.diagnosis.picture_events import READ
from flash_otel.diagnosis.tables import DEPLOYMENT
from flash_otel.report import words
from flash_otel.report.ids import SHORT, beginnings
from flash_otel.report.layout import (
    ASCII,
    FAULT_STYLE,
    UNICODE,
    Glyphs,
    Line,
    Part,
    fitted,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flash_otel.diagnosis.judge import Judged
    from flash_otel.diagnosis.picture import ManifestState, Picture, PictureMark
    from flash_otel.diagnosis.tables import Match
    from flash_otel.report.layout import Page

LEAST_WIDTH: Final = 80
MOST_WIDTH: Final = 140

_TIME: Final = 12  # cells
_FRAME: Final = 26  # cells of a line beside its three texts
_MOST_LINES: Final = 5  # of a text

_TITLE: Final = "What the State Manager held, and who read it"
_LABELS: Final = {semconv.INCONCLUSIVE: ("OPEN", "bold yellow")}
_FAULT: Final = ("FAULT", FAULT_STYLE)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The drawing characters of a picture."""

    bar: str
    change: str
    arrow: str
    broken: str
    fold: str


_DRAWINGS: Final = {
    UNICODE: _Drawing("│", "├", "──▶", "──✕", "╌"),
    ASCII: _Drawing("|", "+", "-->", "--x", "-"),
}


def picture_lines(judged: Judged, page: Page) -> Iterator[Line]:
    """Yield the picture of a deployment that has a fault or an open question.

    Pipes get none, nor do terminals of less than `LEAST_WIDTH` cells, or too narrow for its ids.
    """
    picture = judged.picture
    if picture is None or page.width is None or page.width < LEAST_WIDTH:
        return
    if judged.verdict == semconv.NONE or not _has_state(picture):
        return
    cells = (min(page.width, MOST_WIDTH) - _FRAME) // 3
    names = _short_names(picture, cells, page)
    if names is None:
        return
    canvas = _Canvas(cells, page, names, *_LABELS.get(judged.verdict, _FAULT))
    yield ()
    yield (Part(_TITLE, "bold"),)
    lines = list(canvas.lines(picture))
    yield from lines
    drawn = "".join(part.text for line in lines for part in line)
    in_full = {page.clean(known) for match in judged.matches for known in _values(match)}
    yield from canvas.notes(picture, drawn, in_full)


def _values(match: Match) -> Iterator[str]:
    yield from filter(None, (match.deployed, match.read))


def _has_state(picture: Picture) -> bool:
    states = (picture.before, *(mark.state for mark in picture.marks))
    return any(state is not None and state.has_build is not None for state in states)


def _short_names(picture: Picture, cells: int, page: Page) -> dict[str, str] | None:
    """Return short forms of the ids that do not fit; None if the shortest that differ do not."""
    ids = dict.fromkeys(page.clean(known) for known in _ids(picture) if known)
    longest = cells - len("(),")
    if all(cell_len(known) <= longest for known in ids):
        return {}
    for length in range(SHORT, longest):
        short = beginnings(ids, length, page.glyphs.cut)
        if len(set(short.values())) == len(ids) and max(map(cell_len, short.values())) <= longest:
            return {known: name for known, name in short.items() if known != name}
    return None


def _ids(picture: Picture) -> Iterator[str | None]:
    yield from (picture.build_id, picture.environment_id, picture.before.build_id)
    for mark in picture.marks:
        yield from (mark.build_id, mark.environment_id, mark.state.build_id if mark.state else None)


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Draws a picture in three columns.

    Attributes:
        cells: Cells of the text of a column.
        page: The page to draw on.
        names: Short forms of ids.
        label: What a mark that the verdict rests on is called.
        style: Its style.
    """

    cells: int
    page: Page
    names: dict[str, str]
    label: str
    style: str

    @property
    def glyphs(self) -> Glyphs:
        return self.page.glyphs

    @property
    def drawing(self) -> _Drawing:
        return _DRAWINGS[self.glyphs]

    def lines(self, picture: Picture) -> Iterator[Line]:
        """Yield the lines of a picture."""
        yield self._row("", "deployment", "", "  State Manager", "", "workers", "bold")
        state = picture.before
        for line in self._state(state):
            yield self._row("", "", "", f"{self.drawing.bar} {line}", "", "")
        was_ordered = True
        for mark in picture.marks:
            if mark.wait_s is not None:
                yield self._fold(f"{words.duration(round(mark.wait_s * 1e9))} later")
            if was_ordered and not mark.is_ordered:
                yield self._fold(words.UNKNOWN_ORDER)
            was_ordered = mark.is_ordered
            yield from self._mark(mark, mark.state if mark.state != state else None)
            state = mark.state or state

    def _mark(self, mark: PictureMark, change: ManifestState | None) -> Iterator[Line]:
        """Yield the lines of a mark; the first one also has its time and its arrow."""
        style = self.style if mark.is_marked else ""
        own = self._text(_mark_text(mark, self.glyphs))
        label = self._text(self._label(mark)) if mark.is_marked else []
        state = self._state(change)
        is_first = True
        for text, held in zip_longest([*own, *label], state, fillvalue=""):
            left, right = (text, "") if mark.lane == DEPLOYMENT else ("", text)
            edge = self.drawing.change if is_first and state else self.drawing.bar
            arrows = self._arrows(mark, change) if is_first else ("", "")
            time = _time(mark) if is_first else ""
            yield self._row(time, left, arrows[0], f"{edge} {held}", arrows[1], right, style)
            is_first = False

    def _arrows(self, mark: PictureMark, change: ManifestState | None) -> tuple[str, str]:
        """Return the arrows before and after the State Manager's column."""
        if mark.lane == DEPLOYMENT:
            return (self.drawing.arrow if change else "", "")
        if mark.kind != READ or "environment_id" in mark.differs:
            return ("", "")
        has_answer = mark.build_id is not None or mark.endpoint_count is not None
        return ("", self.drawing.arrow if has_answer else self.drawing.broken)

    def _label(self, mark: PictureMark) -> str:
        first = next((text for name, text in words.DIFFERENCES.items() if name in mark.differs), "")
        return f"{self.label}: {first}" if first else self.label

    def _state(self, state: ManifestState | None) -> list[str]:
        texts = state_texts(state) if state else ()
        return [line for text in texts for line in self._text(text)]

    def _text(self, text: str) -> list[str]:
        """Return a text broken at spaces, with short forms of its ids."""
        text = self.page.clean(text)
        for known in sorted(self.names, key=len, reverse=True):
            text = text.replace(known, self.names[known])
        lines = wrapped(text, self.cells)
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} {self.glyphs.cut}"]
        return [fitted(line, self.cells, self.glyphs).rstrip() for line in lines]

    def _row(
        self, time: str, left: str, to: str, state: str, back: str, right: str, style: str = ""
    ) -> Line:
        cells = self.cells
        return (
            Part(f"{time:>{_TIME}}  ", "dim"),
            Part(fitted(left, cells, self.glyphs), style if left else ""),
            Part(f" {to:<3} ", "dim"),
            Part(fitted(state, cells + 2, self.glyphs), style if style == "bold" else ""),
            Part(f" {back:<3} ", "dim"),
            Part(right, style),
        )

    def _fold(self, text: str) -> Line:
        fold = self.drawing.fold * 3
        return (Part(f"{'':>{_TIME}}  {fold} {text} {fold}", "dim"),)

    def notes(self, picture: Picture, drawn: str, in_full: Collection[str]) -> Iterator[Line]:
        """Yield the explanations of what was drawn.

        Args:
            picture: The picture.
            drawn: The text of its lines.
            in_full: Ids that the report shows in full elsewhere.
        """
        if any(mark.seconds is not None and not mark.same_clock for mark in picture.marks):
            yield (Part("  ~ by another machine's clock", "dim"),)
        if picture.left_out:
            yield (Part(f"  {count(picture.left_out, 'more read')} not shown", "dim"),)
        width = 3 * self.cells + _FRAME
        for known, name in self.names.items():
            if name in drawn and known not in in_full:
                line = fitted(f"  {name} is {known}", width, self.glyphs).rstrip()
                yield (Part(line, "dim"),)


def _mark_text(mark: PictureMark, glyphs: Glyphs) -> str:
    if mark.count == 1:
        return mark.text
    until = "" if mark.last_seconds is None else f", until {mark.last_seconds:+.2f} s"
    return f"{mark.text} {glyphs.times}{mark.count}{until}"


def _time(mark: PictureMark) -> str:
    if mark.seconds is None:
        return "?"
    text = f"{'' if mark.same_clock else '~'}{mark.seconds:+.2f} s"
    return text if len(text) <= _TIME else f"{'' if mark.same_clock else '~'}{mark.seconds:+.1e} s"
