"""What a bracketed line proves of a span: its values by attribute, whole or in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.lines.table import ATTRIBUTES
from flash_otel.lines.values import BROKEN_UUID, UUID, as_glob
from flash_otel.records import ANY

if TYPE_CHECKING:
    from flash_otel.lines.format import ParsedLine


@dataclass(frozen=True, slots=True)
class LineValues:
    """The values of a line by attribute.

    Attributes:
        values: The values; None for a value that is written as unset. Unknown values are absent.
        cut: Attributes of which the line holds only a part: lists that were truncated, and ids
            and names with `*` for what is missing, or without it if nothing need be missing.
    """

    values: dict[str, Any]
    cut: frozenset[str]

    @classmethod
    def of(cls, parsed: ParsedLine, *, is_longest: bool = False) -> LineValues:
        """Convert a parsed line; what ends the longest line of a log may go on behind it."""
        values: dict[str, Any] = {}
        cut = set()
        for name, value in parsed.fields.items():
            if name == "endpoints":
                values |= _endpoints(value, is_cut=name in parsed.cut)
                continue
            known, is_cut = _known(parsed, name)
            if known is _UNKNOWN:
                continue
            may_go_on = is_longest and name == parsed.last and isinstance(known, str)
            is_doubtful = may_go_on and UUID.fullmatch(known) is None
            values[ATTRIBUTES[name]] = known
            cut |= {ATTRIBUTES[name]} if is_cut or is_doubtful else set()
        return cls(values, frozenset(cut))


_UNKNOWN: Final = object()


def _known(parsed: ParsedLine, name: str) -> tuple[Any, bool]:
    """Return what a line proves of a field, and whether that is only a part of it."""
    value, is_cut = parsed.fields[name], name in parsed.cut
    if isinstance(value, str):
        is_cut = is_cut or BROKEN_UUID.fullmatch(value) is not None
        glob = as_glob(value) or (value + ANY if is_cut else None)
        return glob or value, glob is not None
    if not isinstance(value, tuple):
        return (_UNKNOWN if is_cut else value), False
    if any(map(as_glob, value)):
        return _UNKNOWN, False
    # Without a count that is larger, these names would be taken for all of them.
    is_unknown = is_cut and name == "endpoint_names" and not _counts_more(parsed, value)
    return (_UNKNOWN if is_unknown else value), is_cut


def _counts_more(parsed: ParsedLine, names: tuple[str, ...]) -> bool:
    count = parsed.fields.get("endpoint_count")
    return isinstance(count, int) and "endpoint_count" not in parsed.cut and count > len(names)


def _endpoints(mapping: dict[str, str | None], *, is_cut: bool) -> dict[str, Any]:
    """Return what a mapping of endpoints proves: nothing, unless its end was seen."""
    if is_cut:
        return {}
    names, urls = tuple(mapping), tuple(url or "" for url in mapping.values())
    values: dict[str, Any] = {sc.ENDPOINT_COUNT: len(mapping)}
    if not any(map(as_glob, names)):
        values[sc.ENDPOINT_NAMES] = names
        if not any(map(as_glob, urls)):
            values[sc.ENDPOINT_URLS] = urls
    return values
