"""An examination on a terminal: a mark and a sentence per check, and the next steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, UNKNOWN, Check, verdict
from flash_otel.report.layout import Line, Part
from flash_otel.report.words import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STYLES: Final = {OK: "green", NOTE: "yellow", PROBLEM: "bold red", UNKNOWN: "yellow"}
_VERDICTS: Final = {
    OK: "Nothing stands in the way of tracing.",
    NOTE: "Nothing stands in the way of tracing; there are notes.",
    PROBLEM: "Something stands in the way of tracing.",
    UNKNOWN: "Not everything could be examined.",
}

Examination = list[tuple[str, list[Check]]]


def lines(examination: Examination) -> Iterator[Line]:
    """Yield the verdict and, topic by topic, what was found."""
    yield (Part(_VERDICTS[verdict(_all(examination))], "bold"),)
    for topic, checks in examination:
        if checks:
            yield ()
            yield (Part(topic, "bold"),)
        for check in checks:
            yield from _lines(check)


def to_json(examination: Examination) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "verdict": verdict(_all(examination)),
        "checks": [
            {
                "topic": topic,
                "check": one.name,
                "result": one.result,
                "says": one.says,
                "next_step": one.next_step,
            }
            for topic, checks in examination
            for one in checks
        ],
    }


def _lines(check: Check) -> Iterator[Line]:
    mark = Part(f"  {check.result:<8}", _STYLES[check.result])
    yield (mark, Part(clean(check.says)))
    for step in check.next_step.splitlines():
        yield (Part(" " * 10), Part(clean(step), "dim"))


def _all(examination: Examination) -> Sequence[Check]:
    return [check for _, checks in examination for check in checks]
