from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from diagnosis.recordings import NOW_NS, TWO, changed, deployment, read, records
from diagnosis.scenes import DOUBTFUL, HEALTHY, SCENES, STAGING, killed, second
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.any_records import ATTRIBUTES, EVENTS, INT64, LINKS, TEXT, ids

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.otlp.from_sdk import marked
from flash_otel.records import LINES_SCOPE, STATUSES, SpanRecord
from flash_otel.report.diagnosis import render_diagnosis
from flash_otel.report.json import DIAGNOSIS_VERSION, diagnosis_json

if TYPE_CHECKING:
    import random

DOCS = Path(__file__).parents[2] / "docs"
LIMITS = Limits(now_ns=NOW_NS)
SCHEMA: dict[str, Any] = json.loads(
    (DOCS / "diagnose-schema.md").read_text(encoding="utf-8").split("```json")[1].split("```")[0]
)


def judge(made: list[SpanRecord], **asked: Any) -> Diagnosis:
    return diagnose(made, **{"limits": LIMITS, **asked})


def rendered(found: Diagnosis, *, terminal: bool = False) -> str:
    out = io.StringIO()
    render_diagnosis(found, Console(file=out, force_terminal=terminal, width=100))
    return out.getvalue()


# --- any evidence ---------------------------------------------------------------------------------

# Few values, so that spans belong together, agree and contradict each other.
FEW = st.sampled_from(["a", "b", "build-1", "env-prod", "000000000000d100", "gpu", ""])
FACTS = st.dictionaries(
    st.sampled_from([*sc.ATTRIBUTES, *sc.STANDARD_ATTRIBUTES]),
    FEW
    | st.integers(0, 3)
    | st.booleans()
    | st.lists(FEW, max_size=3).map(tuple)
    | st.sampled_from(
        [
            sc.RETURNED, sc.FAILED, sc.CANCELLED, sc.UNKNOWN, sc.MANIFEST_NULL,
            sc.MANIFEST_INCOMPLETE, sc.MANIFEST_COMPLETE, sc.ENVIRONMENT_NULL,
            sc.ENVIRONMENT_NO_ACTIVE_BUILD, sc.ROUTE_MISSING, sc.PHASE_BUILD, sc.PHASE_WRITE,
            "1.14.0", "TimeoutError",
        ]
    ),
    max_size=12,
)  # fmt: skip
MOMENTS = st.sampled_from([0, 1, 2, 10**9, 2 * 10**9, NOW_NS]) | INT64
SPANS = st.builds(
    SpanRecord,
    trace_id=st.sampled_from(["1" * 32, "2" * 32]) | ids(16),
    span_id=st.sampled_from(["000000000000d100", "a" * 16, "b" * 16, "c" * 16]) | ids(8),
    parent_span_id=st.none() | st.sampled_from(["000000000000d100", "a" * 16, "b" * 16]),
    name=st.sampled_from([*sc.SPANS]) | TEXT,
    kind=st.just("client"),
    start_ns=MOMENTS,
    end_ns=st.none() | MOMENTS,
    status=st.sampled_from(STATUSES),
    status_message=TEXT,
    attributes=FACTS | ATTRIBUTES,
    events=st.lists(EVENTS, max_size=1).map(tuple),
    links=st.lists(LINKS, max_size=1).map(tuple),
    resource=FACTS | ATTRIBUTES,
    scope_name=st.sampled_from([sc.SCOPE_NAME, LINES_SCOPE]),
    origin=st.sampled_from(["", "a.log:1", "a.log:2", "b.log:7", "no place"]),
)


@settings(max_examples=200)
@given(st.lists(SPANS, max_size=12), st.randoms(use_true_random=False))
def test_any_evidence_is_judged_alike_in_any_order(
    made: list[SpanRecord], order: random.Random
) -> None:
    """Nothing raises on arbitrary evidence, and its order changes nothing of the answer."""
    found = judge(made)
    shuffled = [*made]
    order.shuffle(shuffled)
    assert judge(shuffled) == found
    assert found.verdict in sc.FAULTS
    assert rendered(found)
    assert problems(diagnosis_json(found), SCHEMA) == []


@settings(max_examples=100)
@given(st.sampled_from([name for name, scene in SCENES.items() if scene.make()]), st.data())
def test_records_that_contradict_each_other_are_judged_alike_in_any_order(
    name: str, data: st.DataObject
) -> None:
    """Of two records of one span, as full as each other, the same one counts in any order."""
    made = SCENES[name].make()
    record = data.draw(st.sampled_from([record for record in made if record.attributes]))
    key = data.draw(st.sampled_from(sorted(record.attributes)))
    other = replace(record, attributes={**record.attributes, key: data.draw(FEW)})
    assert judge([*made, other]) == judge([other, *made])


# Scenes in which nothing ever went wrong: no later record is needed to clear an earlier one.
SOUND = [
    name
    for name, scene in HEALTHY.items()
    if all(record.status != "error" for record in scene.make())
    and name
    not in {
        "a server that answers the upload with nothing, and reads that hold it",
        "an old fault that a new deployment has cured",
    }
]


def truncated(value: Any, limit: int) -> Any:
    """A value as a provider with a limit for its length holds it."""
    if isinstance(value, tuple):
        return tuple(truncated(item, limit) for item in value)
    return value[:limit] if isinstance(value, str) else value


@pytest.mark.parametrize("limit", [20, 32])
@pytest.mark.parametrize("is_worker", [True, False])
def test_what_a_provider_cut_changes_no_verdict(*, is_worker: bool, limit: int) -> None:
    """Values cut in one phase cost a verdict at most: they never make another one of it."""
    for name, scene in SCENES.items():
        made = [
            replace(
                record,
                attributes=marked(
                    {key: truncated(value, limit) for key, value in record.attributes.items()},
                    limit,
                ),
            )
            if (record.name in {sc.RUNTIME_FETCH, sc.MANIFEST_FETCH, sc.CALL}) is is_worker
            else record
            for record in scene.make()
        ]
        if made:
            assert judge(made).verdict in {scene.verdict, sc.INCONCLUSIVE}, name


@settings(max_examples=300)
@given(st.sampled_from(SOUND), st.data())
def test_a_part_of_a_healthy_recording_accuses_nobody(name: str, data: st.DataObject) -> None:
    """Losing records may cost the verdict, but never makes a fault of it."""
    made = HEALTHY[name].make()
    kept = data.draw(st.lists(st.sampled_from(made), unique_by=id))
    found = judge(kept)
    assert [finding.code for finding in found.findings if finding.is_fault] == []


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_judged_alike_in_any_order(name: str) -> None:
    """The answer to a scene is the same with its records backwards and doubled."""
    made = SCENES[name].make()
    assert judge([*made[::-1], *made]) == judge(made)


# --- which deployment is judged -------------------------------------------------------------------


def _two_environments() -> list[SpanRecord]:
    staging = deployment(2, at=400, env="staging", env_id="env-stag", held=STAGING)
    return records(deployment(), read(10, phase=sc.PHASE_BUILD, host="laptop"), staging)


@pytest.mark.parametrize(
    ("asked", "verdict", "builds"),
    [
        ({}, sc.INCONCLUSIVE, ["build-2"]),
        ({"environment": "production"}, sc.MANIFEST_NOT_PERSISTED, ["build-1"]),
        ({"environment": "env-prod"}, sc.MANIFEST_NOT_PERSISTED, ["build-1"]),
        ({"build_id": "build-1"}, sc.MANIFEST_NOT_PERSISTED, ["build-1"]),
        ({"trace_id": "d1".rjust(32, "0")}, sc.MANIFEST_NOT_PERSISTED, ["build-1"]),
        ({"trace_id": "a1".rjust(32, "0")}, sc.MANIFEST_NOT_PERSISTED, ["build-1"]),
        ({"environment": "staging"}, sc.INCONCLUSIVE, ["build-2"]),
        ({"environment": "nobody"}, sc.INCONCLUSIVE, [None]),
    ],
)
def test_the_question_chooses_the_deployment(
    asked: dict[str, str], verdict: str, builds: list[str | None]
) -> None:
    """Environment, build or trace name the deployment; else it is the newest one's environment."""
    found = judge(_two_environments(), **asked)
    assert found.verdict == verdict
    assert [diagnosis.deployment.build_id for diagnosis in found.judged] == builds


def test_other_environments_are_counted() -> None:
    """What was not judged is mentioned."""
    assert judge(_two_environments()).others == 1


def test_a_workers_log_brings_its_environment_in() -> None:
    """A file that was given is about something: the environment that it reads is judged, too."""
    made = [
        replace(record, origin="worker.log:3") if record.name == sc.RUNTIME_FETCH else record
        for record in _two_environments()
    ]
    found = judge(made)
    assert found.verdict == sc.MANIFEST_NOT_PERSISTED
    assert [diagnosis.deployment.build_id for diagnosis in found.judged] == ["build-1", "build-2"]


def test_a_failed_deployment_stands_beside_the_one_in_force() -> None:
    """Where the latest deployment never came to activate, the one before is what workers read."""
    late = deployment(2, at=400)
    late = {name: late[name] for name in ("deploy", "build")}
    found = judge(records(deployment(), read(10, held=TWO), late))
    assert {diagnosis.deployment.build_id for diagnosis in found.judged} == {"build-1", "build-2"}


def test_an_older_trace_is_judged_by_its_own_reads() -> None:
    """Asked for an older deployment, reads of the newer one do not count against it."""
    made = records(
        deployment(),
        read(10, held=TWO),
        second(),
        read(460, number="2", code=1, build=2, held=TWO),
    )
    assert judge(made, build_id="build-1").verdict == sc.NONE


# --- limits ---------------------------------------------------------------------------------------


def test_the_skew_decides_what_clocks_tell() -> None:
    """A narrower skew tells a drop that the assumed one leaves open."""
    made = DOUBTFUL["a drop or a race, within the skew"].make()
    assert judge(made).verdict == sc.INCONCLUSIVE
    limits = Limits(skew_s=0.5, now_ns=NOW_NS)
    assert judge(made, limits=limits).verdict == sc.MANIFEST_NOT_PERSISTED


@pytest.mark.parametrize(
    ("running", "verdict"),
    [
        (True, sc.INCONCLUSIVE),
        (None, sc.INCONCLUSIVE),
        (False, sc.MANIFEST_NEVER_WRITTEN),
    ],
)
def test_a_deployment_that_may_still_run_is_not_accused(running: bool | None, verdict: str) -> None:
    """Without an end, only time or its process tell that a deployment is over."""
    made = records(killed("activate", "gpu"))
    now_ns = max(record.start_ns for record in made) + 10_000_000_000
    limits = Limits(now_ns=now_ns, is_running=lambda _: running)
    found = judge(made, limits=limits)
    assert found.verdict == verdict
    if verdict == sc.INCONCLUSIVE:
        assert found.findings[0].candidates == (sc.MANIFEST_NEVER_WRITTEN,)


def test_a_kill_alone_does_not_deny_the_write() -> None:
    """A killed deployment may have sent its manifest: only a read shows that it did not arrive."""
    made = records(killed("activate", "gpu"))
    (alone,) = judge(made).findings
    assert (alone.code, alone.confidence) == (sc.MANIFEST_NEVER_WRITTEN, "likely")
    assert "never written" not in alone.sentence
    assert "may have taken effect" in alone.sentence
    (shown,) = judge([*made, *read(60, phase=sc.PHASE_BUILD)]).findings
    assert (shown.code, shown.confidence) == (sc.MANIFEST_NEVER_WRITTEN, "certain")
    assert "never written" in shown.sentence


def test_a_read_that_holds_the_write_clears_it() -> None:
    """An answer to the upload without endpoints proves nothing once a read holds them all."""
    made = SCENES["the server answers the upload without endpoints, and nobody reads"].make()
    assert judge([*made, *read(10, held=TWO)]).verdict == sc.NONE
    other = read(10, held=TWO, build=9, code=None, env_id="env-stag", endpoint=None)
    assert judge([*made, *other]).verdict == sc.MANIFEST_NOT_PERSISTED


# --- what is said ---------------------------------------------------------------------------------


def test_the_window_is_measured_and_no_finding() -> None:
    """The seconds between activation and write are told of a healthy deployment, as a fact."""
    (judged,) = judge(records(deployment(), read(10, held=TWO))).judged
    assert judged.window_s == pytest.approx(2.6)
    assert judged.verdict == sc.NONE


def test_the_ids_are_compared() -> None:
    """The guide's id matching table: what was deployed, what was read, and whether they match."""
    made = SCENES["a worker asks for an environment that exists"].make()
    rows = {match.name: match for match in judge(made).judged[0].matches}
    assert (rows["environment_id"].deployed, rows["environment_id"].read) == (
        "env-prod",
        "env-stag",
    )
    assert rows["environment_id"].result == "mismatch"
    assert rows["code_deployment"].result == "match"


def test_the_guides_list_passes_when_all_is_well() -> None:
    """A healthy recording passes each item of the guide's list."""
    (judged,) = judge(records(deployment(), read(10, held=TWO))).judged
    assert [check.result for check in judged.checks] == ["pass"] * 7


def test_the_guides_list_fails_where_it_does() -> None:
    """A dropped write passes the deployment's items, and fails the read's."""
    made = SCENES["a write is dropped, on one clock"].make()
    (judged,) = judge(made).judged
    assert [check.result for check in judged.checks] == [*["pass"] * 5, "fail", "fail"]


def test_flash_1_21_is_told_what_proves_it() -> None:
    """Where workers read nothing, a clean verdict says so and names the proof."""
    found = judge(records(deployment(version="1.21.0")))
    assert found.verdict == sc.NONE
    assert "read nothing" in found.findings[0].sentence
    assert found.command == "flash-otel verify --app shop --env production"


def test_a_write_that_took_effect_is_told_beside_the_failure() -> None:
    """A lost answer fails the command, not the deployment: both are said."""
    made = SCENES["an answer lost after the upload took effect"].make()
    assert "did not succeed" in judge(made).findings[0].sentence


def test_the_verdict_comes_first() -> None:
    """The first line names the fault; evidence, ids, timeline, list and remedy follow."""
    text = rendered(judge(SCENES["a read in the open window, on one clock"].make()))
    assert text.startswith("Verdict: read_before_write\n")
    parts = ["What to do:", "MATCH", "activation window: 2.60 s", "PASS", "Next: flash-otel show"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_piped_output_is_plain() -> None:
    """What is piped holds no escape sequence, what a terminal gets has colours."""
    found = judge(SCENES["a read in the open window, on one clock"].make())
    assert "\x1b" not in rendered(found)
    assert "\x1b[" in rendered(found, terminal=True)


def test_hostile_ids_cannot_reach_the_terminal() -> None:
    """Control characters of ids, names and origins are spelled out."""
    evil = "x\x1b[2J\u202e\nfake: none"
    made = [
        replace(
            changed(record, build_id=evil, environment_name=evil, endpoint_names=(evil, evil)),
            origin=f"{evil}.log:1",
        )
        for record in records(deployment(), read(10, phase=sc.PHASE_BUILD, host="laptop"))
    ]
    text = rendered(judge(made))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"^fake", text, re.MULTILINE)


def test_a_terminal_names_what_an_unread_deployment_lacks() -> None:
    """People read that no worker has read it; scripts get the code."""
    found = judge(records(deployment()))
    assert rendered(found).startswith("Verdict: inconclusive\n")
    assert "no read yet" in rendered(found, terminal=True).splitlines()[0]


def test_an_empty_recording_says_what_to_do() -> None:
    """With nothing recorded, the answer is the command that needs no recording."""
    text = rendered(judge([]))
    assert text.startswith("Verdict: inconclusive")
    assert "Next: flash-otel verify --app APP --env ENV" in text


# --- JSON -----------------------------------------------------------------------------------------

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,),
    "integer": (int,), "number": (int, float), "null": (type(None),),
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Check a value against those parts of JSON Schema that ours uses."""
    if "anyOf" in schema:
        return min((problems(value, choice, where) for choice in schema["anyOf"]), key=len)
    if "$ref" in schema:
        return problems(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    if "const" in schema and value != schema["const"]:
        return [f"{where}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is none of {schema['enum']}"]
    if "type" in schema:
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not isinstance(value, tuple(kind for name in named for kind in _KINDS[name])):
            return [f"{where}: {value!r} is no {named}"]
    return problems_inside(value, schema, where)


def problems_inside(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """Check the members of an object, or the items of a list."""
    found = []
    if isinstance(value, dict):
        known = schema["properties"]
        found += [f"{where}.{name} is missing" for name in {*schema["required"]} - {*value}]
        found += [f"{where}.{name} is unknown" for name in {*value} - {*known}]
        for name in {*value} & {*known}:
            found += problems(value[name], known[name], f"{where}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{index}]")
    return found


@pytest.mark.parametrize("name", SCENES)
def test_the_json_follows_its_schema(name: str) -> None:
    """What `--json` prints is what its documentation promises, and survives JSON."""
    value = diagnosis_json(judge(SCENES[name].make()))
    assert problems(value, SCHEMA) == []
    assert json.loads(json.dumps(value)) == value
    assert value["verdict"] == SCENES[name].verdict


def test_the_schema_is_strict() -> None:
    """A missing, an unknown and a wrong field are noticed."""
    value = diagnosis_json(judge([]))
    assert problems({**value, "verdict": "guilty"}, SCHEMA)
    assert problems({**value, "more": 1}, SCHEMA)
    assert problems({key: field for key, field in value.items() if key != "findings"}, SCHEMA)


def test_the_documented_schema_is_current() -> None:
    """Version and codes of the documentation are those of the code."""
    assert SCHEMA["properties"]["schema_version"]["const"] == DIAGNOSIS_VERSION
    assert SCHEMA["$defs"]["code"]["enum"] == list(FAULTS)
