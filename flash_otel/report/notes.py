"""What stands below a span's line: ids, the cause of a failure, retries and links."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import STYLES, Line, Page, Part
from flash_otel.report.rowline import guide
from flash_otel.report.tree import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.report.tree import Node, Row

# The spans whose ids a person compares are always shown with them, others where they differ.
KEYED: Final = frozenset(
    {
        semconv.DEPLOY,
        semconv.ACTIVATE,
        semconv.MANIFEST_UPLOAD,
        semconv.RUNTIME_FETCH,
        semconv.MANIFEST_FETCH,
    },
)
_LONGEST: Final = 2000
_LEAST_ROOM: Final = 20


def note_lines(row: Row, page: Page, *, foreign: bool = False) -> Iterator[Line]:
    """Yield the lines below a row; `foreign` tells that it belongs to a linked trace."""
    below = page.glyphs.through if row.opened else page.glyphs.gap
    lead = guide(row.lasts, page.glyphs) + below
    for note in notes(row, page, foreign=foreign):
        for text in _wrapped(note.text, len(lead), page):
            yield (Part(lead), Part(text, note.style))


def notes(row: Row, page: Page, *, foreign: bool = False) -> Iterator[Part]:
    """Yield what is to be said about a span; of folded siblings, only what they share."""
    if len(row.nodes) > 1 or row.more:
        yield from _shared(row.node)
        return
    node, record = row.node, row.node.record
    if foreign and node.parent is None:
        yield Part(f"trace {words.clean(record.trace_id)}  {words.moment(record.start_ns)}")
    if node.orphan:
        yield Part("its parent span is not in this recording", "dim")
    yield from _shared(node)
    if _explains(node):
        yield Part(words.cause(record), STYLES[words.outcome(record)])
    yield from (Part(text, "yellow") for text in words.retries(record))
    yield from (Part(f"{page.glyphs.arrow} {text}", "dim") for text in words.links(record))
    answer = record.attributes.get(semconv.GRAPHQL_ANSWER)
    if answer is not None:
        yield Part(f"answer {words.clean(answer)}", "dim")


def _shared(node: Node) -> Iterator[Part]:
    if ids := key_attributes(node):
        yield Part(" ".join(ids), "cyan")


def key_attributes(node: Node) -> list[str]:
    """Return environment_id, build_id and endpoint_count, where the parent does not tell them."""
    above = {} if node.parent is None else node.parent.record.attributes
    always = node.record.name in KEYED
    own = ((key, node.record.attributes.get(key)) for key in KEYS)
    return [
        f"{key.removeprefix('flash.')}={words.clean(value)}"
        for key, value in own
        if value is not None and (always or value != above.get(key))
    ]


def _explains(node: Node) -> bool:
    """Tell whether a span's cause is worth a line: it has one, and no child says it already."""
    if words.outcome(node.record) in {semconv.RETURNED, words.UNFINISHED}:
        return False
    own = words.cause(node.record)
    below = {words.cause(child.record) for child in node.children if not child.healthy}
    return own not in below and not (below and own == words.NO_CAUSE)


def _wrapped(text: str, taken: int, page: Page) -> list[str]:
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}{page.glyphs.cut} ({len(text):,} characters; --json has all)"
    if page.width is None:
        return [text]
    return textwrap.wrap(text, max(_LEAST_ROOM, page.width - taken)) or [""]
