"""What becomes of endpoints that are there already, and of deployments that are not sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from e2e.test_carriers import READ_TWICE, TRACEPARENT
from e2e.test_endings import STORED, stored
from e2e.test_provider import STEPS
from support.scripted_collector import HttpCollector
from support.site import DEPLOY

from flash_otel import semconv

if TYPE_CHECKING:
    from support.site import Site

pytestmark = pytest.mark.flash

AGAIN: Final = """
    from pathlib import Path
    from child import flash, recorded

    assert flash("deploy", "--no-deps") == 0
    if {changed}:
        Path("notes.py").write_text("# other code")
    with recorded():
        assert flash("deploy", "--no-deps") == 0
"""


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
@pytest.mark.parametrize(("changed", "action"), [(False, "reuse"), (True, "update")])
def test_action_of_each_endpoint(site: Site, changed: bool, action: str) -> None:
    """An unchanged endpoint is reused without a request, a changed one is updated."""
    run = site.python(AGAIN.format(changed=changed))
    assert run.exit_code == 0, run.output
    actions = [
        (span.attributes[semconv.RESOURCE_NAME], span.attributes[semconv.PROVISION_ACTION])
        for span in run.named(semconv.PROVISION_ENDPOINT)
    ]
    assert actions == [("api", action), ("gpu_info", action)]
    ids = {span.attributes[semconv.ENDPOINT_ID] for span in run.named(semconv.PROVISION_ENDPOINT)}
    assert ids == set(site.plane.state.endpoints)
    assert {record.status for record in run.records} == {"unset"}
    first, second = site.plane.state.builds
    (root,), (activation,) = run.named(semconv.DEPLOY), run.named(semconv.ACTIVATE)
    assert activation.attributes[semconv.BUILD_ID] == second
    for span in (root, activation):
        assert span.attributes[semconv.PREVIOUS_BUILD_ID] == first


def test_unsampled_deployment(site: Site) -> None:
    """A pipeline that is not sampled: all is stored here, nothing is exported, no read follows."""
    with HttpCollector() as collector:
        run = site.python(
            STORED,
            TRACEPARENT=TRACEPARENT.format(0xABC, 0xDEF, "00"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
    assert run.exit_code == 0, run.output
    assert collector.spans == []
    kept = stored(site)
    assert [span.name for span in kept] == STEPS
    assert {(span.trace_id, span.sampled) for span in kept} == {(f"{0xABC:032x}", False)}
    assert run.stderr.startswith("[DEPLOY] ")
    first, _ = site.worker(READ_TWICE).named(semconv.RUNTIME_FETCH)
    assert first.trace_id != f"{0xABC:032x}"
    assert [link.trace_id for link in first.links] == [f"{0xABC:032x}"]


@pytest.mark.parametrize("variable", ["FLASH_OTEL_DISABLED", "OTEL_SDK_DISABLED"])
def test_switched_off(site: Site, variable: str) -> None:
    """Switched off by a variable, `instrument()` does nothing at all."""
    run = site.python(STORED, **{variable: "true"})
    assert (run.exit_code, run.stderr) == (0, "")
    assert not site.store.exists()
    (build,) = site.plane.state.builds.values()
    assert semconv.CARRIER_KEY not in (build.manifest or {})


def test_two_deployments_of_one_process(site: Site) -> None:
    """Deployments one after another are traces of their own, each with its own carrier."""
    twice = DEPLOY.replace(
        'status = flash("deploy", "--no-deps")',
        'status = flash("deploy", "--no-deps") or flash("deploy", "--no-deps")',
    )
    run = site.python(twice)
    assert run.exit_code == 0, run.output
    roots = run.named(semconv.DEPLOY)
    assert [root.parent_span_id for root in roots] == [None, None]
    carried = [
        (build.manifest or {})[semconv.CARRIER_KEY]["deployment_id"]
        for build in site.plane.state.builds.values()
    ]
    assert carried == [root.span_id for root in roots]
    assert len({record.trace_id for record in run.records}) == 2
    first, _ = site.plane.state.builds
    previous = [root.attributes.get(semconv.PREVIOUS_BUILD_ID) for root in roots]
    assert previous == [None, first]
