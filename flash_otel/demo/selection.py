"""The fields that a GraphQL document selects: an answer has these and no others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Selection = dict[str, "Selection"]
"""Field -> the selection inside it; empty for a scalar, whose value is kept whole."""

# Arguments and comments select nothing.
_IGNORED: Final = re.compile(r"#[^\n]*|\([^()]*\)")
_TOKEN: Final = re.compile(r"[{}]|\w+")


def selected(query: str, data: Any) -> Any:
    """Return the part of an answer that a query or mutation selects.

    Args:
        query: The document: one operation, without aliases, fragments or directives. Without a
            selection, the answer is returned as it is.
        data: The data of the answer.
    """
    tokens = iter(_TOKEN.findall(_IGNORED.sub(" ", query)))
    if "{" not in tokens:
        return data
    return _picked(_fields(tokens), data)


def _fields(tokens: Iterator[str]) -> Selection:
    found: Selection = {}
    last = ""
    for word in tokens:
        if word == "}":
            break
        if word == "{":
            found[last] = _fields(tokens)
        else:
            last = word
            found[last] = {}
    return found


def _picked(selection: Selection, data: Any) -> Any:
    if isinstance(data, list):
        return [_picked(selection, item) for item in data]
    if not selection or not isinstance(data, dict):
        return data
    return {name: _picked(inner, data[name]) for name, inner in selection.items() if name in data}
