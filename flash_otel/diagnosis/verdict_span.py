"""The verdict on a deployment as a span, to be seen in a backend beside the spans that it judges.

The span holds nothing but the verdict: no clock, process or host of the diagnosis. Its id is
derived from its content, so the same verdict is the same span, however often and from whichever
machine it is sent, and backends keep one. A changed verdict is another span.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.records import Link, SpanRecord
from flash_otel.redaction import scrub_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.diagnosis.evidence import Deployment
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Judged

SERVICE: Final = "flash-otel"
"""The span's service: a verdict comes neither from the command line of Flash nor from a worker."""

_DURATION_NS: Final = 1_000
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")


def verdict_span(judged: Judged) -> SpanRecord | None:
    """Return the verdict as a child of the deployment's root.

    It begins with the deployment, so that backends list it first, and lasts a microsecond: it does
    not lengthen the trace, and Jaeger warns of a span without any duration.

    Returns:
        The span; None if the deployment has no root to be the parent, such as one that was rebuilt
        from bracketed lines.
    """
    finding, deployment = judged.decisive, judged.deployment
    parent = _root_of(deployment)
    if finding is None or parent is None or deployment.start_ns is None:
        return None
    trace_id, root_id = parent
    evidence = _evidence(finding)
    links = tuple(Link(*key) for key in evidence if key != parent)
    own = [span_id for trace, span_id in evidence if trace == trace_id]
    found = {semconv.DEPLOY_TRACE_ID: trace_id, semconv.DIAGNOSIS_SPANS: " ".join(own) or None}
    attributes = _clean({**_subject(deployment), **_verdict(finding), **found})
    message = attributes.get(semconv.ERROR_MESSAGE, "")
    content = [trace_id, root_id, attributes, [(link.trace_id, link.span_id) for link in links]]
    return SpanRecord(
        trace_id=trace_id,
        span_id=sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16],
        parent_span_id=root_id,
        name=semconv.DIAGNOSIS,
        kind="internal",
        start_ns=deployment.start_ns,
        end_ns=deployment.start_ns + _DURATION_NS,
        status="error" if finding.is_fault else "unset",
        status_message=message,
        attributes=attributes,
        links=links,
        resource={semconv.SERVICE_NAME: SERVICE, "telemetry.distro.name": "flash-otel"},
        scope_name=semconv.SCOPE_NAME,
        scope_version=__version__,
    )


def _root_of(deployment: Deployment) -> tuple[str, str] | None:
    """Return trace id and span id of the root, which is not recorded of a killed deployment."""
    root = deployment.root
    if root is not None and not root.by_lines:
        return root.origin.trace_id, root.origin.span_id
    traces = {step.origin.trace_id for step in deployment.steps if not step.by_lines}
    if len(traces) != 1 or not _SPAN_ID.fullmatch(deployment.id):
        return None
    return traces.pop(), deployment.id


def _subject(deployment: Deployment) -> dict[str, Any]:
    return {
        semconv.DEPLOYMENT_ID: deployment.id,
        semconv.APP_NAME: deployment.app_name,
        semconv.BUILD_ID: deployment.build_id,
        semconv.ENVIRONMENT_ID: deployment.environment_id,
        semconv.ENVIRONMENT_NAME: deployment.environment_name,
    }


def _verdict(finding: Finding) -> dict[str, Any]:
    common = {
        semconv.DIAGNOSIS_CONFIDENCE: finding.confidence,
        semconv.DIAGNOSIS_EVIDENCE: [exhibit.says for exhibit in finding.evidence] or None,
        semconv.FAULT_CANDIDATES: list(finding.candidates) or None,
        semconv.FAULT_REMEDY: finding.remedy_deployer or None,
    }
    if not finding.is_fault:
        verdict = {
            semconv.DIAGNOSIS_VERDICT: finding.code,
            semconv.DIAGNOSIS_SENTENCE: finding.sentence,
        }
        return {**common, **verdict}
    return {
        **common,
        semconv.FAULT: finding.code,
        semconv.ERROR_TYPE: finding.code,
        semconv.ERROR_MESSAGE: f"{finding.code}: {finding.sentence}",
    }


def _clean(attributes: Mapping[str, Any]) -> dict[str, Any]:
    # A record may come from a file that flash_otel did not scrub.
    scrubbed = ((name, scrub_value(value)) for name, value in attributes.items())
    return {name: value for name, value in scrubbed if value is not None}


def _evidence(finding: Finding) -> list[tuple[str, str]]:
    origins = (exhibit.origin for exhibit in finding.evidence)
    keys = ((origin.trace_id, origin.span_id) for origin in origins if not origin.rebuilt)
    return list(dict.fromkeys(key for key in keys if all(key)))
