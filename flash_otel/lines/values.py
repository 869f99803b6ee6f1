r"""Write the values within a bracketed line, and read them back.

Ordinary values are written exactly as they are. Characters that could break the line, colour a
terminal or form another mark are written as backslash escapes (`\x1b`, `\u2028`), like those of
Python's `repr`. Each `read_` function returns the value and whether it was cut off.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final

from flash_otel.lines.table import MARK, STEMS
from flash_otel.records import ANY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NULL: Final = "(null)"

ELLIPSIS: Final = "..."

ESCAPE: Final = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\\)"
# The characters of an id that are written as they are, and escapes for all others.
ID_CHARACTERS: Final = rf"(?:[A-Za-z0-9_.:@+/~-]|{ESCAPE})"

# The usual id. It has no colon and no bracket, so it cannot hold a mark.
_PLAIN_ID: Final = re.compile(
    r"(?=[0_.@+/~-]*[A-Za-z1-9])[A-Za-z0-9_.@+/~-]*[A-Za-z0-9_@+/~]"
).fullmatch
# What stands in place of an id, such as a UUID of zeros or `:id`: `write_id` escapes such an id.
_PLACEHOLDER: Final = re.compile(r"[0_.@+/~:-]+|:.+").fullmatch
_ID_CHARACTER: Final = re.compile(r"[A-Za-z0-9_.:@+/~-]").fullmatch
_IDENTIFIER: Final = re.compile(f"{ID_CHARACTERS}*").fullmatch
_NULLS: Final = frozenset({NULL, "None", "null"})
_ESCAPED: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^xuU])")
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t"}
# An item of a list, or of a mapping, with what ends it. Text around a line matches neither, so it
# never becomes a value.
_ITEM: Final = re.compile(
    r"""\s*(?:(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\.\.\.))\s*(,|\])|\])""", re.DOTALL
)
_ENTRY: Final = re.compile(
    r"""\s*(?:("(?:[^"\\]|\\.)*")\s*:\s*("(?:[^"\\]|\\.)*"|null)\s*(,|\})|(\}))""", re.DOTALL
)

# Marks that a CI system or a log service puts in place of a secret or of too long a text.
_WORDS: Final = (
    "redacted|filtered|masked|hidden|secure[d]?|secret|removed|truncated|sensitive|private|scrubbed|"
    "censored|omitted|snipp?(?:ed)?|cut"
)
HIDDEN: Final = (
    rf"(?:\*+[A-Z_]+\*+|\{{{{[^}}\s]*\}}}}|[\[<({{][^\]>)}}\n]{{0,20}}\b(?i:{_WORDS})\b[^\]>)}}\n]{{0,40}}[\]>)}}]|\*+|…+"
    r"|•+|█+|■+|#{3,}|[xX]{4,}|REDACTED"
    rf"|[-_]{{2,}}(?i:{_WORDS})[-_]{{2,}}|[\u2039\xab][^\u203a\xbb\n]{{0,60}}[\u203a\xbb]"
    # Bitbucket writes the variable's name; templates are written by log pipelines.
    r"|\$\{?[A-Z][A-Z0-9_]{2,}\}?|%[A-Z][A-Z0-9_]{2,}%)"
)
_HIDDEN: Final = re.compile(rf"{HIDDEN}|\.{{3,}}")
# Within an id, also what no id holds unescaped: the beginning of an unknown mask.
FOREIGN: Final = r"[#$%&?!^({\[<][^\s,\"']*"
_FOREIGN: Final = re.compile(rf"{HIDDEN}|{FOREIGN}")
BROKEN_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{0,4}|[0-9a-f-]{5,26})")
"""The part of a UUID that a width or a limit left; no other id of Flash looks like it."""
# A source location, which loggers print at the right; `write_id` escapes its first letter.
_PLACE: Final = re.compile(r"(?:[\w.-]*/)*[\w.-]+\.pyx?:\d+").fullmatch
UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}")


def escape(character: str) -> str:
    """Write one character as a backslash escape."""
    if character == "\\" or not character.isascii():
        return character.encode("unicode_escape").decode("ascii")
    return f"\\x{ord(character):02x}"


def unescape(text: str) -> str:
    """Read the backslash escapes of `escape` and those of `repr`."""
    return _ESCAPED.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] not in "xuU":
        return _SIMPLE.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number <= sys.maxunicode else match[0]


def _without_marks(text: str, style: str = "\\x{:02x}") -> str:
    """Escape the first character of every mark, so that no value is taken for a line."""
    # Nearly every value ends here, at a tenth of the cost of searching for the pattern.
    for stem in STEMS:
        if stem in text:
            break
    else:
        return text
    return MARK.sub(lambda match: style.format(ord(match[0][0])) + match[0][1:], text)


def write_id(value: str | None) -> str:
    """Write an id; `(null)` for None or an empty one."""
    if value and _PLAIN_ID(value) and value not in _NULLS:
        return value
    if not value:
        return NULL
    # The first and the last character are always escaped: the text is then neither a null word
    # nor does it end like a cut id.
    last = len(value) - 1
    return _without_marks(
        "".join(
            character if 0 < at < last and _ID_CHARACTER(character) else escape(character)
            for at, character in enumerate(value)
        )
    )


def read_id(text: str) -> tuple[str | None, bool]:
    """Read an id; one that ends in an ellipsis (`abc...`) or at a hyphen was cut off."""
    if text in _NULLS:
        return None, False
    if text and (_PLACE(text) or _PLACEHOLDER(text)):
        return ANY, True
    if _FOREIGN.search(text.replace("(null)", "")) and not _IDENTIFIER(text):
        return unescape(_FOREIGN.sub(ANY, text)), True
    # Lines are wrapped behind hyphens.
    cut = text.endswith((ELLIPSIS, "-"))
    return unescape(text.rstrip(".") if cut else text), cut


def write_name(value: str | None) -> str:
    """Write a name, which may hold spaces; `(null)` for None or an empty one."""
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
    """Read a name, which is never cut off: the parser has found the text behind it."""
    return (None if text in _NULLS else unescape(text)), False


def write_list(values: Sequence[str], *, cut: bool = False) -> str:
    """Write a list as Python prints a list of strings; a truncated one ends in `...]`."""
    text = repr(list(values))
    if cut:
        text = f"{text[:-1]}, {ELLIPSIS}]" if values else f"[{ELLIPSIS}]"
    return _without_marks(text)


def read_list(text: str) -> tuple[tuple[str, ...], bool]:
    """Read a list; its writer may have truncated it, or its line may have been cut off."""
    values: list[str] = []
    at = text.find("[") + 1
    while match := _ITEM.match(text, at):
        single, double, dots, end = match.groups()
        if dots:
            break
        if single is not None or double is not None:
            values.append(unescape(double if single is None else single))
        if end != ",":
            return tuple(values), False
        at = match.end()
    return tuple(values), True


def write_mapping(mapping: Mapping[str, str | None], *, cut: bool = False) -> str:
    """Write a mapping like `json.dumps(mapping, indent=2)`; a truncated one ends in `...`."""
    # A separator with the indent in it: `indent` would select the encoder in Python.
    inner = json.dumps(dict(mapping), separators=(",\n  ", ": "))[1:-1]
    parts = [part for part in (inner, ELLIPSIS if cut else "") if part]
    if not parts:
        return "{}"
    body = _without_marks(",\n  ".join(parts), "\\u{:04x}")
    return f"{{\n  {body}\n}}"


def read_mapping(text: str) -> tuple[dict[str, str | None], bool]:
    """Read a mapping of strings, as far as the text goes."""
    mapping: dict[str, str | None] = {}
    at = text.find("{") + 1
    while match := _ENTRY.match(text, at):
        key, value, end, brace = match.groups()
        if key is not None and (name := _json_string(key)) is not None:
            mapping[name] = _json_string(value)
        if brace or end == "}":
            # After a comma, another entry has been lost.
            return mapping, bool(brace and mapping)
        at = match.end()
    return mapping, True


def _json_string(token: str) -> str | None:
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        return token.strip('"')
    return value if isinstance(value, str) else None


def as_glob(text: str) -> str | None:
    """Return a value with `*` in place of each hidden part, or None if it is whole."""
    if _HIDDEN.search(text) is None:
        return None
    return re.sub(r"\*+", ANY, _HIDDEN.sub(ANY, text))


def may_be_equal(first: object, second: object) -> bool:
    """Return True unless the known parts of two values differ; `*` stands for an unknown part."""
    if not isinstance(first, str) or not isinstance(second, str):
        return True
    return _may_match(first, second) or _may_match(second, first)


def _may_match(glob: str, text: str) -> bool:
    if ANY not in glob:
        return glob == text
    begin, _, rest = glob.partition(ANY)
    end = rest.rpartition(ANY)[2]
    if ANY in text:
        other, _, other_rest = text.partition(ANY)
        other_end = other_rest.rpartition(ANY)[2]
        return (begin.startswith(other) or other.startswith(begin)) and (
            end.endswith(other_end) or other_end.endswith(end)
        )
    return matches(glob, text)


def matches(glob: str, text: str) -> bool:
    """Return True if a value with `*` for its unknown parts may stand for a whole text."""
    return re.fullmatch(".*".join(map(re.escape, glob.split(ANY))), text, re.DOTALL) is not None
