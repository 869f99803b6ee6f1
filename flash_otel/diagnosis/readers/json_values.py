"""Split a JSON text of any size into values, in bounded memory.

A value up to `LARGEST` characters is decoded as a whole. Larger ones, such as an array of all
entries, are entered, and the values in them are yielded one by one. Text that is not JSON is
yielded line by line, so that damage costs only the lines that it is in.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LARGEST: Final = 1 << 22
_SMALL: Final = 1 << 12  # a field that is kept as a surrounding of the entries behind it
_MAX_OPEN: Final = 64

_SPACE: Final = re.compile(r"[\s,]*")
_COLON: Final = re.compile(r"\s*:\s*")
_BEGIN: Final = re.compile(r"\{\s*(?:[\"}]|\Z)|\[\s*(?:[\[{\"\]\dntf-]|\Z)")
_NEAR_END: Final = 16  # the longest token that can be incomplete without being a string
_UNENDED: Final = "Unterminated string"

_decoder: Final = json.JSONDecoder(strict=False)


class JsonValue(NamedTuple):
    """A value, with its place.

    Attributes:
        number: Number of its first line, from 1.
        value: The decoded value; the text of a line if it is not JSON.
        around: The small fields of the objects that were entered, the outermost first.
        is_json: Whether it was decoded.
    """

    number: int
    value: Any
    around: tuple[dict[str, Any], ...]
    is_json: bool


@dataclass(slots=True)
class _Open:
    """An object or array that was entered."""

    is_object: bool
    fields: dict[str, Any] = field(default_factory=dict)


class _IncompleteError(Exception):
    """The buffer ends within a value."""


class _MalformedError(Exception):
    """The text is not JSON."""


class JsonSplitter:
    """Splits the bytes of a JSON text.

    Args:
        chunks: The bytes.
        enter: Returns True for a value whose parts are wanted one by one, with their own lines.
    """

    def __init__(
        self, chunks: Iterable[bytes], enter: Callable[[Any], bool] = lambda _: False
    ) -> None:
        self._chunks = iter(chunks)
        self._enter = enter
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = ""
        self._at = 0
        self._number = 1
        self._ended = False
        self._open: list[_Open] = []

    def values(self) -> Iterator[JsonValue]:
        """Yield the values in their order; no content raises."""
        self._fill()
        self._at = len(self._text) - len(self._text.lstrip("\ufeff"))
        while self._skip_space():
            try:
                found = self._next()
            except (_MalformedError, _IncompleteError):
                self._open.clear()
                found = self._line()
            if found is not None:
                yield found

    # --- the text ------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Read on; return False at the end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            if not self._ended:
                self._ended = True
                self._text = self._text[self._at :] + self._decode(b"", final=True)
                self._at = 0
            return False
        self._text = self._text[self._at :] + self._decode(chunk)
        self._at = 0
        return True

    def _to(self, position: int) -> None:
        self._number += self._text.count("\n", self._at, position)
        self._at = position

    def _skip_space(self) -> bool:
        """Go to the next token; return False at the end."""
        while True:
            self._to(_SPACE.match(self._text, self._at).end())  # type: ignore[union-attr]  # it matches the empty text too
            if self._at < len(self._text):
                return True
            if not self._fill():
                return False

    def _line(self) -> JsonValue:
        while (end := self._text.find("\n", self._at)) < 0 and len(self._text) < LARGEST:
            if not self._fill():
                break
        end = len(self._text) if end < 0 else end
        found = JsonValue(self._number, self._text[self._at : end].rstrip("\r"), (), is_json=False)
        self._to(end)
        return found

    # --- values --------------------------------------------------------------------------------

    def _next(self) -> JsonValue | None:
        """Take one step: yield a value, or enter or leave one."""
        if not self._open:
            return self._value(self._number) if self._begins() else self._line()
        inner = self._open[-1]
        if self._text[self._at] == ("}" if inner.is_object else "]"):
            self._open.pop()
            self._to(self._at + 1)
            return None
        if not inner.is_object:
            return self._value(self._number)
        number = self._number
        key = self._key()
        found = self._value(number)
        if found is None:
            return None
        if _is_small(found.value):
            inner.fields[key] = found.value
        return found if isinstance(found.value, (dict, list)) else None

    def _begins(self) -> bool:
        while len(self._text) - self._at < _SMALL and self._fill():
            pass
        return _BEGIN.match(self._text, self._at) is not None

    def _key(self) -> str:
        key, end = self._whole()
        if not isinstance(key, str):
            raise _MalformedError
        self._to(end)
        while True:
            colon = _COLON.match(self._text, self._at)
            if colon is not None and colon.end() < len(self._text):
                self._to(colon.end())
                return key
            if not self._fill():
                raise _MalformedError

    def _value(self, number: int) -> JsonValue | None:
        """Return the value that begins here; None if it was entered instead."""
        may_enter = self._text[self._at] in "{[" and len(self._open) < _MAX_OPEN
        try:
            value, end = self._whole()
            may_enter = may_enter and self._enter(value)
        except _IncompleteError:
            if not may_enter:
                raise
        if may_enter:
            self._open.append(_Open(self._text[self._at] == "{"))
            self._to(self._at + 1)
            return None
        self._to(end)
        around = tuple(opened.fields for opened in self._open if opened.is_object)
        return JsonValue(number, value, around, is_json=True)

    def _whole(self) -> tuple[Any, int]:
        """Decode the value that begins here; return it and the position behind it."""
        while True:
            length = len(self._text) - self._at
            try:
                value, end = _decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise _MalformedError from None
            except json.JSONDecodeError as error:
                is_near = error.pos >= len(self._text) - _NEAR_END
                if not is_near and not error.msg.startswith(_UNENDED):
                    raise _MalformedError from None
            else:
                # A number at the end of the text may have more digits behind it.
                if end < len(self._text) or self._ended or isinstance(value, (dict, list, str)):
                    return value, end
            # Twice as much each time: the same text is not decoded again for every chunk.
            while len(self._text) - self._at < min(2 * length + 1, LARGEST):
                if not self._fill():
                    break
            if len(self._text) - self._at == length:
                raise _IncompleteError


def _is_small(value: object) -> bool:
    if isinstance(value, dict):
        return len(value) <= _MAX_OPEN and all(map(_is_small, value.values()))
    return not isinstance(value, list) and len(str(value)) < _SMALL
