"""Spans in words: durations, moments, outcomes, causes and what to do about them.

Pure functions without a terminal. Whatever comes from a span passes `clean` before it is shown,
because span names, ids and messages may have been chosen by someone else.
"""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from flash_otel.records import Event, Link, SpanRecord

UNFINISHED: Final = "unfinished"
NO_CAUSE: Final = "no cause was recorded"
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_OUTCOMES: Final = frozenset(
    {semconv.RETURNED, semconv.FAILED, semconv.CANCELLED, semconv.UNKNOWN},
)

STEPS: Final[dict[str, str]] = {
    semconv.DEPLOY: "the deployment",
    semconv.BUILD: "the build",
    semconv.ARTIFACT_UPLOAD: "the artifact upload",
    semconv.ACTIVATE: "the activation",
    semconv.PROVISION: "the provisioning",
    semconv.PROVISION_ENDPOINT: "the provisioning of an endpoint",
    semconv.MANIFEST_UPLOAD: "the manifest upload",
    semconv.RUNTIME_FETCH: "a worker's refresh of its endpoints",
    semconv.MANIFEST_FETCH: "a worker's read of the manifest",
    semconv.CALL: "a remote call",
    semconv.GRAPHQL: "a GraphQL request",
}

_UNTOUCHED: Final = "Nothing was activated: the environment runs what it ran before."
# Activation precedes provisioning and the manifest upload in every version of Flash, so what a
# failure leaves behind follows from the step alone.
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


def clean(text: object) -> str:
    r"""Return `text` on one line, with control and invisible characters spelled out.

    An escape sequence of a hostile span name shows as `\x1b[2J` instead of clearing the terminal.
    """
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")


def encodable(text: str, encoding: str) -> str:
    r"""Return `text` with `\u...` in place of what a stream of this encoding cannot hold."""
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def duration(nanoseconds: int | None) -> str:
    """Say a duration in the unit that a person would use; a question mark while it is unknown."""
    if nanoseconds is None:
        return "?"
    seconds = nanoseconds / 1e9
    if seconds < 0:
        return f"-{duration(-nanoseconds)}"
    if seconds < 1:
        return _milliseconds(seconds * 1000)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{_floored(seconds):.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _milliseconds(value: float) -> str:
    return f"{math.floor(value)} ms" if value >= 10 else f"{_floored(value):.2f} ms"  # noqa: PLR2004 - two digits either way


def _floored(value: float) -> float:
    return math.floor(value * 100) / 100


def moment(nanoseconds: int) -> str:
    """Say a time (nanoseconds since the epoch) on the local clock."""
    try:
        local = datetime.fromtimestamp(nanoseconds / 1e9).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{nanoseconds} ns"
    return f"{local:%Y-%m-%d %H:%M:%S}"


def outcome(record: SpanRecord) -> str:
    """Return how a span ended: returned, failed, cancelled, unknown or unfinished."""
    if record.end_ns is None:
        return UNFINISHED
    said = record.attributes.get(semconv.OUTCOME)
    if isinstance(said, str) and said in _OUTCOMES - {semconv.RETURNED}:
        return said
    return semconv.FAILED if record.status == "error" else semconv.RETURNED


def step(record: SpanRecord) -> str:
    """Name the step that a span stands for, in words."""
    return STEPS.get(record.name, clean(record.name))


def remedy(record: SpanRecord, *, activated: bool) -> str:
    """Say what to do when this step is the one that failed.

    Args:
        record: The span of the step.
        activated: A build was put onto the environment before.
    """
    if outcome(record) == semconv.CANCELLED:
        return REMEDIES[semconv.MANIFEST_UPLOAD] if activated else f"{_UNTOUCHED} Deploy again."
    if record.name == semconv.DEPLOY and not activated:
        return f"{_UNTOUCHED} Fix the cause and deploy again."
    return REMEDIES.get(record.name, REMEDIES[semconv.GRAPHQL])


def cause(record: SpanRecord) -> str:
    """Say in words why a span failed: its fault, else its exception, else its status."""
    fault = record.attributes.get(semconv.FAULT)
    if isinstance(fault, str) and fault in semconv.FAULTS:
        return f"{fault}: {semconv.FAULTS[fault]}"
    return _exception(record) or _status(record) or NO_CAUSE


def _exception(record: SpanRecord) -> str:
    raised = [event for event in record.events if event.name == semconv.EXCEPTION]
    if not raised:
        return ""
    attributes = raised[-1].attributes
    kind = str(attributes.get(semconv.EXCEPTION_TYPE, "")).rpartition(".")[2]
    message = str(attributes.get(semconv.EXCEPTION_MESSAGE, "")).strip()
    return clean(": ".join(part for part in (kind, message) if part))


def _status(record: SpanRecord) -> str:
    if record.status != "error":
        return ""
    kind = record.attributes.get(semconv.ERROR_TYPE, "")
    return clean(record.status_message or kind)


def retries(record: SpanRecord) -> list[str]:
    """Say which attempts were repeated inside a span, equal reasons together."""
    reasons: dict[str, int] = {}
    for event in record.events:
        if event.name == semconv.RETRY:
            reason = _reason(event)
            reasons[reason] = reasons.get(reason, 0) + 1
    return [f"retried {times(count)}: {reason}" for reason, count in reasons.items()]


def _reason(event: Event) -> str:
    return clean(event.attributes.get(semconv.RETRY_REASON, "no reason was recorded"))


def times(count: int) -> str:
    """Say how often: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def links(record: SpanRecord) -> list[str]:
    """Say which traces a span points to: a deployment, a deployment's build, or another one."""
    return [f"{_linked_kind(record, link)} trace {clean(link.trace_id)}" for link in record.links]


def _linked_kind(record: SpanRecord, link: Link) -> str:
    # The link to a deployment is mirrored as an attribute; a link's own attributes may be lost.
    if link.trace_id == record.attributes.get(semconv.DEPLOY_TRACE_ID):
        return "deployment"
    return "build" if record.name == semconv.DEPLOY else "linked"
