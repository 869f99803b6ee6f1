"""Planted secrets, and every place that a trace writes to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from e2e.test_endings import held
from support.faults import FAULTS

from flash_otel import semconv
from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.demo.scenarios import FaultPlan, Rule
from flash_otel.demo.state import AI_KEY_CANARY, CREDENTIAL_CANARY, SIGNATURE_CANARY
from flash_otel.otlp.encode import encode_json
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.site import Child, Site

pytestmark = pytest.mark.flash

HF_CANARY: Final = "hf_CanaryCanaryCanary"
SECRETS: Final = (HF_CANARY, CANARY_API_KEY, AI_KEY_CANARY, SIGNATURE_CANARY, CREDENTIAL_CANARY)
# Error messages of servers: with the key, and with a whole header.
DENIED: Final = f"Key {CANARY_API_KEY} has no access; aiKey={AI_KEY_CANARY}0123456789ab was refused"
QUOTED: Final = f"bad header 'Authorization: Bearer {CANARY_API_KEY}'"

DEPLOY: Final = """
    import sys
    import flash_otel
    from child import flash

    flash_otel.instrument(legacy_logs=True, capture_graphql=True)
    sys.exit(flash("deploy", "--no-deps"))
"""
CALL: Final = """
    import asyncio, json, os, sys
    from pathlib import Path
    import flash_otel
    from flash_otel.demo.worker import MODES

    flash_otel.instrument(legacy_logs=True, capture_graphql=True)
    manifest = json.loads(Path(os.environ["FLASH_MANIFEST_PATH"]).read_text())
    asyncio.run(MODES["wrapper"](manifest))
"""


def assert_clean(text: str) -> None:
    """Find none of the secrets, in whatever way they are cut."""
    for secret in SECRETS:
        assert secret not in text
        assert secret.lower()[: len(secret) * 2 // 3] not in text.lower()


def store_bytes(store: Path) -> str:
    """Return everything that the store has on disk, its write-ahead log included."""
    files = sorted(store.parent.glob(f"{store.name}*"))
    assert files
    return "".join(file.read_bytes().decode("latin-1") for file in files)


def check(site: Site, run: Child) -> str:
    """Look through standard error (all of it is ours) and the store; return the store."""
    kept = store_bytes(site.store)
    assert_clean(run.stderr)
    assert_clean(kept)
    return kept


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_deployment_and_worker(site: Site) -> None:
    """Nothing of keys, signed URLs and answers is written by either of them."""
    run = site.python(DEPLOY)
    assert run.exit_code == 0, run.output
    assert "flash.graphql" in check(site, run)
    planted = [endpoint.ai_key for endpoint in site.plane.state.endpoints.values()]
    assert all(value.startswith(AI_KEY_CANARY) for value in planted)
    (build,) = site.plane.state.builds.values()
    assert AI_KEY_CANARY in str(build.manifest)  # what the worker is about to read
    worker = site.worker(CALL)
    assert worker.exit_code == 0, worker.output
    assert "flash_otel {" in worker.stderr
    assert_clean(worker.stderr)


def test_keys_in_captured_answers(site: Site) -> None:
    """What is captured of an answer holds none of the secrets that the server put into it."""

    def plant(_state: object, _variables: object, data: dict[str, Any]) -> dict[str, Any]:
        build = data["flashBuild"]
        resource = build["manifest"]["resources"]["gpu_info"]
        resource["env"] = {"HF_TOKEN": HF_CANARY, "RUNPOD_API_KEY": CANARY_API_KEY}
        resource["template"] = {"env": [{"key": "HF_TOKEN", "value": HF_CANARY}]}
        signed = f"https://s3.example/a.tar.gz?X-Amz-Signature={SIGNATURE_CANARY}"
        return {"flashBuild": {**build, "downloadUrl": signed, "note": HF_CANARY}}

    site.plane.faults = FaultPlan((Rule("getFlashBuild", answer=plant),))
    run = site.python(DEPLOY)
    assert run.exit_code == 0, run.output
    with SpanStore(site.store) as store:
        answers = {
            span.attributes[semconv.GRAPHQL_OPERATION_NAME]: json.loads(
                str(span.attributes[semconv.GRAPHQL_ANSWER])
            )
            for span in store.spans()
            if semconv.GRAPHQL_ANSWER in span.attributes
        }
    (build,) = site.plane.state.builds.values()
    kept = answers["getFlashBuild"]["flashBuild"]
    assert kept["id"] == build.id
    assert (kept["downloadUrl"], kept["note"]) == ("<string>", "<string>")
    written = answers["updateFlashBuildManifest"]["updateFlashBuildManifest"]["manifest"]
    assert build.manifest is not None
    assert written["resources_endpoints"] == build.manifest["resources_endpoints"]
    assert "HF_TOKEN" not in check(site, run)


def test_signed_url_in_an_exception(site: Site) -> None:
    """An upload that is refused raises with its signed URL, of which the path alone is kept."""
    site.plane.faults = FaultPlan(FAULTS["upload refused"])
    run = site.python(DEPLOY)
    assert run.exit_code == 1
    assert SIGNATURE_CANARY in run.stdout  # Flash itself prints it
    assert "403 Client Error" in check(site, run)


@pytest.mark.parametrize("message", [DENIED, QUOTED])
def test_key_in_an_exception(site: Site, message: str) -> None:
    """A server's message that quotes a key is kept without it."""
    site.plane.faults = FaultPlan((Rule("saveEndpoint", error=message),))
    run = site.python(DEPLOY)
    assert run.exit_code == 1
    assert "[redacted]" in check(site, run)


def test_key_in_a_workers_exception(worker_site: Site) -> None:
    """The same in a worker: its log holds the failure, not the key."""
    worker_site.plane.faults = FaultPlan((Rule("getFlashBuild", error=DENIED),))
    worker = worker_site.worker(CALL)
    assert worker.exit_code == 1
    ours = [line for line in worker.stderr.splitlines() if line.startswith(("flash_otel {", "["))]
    assert any("[redacted]" in line for line in ours)
    assert_clean("\n".join(ours))


def test_store_of_a_killed_deployment(site: Site) -> None:
    """What a killed process leaves in the write-ahead log is as clean."""
    with held(site, DEPLOY) as process:
        process.kill()
        process.communicate()
    assert site.store.with_name(f"{site.store.name}-wal").stat().st_size > 0
    kept = store_bytes(site.store)
    assert "flash.deploy" in kept
    assert_clean(kept)


def test_recorded_spans(deployed: tuple[Site, Child]) -> None:
    """The spans themselves are clean, for any exporter."""
    _, run = deployed
    assert_clean(str(encode_json(run.records)))
