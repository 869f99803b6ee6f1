"""The summary of a deployment: its outcome, its steps, and a command that shows more."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv, wording
from flash_otel.runtime.streams import is_blocked, terminal_width, to_stderr
from flash_otel.runtime.suggestions import PROGRAM, pasteable
from flash_otel.store.location import is_default

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord

PREFIX: Final = f"{PROGRAM}: "
_SENTENCES: Final[dict[str, str]] = {
    semconv.FAILED: "{step} failed: {cause}",
    semconv.CANCELLED: "interrupted during {step}",
    semconv.UNKNOWN: "the outcome of {step} is unknown: {cause}",
    wording.UNFINISHED: "{step} did not end",
}
# Codes that do not name a fault.
_NO_FAULTS: Final = frozenset({semconv.NONE, semconv.INCONCLUSIVE, semconv.ENVIRONMENT_CREATED})
_ROOTS: Final = frozenset({semconv.DEPLOY, semconv.BUILD})
_ID_DIGITS: Final = 12
_INDENT: Final = "  "
_MORE: Final = "  More: "


@dataclass(frozen=True, slots=True)
class Summary:
    """What a user should know at the end of a deployment.

    Attributes:
        sentence: Its outcome.
        steps: Its steps, with the duration of each; empty if none is recorded.
        command: The command to look further; empty if the spans are not stored.
    """

    sentence: str
    steps: str = ""
    command: str = ""

    def lines(self, width: int | None) -> Iterator[str]:
        """Yield the lines of the summary.

        Args:
            width: Cells of a line, broken between words; None if nothing must be broken.
        """
        yield from wording.fitted(PREFIX, self.sentence, width)
        yield from wording.fitted(_INDENT, self.steps, width)
        yield from wording.fitted(_MORE, pasteable(self.command), width, is_command=True)

    def print(self) -> None:
        """Write it to standard error; on a terminal, fitted, and apart from what precedes it.

        Nothing is written to a terminal that would delay the exit.
        """
        if is_blocked():
            return
        width = terminal_width()
        text = "\n".join(([] if width is None else [""]) + list(self.lines(width)))
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        to_stderr(wording.encodable(text, encoding))


def summarize(records: Sequence[SpanRecord], store: Path | None) -> Summary | None:
    """Return the summary of a deployment; None if its root, or that of a build alone, is missing.

    Args:
        records: The spans of the deployment's trace.
        store: The store that holds the spans; None if nothing does.
    """
    ended = sorted(records, key=lambda record: record.end_ns or 0)
    root = _root(ended)
    if root is None:
        return None
    steps = [record for record in ended if record.parent_span_id == root.span_id]
    named = ", ".join(_step(record) for record in steps if record.name in semconv.DEPLOY_SIDE)
    command = "" if store is None else command_for(records, store)
    return Summary(_sentence(root, ended), named, command)


def _root(ended: Sequence[SpanRecord]) -> SpanRecord | None:
    roots = [record for record in ended if record.name in _ROOTS and record.end_ns is not None]
    deployments = [record for record in roots if record.name == semconv.DEPLOY]
    return next(reversed(deployments or roots), None)


def _sentence(root: SpanRecord, ended: Sequence[SpanRecord]) -> str:
    faults = visible_faults(ended)
    if faults:
        return f"{wording.clean(faults[0])}: {semconv.FAULTS.get(faults[0], 'an unknown fault')}"
    # Children end before their parents: the first failure is the cause of the others.
    unsound = [record for record in ended if wording.outcome(record) != semconv.RETURNED]
    failed = [record for record in unsound if wording.outcome(record) == semconv.FAILED]
    for record in (failed or unsound)[:1]:
        return sentence_of(record)
    is_new = any(record.attributes.get(semconv.CREATED_ENVIRONMENT) is True for record in ended)
    return f"{_success(root, is_new=is_new)}, and no fault is visible so far"


def _success(root: SpanRecord, *, is_new: bool) -> str:
    took = wording.duration(root.duration_ns)
    if root.name != semconv.DEPLOY:
        return f"{semconv.STEPS[root.name]} took {took}"
    app = root.attributes.get(semconv.APP_NAME)
    environment = root.attributes.get(semconv.ENVIRONMENT_NAME)
    subject = f"{wording.clean(app)} was deployed" if app else "deployed"
    target = f" to {wording.clean(environment)}" if environment else ""
    # A misspelt `--env` makes an environment, which nobody looks at.
    created = ", an environment that it created," if is_new else ""
    return f"{subject}{target}{created} in {took}"


def sentence_of(record: SpanRecord) -> str:
    """Return what happened to a step that did not succeed."""
    step = semconv.STEPS.get(record.name, wording.clean(record.name))
    return _SENTENCES[wording.outcome(record)].format(step=step, cause=wording.cause(record))


def _step(record: SpanRecord) -> str:
    outcome = wording.outcome(record)
    ending = "" if outcome == semconv.RETURNED else f" ({outcome})"
    name = semconv.STEPS[record.name].removeprefix("the ")
    return f"{name} {wording.duration(record.duration_ns)}{ending}"


def visible_faults(records: Iterable[SpanRecord]) -> list[str]:
    """Return the codes of the faults that are visible on single spans, each once."""
    codes = map(_fault_of, records)
    return list(dict.fromkeys(str(code) for code in codes if code and code not in _NO_FAULTS))


def _fault_of(record: SpanRecord) -> object:
    is_empty = record.name == semconv.DEPLOY and record.attributes.get(semconv.ENDPOINT_COUNT) == 0
    if is_empty and wording.outcome(record) == semconv.RETURNED:
        return semconv.NOTHING_DEPLOYED
    return record.attributes.get(semconv.FAULT)


def command_for(records: Sequence[SpanRecord], store: Path) -> str:
    """Return the command to look further, which works in any shell of this user.

    Args:
        records: The spans of a trace: a fault is diagnosed, everything else is shown.
        store: The store that holds the spans.
    """
    trace = wording.clean(records[0].trace_id)[:_ID_DIGITS]
    action = f"diagnose --trace {trace}" if visible_faults(records) else f"show {trace}"
    # Not compared with FLASH_OTEL_STORE, which may be set for this process alone.
    place = "" if is_default(store) else f" --store {shlex.quote(str(store))}"
    return f"{PROGRAM} {action}{place}"
