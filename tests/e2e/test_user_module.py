"""One line at the top of a module of the user's own, and no launcher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from e2e.test_carriers import in_artifact
from support.flash import run_flash

from flash_otel import semconv
from flash_otel.demo.processes import worker_spans
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from support.flash import FlashRun
    from support.site import Site

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

LINE: Final = "import flash_otel\n\nflash_otel.instrument()\n"
ROOT: Final = (semconv.DEPLOY, None)
FROM_THE_UPLOAD_ON: Final = [
    ROOT,
    (semconv.ARTIFACT_UPLOAD, semconv.DEPLOY),
    (semconv.ACTIVATE, semconv.DEPLOY),
    (semconv.PROVISION, semconv.DEPLOY),
    (semconv.PROVISION_ENDPOINT, semconv.PROVISION),
    (semconv.PROVISION_ENDPOINT, semconv.PROVISION),
    (semconv.MANIFEST_UPLOAD, semconv.PROVISION),
]


def run(site: Site, *arguments: str, launcher: list[str] | None = None) -> FlashRun:
    """Run Flash's own console script in a project whose module has the line."""
    module = site.project / "gpu_worker.py"
    module.write_text(LINE + module.read_text(encoding="utf-8"), encoding="utf-8")
    return run_flash(
        site.environment,
        site.plane,
        site.project,
        *arguments,
        variables=site.variables(),
        launcher=launcher,
    )


def shape(records: list[SpanRecord]) -> list[tuple[str, str | None]]:
    """Return each span's name and its parent's name."""
    names = {record.span_id: record.name for record in records}
    return [(record.name, names.get(record.parent_span_id or "")) for record in records]


def stored(site: Site) -> list[SpanRecord]:
    """Return every span in the site's store, by start time."""
    with SpanStore(site.store) as store:
        return list(store.spans())


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_deployment_is_traced_from_the_upload_on(site: Site) -> None:
    """The build imports the line: the root opens with the manifest, which carries it."""
    assert run(site, "deploy", "--no-deps").exit_code == 0
    records = stored(site)
    assert shape(records) == FROM_THE_UPLOAD_ON
    root = records[0]
    assert (root.status, root.attributes[semconv.OUTCOME]) == ("unset", semconv.RETURNED)
    assert root.attributes[semconv.APP_NAME] == "gpu_app"
    assert root.attributes[semconv.ENDPOINT_COUNT] == 2
    carried = in_artifact(site)[semconv.CARRIER_KEY]
    assert carried["phase"] == "build"
    assert carried["traceparent"].startswith(f"00-{root.trace_id}-{root.span_id}-")
    (build,) = site.plane.state.builds.values()
    assert build.manifest is not None
    assert build.manifest[semconv.CARRIER_KEY]["deployment_id"] == carried["deployment_id"]


def test_worker_is_traced_by_the_same_line(site: Site) -> None:
    """In a worker the line is there before the first call: its read continues the deployment."""
    assert run(site, "deploy", "--no-deps").exit_code == 0
    worker = site.worker("""
        import asyncio, gpu_worker
        from runpod_flash.runtime.service_registry import ServiceRegistry

        print(asyncio.run(ServiceRegistry().get_routing_info("gpu_info"))["resource_name"])
    """)
    assert (worker.exit_code, worker.stdout) == (0, "gpu_info\n"), worker.output
    log = site.folder / "worker.log"
    log.write_text(worker.stderr)
    root = stored(site)[0]
    read, attempt = sorted(worker_spans(log), key=lambda span: span.start_ns)
    assert (read.name, read.trace_id, read.parent_span_id) == (
        semconv.RUNTIME_FETCH,
        root.trace_id,
        root.span_id,
    )
    assert (attempt.name, attempt.parent_span_id) == (semconv.MANIFEST_FETCH, read.span_id)
    assert read.resource["service.name"] == "api"
    assert read.resource["faas.instance"] == "pod1"
    assert worker.stderr.startswith("[RUNTIME SYNC] Querying State Manager with environment_id=")


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_build_alone_is_no_deployment(site: Site) -> None:
    """`flash build` makes no root, no carrier and no output of flash_otel."""
    done = run(site, "build", "--no-deps")
    assert (done.exit_code, done.stderr) == (0, "")
    assert not site.store.exists()
    assert b"_flash_otel" not in done.files[".flash/flash_manifest.json"]


def test_build_alone_under_the_launcher(site: Site) -> None:
    """With a launcher `flash build` makes `flash.build` alone, and its manifest carries it."""
    launcher = [str(site.environment.python), "-m", "flash_otel", "run", "--", "flash"]
    done = run_flash(
        site.environment,
        site.plane,
        site.project,
        "build",
        "--no-deps",
        variables=site.variables(),
        launcher=launcher,
    )
    assert done.exit_code == 0
    (build,) = stored(site)
    assert (build.name, build.parent_span_id, build.status) == (semconv.BUILD, None, "unset")
    assert build.trace_id.encode() in done.files[".flash/flash_manifest.json"]


def test_launcher_and_line_make_one_trace(site: Site) -> None:
    """With both, `instrument()` in the module changes nothing: every span is made once."""
    launcher = [str(site.environment.python), "-m", "flash_otel", "run", "--", "flash"]
    assert run(site, "deploy", "--no-deps", launcher=launcher).exit_code == 0
    assert shape(stored(site)) == [
        ROOT,
        (semconv.BUILD, semconv.DEPLOY),
        *FROM_THE_UPLOAD_ON[1:],
    ]


def test_root_that_nobody_claims(site: Site) -> None:
    """A preview builds and deploys nothing: the root ends at exit, its outcome unknown."""
    no_docker = {**site.variables(), "PATH": str(site.folder)}
    module = site.project / "gpu_worker.py"
    module.write_text(LINE + module.read_text(encoding="utf-8"), encoding="utf-8")
    done = run_flash(
        site.environment,
        site.plane,
        site.project,
        "deploy",
        "--no-deps",
        "--preview",
        variables=no_docker,
    )
    assert done.exit_code == 1, done.stdout
    (root,) = stored(site)
    assert (root.name, root.status) == (semconv.DEPLOY, "unset")
    assert root.attributes[semconv.OUTCOME] == semconv.UNKNOWN
    assert root.end_ns is not None
