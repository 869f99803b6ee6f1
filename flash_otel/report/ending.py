"""The report at the end of a failed `flash-otel run`.

It has the step that failed and why, how long each step took, what to do, and a command that shows
more. (`flash_otel.summary.text` has the lines after a success.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import COMMAND, STYLES, Line, Page, Part, page_for
from flash_otel.report.trace import tree_lines
from flash_otel.report.tree import Node, build_forest, root_cause, walk
from flash_otel.report.wrapping import print_wrapped
from flash_otel.summary.text import PREFIX, sentence_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord

_HANG: Final = 2
_UNTOUCHED: Final = "Nothing was activated: the environment runs what it ran before."
# Activation precedes provisioning and the manifest upload in every version of Flash, so that the
# failed step alone determines the state that is left behind.
REMEDIES: Final[dict[str, str]] = {
    semconv.DEPLOY: "The new build is active. Fix the cause and deploy again.",
    semconv.BUILD: "Nothing was uploaded. Fix the project; `flash build` shows the whole output.",
    semconv.ARTIFACT_UPLOAD: (
        f"{_UNTOUCHED} Check the network and the API key, then deploy again."
    ),
    semconv.ACTIVATE: (
        "Unless the request took effect, the environment still runs its previous build. "
        "Check the API key and the environment, then deploy again."
    ),
    semconv.PROVISION: (
        "The new build is active, but its endpoints are incomplete and remote calls may fail. "
        "Fix the cause and deploy again."
    ),
    semconv.MANIFEST_UPLOAD: (
        "The new build is active, but workers may not find its endpoints. Deploy again."
    ),
    semconv.RUNTIME_FETCH: "Compare environment_id and build_id with those of the deployment.",
    semconv.CALL: "Compare the called function with the endpoints of the deployment.",
    semconv.GRAPHQL: "Fix the cause and try again.",
}
REMEDIES[semconv.PROVISION_ENDPOINT] = REMEDIES[semconv.PROVISION]
REMEDIES[semconv.MANIFEST_FETCH] = REMEDIES[semconv.RUNTIME_FETCH]


def render_ending(
    records: Sequence[SpanRecord], console: Console, status: int, command: str
) -> None:
    """Print the report.

    Args:
        records: The spans of the run's trace; at least one.
        console: Where to print.
        status: Flash's exit status.
        command: The command to look further.
    """
    print_wrapped(ending_lines(records, status, page_for(console), command), console)


def ending_lines(
    records: Sequence[SpanRecord], status: int, page: Page, command: str
) -> list[Line]:
    """Return the lines of the report."""
    forest = build_forest(records)
    cause = root_cause(forest)
    if cause is not None:
        return _failure(forest, cause, page, command)
    text = f"every recorded step returned, but flash exited with status {status}"
    return [(Part(PREFIX + text, "yellow", _HANG),), _more(command)]


def _failure(forest: Sequence[Node], cause: Node, page: Page, command: str) -> list[Line]:
    record = cause.record
    advice = remedy(record, is_activated=_is_activated(forest))
    return [
        (),
        (Part(PREFIX + sentence_of(record), STYLES[words.outcome(record)], _HANG),),
        (),
        *tree_lines(forest, page),
        (),
        (Part("What to do: ", "bold", _HANG), Part(advice)),
        _more(command),
    ]


def remedy(record: SpanRecord, *, is_activated: bool) -> str:
    """Return what to do about a step that failed.

    Args:
        record: The span of the step.
        is_activated: Whether a build was activated before.
    """
    if words.outcome(record) == semconv.CANCELLED:
        return REMEDIES[semconv.MANIFEST_UPLOAD] if is_activated else f"{_UNTOUCHED} Deploy again."
    if record.name == semconv.DEPLOY and not is_activated:
        return f"{_UNTOUCHED} Fix the cause and deploy again."
    return REMEDIES.get(record.name, REMEDIES[semconv.GRAPHQL])


def _is_activated(forest: Sequence[Node]) -> bool:
    activations = [node for node in walk(forest) if node.record.name == semconv.ACTIVATE]
    return any(words.outcome(node.record) != semconv.FAILED for node in activations)


def _more(command: str) -> Line:
    return (Part("More:       ", "bold", _HANG), Part(command, breaks=COMMAND))
