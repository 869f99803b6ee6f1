from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console
from verify.subjects import BUILD, URLS, WRITTEN, manifest, subject

from flash_otel import semconv as sc
from flash_otel.records import SpanRecord
from flash_otel.report.json import verification_json
from flash_otel.report.layout import Part
from flash_otel.report.verify import render_verification, verification_lines
from flash_otel.verify.snapshot import FetchedBuild
from flash_otel.verify.verdict import judge, reads_manifests, release


def span(name: str, start_ns: int, **attributes: str | int) -> SpanRecord:
    """Return one returned span of a recorded deployment."""
    said = {f"flash.{key}": value for key, value in attributes.items()}
    return SpanRecord(
        trace_id="a" * 32,
        span_id=f"{start_ns:016x}",
        parent_span_id=None,
        name=name,
        kind="client",
        start_ns=start_ns,
        end_ns=start_ns + 1,
        attributes={
            sc.DEPLOYMENT_ID: "00000000000000bb",
            sc.ENVIRONMENT_ID: "env-1",
            sc.OUTCOME: sc.RETURNED,
            **said,
        },
    )


def recorded(build: str = BUILD) -> list[SpanRecord]:
    """Return a recorded deployment that ended well before the reading."""
    return [
        span(sc.DEPLOY, 10, build_id=build),
        span(sc.ACTIVATE, 20, build_id=build),
        span(sc.MANIFEST_UPLOAD, 30, build_id=build, endpoint_count=2),
    ]


def test_a_record_that_agrees() -> None:
    """A recorded deployment and a reading that hold the same are sound."""
    found = judge(subject(), recorded(), "1.14.0")
    assert (found.verdict, found.is_faulty, found.was_recorded) == (sc.NONE, False, True)


def test_a_record_tells_what_the_reading_cannot() -> None:
    """An upload that returned, and an empty manifest after it: the write was dropped."""
    alone = judge(subject(manifest()))
    assert (alone.verdict, alone.is_faulty) == (sc.INCONCLUSIVE, True)
    dead = [one for one in recorded() if one.name != sc.MANIFEST_UPLOAD]
    dead[0] = replace(dead[0], attributes={**dead[0].attributes, sc.OUTCOME: sc.FAILED})
    assert judge(subject(manifest()), dead).verdict == sc.MANIFEST_NEVER_WRITTEN


def test_a_later_deployment_from_elsewhere_is_no_stale_build() -> None:
    """By the server's own times, an active build that is newer than the record supersedes it."""
    found = judge(subject(), recorded("build-1"))
    assert found.verdict == sc.NONE
    assert any("made after the last recorded deployment" in note for note in found.notes)


def test_an_older_active_build_of_unknown_making_is_doubted() -> None:
    """An active build that nobody here made, of unknown age, may be someone else's deployment."""
    asked = subject()
    same_age = (FetchedBuild("build-9", "2026-01-02"), FetchedBuild(BUILD, "2026-01-02"))
    asked = replace(asked, snapshot=replace(asked.snapshot, builds=same_age))
    found = judge(asked, recorded("build-9"))
    assert found.verdict == sc.INCONCLUSIVE
    assert found.findings[0].candidates == (sc.STALE_BUILD,)


def test_strays_are_a_note() -> None:
    """An endpoint that the manifest does not name is mentioned, and accuses nobody."""
    one = subject({"resources": {"api": {}}, "resources_endpoints": {"api": URLS["api"]}})
    found = judge(one)
    assert not found.is_faulty
    assert any("gpu-fb" in note for note in found.notes)


@pytest.mark.parametrize(
    ("version", "reads"),
    [("1.1.1", False), ("1.2.0", True), ("1.14.0", True), ("1.15.0", False), ("", None)],
)
def test_which_workers_read(version: str, reads: bool | None) -> None:
    """Workers of Flash 1.2 to 1.14 read the manifest; of an unknown version nothing is said."""
    assert reads_manifests(version) is reads


@pytest.mark.parametrize(
    ("version", "word"), [("1.1.1", "runs in its own process"), ("1.21.0", "`--call` asks one")]
)
def test_what_workers_do_instead(version: str, word: str) -> None:
    """Where workers read no manifest, a note says how their calls find an endpoint."""
    assert any(word in note for note in judge(subject(), flash_version=version).notes)


def test_a_doubtful_question_ends_as_one() -> None:
    """An expected build that the app does not list is asked about, not doubly punctuated."""
    (finding,) = judge(subject(expected="build-x")).findings
    assert finding.sentence.endswith("is the id right?")


def test_odd_versions() -> None:
    """A version that is no number is no version."""
    assert release("1.x.0") == (1,)
    assert release("main") == ()


def test_the_report_and_its_json_agree() -> None:
    """Both forms say the verdict, every comparison, the remedy and what to run next."""
    found = judge(subject(manifest({"gpu": URLS["gpu"]}, WRITTEN)), recorded(), "1.14.0")
    said = verification_json(found, 1)
    text = "\n".join("".join(part.text for part in line) for line in verification_lines(found))
    assert text.startswith("endpoints_missing: ")
    assert said["verdict"] == sc.ENDPOINTS_MISSING
    assert all(check["says"] in text for check in said["checks"])
    assert said["findings"][0]["remedy"]["deployer"] in text
    assert "flash-otel diagnose --env env-1" in text


def test_hostile_names_cannot_draw() -> None:
    """A name with control characters reaches the terminal spelled out."""
    asked = subject()
    hostile = replace(asked.snapshot.environment, name="\x1b[2Jprod")
    found = judge(replace(asked, snapshot=replace(asked.snapshot, environment=hostile)))
    console = Console(record=True, width=80, force_terminal=False)
    render_verification(found, console)
    assert "\x1b" not in console.export_text()
    assert all(isinstance(part, Part) for line in verification_lines(found) for part in line)
