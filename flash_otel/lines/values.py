r"""How the values within a bracketed line are written and read back.

Ordinary values stand exactly as they are. What could break a line, colour a terminal or be taken
for another line is written as a backslash escape (`\x1b`, `\u2028`), as Python's `repr` does it.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NULL: Final = "(null)"

# What a parser looks for: the word of a bracketed line, as `[DEPLOY]`, `[RUNTIME SYNC]:` or, in
# the older form, `📤 DEPLOY:`.
MARK: Final = re.compile(r"(?:DEPLOY SYNC|DEPLOY|STATE MANAGER|RUNTIME SYNC)(?:\]:?|:)")

ELLIPSIS: Final = "..."

ESCAPE: Final = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\\)"
# An id as it stands in a line; everything else in it is escaped.
ID_CHARACTERS: Final = rf"(?:[A-Za-z0-9_.:@+/~-]|{ESCAPE})"

# Without a colon or a bracket no mark can be in it.
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.@+/~-]*[A-Za-z0-9_@+/~-]").fullmatch
_ID_CHARACTER: Final = re.compile(r"[A-Za-z0-9_.:@+/~-]").fullmatch
_NULLS: Final = frozenset({NULL, "None", "null"})
_ESCAPED: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^xuU])")
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t"}
_ITEM: Final = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\.\.\.)|\]""", re.DOTALL)
_JSON_TOKEN: Final = re.compile(
    r'(?P<value>"(?:[^"\\]|\\.)*"|null)|(?P<dots>\.\.\.)|(?P<colon>:)|(?P<end>\})', re.DOTALL
)
_ENDS: Final = frozenset({"dots", "end"})


def escape(character: str) -> str:
    """Write one character as a backslash escape."""
    if character == "\\" or not character.isascii():
        return character.encode("unicode_escape").decode("ascii")
    return f"\\x{ord(character):02x}"


def unescape(text: str) -> str:
    """Read backslash escapes back, those of `escape` as well as those of `repr`."""
    return _ESCAPED.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] not in "xuU":
        return _SIMPLE.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number <= sys.maxunicode else match[0]


def _without_marks(text: str, style: str = "\\x{:02x}") -> str:
    """Break every mark inside a value, so that no value can be taken for a line."""
    if not ("DEPLOY" in text or "STATE MANAGER" in text or "RUNTIME SYNC" in text):
        return text  # at a tenth of the price of a pattern
    return MARK.sub(lambda match: style.format(ord(match[0][0])) + match[0][1:], text)


def write_id(value: str | None) -> str:
    """Write an id; `(null)` for one that is not set."""
    if value and _PLAIN_ID(value) and value not in _NULLS:
        return value
    if not value:
        return NULL
    # The first and the last are always escaped: no null word, no trailing ellipsis remains.
    last = len(value) - 1
    return _without_marks(
        "".join(
            character if 0 < at < last and _ID_CHARACTER(character) else escape(character)
            for at, character in enumerate(value)
        )
    )


def read_id(text: str) -> tuple[str | None, bool]:
    """Read an id; the flag tells that it was cut (`abc...`)."""
    if text in _NULLS:
        return None, False
    cut = text.endswith(ELLIPSIS)
    return unescape(text.rstrip(".") if cut else text), cut


def write_name(value: str | None) -> str:
    """Write a name, which unlike an id may hold spaces; `(null)` for one that is not set."""
    if not value:
        return NULL
    if value in _NULLS or value.strip() != value:
        return "".join(map(escape, value))
    if not value.isprintable() or "\\" in value:
        value = "".join(
            character if character.isprintable() and character != "\\" else escape(character)
            for character in value
        )
    return _without_marks(value)


def read_name(text: str) -> tuple[str | None, bool]:
    """Read a name (never cut: what follows it has been found)."""
    return (None if text in _NULLS else unescape(text)), False


def write_list(values: Sequence[str], *, cut: bool = False) -> str:
    """Write a list as Python prints a list of strings; a cut one ends in `...]`."""
    text = repr(list(values))
    if cut:
        text = f"{text[:-1]}, {ELLIPSIS}]" if values else f"[{ELLIPSIS}]"
    return _without_marks(text)


def read_list(text: str) -> tuple[tuple[str, ...], bool]:
    """Read a list; the flag tells that it was cut, by its writer or with its line."""
    values: list[str] = []
    for match in _ITEM.finditer(text):
        single, double, dots = match.groups()
        if dots:
            return tuple(values), True
        if single is None and double is None:
            return tuple(values), False
        values.append(unescape(double if single is None else single))
    return tuple(values), True


def write_mapping(mapping: Mapping[str, str | None], *, cut: bool = False) -> str:
    """Write a mapping as `json.dumps` with an indent of 2 does; a cut one ends in `...`."""
    # An item separator instead of `indent`, which would take the slow encoder.
    inner = json.dumps(dict(mapping), separators=(",\n  ", ": "))[1:-1]
    parts = [part for part in (inner, ELLIPSIS if cut else "") if part]
    if not parts:
        return "{}"
    body = _without_marks(",\n  ".join(parts), "\\u{:04x}")
    return f"{{\n  {body}\n}}"


def read_mapping(text: str) -> tuple[dict[str, str | None], bool]:
    """Read a mapping of strings; the flag tells that it was cut."""
    mapping: dict[str, str | None] = {}
    key: str | None = None
    after_colon = False
    for match in _JSON_TOKEN.finditer(text):
        kind, part = match.lastgroup, match[0]
        if kind in _ENDS:
            return mapping, kind == "dots"
        if kind == "value" and after_colon and key is not None:
            mapping[key] = _json_string(part)
            key = None
        elif kind == "value":
            key = _json_string(part)
        after_colon = kind == "colon"
    return mapping, True


def _json_string(token: str) -> str | None:
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        return token.strip('"')
    return value if isinstance(value, str) else None
