"""A deployment with runpod 2: its spans, its carriers, and every way to trace it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from e2e.test_auto_instrumentation import INSTRUMENT, TRACES_ONLY
from support.faults import FAULTS
from support.flash import run_flash
from support.flash_source import packages_of
from support.runpod2 import LINE, VERSION, deploy, launcher, shape
from support.site import Site

from flash_otel import semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import FaultPlan
from flash_otel.demo.state import CREDENTIAL_CANARY, SIGNATURE_CANARY
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments, FlashRun

    from flash_otel.demo.environment import PythonEnvironment
    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

WHOLE: Final = [
    (semconv.DEPLOY, None),
    (semconv.BUILD, semconv.DEPLOY),
    (semconv.ARTIFACT_UPLOAD, semconv.DEPLOY),
    (semconv.ACTIVATE, semconv.DEPLOY),
    (semconv.PROVISION, semconv.DEPLOY),
    (semconv.PROVISION_ENDPOINT, semconv.PROVISION),
    (semconv.PROVISION_ENDPOINT, semconv.PROVISION),
]


@dataclass(frozen=True)
class Deployed:
    """A deployment that has ended.

    Attributes:
        plane: The control plane, still running.
        run: The command.
        records: The spans in its store, by start time.
    """

    plane: ControlPlane
    run: FlashRun
    records: list[SpanRecord]

    def named(self, name: str) -> list[SpanRecord]:
        """Return the spans of this name."""
        return [record for record in self.records if record.name == name]


@pytest.fixture(scope="session")
def environment(flash_env: FlashEnvironments) -> PythonEnvironment:
    """The Python that has runpod 2."""
    return flash_env(VERSION)


@pytest.fixture(scope="session")
def redeployed(
    environment: PythonEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """The second of two deployments through the launcher; each command is one of the two names."""
    project = tmp_path_factory.mktemp("runpod2") / "gpu_app"
    with ControlPlane(seed=1) as plane:
        for script in ("runpod", "rp"):
            run = deploy(environment, plane, project, launcher=launcher(environment, script))
            assert run.exit_code == 0, run.stderr
        yield Deployed(plane, run, stored(project)[-len(WHOLE) :])


def stored(project: Path) -> list[SpanRecord]:
    """Return every span in the store of a project's home, by start time."""
    with SpanStore(project.parent / "home" / "spans.db") as store:
        return list(store.spans())


def in_artifact(plane: ControlPlane, number: int = -1) -> dict[str, Any]:
    """Return the manifest inside an artifact; -1 is the last."""
    content = list(plane.state.artifacts.values())[number]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        file = archive.extractfile("runpod_manifest.json")
        assert file is not None
        return dict(json.load(file))


def test_each_step_is_a_span(redeployed: Deployed) -> None:
    """The upload's three requests are one span; no span has failed."""
    assert shape(redeployed.records) == WHOLE
    assert {record.status for record in redeployed.records} == {"unset"}
    assert len({record.trace_id for record in redeployed.records}) == 1
    assert {record.resource[semconv.SERVICE_VERSION] for record in redeployed.records} == {VERSION}


def test_ids_are_on_the_spans(redeployed: Deployed) -> None:
    """Build, environment and endpoints are those of the control plane."""
    state = redeployed.plane.state
    first, build = state.builds.values()
    (environment,) = state.environments.values()
    (root,) = redeployed.named(semconv.DEPLOY)
    known = {
        semconv.APP_NAME: "gpu_app",
        semconv.ENVIRONMENT_NAME: "default",
        semconv.ENVIRONMENT_ID: environment.id,
        semconv.BUILD_ID: build.id,
        semconv.ENDPOINT_COUNT: 2,
        semconv.PREVIOUS_BUILD_ID: first.id,
        semconv.OUTCOME: semconv.RETURNED,
    }
    assert {name: root.attributes.get(name) for name in known} == known
    (upload,) = redeployed.named(semconv.ARTIFACT_UPLOAD)
    assert upload.attributes[semconv.BUILD_ID] == build.id
    assert upload.attributes[semconv.ARTIFACT_OBJECT_KEY] == build.object_key
    assert upload.attributes[semconv.ARTIFACT_SIZE] == len(state.artifacts[build.object_key])
    assert upload.attributes[semconv.PERSISTED_ENDPOINT_COUNT] == 2
    (built,) = redeployed.named(semconv.BUILD)
    assert built.attributes[semconv.ARTIFACT_SIZE] == upload.attributes[semconv.ARTIFACT_SIZE]
    (activation,) = redeployed.named(semconv.ACTIVATE)
    assert activation.attributes[semconv.PREVIOUS_BUILD_ID] == first.id
    endpoints = redeployed.named(semconv.PROVISION_ENDPOINT)
    assert [
        (
            endpoint.attributes[semconv.RESOURCE_NAME],
            endpoint.attributes[semconv.ENDPOINT_ID],
            endpoint.attributes[semconv.PROVISION_ACTION],
        )
        for endpoint in endpoints
    ] == [(found.name, found.id, semconv.ACTION_UPDATE) for found in state.endpoints.values()]


def test_carrier_is_in_the_artifact_and_in_the_finalized_manifest(redeployed: Deployed) -> None:
    """Both identify the deployment that built the code; nothing else of ours is sent."""
    (root,) = redeployed.named(semconv.DEPLOY)
    carried = in_artifact(redeployed.plane)[semconv.CARRIER_KEY]
    assert carried["phase"] == semconv.PHASE_BUILD
    assert carried["traceparent"].startswith(f"00-{root.trace_id}-{root.span_id}-")
    (finalized,) = (
        entry for entry in redeployed.run.requests if entry.operation == "FinalizeArtifactUpload"
    )
    assert finalized.variables["input"]["manifest"][semconv.CARRIER_KEY] == carried
    sent = [json.dumps(entry.variables) for entry in redeployed.run.requests]
    assert sum(text.count("_flash_otel") for text in sent) == 1
    assert sum(text.count("traceparent") for text in sent) == 1


def test_line_of_the_activation(redeployed: Deployed) -> None:
    """Of the guide's moments of a deployment, runpod 2 has one: it writes no manifest later."""
    lines = [line for line in redeployed.run.stderr.splitlines() if line.startswith("[")]
    build = list(redeployed.plane.state.builds.values())[-1]
    assert lines == [f"[DEPLOY] Environment default activated with build_id={build.id}"]


def test_line_in_the_module_traces_each_app(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The command has bound `deploy_app` before: the roots open late, one for each app."""
    project = write_project(tmp_path / "gpu_app", VERSION)
    module = project / "gpu_app.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(LINE + text, encoding="utf-8")
    (project / "other.py").write_text(text.replace("'gpu_app'", "'other'"), encoding="utf-8")
    run = deploy(environment, control_plane, project)
    assert run.exit_code == 0, run.stderr
    records = stored(project)
    assert shape(records) == [*WHOLE, *WHOLE]
    roots = [record for record in records if record.name == semconv.DEPLOY]
    assert [root.attributes[semconv.APP_NAME] for root in roots] == ["gpu_app", "other"]
    assert [root.attributes[semconv.ENDPOINT_COUNT] for root in roots] == [2, 2]
    assert [root.attributes[semconv.OUTCOME] for root in roots] == [semconv.RETURNED] * 2
    for number, root in enumerate(roots):
        carried = in_artifact(control_plane, number)[semconv.CARRIER_KEY]
        assert carried["traceparent"].startswith(f"00-{root.trace_id}-{root.span_id}-")


def test_late_root_fails_with_its_deployment(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A root that opened late ends with the exception of its deployment."""
    project = write_project(tmp_path / "gpu_app", VERSION)
    module = project / "gpu_app.py"
    module.write_text(LINE + module.read_text(encoding="utf-8"), encoding="utf-8")
    control_plane.faults = FaultPlan(FAULTS["one endpoint refused"])
    assert deploy(environment, control_plane, project).exit_code == 1
    records = stored(project)
    assert shape(records) == WHOLE
    failed = [record.name for record in records if record.status == "error"]
    assert failed == [semconv.DEPLOY, semconv.PROVISION, semconv.PROVISION_ENDPOINT]
    assert records[0].attributes[semconv.OUTCOME] == semconv.FAILED
    assert records[0].status_message == "QueryError: No capacity for this GPU"


def test_refused_upload_leaks_no_signature(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The exception of the upload holds the presigned URL, whose query is a credential."""
    project = tmp_path / "gpu_app"
    control_plane.faults = FaultPlan(FAULTS["upload refused"])
    run = deploy(environment, control_plane, project, launcher=launcher(environment, "rp"))
    assert run.exit_code == 1
    assert SIGNATURE_CANARY in run.stderr.split("flash-otel: ")[0]
    ours = run.stderr[run.stderr.index("flash-otel: ") :]
    records = stored(project)
    text = ours + "".join(map(repr, records))
    assert SIGNATURE_CANARY not in text
    assert CREDENTIAL_CANARY not in text
    (upload,) = [record for record in records if record.name == semconv.ARTIFACT_UPLOAD]
    assert upload.status == "error"
    assert [event.name for event in upload.events].count(semconv.RETRY) == 3
    assert semconv.BUILD_ID not in upload.attributes


def test_opentelemetry_instrument(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The instrumentor is loaded for runpod 2, too: one of its packages is enough."""
    project = tmp_path / "gpu_app"
    command = [str(environment.python), "-c", INSTRUMENT, str(environment.flash)]
    run = deploy(environment, control_plane, project, launcher=command, variables=TRACES_ONLY)
    assert run.exit_code == 0, run.stderr
    assert shape(stored(project)) == WHOLE


@pytest.mark.parametrize("script", ["flash", "rp"])
def test_both_generations_in_one_environment(
    script: str, flash_env: FlashEnvironments, environment: PythonEnvironment, tmp_path: Path
) -> None:
    """runpod-flash runs on runpod 2, too; each command is traced as what it is."""
    older = flash_env("1.21.0")
    # Every runpod-flash requires runpod, without an upper bound.
    path = os.pathsep.join((str(older.source), str(packages_of(environment, "runpod"))))
    version = older.version if script == "flash" else VERSION
    project = write_project(tmp_path / "gpu_app", version)
    arguments = ["deploy", "--no-deps"] if script == "flash" else ["flash", "deploy"]
    with ControlPlane(seed=1) as plane:
        run = run_flash(
            older,
            plane,
            project,
            *arguments,
            launcher=launcher(older, script),
            variables={**environment.variables, "PYTHONPATH": path},
        )
    assert run.exit_code == 0, run.stderr
    records = stored(project)
    own = shape(records)
    assert (own == WHOLE) == (script == "rp")
    assert ((semconv.MANIFEST_UPLOAD, semconv.PROVISION) in own) == (script == "flash")
    assert {record.resource[semconv.SERVICE_VERSION] for record in records} == {version}


def test_captured_requests(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """With `--capture-graphql`, each request is a span with its redacted answer."""
    project = tmp_path / "gpu_app"
    command = launcher(environment, "rp")
    command.insert(command.index("--"), "--capture-graphql")
    run = deploy(environment, control_plane, project, launcher=command)
    assert run.exit_code == 0, run.stderr
    spans = [record for record in stored(project) if record.name == semconv.GRAPHQL]
    operations = [str(span.attributes[semconv.GRAPHQL_OPERATION_NAME]) for span in spans]
    assert operations == [name for name in run.operations if name != "PUT artifact"]
    (activation,) = (
        span for span, name in zip(spans, operations, strict=True) if name.startswith("deployBuild")
    )
    (active,) = control_plane.state.environments.values()
    answer = json.loads(str(activation.attributes[semconv.GRAPHQL_ANSWER]))
    assert answer == {"deployBuildToEnvironment": {"id": active.id, "name": "default"}}
    assert SIGNATURE_CANARY not in "".join(map(repr, spans))


SWITCHED: Final = """
    import sys
    import flash_otel
    from child import report

    flash_otel.instrument()
    early = sorted(name for name in sys.modules if name.partition(".")[0] == "runpod")
    tables = sorted(name for name in sys.modules if name.startswith("flash_otel.tracing.runpod2"))
    import runpod.apps.deploy as deploy
    from runpod.apps.api import AppsApiClient

    def wrapped():
        method = AppsApiClient.__dict__["_execute"]
        functions = (deploy.deploy_app, deploy.build_environment, method)
        return [hasattr(function, "_self_wrapper") for function in functions]

    states = [wrapped()]
    flash_otel.uninstrument()
    states.append(wrapped())
    flash_otel.instrument()
    states.append(wrapped())
    report(early=early, tables=tables, states=states)
"""


def test_switched_on_and_off(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """`instrument()` imports neither runpod nor its table; both are undone and done again."""
    done = Site(tmp_path, environment, control_plane).python(SWITCHED)
    assert done.exit_code == 0, done.output
    assert (done.seen["early"], done.seen["tables"]) == ([], [])
    assert done.seen["states"] == [[True] * 3, [False] * 3, [True] * 3]


def test_doctor(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """`flash-otel doctor` finds runpod 2 and each of its targets, and imports neither."""
    site = Site(tmp_path, environment, control_plane)
    done = subprocess.run(
        [str(environment.python), "-m", "flash_otel", "doctor", "--json", "--offline"],
        env={**site.variables(), "PATH": str(environment.scripts)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    checks = json.loads(done.stdout)["checks"]
    targets = [check for check in checks if check["topic"] == "targets"]
    assert {check["result"] for check in targets} == {"ok"}
    assert len(targets) == 8
    assert any(check["says"] == f"runpod {VERSION}" for check in checks)


CALLS: Final = """
    import asyncio
    from child import recorded, report

    with recorded(after=1000):
        from gpu_app import gpu_info

        answers = [asyncio.run(gpu_info.remote.aio(verbose=True)), gpu_info.remote(verbose=True)]
        job = gpu_info.spawn(verbose=True)
    report(answers=answers)
"""


def test_calls_of_a_worker(
    redeployed: Deployed, environment: PythonEnvironment, tmp_path: Path
) -> None:
    """Each call is a span that is linked to the deployment, and names the worker's own build.

    The sentinel's request carries its context once, and the job's input nothing of ours.
    """
    before = len(redeployed.plane.journal.entries)
    worker = Site(tmp_path, environment, redeployed.plane).worker(CALLS)
    assert worker.exit_code == 0, worker.output
    assert [answer["endpoint"] for answer in worker.seen["answers"]] == ["gpu_info"] * 2
    (root,) = redeployed.named(semconv.DEPLOY)
    build = list(redeployed.plane.state.builds.values())[-1]
    known = {
        semconv.APP_NAME: "gpu_app",
        semconv.ENVIRONMENT_NAME: "default",
        semconv.RESOURCE_NAME: "gpu_info",
        semconv.CALL_ROUTE: semconv.ROUTE_REMOTE,
        semconv.BUILD_ID: build.id,
        semconv.DEPLOY_TRACE_ID: root.trace_id,
        semconv.CODE_DEPLOYMENT_ID: root.span_id,
    }
    calls = worker.named(semconv.CALL)
    assert len(calls) == 3
    for call in calls:
        assert {name: call.attributes.get(name) for name in known} == known
    sent = [
        entry
        for entry in redeployed.plane.journal.entries[before:]
        if entry.operation.startswith("sentinel ")
    ]
    assert [entry.variables["traceparent"] for entry in sent] == [
        f"00-{call.trace_id}-{call.span_id}-01" for call in calls
    ]
    assert [entry.variables["body"] for entry in sent] == [{"input": {"verbose": True}}] * 3


def test_build_alone_is_no_deployment(
    environment: PythonEnvironment, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """`rp flash deploy --build-only` makes `flash.build` alone."""
    project = tmp_path / "gpu_app"
    command = launcher(environment, "rp")
    run = deploy(environment, control_plane, project, "--build-only", launcher=command)
    assert (run.exit_code, run.requests) == (0, [])
    (build,) = stored(project)
    assert (build.name, build.parent_span_id, build.status) == (semconv.BUILD, None, "unset")
    assert build.attributes[semconv.ARTIFACT_SIZE] == len(run.files["gpu_app-artifact.tar.gz"])
