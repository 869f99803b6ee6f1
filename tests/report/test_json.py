"""A diagnosis as JSON: every field, and what stands for the unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.choose import Unmatched
from flash_otel.diagnosis.evidence import Deployment, Origin
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.diagnosis.picture import ManifestState, Picture, PictureMark
from flash_otel.diagnosis.tables import Match, Moment, PhaseCheck
from flash_otel.diagnosis.worker_reads import ReadResult, WorkerReads
from flash_otel.report.json import diagnosis_json

if TYPE_CHECKING:
    from flash_otel.diagnosis.judge import Diagnosis, Judged

SPAN: Final = Origin("a.log", 3, "1" * 32, "2" * 16)
PLACE: Final = {"place": "a.log:3", "trace_id": "1" * 32, "span_id": "2" * 16}
NOWHERE: Final = {"place": None, "trace_id": None, "span_id": None}


def found() -> Diagnosis:
    """Return the diagnosis of a deployment and a read that agree."""
    return diagnose(records(deployment(), read(9, held=TWO)), limits=Limits(now_ns=NOW_NS))


def deployment_json(**changes: Any) -> dict[str, Any]:
    """Return the JSON of a deployment whose results have changes."""
    judged = replace(found().judged[0], **changes)
    [value] = diagnosis_json(replace(found(), judged=(judged,)))["deployments"]
    return dict(value)


def test_a_diagnosis() -> None:
    """It has the verdict, the findings, and what else is recorded."""
    value = diagnosis_json(
        replace(
            found(),
            verdict=sc.STALE_BUILD,
            findings=(),
            judged=(),
            missing=("a read",),
            command="verify",
            others=2,
            left_out=((sc.NONE, 3),),
            unmatched=(Unmatched("build_id", "b", ("b1",), ("b1", "c")),),
        )
    )
    assert value == {
        "schema_version": 1,
        "verdict": "stale_build",
        "findings": [],
        "deployments": [],
        "missing": ["a read"],
        "next_command": "verify",
        "other_environments": 2,
        "left_out": [{"verdict": "none", "count": 3}],
        "unmatched": [
            {"field": "build_id", "value": "b", "similar": ["b1"], "recorded": ["b1", "c"]}
        ],
    }
    assert diagnosis_json(replace(found(), command=""))["next_command"] is None


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (SPAN, PLACE),
        (replace(SPAN, rebuilt=True), {**NOWHERE, "place": "a.log:3"}),
        (Origin(), NOWHERE),
    ],
    ids=["a span", "made-up ids", "nowhere"],
)
def test_a_finding(origin: Origin, expected: dict[str, str | None]) -> None:
    """It has its evidence with places, and advice for both sides; ids that are made up stay out."""
    finding = Finding(
        sc.STALE_BUILD,
        "It is old.",
        (Exhibit(origin, "it is read"),),
        "likely",
        "d1",
        "Deploy again.",
        "Look at it.",
        (sc.READ_INCOMPLETE,),
        ("a read",),
        "verify",
    )
    bare = Finding(sc.NONE, "All agree.")
    whole, empty = diagnosis_json(replace(found(), findings=(finding, bare)))["findings"]
    assert whole == {
        "code": "stale_build",
        "sentence": "It is old.",
        "confidence": "likely",
        "is_fault": True,
        "deployment_id": "d1",
        "candidates": ["read_incomplete"],
        "evidence": [{**expected, "says": "it is read"}],
        "remedy": {"deployer": "Deploy again.", "maintainer": "Look at it."},
        "missing": ["a read"],
        "command": "verify",
    }
    assert (empty["is_fault"], empty["deployment_id"], empty["command"]) == (False, None, None)
    assert empty["remedy"] == {"deployer": "", "maintainer": ""}


def test_a_deployment() -> None:
    """It has what was deployed where, how it ended, and the traces that belong to it."""
    value = deployment_json(
        matches=(Match("build_id", "b", None, "unknown"),),
        checks=(PhaseCheck("runtime", "it reads", "pass", "2"), PhaseCheck("x", "y", "fail")),
        timeline=(Moment("runtime", 1.5, 0.5, "a read", SPAN, False, True),),  # noqa: FBT003
        failed_before=(
            Deployment(id="d8", build_id="b8", outcome="unfinished"),
            Deployment(id="d9"),
        ),
        worker_reads=WorkerReads(3, False, (ReadResult("fine", 2),), 4, 1, True),  # noqa: FBT003
        trace_ids=("t1", "t2"),
        picture=None,
    )
    assert value == {
        "deployment_id": "000000000000d100",
        "app_name": "shop",
        "environment_id": "env-prod",
        "environment_name": "production",
        "build_id": "build-1",
        "flash_version": "1.14.0",
        "outcome": "returned",
        "verdict": "none",
        "activation_window_seconds": 2.6,
        "ids": [{"name": "build_id", "deployed": "b", "read": None, "result": "unknown"}],
        "checks": [
            {"phase": "runtime", "text": "it reads", "result": "pass", "found": "2"},
            {"phase": "x", "text": "y", "result": "fail", "found": None},
        ],
        "timeline": [
            {
                "phase": "runtime",
                "seconds": 1.5,
                "duration_seconds": 0.5,
                "same_clock": False,
                "before_write": True,
                "text": "a read",
                **PLACE,
            }
        ],
        "failed_before": [
            {"deployment_id": "d8", "build_id": "b8", "says": "it did not end"},
            {"deployment_id": "d9", "build_id": None, "says": ""},
        ],
        "worker_reads": {
            "count": 3,
            "is_by_worker": False,
            "results": [{"says": "fine", "count": 2, "is_fine": True}],
            "calls": 4,
            "failed_calls": 1,
            "reads_manifests": True,
        },
        "trace_ids": ["t1", "t2"],
        "picture": None,
    }


def test_a_deployment_of_an_unknown_version_that_only_lines_show() -> None:
    """The version is null, and the made-up traces stay out; what has no id is left out whole."""
    judged: Judged = found().judged[0]
    unknown = replace(
        judged.deployment, process=replace(judged.deployment.process, flash_version=())
    )
    assert deployment_json(deployment=unknown)["flash_version"] is None
    nameless = replace(judged, deployment=replace(judged.deployment, id=""))
    assert diagnosis_json(replace(found(), judged=(nameless,)))["deployments"] == []


def test_a_picture() -> None:
    """It has what the State Manager held before, and what happened, with its state from then on."""
    state = ManifestState("b", 2, has_build=True, is_deployed=True, as_read=True)
    mark = PictureMark(
        lane="runtime",
        kind="read",
        text="a read",
        origin=SPAN,
        seconds=1.5,
        same_clock=False,
        is_timed=False,
        is_ordered=False,
        wait_s=60.0,
        count=3,
        last_seconds=9.5,
        is_marked=True,
        differs=("build_id",),
        environment_id="e",
        build_id="c",
        endpoint_count=1,
        state=state,
    )
    first = PictureMark(lane="deployment", kind="start", text="it starts", origin=Origin())
    picture = Picture("b", "e", 2, ManifestState(), (mark, first), 4)
    value = deployment_json(picture=picture)["picture"]
    assert value["marks"][1] == {
        "lane": "deployment",
        "kind": "start",
        "text": "it starts",
        "seconds": None,
        "last_seconds": None,
        "same_clock": True,
        "is_timed": True,
        "is_ordered": True,
        "wait_seconds": None,
        "count": 1,
        "is_marked": False,
        "differs": [],
        "environment_id": None,
        "build_id": None,
        "endpoint_count": None,
        "state": None,
        **NOWHERE,
    }
    assert {**value, "marks": value["marks"][:1]} == {
        "build_id": "b",
        "environment_id": "e",
        "endpoint_count": 2,
        "before": {
            "build_id": None,
            "endpoint_count": None,
            "has_build": None,
            "is_deployed": False,
            "as_read": False,
            "says": ["not recorded"],
        },
        "marks": [
            {
                "lane": "runtime",
                "kind": "read",
                "text": "a read",
                "seconds": 1.5,
                "last_seconds": 9.5,
                "same_clock": False,
                "is_timed": False,
                "is_ordered": False,
                "wait_seconds": 60.0,
                "count": 3,
                "is_marked": True,
                "differs": ["build_id"],
                "environment_id": "e",
                "build_id": "c",
                "endpoint_count": 1,
                "state": {
                    "build_id": "b",
                    "endpoint_count": 2,
                    "has_build": True,
                    "is_deployed": True,
                    "as_read": True,
                    "says": ["b (deployed)", "2 endpoints, as read"],
                },
                **PLACE,
            }
        ],
        "left_out": 4,
    }
