"""The deployment's context on its way: artifact, State Manager, environment, worker."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support.faults import FAULTS
from support.site import DEPLOY

from flash_otel import semconv
from flash_otel.demo.scenarios import FaultPlan
from flash_otel.testing import EPOCH_NS

if TYPE_CHECKING:
    from support.site import Child, Site

pytestmark = pytest.mark.flash

CARRIER = semconv.CARRIER_KEY
TRACEPARENT = "00-{:032x}-{:016x}-{}"

READ_TWICE = """
    import asyncio
    from child import recorded
    from runpod_flash.runtime.service_registry import ServiceRegistry

    with recorded(after=1000):
        for _ in range(2):
            asyncio.run(ServiceRegistry().get_routing_info("gpu_info"))
"""


def in_artifact(site: Site) -> dict[str, Any]:
    """Return the manifest inside the artifact that was uploaded last."""
    content = next(reversed(site.plane.state.artifacts.values()))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.name.endswith("flash_manifest.json"):
                file = archive.extractfile(member)
                assert file is not None
                return dict(json.load(file))
    raise AssertionError("no manifest in the artifact")


def test_phases(deployed: tuple[Site, Child]) -> None:
    """The artifact and the finalize call identify the code, the last write identifies the write."""
    site, _ = deployed
    state = site.plane.state
    (build,) = state.builds.values()
    (environment,) = state.environments.values()
    (finalized,) = site.plane.journal.of("FinalizeArtifactUpload")
    built = in_artifact(site)
    assert built[CARRIER] == {
        "v": 1,
        "phase": "build",
        "traceparent": built[CARRIER]["traceparent"],
        "deployment_id": "0000000000000001",
        "time_ms": (EPOCH_NS + 2_000_000) // 1_000_000,
        "clock": built[CARRIER]["clock"],
        "generated_at": built["generated_at"],
    }
    assert built[CARRIER]["traceparent"].startswith(TRACEPARENT.format(1, 1, ""))
    assert finalized.variables["input"]["manifest"][CARRIER] == built[CARRIER]
    assert build.manifest is not None
    assert build.manifest[CARRIER] == {
        **built[CARRIER],
        "phase": "write",
        "time_ms": (EPOCH_NS + 14_000_000) // 1_000_000,
        "build_id": build.id,
        "environment_id": environment.id,
        "endpoint_count": 2,
        "digest": build.manifest[CARRIER]["digest"],
        "source_fingerprint": build.manifest["source_fingerprint"],
    }
    assert build.manifest["generated_at"] == built["generated_at"]


def test_only_the_top_level_key_is_added(deployed: tuple[Site, Child]) -> None:
    """No key of flash_otel is below the top level, in a resource's environment or in a template."""
    site, _ = deployed
    entries = site.plane.journal.entries
    # Other tests may have called an endpoint of this deployment, with a header.
    requests = [json.dumps(entry.variables) for entry in entries if entry.path == "/graphql"]
    assert sum(text.count("_flash_otel") for text in requests) == 2
    assert sum(text.lower().count("traceparent") for text in requests) == 2
    assert "traceparent" not in json.dumps(
        [template.env for template in site.plane.state.templates.values()]
    )


@pytest.mark.parametrize("version", ["1.21.0"])
def test_pipeline_is_the_parent(site: Site) -> None:
    """TRACEPARENT in the environment makes the deployment a child of what started it."""
    run = site.deploy(TRACEPARENT=TRACEPARENT.format(0xABC, 0xDEF, "01"), TRACESTATE="ci=42")
    (root,) = run.named(semconv.DEPLOY)
    assert root.parent_span_id == f"{0xDEF:016x}"
    assert {record.trace_id for record in run.records} == {f"{0xABC:032x}"}
    assert {record.trace_state for record in run.records} == {"ci=42"}
    carried = in_artifact(site)[CARRIER]["traceparent"]
    assert carried == TRACEPARENT.format(0xABC, int(root.span_id, 16), "01")


def test_second_read_is_another_trace(worker_site: Site) -> None:
    """A process's first read continues the deployment; the next read links to it."""
    run = worker_site.worker(READ_TWICE)
    first, second = run.named(semconv.RUNTIME_FETCH)
    assert (first.trace_id, first.parent_span_id, first.links) == (f"{1:032x}", f"{1:016x}", ())
    assert (second.trace_id, second.parent_span_id) == (f"{1001:032x}", None)
    assert [(link.trace_id, link.span_id) for link in second.links] == [(f"{1:032x}", f"{1:016x}")]
    for read in (first, second):
        assert read.attributes[semconv.DEPLOY_TRACE_ID] == f"{1:032x}"
        assert read.attributes[semconv.DEPLOY_SPAN_ID] == f"{1:016x}"
        assert read.attributes[semconv.CODE_DEPLOYMENT_ID] == f"{1:016x}"
        assert read.attributes[semconv.ACTIVE_DEPLOYMENT_ID] == f"{1:016x}"


@pytest.mark.parametrize(
    ("mode", "parents"),
    [("link", [None, None]), ("parent", [f"{1:016x}", f"{1:016x}"])],
)
def test_propagation_is_forced(worker_site: Site, mode: str, parents: list[str | None]) -> None:
    """`link` never continues the deployment's trace, `parent` always does."""
    run = worker_site.worker(READ_TWICE, {"FLASH_OTEL_PROPAGATION": mode})
    reads = run.named(semconv.RUNTIME_FETCH)
    assert [read.parent_span_id for read in reads] == parents
    assert [len(read.links) for read in reads] == [int(parent is None) for parent in parents]


def test_server_that_drops_the_key(site: Site) -> None:
    """A State Manager without the key is no fault: the artifact still names the deployment."""
    site.plane.faults = FaultPlan(FAULTS["carrier stripped"])
    deployed = site.python(DEPLOY)
    assert deployed.exit_code == 0, deployed.output
    assert {record.status for record in deployed.records} == {"unset"}
    (build,) = site.plane.state.builds.values()
    assert build.manifest is not None
    assert CARRIER not in build.manifest
    first, second = site.worker(READ_TWICE).named(semconv.RUNTIME_FETCH)
    assert first.parent_span_id == f"{1:016x}"
    assert [link.span_id for link in second.links] == [f"{1:016x}"]
    assert {first.status, second.status} == {"unset"}
    assert semconv.ACTIVE_PHASE not in first.attributes


def test_worker_without_any_carrier(site: Site) -> None:
    """An artifact of an untraced deployment is read as ever: traces of their own, no links."""
    untraced = site.python("""
        import sys
        from child import flash
        sys.exit(flash("deploy", "--no-deps"))
    """)
    assert untraced.exit_code == 0, untraced.output
    assert CARRIER not in in_artifact(site)
    reads = site.worker(READ_TWICE).named(semconv.RUNTIME_FETCH)
    assert [(read.parent_span_id, read.links) for read in reads] == [(None, ()), (None, ())]
    assert {read.attributes[semconv.OUTCOME] for read in reads} == {semconv.RETURNED}
