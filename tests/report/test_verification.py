"""The report of a verification, and its JSON: what was read back, and the next steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from verify.subjects import BUILD, WRITTEN, manifest, subject

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.report.json import verification_json
from flash_otel.report.layout import FAULT_STYLE, VERDICT_STYLES
from flash_otel.report.verification import verification_lines
from flash_otel.verify.checks import Comparison
from flash_otel.verify.snapshot import EndpointCall, FetchedEnvironment, Ref
from flash_otel.verify.verdict import Verification

if TYPE_CHECKING:
    from flash_otel.verify.checks import Subject

STALE: Final = Finding(
    sc.STALE_BUILD, "It is old.", remedy_deployer="Deploy again.", remedy_maintainer="Look at it."
)
MISSING: Final = replace(
    STALE, code=sc.ENDPOINTS_MISSING, sentence="Some lack.", remedy_maintainer="Look there."
)
OPEN: Final = Finding(sc.INCONCLUSIVE, "It is unclear.", remedy_deployer="Look further.")
SOUND: Final = Finding(sc.NONE, "All agree.", remedy_deployer="Nothing.")
FAILED: Final = Comparison("build", "fail", "it is another build\x07")
IDENTITY: Final = [
    *("", "app          shop", "environment  production (env-1)"),
    *("active build build-2", "flash        1.14.0", ""),
]
TO_DO: Final = ["", "What to do: Deploy again.", "In Flash:   Look at it."]


def verified(*findings: Finding, **changes: Any) -> Verification:
    """Return the result of a verification with these findings."""
    kept = Verification(subject(), (), findings, flash_version="1.14.0")
    return replace(kept, **changes)


def told(verification: Verification, *diagnose: str) -> list[str]:
    """Return the lines of the report as text."""
    lines = verification_lines(verification, *diagnose)
    return ["".join(part.text for part in line) for line in lines]


@pytest.mark.parametrize(
    ("finding", "lines"),
    [
        (SOUND, ["no fault found: All agree."]),
        (replace(STALE, confidence="likely"), ["stale_build (likely): It is old."]),
        (replace(STALE, sentence="a\x1bb"), [r"stale_build: a\x1bb"]),
        (
            replace(STALE, candidates=("a", "b")),
            ["stale_build: It is old.", "  This may also be a or b."],
        ),
        (
            replace(STALE, candidates=("a",)),
            ["stale_build: It is old.", "  This may also be a."],
        ),
        (OPEN, ["inconclusive: It is unclear."]),
        (
            replace(OPEN, candidates=("a",)),
            ["inconclusive: It is unclear.", "  This may be a."],
        ),
        (
            replace(OPEN, candidates=("a", "b")),
            ["inconclusive: It is unclear.", "  This is a or b; what was read back fits both."],
        ),
    ],
)
def test_the_heading_of_a_finding(finding: Finding, lines: list[str]) -> None:
    """It names the verdict with any doubt, the finding, and what else this may be."""
    following = TO_DO if finding.is_fault else []
    assert told(verified(finding)) == [*lines, *IDENTITY, *following]


@pytest.mark.parametrize(
    ("finding", "checks", "style"),
    [
        (SOUND, (), VERDICT_STYLES[sc.NONE]),
        (SOUND, (FAILED,), VERDICT_STYLES[sc.NONE]),
        (STALE, (), FAULT_STYLE),
        (OPEN, (), VERDICT_STYLES[sc.INCONCLUSIVE]),
        (OPEN, (FAILED,), FAULT_STYLE),
    ],
    ids=["sound", "sound beside a failure", "a fault", "open", "open beside a failure"],
)
def test_what_is_wrong_stands_out(
    finding: Finding, checks: tuple[Comparison, ...], style: str
) -> None:
    """An open verdict looks like a fault if a comparison failed."""
    assert verification_lines(verified(finding, checks=checks))[0][0].style == style


def test_what_is_to_be_done_is_said_once() -> None:
    """Faults with the same advice share it, and a verdict without a fault has none."""
    again = replace(MISSING, remedy_deployer="Wait.")
    lines = told(verified(STALE, MISSING, again, OPEN, SOUND))
    assert lines[5 + len(IDENTITY) :] == [
        *TO_DO,
        "",
        "What to do: Wait.",
        "In Flash:   Look there.",
    ]


def test_every_comparison_has_its_mark() -> None:
    """It passes, fails, or is not known; its text cannot act on the terminal."""
    checks = (Comparison("a", "pass", "it is"), FAILED, Comparison("c", "unknown", "it may be"))
    lines = told(verified(SOUND, checks=checks))
    assert lines[1 + len(IDENTITY) :] == [
        "  PASS  it is",
        r"  FAIL  it is another build\x07",
        "    ?   it may be",
    ]


def test_what_is_not_known_of_the_environment() -> None:
    """Without an active build, and with an unknown Flash, the lines say so."""
    lines = told(verified(SOUND, subject=subject(build=None), flash_version=""))
    assert lines[4:6] == ["active build none", "flash        unknown"]


def of_environment(identifier: str) -> Subject:
    """Return the input of the comparisons of an environment."""
    asked = subject()
    environment = replace(asked.snapshot.environment, id=identifier)
    return replace(asked, snapshot=replace(asked.snapshot, environment=environment))


@pytest.mark.parametrize(
    ("commands", "was_recorded", "following"),
    [
        (("", ""), False, []),
        (("", "second"), False, ["", "More: second"]),
        (("first\x07", "second"), False, ["", r"More: first\x07"]),
        (("first", ""), True, ["", "More: diagnose --env 'env 1' {}"]),
        (("", ""), True, ["", "More: diagnose --env 'env 1' {}"]),
    ],
)
def test_the_next_command(
    commands: tuple[str, str], was_recorded: bool, following: list[str]
) -> None:
    """What was recorded is to be diagnosed; else the first finding with a command has the next."""
    findings = [replace(OPEN, command=command) for command in commands]
    found = verified(
        *findings, subject=of_environment("env 1"), was_recorded=was_recorded, notes=("a\x07", "b")
    )
    lines = told(found, "diagnose --env {} {}")
    assert lines[2 + len(IDENTITY) :] == ["", r"Note: a\x07", "", "Note: b", *following]


def test_the_command_that_diagnoses() -> None:
    """Unless another program is named, it is that of flash-otel, with the environment's id."""
    lines = told(verified(SOUND, was_recorded=True))
    assert lines[-1] == "More: flash-otel diagnose --env env-1"


# --- JSON -----------------------------------------------------------------------------------------


def test_a_verification_as_json() -> None:
    """It has every value that was read back, and all that is known of each finding."""
    asked = subject(
        manifest({"api": "https://user:pass@lb1.api.example?token=x"}, WRITTEN),
        calls=(EndpointCall("gpu", "id", 404, "not found"),),
    )
    origin = Origin("a.log", 3)
    fault = replace(
        STALE,
        confidence="likely",
        evidence=(Exhibit(origin, "it is read"),),
        candidates=(sc.ENDPOINTS_MISSING,),
        missing=("a read",),
        command="verify",
    )
    found = verified(fault, subject=asked, checks=(FAILED,), notes=("a note",), was_recorded=True)
    value = verification_json(found, 3)
    address = value["manifest"]["endpoints"].pop("api")
    assert "pass" not in address
    assert value == {
        "schema_version": 1,
        "verdict": "stale_build",
        "status": 3,
        "app": {"id": "app-1", "name": "shop"},
        "environment": {
            "id": "env-1",
            "name": "production",
            "active_build_id": BUILD,
            "endpoints": [{"id": "lb1", "name": "api"}, {"id": "qb2", "name": "gpu-fb"}],
        },
        "manifest": {
            "state": "complete",
            "keys": ["resources", "resources_endpoints"],
            "endpoint_count": 1,
            "endpoints": {},
            "deployment_id": "00000000000000aa",
            "phase": "write",
        },
        "flash_version": "1.14.0",
        "recorded": True,
        "checks": [{"name": "build", "result": "fail", "says": "it is another build\x07"}],
        "findings": [
            {
                "code": "stale_build",
                "sentence": "It is old.",
                "confidence": "likely",
                "evidence": [{"at": "a.log:3", "says": "it is read"}],
                "remedy": {"deployer": "Deploy again.", "maintainer": "Look at it."},
                "candidates": ["endpoints_missing"],
                "missing": ["a read"],
                "command": "verify",
            }
        ],
        "notes": ["a note"],
        "calls": [{"endpoint": "gpu", "by": "id", "status": 404, "problem": "not found"}],
    }


@pytest.mark.parametrize(
    ("listed", "expected"),
    [(None, None), ((), ()), ((Ref("lb1", "api"),), [{"id": "lb1", "name": "api"}])],
    ids=["unknown", "none", "one"],
)
def test_listed_endpoints_as_json(listed: tuple[Ref, ...] | None, expected: object) -> None:
    """Whether the environment lists no endpoint, or could not be asked, is told apart."""
    value = verification_json(verified(SOUND, subject=subject(real=listed)), 0)
    assert value["environment"]["endpoints"] == expected


def test_what_was_not_read_back_as_json() -> None:
    """A build without a manifest has neither endpoints nor a deployment that wrote it."""
    asked = subject(None)
    unknown = FetchedEnvironment("env-1", "production", is_known=False)
    asked = replace(asked, snapshot=replace(asked.snapshot, environment=unknown))
    value = verification_json(verified(SOUND, subject=asked), 0)
    assert value["environment"]["active_build_id"] is None
    assert value["manifest"] == {
        "state": "null",
        "keys": [],
        "endpoint_count": 0,
        "endpoints": {},
        "deployment_id": None,
        "phase": None,
    }
