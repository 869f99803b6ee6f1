from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import NOW_NS

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.diagnosis.readers import open_reader

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(now_ns=NOW_NS)

# The guide's own sample lines, section by section, to the letter.
WRITE_PATH = """\
[DEPLOY SYNC] resources_endpoints mapping: {
  "resource_name": "https://api.runpod.io/...",
  ...
}

[DEPLOY SYNC] Uploading manifest to State Manager - build_id=abc123, environment_id=env456

[DEPLOY SYNC] Manifest contains resources_endpoints: {...}

[STATE MANAGER] GraphQL mutation succeeded for build_id=abc123

[STATE MANAGER] Uploaded manifest with keys: ['resources_endpoints', 'functions', ...]

[STATE MANAGER] Uploaded 2 endpoints: ['resource_1', 'resource_2']

[DEPLOY] Environment env456 activated with build_id=abc123
"""
READ_PATH = """\
[RUNTIME SYNC] Querying State Manager with environment_id=env456

[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=env456, RUNPOD_ENDPOINT_ID=(null)

[STATE MANAGER] environment_id=env456 → activeBuildId=abc123

[STATE MANAGER] Retrieved build abc123, manifest keys: ['resources_endpoints', 'functions', ...]

[STATE MANAGER] Manifest has 2 endpoints: ['resource_1', 'resource_2']

[RUNTIME SYNC] Received manifest with keys: ['resources_endpoints', 'functions', ...]

[RUNTIME SYNC] resources_endpoints contains 2 entries: ['resource_1', 'resource_2']
"""
SCENARIO_1 = """\
[DEPLOY] Environment {env_name} activated with build_id=abc123
[STATE MANAGER] environment_id=xyz789 → activeBuildId=abc123
"""
SCENARIO_2 = """\
[DEPLOY] Environment env456 activated with build_id=abc123
[STATE MANAGER] environment_id=env456 → activeBuildId=old789
"""
SCENARIO_3 = """\
[DEPLOY SYNC] Uploading manifest to State Manager - build_id=abc123
[STATE MANAGER] GraphQL mutation succeeded for build_id=abc123
[STATE MANAGER] Manifest MISSING resources_endpoints!
"""
SCENARIO_4 = """\
[DEPLOY] Environment env456 activated with build_id=abc123
[DEPLOY SYNC] Uploading manifest to State Manager...
[STATE MANAGER] Uploaded X endpoints
"""
EMPTY_READ = """\
[RUNTIME SYNC] Querying State Manager with environment_id=env456
[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=env456, RUNPOD_ENDPOINT_ID=(null)
[STATE MANAGER] environment_id=env456 → activeBuildId=abc123
[STATE MANAGER] Retrieved build abc123, manifest keys: ['functions']
[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: ['functions']
[RUNTIME SYNC] Received manifest with keys: ['functions']
[RUNTIME SYNC] resources_endpoints contains 0 entries: EMPTY
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for logs."""
    return tmp_path


def judge(folder: Path, *logs: str) -> Diagnosis:
    found = []
    for number, text in enumerate(logs):
        path = folder / f"{number}.log"
        path.write_text(text, encoding="utf-8")
        found += list(open_reader(path).records())
    return diagnose(found, limits=LIMITS)


UNWRITTEN = """\
[DEPLOY] Environment production activated with build_id=abc123
[STATE MANAGER] GraphQL mutation succeeded for build_id=abc123
"""


def held(*names: str) -> str:
    """Return the lines of a read that holds endpoints of these names."""
    return EMPTY_READ.replace(
        "[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: ['functions']",
        f"[STATE MANAGER] Manifest has {len(names)} endpoints: {list(names)}",
    ).replace("0 entries: EMPTY", f"{len(names)} entries: {list(names)}")


def test_an_all_clear_needs_to_know_what_was_written(folder: Path) -> None:
    """Without the lines of the upload, nothing shows that a read holds all endpoints."""
    found = judge(folder, UNWRITTEN, held("gpu", "web"))
    assert found.verdict == sc.INCONCLUSIVE
    assert "how many were written is not recorded" in found.findings[0].sentence
    assert judge(folder, UNWRITTEN + WRITTEN, held("gpu", "web")).verdict == sc.NONE


@pytest.mark.parametrize("other", [("gpu",), ("gpu", "cpu")])
def test_reads_of_one_build_that_differ_are_no_agreement(
    folder: Path, other: tuple[str, ...]
) -> None:
    """If what was written is unknown, a read that lacks what another one holds is incomplete."""
    for texts in ((held(*other), held("gpu", "web")), (held("gpu", "web"), held(*other))):
        found = judge(folder, UNWRITTEN, *texts)
        assert (found.verdict, found.findings[0].confidence) == (sc.READ_INCOMPLETE, "likely")
        assert candidates(found) == {sc.ENDPOINTS_MISSING}


def test_lines_without_a_build_never_agree_with_less(folder: Path) -> None:
    """The end of a read that shows fewer endpoints than were written forbids an all-clear."""
    for names, verdict in ((("gpu",), sc.INCONCLUSIVE), (("gpu", "web"), sc.NONE)):
        end = held(*names).partition("Retrieved")[2].partition("\n")[2]
        found = judge(folder, UNWRITTEN + WRITTEN, held("gpu", "web"), end)
        assert found.verdict == verdict, found.findings


WRITTEN = """\
[STATE MANAGER] Uploaded manifest with keys: ['functions', 'resources_endpoints']
[STATE MANAGER] Uploaded 2 endpoints: ['gpu', 'web']
"""


def candidates(found: Diagnosis) -> set[str]:
    return {code for finding in found.findings for code in finding.candidates}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (WRITE_PATH + READ_PATH, sc.NONE),
        (SCENARIO_1, sc.ENVIRONMENT_MISMATCH),
        (SCENARIO_2, sc.STALE_BUILD),
        (SCENARIO_3, sc.MANIFEST_NOT_PERSISTED),
        (SCENARIO_4, sc.INCONCLUSIVE),
    ],
)
def test_the_guides_lines_get_the_guides_verdicts(folder: Path, text: str, verdict: str) -> None:
    """The guide's scenarios get its verdicts, but for the fourth: any deployment has its lines."""
    found = judge(folder, text)
    assert found.verdict == verdict, found.findings
    faults = [finding for finding in found.findings if finding.is_fault]
    assert all(fault.confidence != "certain" for fault in faults)


def test_activation_before_upload_is_no_race(folder: Path) -> None:
    """Activation before upload is the order of every healthy deployment."""
    first, rest = WRITE_PATH.splitlines()[-1], WRITE_PATH.splitlines()[:-1]
    found = judge(folder, "\n".join([first, *rest, READ_PATH]))
    assert found.verdict == sc.NONE


def test_logs_of_two_machines_are_read_together(folder: Path) -> None:
    """The deployment's log and the worker's may be separate files."""
    found = judge(folder, WRITE_PATH, READ_PATH)
    assert found.verdict == sc.NONE
    assert [check.result for check in found.judged[0].checks] == ["pass"] * 7


@pytest.mark.parametrize("as_one_file", [True, False])
def test_a_dropped_manifest_and_a_race_leave_the_same_lines(
    folder: Path, as_one_file: bool
) -> None:
    """Lines without times allow both causes, in any order of the logs."""
    logs = [WRITE_PATH + EMPTY_READ] if as_one_file else [WRITE_PATH, EMPTY_READ]
    found = judge(folder, *logs)
    assert found.verdict == sc.INCONCLUSIVE
    assert candidates(found) == {
        sc.MANIFEST_NOT_PERSISTED,
        sc.READ_BEFORE_WRITE,
        sc.READ_INCOMPLETE,
    }


def test_a_later_read_with_the_endpoints_excludes_the_drop(folder: Path) -> None:
    """A read with the endpoints proves that they were stored."""
    found = judge(folder, WRITE_PATH, EMPTY_READ + READ_PATH)
    assert found.verdict == sc.INCONCLUSIVE
    assert candidates(found) == {sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE}


def test_lines_prove_that_endpoints_are_missing(folder: Path) -> None:
    """The count alone proves that a read has fewer endpoints than were uploaded."""
    part = READ_PATH.replace("2 endpoints", "1 endpoints").replace("2 entries", "1 entries")
    part = part.replace(", 'resource_2'", "")
    found = judge(folder, WRITE_PATH, part)
    assert found.verdict == sc.ENDPOINTS_MISSING
    assert "'resource_2' missing" in found.findings[0].sentence


def test_both_logs_prove_another_environment(folder: Path) -> None:
    """If every read in the logs queries another environment, that is the fault."""
    other = READ_PATH.replace("env456", "xyz789").replace("abc123", "b9")
    found = judge(folder, WRITE_PATH, other)
    assert found.verdict == sc.ENVIRONMENT_MISMATCH
    assert judge(folder, WRITE_PATH, other + READ_PATH).verdict == sc.NONE


def test_a_line_proves_an_unset_environment(folder: Path) -> None:
    """A worker's own line shows that the variable is not set."""
    unset = """\
[RUNTIME SYNC] Querying State Manager with environment_id=(null)
[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=(null), RUNPOD_ENDPOINT_ID=abc0000001
"""
    assert judge(folder, WRITE_PATH, unset).verdict == sc.ENVIRONMENT_UNSET


def test_an_environment_without_build_may_be_unknown(folder: Path) -> None:
    """The line is the same for an unknown environment and for an environment without a build."""
    empty = "[STATE MANAGER] environment_id=env456 → activeBuildId=(null)\n"
    found = judge(folder, WRITE_PATH, empty)
    assert found.verdict == sc.INCONCLUSIVE
    assert candidates(found) == {sc.ENVIRONMENT_UNKNOWN, sc.STALE_BUILD}


def test_a_query_without_an_answer_may_have_several_causes(folder: Path) -> None:
    """A failed read leaves only its first lines, which allow several causes."""
    asked = "\n".join(EMPTY_READ.splitlines()[:2])
    found = judge(folder, WRITE_PATH, asked)
    assert found.verdict == sc.INCONCLUSIVE
    assert candidates(found) == {
        sc.STATE_MANAGER_UNAVAILABLE,
        sc.UNAUTHORIZED,
        sc.ENVIRONMENT_UNKNOWN,
    }


def test_a_worker_log_from_before_the_deployment_proves_no_fault(folder: Path) -> None:
    """Reads of the previous build without times may be older than the deployment."""
    before, read = (text.replace("abc123", "b1") for text in (WRITE_PATH, READ_PATH))
    found = judge(folder, before, WRITE_PATH.replace("abc123", "b2"), read)
    assert found.verdict == sc.INCONCLUSIVE
    assert candidates(found) == {sc.STALE_BUILD}


def test_a_log_of_one_phase_is_not_enough(folder: Path) -> None:
    """With only one of the two logs, the diagnosis names what is missing."""
    assert judge(folder, WRITE_PATH).verdict == sc.INCONCLUSIVE
    alone = judge(folder, READ_PATH)
    assert alone.verdict == sc.INCONCLUSIVE
    assert alone.missing
