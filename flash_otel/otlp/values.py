"""The parts of OTLP/JSON, read leniently: a malformed part is None or left out, never an error."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flash_otel.records import Attributes, AttributeValue

MAX_NANOS: Final = 2**63 - 1  # the year 2262: a later time is no time

_UPPER: Final = re.compile(r"(?<!^)[A-Z]")
_HEX: Final = re.compile(r"[0-9a-f]+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_DEEPEST: Final = 16

_snake_names: dict[str, str] = {}


def field(message: Mapping[str, Any], name: str) -> object:
    """Return a field of a message by its JSON name, or by the name in the protocol's definition."""
    if name in message:
        return message[name]
    snake = _snake_names.get(name)
    if snake is None:
        snake = _snake_names[name] = _UPPER.sub(lambda found: f"_{found[0].lower()}", name)
    return message.get(snake)


def message(value: object) -> Mapping[str, Any]:
    """Return a message; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def messages(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the messages of a repeated field; nothing of anything else."""
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, Mapping))


def text(value: object) -> str:
    """Return a text; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """Return a whole number, also from its decimal text (as 64-bit integers are written)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    return value if isinstance(value, int) else None


def nanos(value: object) -> int | None:
    """Return a time in nanoseconds since the epoch."""
    found = integer(value)
    return found if found is not None and 0 <= found <= MAX_NANOS else None


def hex_id(value: object, size: int) -> str | None:
    """Return an id of `size` bytes in lower-case hex, from hex or base64; None for zeros too."""
    if not isinstance(value, str):
        return None
    found = value.lower()
    if len(found) != 2 * size or not _HEX.fullmatch(found):
        found = _from_base64(value, size)
    return found if found.strip("0") else None


def _from_base64(value: str, size: int) -> str:
    try:
        raw = b64decode(value.rstrip("=") + "=" * (-size % 3), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == size else ""


def attributes(value: object) -> Attributes:
    """Return the attributes of a repeated KeyValue."""
    found: dict[str, AttributeValue] = {}
    for one in messages(value):
        key, read = field(one, "key"), _any_value(field(one, "value"), 0)
        if isinstance(key, str) and key and read is not None:
            found[key] = read
    return found


def _any_value(value: object, depth: int) -> Any:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return None
    for name, read in _READERS.items():
        found = field(value, name)
        if found is not None:
            return read(found, depth)
    return None


def _int(value: object, _: int) -> int | None:
    found = integer(value)
    return found if found is not None and -(2**63) <= found < 2**63 else None


def _double(value: object, _: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _array(value: object, depth: int) -> tuple[Any, ...]:
    read = (_any_value(one, depth + 1) for one in messages(field(message(value), "values")))
    return tuple(_flat(one) for one in read if one is not None)


def _kvlist(value: object, depth: int) -> str:
    """Return a nested mapping as JSON text: a record's attributes are flat."""
    read = {
        text(field(one, "key")): _any_value(field(one, "value"), depth + 1)
        for one in messages(field(message(value), "values"))
    }
    return json.dumps(read)


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, tuple) else value


def _of_type(kind: type) -> Callable[[object, int], Any]:
    return lambda value, _: value if isinstance(value, kind) else None


_READERS: Final[dict[str, Callable[[object, int], Any]]] = {
    "stringValue": _of_type(str),
    "boolValue": _of_type(bool),
    "intValue": _int,
    "doubleValue": _double,
    "arrayValue": _array,
    "kvlistValue": _kvlist,
    "bytesValue": _of_type(str),
}
