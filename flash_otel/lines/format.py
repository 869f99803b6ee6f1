"""Write bracketed lines from span attributes, and parse them, by the rows of the table.

It does not import the SDK, because diagnosing a log should not load it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from typing import Any, Final

from flash_otel import semconv as sc
from flash_otel.lines import values
from flash_otel.lines.table import ATTRIBUTES, LINES, MARK, WORDS, Line

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """The content of a bracketed line.

    Attributes:
        key: Key of its row in `LINES`.
        fields: Values by field name. A field behind the end of a cut line is absent; one that is
            written as unset is None. Lists are tuples, mappings are dicts.
        cut: Names of the fields of which the line holds only a part.
        last: The field that ends where the text ends, or None. If the text was cut off, this
            field's value may be incomplete.
    """

    key: str
    fields: Fields
    cut: frozenset[str] = frozenset()
    last: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of field: the pattern of its values, and their writer and reader."""

    pattern: str
    write: Callable[..., str]
    read: Callable[[str], tuple[Any, bool]]
    can_be_cut: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """A field of a line, with the literal text before it, and the pattern of both."""

    literal: str
    name: str
    kind: _Kind
    word: str
    pattern: str

    def write(self, value: Any, *, cut: bool) -> str:
        if self.word and (value is None or value == WORDS[self.word]):
            return self.literal + self.word
        if self.kind.can_be_cut:
            return self.literal + self.kind.write(value or (), cut=cut)
        return self.literal + self.kind.write(value)

    def read(self, text: str) -> tuple[Any, bool]:
        return (WORDS[text], False) if text == self.word else self.kind.read(text)


_ID = _Kind(
    # The dash of an ASCII arrow (`->`) ends an id, although an id may hold dashes.
    # What hides a part of it belongs to it, so that the part before is not taken for all of it.
    rf"(\(null\)|(?:(?!-+>)(?:{values.ID_CHARACTERS}|{values.HIDDEN}|{values.FOREIGN}))+)?",
    values.write_id,
    values.read_id,
)
_LIST = _Kind(r"(\[.*)?", values.write_list, values.read_list, can_be_cut=True)
_KINDS: Final = {
    # Greedy, up to the last occurrence of the text behind it: a name may hold anything.
    "environment_name": _Kind(
        r"(?:(.*)(?=\s+activated with))?", values.write_name, values.read_name
    ),
    # Documentation prints `X` or `N` for a count.
    "endpoint_count": _Kind(
        rf"(?:(\d{{1,9}}(?!\S)|\d*{values.HIDDEN}\d*)|[A-Z]\b)?",
        lambda count: str(count or 0),
        lambda text: (int(text), False) if text.isdecimal() else (None, True),
    ),
    "endpoints": _Kind(r"(\{.*)?", values.write_mapping, values.read_mapping, can_be_cut=True),
    "endpoint_names": _LIST,
    "manifest_keys": _LIST,
}

_COUNTED: Final = {"endpoint_count"}
_FIELD: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
# A cut text may end within an escape.
_TEXT_END: Final = re.compile(r"(?:\\\w{0,8})?\Z")
# A wrong encoding turns the arrow into a few other characters.
_ARROW: Final = r"(?:\s*[-=]+>|\s*(?:\\u2192|[^\x00-\x7f]).{0,11}?|\s.{0,20}?)"


def _literal_pattern(literal: str) -> str:
    """Return a pattern for a literal that accepts any space and leaves colons optional."""
    flexible = re.escape(literal).replace(r"\ ", r"\s*").replace(":", ":?")
    return flexible.replace("→", _ARROW)


def _pieces(line: Line) -> Iterator[_Piece]:
    parts = _FIELD.split(line.template)
    for literal, name, word in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        kind = _KINDS.get(name, _ID)
        before = literal.split("] ")[-1]
        value = rf"(?:({word})|{kind.pattern})" if word else kind.pattern
        yield _Piece(literal, name, kind, word or "", _literal_pattern(before) + value)


_PIECES: Final = {line.key: tuple(_pieces(line)) for line in LINES}
_BY_SPAN: Final = {
    (line.span, line.moment): tuple(
        row for row in LINES if (row.span, row.moment) == (line.span, line.moment)
    )
    for line in LINES
}


# --- writing -----------------------------------------------------------------------------------


def due(span_name: str, moment: str, attributes: Mapping[str, Any]) -> list[tuple[Line, str]]:
    """Return the rows, with their texts, that a span's start or end writes."""
    rows = _BY_SPAN.get((span_name, moment))
    if rows is None:
        return []
    # A lookup in the SDK's own mapping costs ten times as much as in the dict that copy() returns.
    copy = getattr(attributes, "copy", None)
    attributes = dict(attributes) if copy is None else copy()
    return [(line, _line_of(line.key, attributes)) for line in rows if line.when(attributes)]


def format_lines(span_name: str, moment: str, attributes: Mapping[str, Any]) -> list[str]:
    """Return the lines that a span's start or end (`moment`) writes, from its attributes alone."""
    return [text for _, text in due(span_name, moment, attributes)]


def _line_of(key: str, attributes: Mapping[str, Any]) -> str:
    return "".join([write(attributes) for write in _WRITERS[key]])


def _writer(piece: _Piece) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that writes a piece from attributes, with a fast path for usual values."""
    attribute, literal, write = ATTRIBUTES[piece.name], piece.literal, piece.kind.write
    derive = _DERIVED.get(piece.name)

    def plain(attributes: Mapping[str, Any]) -> str:
        return literal + write(attributes.get(attribute))

    def derived(attributes: Mapping[str, Any]) -> str:
        return literal + write(None if derive is None else derive(attributes))

    def cuttable(attributes: Mapping[str, Any]) -> str:
        value = attributes.get(attribute) if derive is None else derive(attributes)
        if value and sc.TRUNCATED not in attributes:
            return literal + write(value)
        return piece.write(value, cut=attribute in attributes.get(sc.TRUNCATED, ()))

    if piece.kind.can_be_cut:
        return cuttable
    return plain if derive is None else derived


def _environment_name(attributes: Mapping[str, Any]) -> Any:
    """Return the name, or the id: a deployment by id knows no name."""
    return attributes.get(sc.ENVIRONMENT_NAME) or attributes.get(sc.ENVIRONMENT_ID)


def _endpoint_count(attributes: Mapping[str, Any]) -> int:
    """Return the count, which is right even if the list of names was truncated."""
    count = attributes.get(sc.ENDPOINT_COUNT)
    return len(attributes.get(sc.ENDPOINT_NAMES, ())) if count is None else count


def _endpoints(attributes: Mapping[str, Any]) -> dict[str, Any]:
    names = attributes.get(sc.ENDPOINT_NAMES, ())
    return dict(zip_longest(names, attributes.get(sc.ENDPOINT_URLS, ())[: len(names)]))


_DERIVED: Final[dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "environment_name": _environment_name,
    "endpoint_count": _endpoint_count,
    "endpoints": _endpoints,
}
_WRITERS: Final = {key: tuple(map(_writer, pieces)) for key, pieces in _PIECES.items()}


# --- reading -----------------------------------------------------------------------------------

_Match = Callable[..., "re.Match[str] | None"]


# Compiled when a line is read: traced processes only write, and it takes 25 ms.
@cache
def _rows() -> tuple[tuple[_Match, str], ...]:
    return tuple((re.compile(line.pattern).match, line.key) for line in LINES)


@cache
def _fields(key: str) -> tuple[tuple[_Match, _Piece], ...]:
    return tuple((re.compile(piece.pattern, re.DOTALL).match, piece) for piece in _PIECES[key])


def parse(line: str) -> ParsedLine | None:
    """Parse a bracketed line in any of its forms; text before its mark is ignored.

    Args:
        line: The line without its line end; for a mapping, all of its lines.

    Returns:
        The line's content, or None if the text is not a bracketed line.
    """
    mark = MARK.search(line)
    return None if mark is None else parse_body(line[mark.end() :])


def parse_body(text: str) -> ParsedLine | None:
    """Parse the text behind the mark of a bracketed line."""
    body = text.strip()
    for matches, key in _rows():
        if matches(body):
            return _read(key, body)
    return None


def _read(key: str, body: str) -> ParsedLine:
    fields: dict[str, Any] = {}
    cut: set[str] = set()
    last = None
    at = 0
    for matches, piece in _fields(key):
        match = matches(body, at)
        if match is None:
            # The text behind a count proves its end: `1` may be the beginning of `12`.
            cut |= {last} & _COUNTED if last else set()
            break
        at = match.end()
        if match.lastindex is None:
            continue
        value, is_cut = piece.read(match[match.lastindex])
        fields[piece.name] = value
        if is_cut:
            cut.add(piece.name)
        last = piece.name if _TEXT_END.match(body, at) else None
    return ParsedLine(key, fields, frozenset(cut), last)
