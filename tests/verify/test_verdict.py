from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console
from verify.cases import CASES, recorded
from verify.subjects import BUILD, URLS, WRITTEN, manifest, subject

from flash_otel import semconv as sc
from flash_otel.report.json import VERIFICATION_VERSION, failure_json, verification_json
from flash_otel.report.layout import Part
from flash_otel.report.verification import render_verification, verification_lines
from flash_otel.verify.snapshot import FetchedBuild, Ref
from flash_otel.verify.verdict import judge


def test_a_record_that_agrees() -> None:
    """A record and a snapshot that agree have no fault."""
    found = judge(subject(), recorded(), "1.14.0")
    assert (found.verdict, found.is_faulty, found.was_recorded) == (sc.NONE, False, True)


def test_a_record_decides() -> None:
    """A recorded deployment decides between faults that the snapshot leaves open."""
    alone = judge(subject(manifest()))
    assert (alone.verdict, alone.is_faulty) == (sc.INCONCLUSIVE, True)
    dead = [record for record in recorded() if record.name != sc.MANIFEST_UPLOAD]
    dead[0] = replace(dead[0], attributes={**dead[0].attributes, sc.OUTCOME: sc.FAILED})
    assert judge(subject(manifest()), dead).verdict == sc.MANIFEST_NEVER_WRITTEN


def test_a_later_deployment_from_elsewhere() -> None:
    """An active build that is newer than the record, by the server's clock, supersedes it."""
    found = judge(subject(), recorded("build-1"))
    assert found.verdict == sc.NONE
    assert any("made after the last recorded deployment" in note for note in found.notes)


def test_an_active_build_of_unknown_age() -> None:
    """An active build that is not recorded here may be another machine's deployment."""
    asked = subject()
    same_age = (FetchedBuild("build-9", "2026-01-02"), FetchedBuild(BUILD, "2026-01-02"))
    asked = replace(asked, snapshot=replace(asked.snapshot, builds=same_age))
    found = judge(asked, recorded("build-9"))
    assert found.verdict == sc.INCONCLUSIVE
    assert found.findings[0].candidates == (sc.STALE_BUILD,)


@pytest.mark.parametrize(
    ("case", "code", "candidates", "missing"),
    [
        (
            "no endpoints, of a write that was stored, and none is described",
            sc.READ_INCOMPLETE,
            (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED),
            "a read that holds the write, or the State Manager's own log",
        ),
        (
            "the replaced build, much later",
            sc.STALE_BUILD,
            (sc.STALE_BUILD,),
            "which deployment made build build-2",
        ),
    ],
)
def test_a_likely_fault_that_one_snapshot_does_not_prove(
    case: str, code: str, candidates: tuple[str, ...], missing: str
) -> None:
    """It is inconclusive, and the finding says which faults fit and what would decide."""
    asked = CASES[case]
    found = judge(asked.subject, asked.recorded)
    assert code not in {finding.code for finding in found.findings}
    (doubt,) = (finding for finding in found.findings if finding.code == sc.INCONCLUSIVE)
    assert (doubt.candidates, doubt.missing) == (candidates, (missing,))
    assert doubt.evidence


def test_unnamed_endpoints() -> None:
    """Endpoints that the manifest does not name are a note, not a fault."""
    narrow = subject({"resources": {"api": {}}, "resources_endpoints": {"api": URLS["api"]}})
    found = judge(narrow)
    assert not found.is_faulty
    assert any("gpu-fb" in note for note in found.notes)


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("1.1.1", "runs in its own process"),
        ("1.3.0", "runs in its own process"),
        ("1.21.0", "`--call` asks one"),
    ],
)
def test_what_workers_do_instead(version: str, word: str) -> None:
    """If workers read no manifest, a note explains how their calls find an endpoint."""
    assert any(word in note for note in judge(subject(), flash_version=version).notes)


def test_punctuation() -> None:
    """A finding that ends in a question gets no full stop."""
    (finding,) = judge(subject(expected="build-x")).findings
    assert finding.sentence.endswith("is the id right?")


def test_the_report_and_its_json_agree() -> None:
    """Both forms have the verdict, every comparison, the remedy and the next command."""
    found = judge(subject(manifest({"gpu": URLS["gpu"]}, WRITTEN)), recorded(), "1.14.0")
    output = verification_json(found, 1)
    text = "\n".join("".join(part.text for part in line) for line in verification_lines(found))
    assert text.startswith("endpoints_missing: ")
    assert output["verdict"] == sc.ENDPOINTS_MISSING
    assert all(check["says"] in text for check in output["checks"])
    assert output["findings"][0]["remedy"]["deployer"] in text
    assert "flash-otel diagnose --env env-1" in text


def test_hostile_names() -> None:
    """Control characters in a name are escaped on the terminal."""
    asked = subject()
    hostile = replace(asked.snapshot.environment, name="\x1b[2Jprod")
    found = judge(replace(asked, snapshot=replace(asked.snapshot, environment=hostile)))
    console = Console(record=True, width=80, force_terminal=False)
    render_verification(found, console)
    assert "\x1b" not in console.export_text()
    assert all(isinstance(part, Part) for line in verification_lines(found) for part in line)


def test_unnamed_endpoints_are_listed() -> None:
    """Several are separated by commas."""
    narrow = {"resources": {"web": {}}, "resources_endpoints": {"web": "https://lb9.api.example"}}
    (note,) = (note for note in judge(subject(narrow)).notes if "does not name" in note)
    assert note == "The environment has endpoints that the manifest does not name: api, gpu-fb."


def test_an_unnamed_endpoint_whose_id_begins_another() -> None:
    """It is not taken for the one that the manifest names."""
    narrow = {"resources": {"gpu": {}}, "resources_endpoints": {"gpu": f"{URLS['gpu']}2"}}
    asked = subject(narrow, real=(Ref("qb2", "old"), Ref("qb22", "gpu")))
    (note,) = (note for note in judge(asked).notes if "does not name" in note)
    assert note == "The environment has endpoints that the manifest does not name: old."


@pytest.mark.parametrize("code", [None, sc.UNAUTHORIZED])
def test_a_verification_that_could_read_nothing(code: str | None) -> None:
    """Its JSON has the error and its remedy in place of findings."""
    assert failure_json("the key is rejected", "Run: flash login", code, 2) == {
        "schema_version": VERIFICATION_VERSION,
        "verdict": code or sc.INCONCLUSIVE,
        "status": 2,
        "error": {"message": "the key is rejected", "next_step": "Run: flash login"},
    }
