"""The guide's own tools on the traced output of its scenarios."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.flash import ROOT

from flash_otel.demo.processes import bracketed_lines
from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from support.runs import ScenarioRuns

    from flash_otel.demo.runner import RunArtifacts

pytestmark = pytest.mark.flash

MATCH, MISMATCH = "MATCH", "MISMATCH"
ID: Final = "[0-9a-f-]{36}"

# Scenario -> results of the guide's comparison of build ids and of environment ids.
COMPARED: Final = {
    "healthy": (MATCH, MATCH),
    "environment_mismatch": (MISMATCH, MISMATCH),
    "stale_build": (MISMATCH, MATCH),
    "manifest_not_persisted": (MATCH, MATCH),
    "read_before_write": (MATCH, MATCH),
}

ACTIVATED: Final = "[DEPLOY] Environment production activated with build_id=BUILD"
MAPPING: Final = '{\n  "api": "URL",\n  "gpu_info": "URL"\n}'
KEYS: Final = (
    "'version', 'python_version', 'generated_at', 'project_name', 'resources', "
    "'function_registry', 'routes', 'source_fingerprint'"
)
WRITTEN: Final = [
    ACTIVATED,
    f"[DEPLOY SYNC] resources_endpoints mapping: {MAPPING}",
    "[DEPLOY SYNC] Uploading manifest to State Manager - build_id=BUILD, environment_id=ENV",
    f"[DEPLOY SYNC] Manifest contains resources_endpoints: {MAPPING}",
    "[STATE MANAGER] GraphQL mutation succeeded for build_id=BUILD",
    f"[STATE MANAGER] Uploaded manifest with keys: [{KEYS}, 'resources_endpoints']",
    "[STATE MANAGER] Uploaded 2 endpoints: ['api', 'gpu_info']",
]


def _read(environment: str, build: str, names: str | None) -> list[str]:
    """Return a worker's lines; `names` are the endpoints that it reads, None for no mapping."""
    keys = f"[{KEYS}]" if names is None else f"[{KEYS}, 'resources_endpoints']"
    count = 0 if names is None else names.count(",") + 1
    held = (
        f"[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: {keys}"
        if names is None
        else f"[STATE MANAGER] Manifest has {count} endpoints: [{names}]"
    )
    return [
        f"[RUNTIME SYNC] Querying State Manager with environment_id={environment}",
        f"[RUNTIME SYNC] FLASH_ENVIRONMENT_ID={environment}, RUNPOD_ENDPOINT_ID=ENDPOINT",
        f"[STATE MANAGER] environment_id={environment} → activeBuildId={build}",
        f"[STATE MANAGER] Retrieved build {build}, manifest keys: {keys}",
        held,
        f"[RUNTIME SYNC] Received manifest with keys: {keys}",
        f"[RUNTIME SYNC] resources_endpoints contains {count} entries: "
        + ("EMPTY" if names is None else f"[{names}]"),
    ]


BOTH: Final = "'api', 'gpu_info'"
READ: Final = {
    "healthy": _read("ENV", "BUILD", BOTH),
    "environment_mismatch": _read("OTHER-ENV", "OTHER-BUILD", "'api'"),
    "stale_build": _read("ENV", "OTHER-BUILD", "'api'"),
    "manifest_not_persisted": _read("ENV", "BUILD", None),
    "read_before_write": _read("ENV", "BUILD", None),
}


@pytest.fixture(params=list(COMPARED))
def ran(request: pytest.FixtureRequest, shared_run: ScenarioRuns) -> RunArtifacts:
    """The artifacts of one scenario, traced."""
    return shared_run(SCENARIOS[request.param])


def _split(lines: list[str]) -> list[str]:
    """Take mappings apart: a log is read line by line."""
    return [line for entry in lines for line in entry.split("\n")]


def _stable(result: RunArtifacts, lines: list[str]) -> list[str]:
    """Replace the ids and addresses of a run by what they are."""
    text = "\0".join(lines)
    for value, name in ((result.build_id, "BUILD"), (result.environment_id, "ENV")):
        text = text.replace(value, name)
    text = re.sub(rf"(?<=activeBuildId=){ID}|(?<=build ){ID}", "OTHER-BUILD", text)
    text = re.sub(rf"(?<=ENVIRONMENT_ID=){ID}|(?<=environment_id=){ID}", "OTHER-ENV", text)
    text = re.sub(r"(?<=RUNPOD_ENDPOINT_ID=)\w+", "ENDPOINT", text)
    return re.sub(r'https?://[^"\s]+', "URL", text).split("\0")


def test_lines_of_both_sides_come_in_the_order_of_events(ran: RunArtifacts) -> None:
    """The deployment's and the worker's bracketed lines are these, in this order, and no others."""
    assert _stable(ran, bracketed_lines(ran.deploy_log)) == _split(WRITTEN)
    assert _stable(ran, bracketed_lines(ran.worker_log)) == _split(READ[ran.scenario])


def test_the_guides_comparison_tells_match_from_mismatch(ran: RunArtifacts) -> None:
    """The guide's Step 5 script compares the ids in the two logs correctly."""
    script = ROOT / "docs" / "guide-step5.sh"
    done = subprocess.run(
        ["bash", str(script), str(ran.deploy_log), str(ran.worker_log)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    results = re.findall(r"(?:activeBuildId|environment_id match): \S (\w+)", done.stdout)
    assert tuple(results) == COMPARED[ran.scenario]


def test_the_logs_are_what_a_user_pipes(ran: RunArtifacts) -> None:
    """Flash's own output stands in the same log, untouched by the lines."""
    log = Path(ran.deploy_log).read_text(encoding="utf-8")
    assert "Deployed to production" in log
