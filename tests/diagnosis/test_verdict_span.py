"""The verdict as a span: what it holds, whose child it is, and that it proves nothing itself."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from diagnosis.logs import read_logs, written_logs
from diagnosis.recordings import EPOCH_NS, TWO, changed, deployment, read, records
from diagnosis.scenes import SCENES, killed

from flash_otel import __version__
from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose
from flash_otel.diagnosis.verdict_span import verdict_span
from flash_otel.records import Link, SpanRecord

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import Attributes

RACE = "a read in the open window, on one clock"


def published(made: list[SpanRecord]) -> list[SpanRecord]:
    """Return the verdicts on everything that is recorded."""
    found = map(verdict_span, diagnose(made).judged)
    return [span for span in found if span is not None]


def test_a_fault_is_an_error_that_links_to_its_evidence() -> None:
    """The span is a child of the deployment, says what is wrong and what to do, and links."""
    made = SCENES[RACE].make()
    (verdict,) = published(made)
    root = next(record for record in made if record.name == sc.DEPLOY)
    assert (verdict.trace_id, verdict.parent_span_id) == root.key
    assert verdict.start_ns == root.start_ns
    assert verdict.duration_ns == 1_000  # of Jaeger, a span without one gets a warning
    assert (verdict.name, verdict.kind, verdict.status) == (sc.DIAGNOSIS, "internal", "error")
    assert verdict.status_message.startswith(f"{sc.READ_BEFORE_WRITE}: ")
    said = verdict.attributes
    assert said[sc.FAULT] == said[sc.ERROR_TYPE] == sc.READ_BEFORE_WRITE
    assert said[sc.ERROR_MESSAGE] == verdict.status_message
    assert said[sc.DIAGNOSIS_CONFIDENCE] == "certain"
    assert str(said[sc.FAULT_REMEDY]).endswith(".")
    assert said[sc.DEPLOYMENT_ID] == root.attributes[sc.DEPLOYMENT_ID]
    assert said[sc.ENVIRONMENT_ID] == root.attributes[sc.ENVIRONMENT_ID]
    assert sc.DIAGNOSIS_VERDICT not in said
    linked = {(link.trace_id, link.span_id) for link in verdict.links}
    reads = {record.key for record in made if record.name == sc.RUNTIME_FETCH}
    assert linked & reads
    assert linked <= {record.key for record in made}


def whole(attributes: Attributes, links: tuple[Link, ...], span: SpanRecord) -> SpanRecord:
    """Return all that a verdict on the first deployment holds; its id depends on the content."""
    return SpanRecord(
        trace_id="d1".rjust(32, "0"),
        span_id=span.span_id,
        parent_span_id="d100".rjust(16, "0"),
        name="flash.diagnosis",
        kind="internal",
        start_ns=EPOCH_NS,
        end_ns=EPOCH_NS + 1_000,
        status="error" if "flash.fault" in attributes else "unset",
        status_message=str(attributes.get("error.message", "")),
        attributes={
            "flash.deployment_id": "d100".rjust(16, "0"),
            "flash.deploy.trace_id": "d1".rjust(32, "0"),
            "flash.app_name": "shop",
            "flash.build_id": "build-1",
            "flash.environment_id": "env-prod",
            "deployment.environment.name": "production",
            "flash.diagnosis.confidence": "certain",
            **attributes,
        },
        links=links,
        resource={"service.name": "flash-otel", "telemetry.distro.name": "flash-otel"},
        scope_name="flash_otel",
        scope_version=__version__,
    )


ACTIVATION = Link("d1".rjust(32, "0"), "d103".rjust(16, "0"))
UPLOAD = Link("d1".rjust(32, "0"), "d105".rjust(16, "0"))
READ = Link("a1".rjust(32, "0"), "a10".rjust(16, "0"))
SAYS = (
    "1 read of build build-1 came after its activation and before its manifest with the endpoints "
    "was written; a worker keeps such an answer for 300 s."
)


def test_all_that_a_fault_holds() -> None:
    """Every attribute, link and property of the span; its own trace's evidence also by ids."""
    judged = diagnose(SCENES[RACE].make()).judged[0]
    span, finding = verdict_span(judged), judged.decisive
    assert span is not None
    assert finding is not None
    attributes = {
        "flash.fault": "read_before_write",
        "error.type": "read_before_write",
        "error.message": f"read_before_write: {SAYS}",
        "flash.fault.remedy": finding.remedy_deployer,
        "flash.diagnosis.evidence": (
            "the build became active",
            "the manifest with the endpoints was written only here",
            "read: read before the manifest was written",
        ),
        "flash.diagnosis.spans": "000000000000d103 000000000000d105",
    }
    assert span == whole(attributes, (ACTIVATION, UPLOAD, READ), span)
    assert re.fullmatch("[0-9a-f]{16}", span.span_id)


def test_all_that_a_doubt_holds() -> None:
    """The verdict and its sentence instead of a fault, and what it may be."""
    (span,) = published(SCENES["a drop or a race, within the skew"].make())
    why = "no endpoints, either before or after the upload"
    attributes = {
        "flash.diagnosis.verdict": "inconclusive",
        "flash.diagnosis.sentence": (f"Either manifest_not_persisted or read_before_write: {why}."),
        "flash.fault.candidates": ("manifest_not_persisted", "read_before_write"),
        "flash.fault.remedy": "Get the missing evidence, then diagnose again.",
        "flash.diagnosis.evidence": (f"read: {why}",),
    }
    assert span == whole(attributes, (READ,), span)


def test_what_is_not_known_is_left_out() -> None:
    """No attribute is empty, as of a verdict without evidence and of a deployment without names."""
    (span,) = published(SCENES["a deployment of Flash 1.14 that nobody has read"].make())
    attributes = {
        "flash.diagnosis.verdict": "inconclusive",
        "flash.diagnosis.sentence": "No worker's read of its endpoints is recorded.",
        "flash.fault.remedy": "Get the missing evidence, then diagnose again.",
    }
    assert span == whole(attributes, (), span)
    names = ("app_name", "environment_name", "environment_id", "build_id")
    nameless = [changed(step, **dict.fromkeys(names)) for step in records(deployment())]
    (unnamed,) = published(nameless)
    gone = {sc.APP_NAME, sc.ENVIRONMENT_NAME, sc.ENVIRONMENT_ID, sc.BUILD_ID}
    assert not gone & unnamed.attributes.keys()
    assert None not in unnamed.attributes.values()


def test_a_verdict_belongs_to_the_trace_of_its_deployment() -> None:
    """Though the artifact was built in a trace of its own, unless the root is not recorded."""
    made = SCENES["an artifact of a command of its own"].make()
    (verdict,) = published(made)
    root = next(record for record in made if record.name == sc.DEPLOY)
    assert (verdict.trace_id, verdict.parent_span_id) == root.key
    steps = [record for record in records(deployment()) if record.name != sc.DEPLOY]
    (alone,) = published(steps)
    assert alone.parent_span_id == root.span_id
    apart = [replace(steps[0], trace_id="b1".rjust(32, "0")), *steps[1:]]
    assert published(apart) == []
    assert published([changed(step, deployment_id="the first") for step in steps]) == []
    assert published([changed(step, deployment_id="d100") for step in steps]) == []


def test_a_deployment_without_a_start_has_no_verdict_in_a_backend() -> None:
    """The span could not be placed in time."""
    untimed = [replace(step, start_ns=0, end_ns=0) for step in records(deployment())]
    assert diagnose(untimed).judged[0].deployment.id
    assert published(untimed) == []


@pytest.mark.parametrize("scene", SCENES)
def test_a_verdict_links_to_all_of_its_evidence(scene: str) -> None:
    """Each recorded span that the finding names is linked, but the root, which is the parent."""
    for judged in diagnose(SCENES[scene].make()).judged:
        span, finding = verdict_span(judged), judged.decisive
        if span is None or finding is None:
            continue
        origins = [exhibit.origin for exhibit in finding.evidence]
        named = {(each.trace_id, each.span_id) for each in origins if not each.rebuilt}
        linked = {(link.trace_id, link.span_id) for link in span.links}
        assert linked == {key for key in named if all(key)} - {(span.trace_id, span.parent_span_id)}


def test_a_healthy_deployment_gets_no_error() -> None:
    """Without a fault the status is unset, and no attribute looks like a fault's."""
    (verdict,) = published([*records(deployment()), *read(10, held=TWO)])
    assert (verdict.status, verdict.status_message) == ("unset", "")
    assert verdict.attributes[sc.DIAGNOSIS_VERDICT] == sc.NONE
    assert verdict.attributes[sc.DIAGNOSIS_SENTENCE]
    assert not {sc.FAULT, sc.ERROR_TYPE, sc.ERROR_MESSAGE} & verdict.attributes.keys()


@pytest.mark.parametrize("scene", SCENES)
def test_a_verdict_is_published_once_and_proves_nothing(scene: str) -> None:
    """The same evidence makes the same span in any order; read back, it changes no verdict."""
    made = SCENES[scene].make()
    verdicts = published(made)
    assert published(made[::-1]) == verdicts
    again = diagnose([*verdicts, *made, *verdicts])
    assert again == diagnose(made)


def test_another_verdict_is_another_span() -> None:
    """More evidence makes another span if it changes the verdict, and the same one if not."""
    steps = records(deployment())
    (open_verdict,) = published(steps)
    (sound,) = published([*steps, *read(10, held=TWO)])
    assert open_verdict.attributes[sc.DIAGNOSIS_VERDICT] == sc.INCONCLUSIVE
    assert open_verdict.span_id != sound.span_id
    assert open_verdict.parent_span_id == sound.parent_span_id


def test_a_killed_deployment_is_known_by_its_steps() -> None:
    """Its root is in no backend: the deployment's id, which its steps carry, is the parent's."""
    steps = [record for record in records(killed("build", "upload")) if record.name != sc.DEPLOY]
    (verdict,) = published(steps)
    assert verdict.trace_id == steps[0].trace_id
    assert verdict.parent_span_id == steps[0].attributes[sc.DEPLOYMENT_ID]
    assert verdict.start_ns == min(record.start_ns for record in steps)


def test_bracketed_lines_have_no_trace_for_a_verdict(tmp_path: Path) -> None:
    """A deployment that was rebuilt from lines has ids that no backend knows."""
    lines = read_logs(tmp_path, written_logs([*records(deployment()), *read(10, held=TWO)]))
    assert diagnose(lines).judged[0].deployment.id
    assert published(lines) == []


def test_secrets_of_other_files_are_redacted() -> None:
    """A recording that flash_otel did not write may hold a key, which must not be sent."""
    key = "rpa_" + "A1b2C3d4" * 4
    steps = {name: changed(step, app_name=f"shop {key}") for name, step in deployment().items()}
    (verdict,) = published(records(steps))
    assert key not in repr(verdict)
    assert verdict.start_ns >= EPOCH_NS


def test_a_verdict_does_not_depend_on_its_own_process() -> None:
    """Two machines that read the same evidence publish the same span."""
    made = SCENES[RACE].make()
    elsewhere = [replace(record, origin="/tmp/a/deploy.jsonl:1") for record in made]
    assert [span.span_id for span in published(elsewhere)] == [
        span.span_id for span in published(made)
    ]
