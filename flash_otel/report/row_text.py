"""What a row of a trace says: how long its spans took, how they ended, and the notes below it.

The notes are ids, the fault that a span shows, causes, retries, links and responses.
"""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.records import LINES_SCOPE, text
from flash_otel.report import words
from flash_otel.report.axis import has_time
from flash_otel.report.layout import FAULT_STYLE, STYLES, WHOLE, Part
from flash_otel.report.tree import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.overview import Mark
    from flash_otel.report.tree import Node, Row
    from flash_otel.report.view import View

Note = tuple[Part, ...]

_FAULT: Final = "fault"
_DOUBT_STYLE: Final = "yellow"
_ID_STYLE: Final = "cyan"
_FOREIGN_STYLE: Final = "bold yellow"
_HANG: Final = 2
_LONGEST: Final = 2000
# Spans that always show their ids, because people compare those; others only where they differ
# from their parent's.
_KEYED: Final = frozenset({semconv.DEPLOY, semconv.RUNTIME_FETCH})


def duration(row: Row, view: View) -> str:
    """Return how long a span took, of folded ones their median; empty without clocks."""
    record = row.node.record
    if not has_time(record):
        return ""
    if record.end_ns is None:
        return "?" if view.now_ns is None else words.duration(view.now_ns - record.start_ns)
    return words.duration(median_low(_durations(row)))


def _durations(row: Row) -> list[int]:
    return [node.record.duration_ns or 0 for node in row.nodes]


def ending(row: Row, view: View) -> str:
    """Return how a span ended unless it returned, and whether it shows a fault."""
    outcome = words.outcome(row.node.record)
    if outcome == words.UNFINISHED and view.now_ns is not None:
        return "running"
    if outcome != semconv.RETURNED:
        return outcome
    return _FAULT if shows_fault(row, view) else ""


def shows_fault(row: Row, view: View) -> bool:
    """Return True if a fault is visible on a span of the row."""
    return any(
        mark.shows_fault for node in row.nodes for mark in view.marks.get(node.record.key, ())
    )


def waited(row: Row, waits: Sequence[int]) -> str:
    """Describe how long after the deployment the spans of a row began.

    Args:
        row: The row.
        waits: Nanoseconds, of the first span first; negative before the deployment.
    """
    what = words.arrival(row.node.record)
    side = "later" if waits[0] > 0 else "earlier"
    first, last = (words.duration(abs(wait)) for wait in (waits[0], waits[-1]))
    if len(waits) == 1:
        return f"{what} {first} {side}"
    return f"{what}s {first}{f' to {last}' if first != last else ''} {side}"


def folded(row: Row) -> str:
    """Describe the hidden rows of a row, in brackets."""
    hidden, record = [], row.node.record
    if len(row.nodes) > 1 and has_time(record) and record.end_ns is not None:
        durations = _durations(row)
        limits = (("min", min), ("median", median_low), ("max", max))
        hidden += [f"{name} {words.duration(pick(durations))}" for name, pick in limits]
    if row.hidden:
        hidden.append(f"{row.hidden} more span{'s' if row.hidden > 1 else ''} inside")
    return f"({', '.join(hidden)})" if hidden else ""


def notes(row: Row, view: View, main: str) -> Iterator[Note]:
    """Yield the notes below a span's line; for folded siblings, only what they share.

    Args:
        row: The row.
        view: How the trace is shown.
        main: The trace that is shown; others are linked to it.
    """
    node = row.node
    if len(row.nodes) > 1 or row.is_rest:
        yield from _id_note(node, view)
        return
    yield from _origin_notes(node, view, main)
    yield from _id_note(node, view)
    yield from _fault_notes(node, view)
    yield from (_plain(reason, "yellow", view) for reason in words.retries(node.record))
    yield from _link_notes(node, view)
    yield from _answer_note(node.record, view)


def _plain(sentence: str, style: str, view: View) -> Note:
    return (Part(view.clean(_limited(sentence, view)), style, _HANG),)


def _limited(sentence: str, view: View) -> str:
    if len(sentence) <= _LONGEST:
        return sentence
    cut = sentence[:_LONGEST] + view.page.glyphs.cut
    return f"{cut} ({len(sentence):,} characters; --json has all)"


def _origin_notes(node: Node, view: View, main: str) -> Iterator[Note]:
    record = node.record
    is_rebuilt = record.scope_name == LINES_SCOPE
    if node.parent is None and is_rebuilt and record.origin:
        yield _plain(f"read from {record.origin}", "dim", view)
    elif node.parent is None and record.trace_id != main and not is_rebuilt:
        at = f"  {words.moment(record.start_ns)}" if has_time(record) else ""
        trace = Part(view.clean(f"trace {record.trace_id}"), "", _HANG, WHOLE)
        yield (trace, Part(at, breaks=WHOLE))
    if node.is_orphan:
        yield _plain("its parent span is not in this recording", "dim", view)


def _id_note(node: Node, view: View) -> Iterator[Note]:
    inherited = {} if node.parent is None else node.parent.record.attributes
    is_keyed = node.record.name in _KEYED
    values = ((key, node.record.attributes.get(key)) for key in KEYS)
    parts = [
        _id(key, value, view)
        for key, value in values
        if value is not None and (is_keyed or value != inherited.get(key))
    ]
    if parts:
        gaps = [Part(" ") for _ in parts]
        yield tuple(part for pair in zip(parts, gaps, strict=True) for part in pair)[:-1]


def _id(key: str, value: object, view: View) -> Part:
    """Return an id, with the deployment's own beside it if that is another one."""
    shown = f"{key.removeprefix('flash.')}={view.clean(value)}"
    deployed = _deployed(key, view)
    if deployed is None or deployed == value:
        return Part(shown, _ID_STYLE, _HANG, WHOLE)
    return Part(f"{shown} (deployed: {view.clean(deployed)})", _FOREIGN_STYLE, _HANG, WHOLE)


def _deployed(key: str, view: View) -> object:
    overview = view.overview
    if overview is None:
        return None
    deployed = (overview.environment_id, overview.build_id, overview.endpoint_count)
    return dict(zip(KEYS, deployed, strict=True))[key]


def _fault_notes(node: Node, view: View) -> Iterator[Note]:
    marks = view.marks.get(node.record.key, ())
    codes: set[str] = set()
    for mark in marks:
        yield _mark_note(mark, view, is_first=mark.code not in codes)
        codes.add(mark.code)
    shown = {mark.code for mark in marks if mark.shows_fault}
    if not _has_own_cause(node) or text(node.record.attributes, semconv.FAULT) in shown:
        return
    cause = words.cause(node.record)
    if not any(cause in mark.says for mark in marks):
        yield _plain(cause, STYLES[words.outcome(node.record)], view)


def _mark_note(mark: Mark, view: View, *, is_first: bool) -> Note:
    glyphs = view.page.glyphs
    # Beside a fault, `read:` says no more than the span's own name.
    says = view.clean(_limited(mark.says.removeprefix("read: "), view))
    if mark.shows_fault and is_first:
        return (Part(f"{glyphs.cross} {mark.code}: ", FAULT_STYLE, _HANG), Part(says, FAULT_STYLE))
    style = _DOUBT_STYLE if mark.code == semconv.INCONCLUSIVE else ""
    return (Part(f"{glyphs.bullet} ", style, _HANG), Part(says, style))


def _has_own_cause(node: Node) -> bool:
    """Return True if a span has a cause of failure that no child of it shows already."""
    if words.outcome(node.record) in {semconv.RETURNED, words.UNFINISHED}:
        return False
    own = words.cause(node.record)
    below = {words.cause(child.record) for child in node.children if not child.is_healthy}
    return own not in below and not (below and own == words.NO_CAUSE)


def _link_notes(node: Node, view: View) -> Iterator[Note]:
    """Yield the links to traces that are not shown; a child may say the same, and more."""
    below = {link.trace_id for child in node.children for link in child.record.links}
    record = node.record
    for target, link in zip(words.links(record), record.links, strict=True):
        if link.trace_id not in view.traces | below:
            yield _plain(f"{view.page.glyphs.arrow} {target}", "dim", view)


def _answer_note(record: SpanRecord, view: View) -> Iterator[Note]:
    answer = record.attributes.get(semconv.GRAPHQL_ANSWER)
    if answer is not None and view.has_answers:
        yield _plain(f"answer {answer}", "dim", view)
