"""What a person reads when a traced command has ended, with nothing typed.

After a failure: which step failed and why, how long each step took, what to do, and one command
for more. After success: one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import STYLES, Line, Page, Part, page_for, print_lines
from flash_otel.report.trace import tree_lines
from flash_otel.report.tree import Node, build_forest, culprit, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord

_PREFIX: Final = "flash-otel: "
_SAID: Final[dict[str, str]] = {
    semconv.FAILED: "{step} failed: {cause}",
    semconv.CANCELLED: "interrupted during {step}",
    semconv.UNKNOWN: "the outcome of {step} is unknown: {cause}",
    words.UNFINISHED: "{step} did not end",
}


def render_ending(records: Sequence[SpanRecord], console: Console, status: int) -> None:
    """Print the report on a command that has ended.

    Args:
        records: The spans of its trace; at least one.
        console: Where to print.
        status: The command's exit status.
    """
    print_lines(ending_lines(records, status, page_for(console)), console)


def ending_lines(records: Sequence[SpanRecord], status: int, page: Page) -> list[Line]:
    """Return the lines of the report."""
    forest = build_forest(records)
    trace_id = words.clean(records[0].trace_id)
    cause = culprit(forest)
    if cause is not None:
        return _failure(forest, cause, trace_id, page)
    if status:
        said = f"{_PREFIX}every recorded step returned, but flash ended with status {status}"
        return [(Part(said, "yellow"),), _more(trace_id)]
    said = f"{_PREFIX}trace {trace_id} recorded; to see it: flash-otel show {trace_id[:12]}"
    return [(Part(said, "dim"),)]


def _failure(forest: Sequence[Node], cause: Node, trace_id: str, page: Page) -> list[Line]:
    outcome = words.outcome(cause.record)
    said = _SAID[outcome].format(step=words.step(cause.record), cause=words.cause(cause.record))
    return [
        (),
        (Part(_PREFIX + said, STYLES[outcome]),),
        (),
        *tree_lines(forest, page),
        (),
        (
            Part("What to do: ", "bold"),
            Part(words.remedy(cause.record, activated=_activated(forest))),
        ),
        _more(trace_id),
    ]


def _activated(forest: Sequence[Node]) -> bool:
    activations = [node for node in walk(forest) if node.record.name == semconv.ACTIVATE]
    return any(words.outcome(node.record) != semconv.FAILED for node in activations)


def _more(trace_id: str) -> Line:
    return (Part("More:       ", "bold"), Part(f"flash-otel show {trace_id[:12]}"))
