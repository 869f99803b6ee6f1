"""What `verify` may read back, beside what is recorded: every answer of every comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from verify.subjects import BUILD, REAL, SOUND, URLS, WRITTEN, carried, manifest, subject

from flash_otel import semconv as sc
from flash_otel.records import SpanRecord
from flash_otel.tracing import carriers
from flash_otel.verify.snapshot import EndpointCall, FetchedBuild, LocalManifest, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.verify.checks import Subject

BUILT: Final = carried("build")
OF_BUILD: Final = carriers.read(manifest(None, BUILT))
OF_ANOTHER: Final = carriers.read(manifest(None, {**BUILT, "deployment_id": "00000000000000bb"}))
MOVED: Final = {**URLS, "gpu": "https://api.example/v2/qb9"}
PART: Final = {"api": URLS["api"]}


@dataclass(frozen=True, slots=True)
class Case:
    """The input of `judge`."""

    subject: Subject
    recorded: tuple[SpanRecord, ...] = ()
    version: str = ""


def span(name: str, start_ns: int, **attributes: str | int) -> SpanRecord:
    """Return a successful span of a recorded deployment."""
    values = {f"flash.{key}": value for key, value in attributes.items()}
    return SpanRecord(
        trace_id="a" * 32,
        span_id=f"{start_ns:016x}",
        parent_span_id=None,
        name=name,
        kind="client",
        start_ns=start_ns,
        end_ns=start_ns + 1,
        attributes={
            sc.DEPLOYMENT_ID: "00000000000000bb",
            sc.ENVIRONMENT_ID: "env-1",
            sc.OUTCOME: sc.RETURNED,
            **values,
        },
    )


def recorded(build: str = BUILD) -> list[SpanRecord]:
    """Return a recorded deployment that succeeded before the snapshot."""
    return [
        span(sc.DEPLOY, 10, build_id=build),
        span(sc.ACTIVATE, 20, build_id=build),
        span(sc.MANIFEST_UPLOAD, 30, build_id=build, endpoint_count=2),
    ]


def _died() -> tuple[SpanRecord, ...]:
    """Return a deployment that failed before it wrote the manifest."""
    deploy, activate, _ = recorded()
    return (replace(deploy, attributes={**deploy.attributes, sc.OUTCOME: sc.FAILED}), activate)


def _called(*calls: EndpointCall) -> Case:
    return Case(subject(calls=calls), version="1.21.0")


def _local(local: LocalManifest, stored: dict[str, Any] | None = SOUND, **more: Any) -> Case:
    return Case(subject(stored, local=local, **more))


def _of_successor(real: tuple[Ref, ...] | None, **more: Any) -> Case:
    """Return a snapshot through runpod 2, whose manifests name no endpoint."""
    return Case(subject(None, real=real, has_mapping=False, **more), version="2.0.0rc2")


def _told(created: dict[str, str], *builds: str) -> Case:
    """Return a sound snapshot with the times of builds, beside records of builds."""
    asked = subject()
    listed = tuple(FetchedBuild(build, time) for build, time in created.items())
    records = [
        replace(record, trace_id=f"{number}" * 32)
        for number, build in enumerate(builds, 1)
        for record in recorded(build)
    ]
    return Case(replace(asked, snapshot=replace(asked.snapshot, builds=listed)), tuple(records))


LATER_NS: Final = 24 * 3600 * 10**9
"""So long after a deployment, a build may have been put back on purpose."""


def _on_one_host(asked: Subject, written: Iterable[SpanRecord], later_ns: int = 0) -> Case:
    """Return a snapshot beside a record whose times one clock measured.

    Args:
        asked: The snapshot.
        written: The record.
        later_ns: How much later the snapshot is read.
    """
    resource = {"host.name": "laptop"}
    read = asked.snapshot.record
    start_ns = read.start_ns + later_ns
    snapshot = replace(
        asked.snapshot,
        record=replace(read, resource=resource, start_ns=start_ns, end_ns=start_ns + 1),
    )
    records = tuple(replace(record, resource=resource) for record in written)
    return Case(replace(asked, snapshot=snapshot), records)


def _with(name: str, found: list[SpanRecord], **attributes: str | int) -> list[SpanRecord]:
    """Return a recorded deployment, whose span of this name has more attributes."""
    more = {f"flash.{key}": value for key, value in attributes.items()}
    return [
        replace(record, attributes={**record.attributes, **more}) if record.name == name else record
        for record in found
    ]


REPLACING: Final = _with(sc.ACTIVATE, recorded("build-9"), previous_build_id=BUILD)
STORING: Final = _with(sc.MANIFEST_UPLOAD, recorded(), persisted_endpoint_count=2)
OWN: Final = {**WRITTEN, "deployment_id": "00000000000000bb"}


def _twice() -> list[SpanRecord]:
    """Return two recorded deployments, the first of the active build."""
    first = [
        replace(
            record,
            trace_id="b" * 32,
            attributes={**record.attributes, sc.DEPLOYMENT_ID: "00000000000000cc"},
        )
        for record in recorded()
    ]
    second = [
        replace(record, start_ns=record.start_ns + 100, end_ns=record.start_ns + 101)
        for record in recorded("build-9")
    ]
    return [*first, *second]


CASES: Final[dict[str, Case]] = {
    "nothing recorded": Case(subject()),
    "a record that agrees": Case(subject(), tuple(recorded()), "1.14.0"),
    "a carrier that agrees": Case(subject(manifest(URLS, WRITTEN))),
    "workers before 1.2": Case(subject(), version="1.1.1"),
    "workers since 1.15": Case(subject(), version="1.15.0"),
    "an environment that is not known": Case(subject(None, build=None, known=False)),
    "no active build": Case(subject(None, build=None)),
    "no active build, and one was expected": Case(subject(None, build=None, expected="build-1")),
    "the expected build, by its beginning": Case(subject(expected="build-2")),
    "another build than expected": Case(subject(expected="build-1")),
    "a build that is not listed was expected": Case(subject(expected="build-7")),
    "no manifest": Case(subject(None)),
    "no endpoints, not traced": Case(subject(manifest())),
    "no endpoints, written": Case(subject(manifest({}, WRITTEN))),
    "no endpoints, built": Case(subject(manifest(None, BUILT))),
    "no endpoints, built in this folder": _local(
        LocalManifest("shop", ("api",), {}, OF_BUILD), manifest(None, BUILT)
    ),
    "no endpoints, written in this folder": _local(
        LocalManifest("shop", ("api", "gpu"), URLS, OF_BUILD), manifest(None, BUILT)
    ),
    "no endpoints, and none is real": Case(subject(manifest(), real=())),
    "no endpoints, and none is listed": Case(subject(manifest(), real=None)),
    "no endpoints, and none is described": Case(subject({}, real=())),
    "no endpoints, and none is described, but some are real": Case(subject({})),
    "no endpoints, by a deployment that died": Case(subject(manifest()), _died()),
    "no endpoints, by a deployment that wrote them": Case(subject(manifest()), tuple(recorded())),
    "no endpoints, of a write that was stored": _on_one_host(subject(manifest({}, OWN)), STORING),
    "no endpoints, of a write that was stored, and none is described": _on_one_host(
        subject({"resources_endpoints": {}, sc.CARRIER_KEY: OWN}, real=()), STORING
    ),
    "an endpoint lost": Case(subject(manifest({"gpu": URLS["gpu"]}))),
    "an endpoint lost, recorded": Case(
        subject(manifest({"gpu": URLS["gpu"]}, WRITTEN)), tuple(recorded()), "1.14.0"
    ),
    "fewer endpoints than written": Case(
        subject({**manifest(PART, WRITTEN), "resources": {}}, real=REAL[:1])
    ),
    "as many endpoints as written, and others": Case(
        subject(manifest(MOVED, WRITTEN), real=(REAL[0], Ref("qb9", "gpu")))
    ),
    "more endpoints than written": Case(
        subject(manifest(URLS, carried("write", endpoint_count=1, digest="0")))
    ),
    "a resource without any endpoint": Case(subject(manifest(PART), real=REAL[:1])),
    "an endpoint that the manifest does not name": Case(
        subject({"resources": {"api": {}}, "resources_endpoints": PART})
    ),
    "another endpoint of the same name": Case(subject(manifest(MOVED))),
    "an endpoint that is gone": Case(subject(real=REAL[:1])),
    "all endpoints are gone": Case(subject(real=())),
    "an endpoint of another environment": Case(
        subject(real=REAL[:1], elsewhere={"qb2": "staging"})
    ),
    "an endpoint of another environment, and one that is gone": Case(
        subject(real=(), elsewhere={"qb2": "staging"})
    ),
    "endpoints that are not listed": Case(subject(real=None)),
    "the folder's endpoints agree": _local(LocalManifest("shop", ("api", "gpu"), URLS)),
    "the folder's endpoints agree, of the same deployment": _local(
        LocalManifest(None, ("api", "gpu"), URLS, OF_BUILD), manifest(URLS, BUILT)
    ),
    "the folder's endpoints are others": _local(LocalManifest("shop", ("api",), PART, OF_ANOTHER)),
    "the folder has no endpoints": _local(LocalManifest("shop", ("api",), {}, OF_ANOTHER)),
    "the folder has no endpoints, of the same deployment": _local(
        LocalManifest("shop", ("api",), {}, OF_BUILD), manifest(URLS, BUILT)
    ),
    "the folder wrote one more": _local(
        LocalManifest("shop", ("api", "gpu"), URLS, OF_BUILD),
        {**manifest(PART, carried("write")), "resources": {"api": {}}},
        real=REAL[:1],
    ),
    "the folder wrote other URLs": _local(
        LocalManifest("shop", ("api", "gpu"), MOVED, OF_BUILD), manifest(URLS, BUILT)
    ),
    "the folder wrote, and no manifest is stored": _local(
        LocalManifest("shop", ("api", "gpu"), URLS, OF_BUILD), None
    ),
    "the folder's manifest is broken": _local(LocalManifest(problem="no JSON")),
    "the folder is of another app": _local(LocalManifest("blog", ("api",), PART)),
    "runpod 2": _of_successor(REAL),
    "runpod 2, one endpoint": _of_successor(REAL[:1]),
    "runpod 2, no endpoint": _of_successor(()),
    "runpod 2, endpoints that are not listed": _of_successor(None),
    "runpod 2, no active build": _of_successor(REAL, build=None),
    "runpod 2, an environment that is not known": _of_successor(None, build=None, known=False),
    "one endpoint": Case(
        subject({"resources": {"api": {}}, "resources_endpoints": PART}, real=REAL[:1])
    ),
    "an endpoint answers": _called(EndpointCall("gpu", "health", 200)),
    "an endpoint answers with the last success": _called(EndpointCall("gpu", "health", 299)),
    "an endpoint redirects": _called(EndpointCall("gpu", "health", 300)),
    "an endpoint answers too early": _called(EndpointCall("gpu", "health", 199)),
    "an endpoint refuses the key": _called(EndpointCall("gpu", "health", 401)),
    "an endpoint forbids": _called(EndpointCall("gpu", "sentinel", 403)),
    "an endpoint is unknown": _called(EndpointCall("gpu", "health", 404)),
    "an endpoint is unknown by its name": _called(EndpointCall("gpu", "sentinel", 404)),
    "an endpoint does not answer": _called(EndpointCall("gpu", "health", None, "timed out")),
    "both ways to an endpoint": _called(
        EndpointCall("gpu", "health", 200), EndpointCall("gpu", "sentinel", 500)
    ),
    "a later deployment from elsewhere": _told(
        {"build-1": "2026-01-01", BUILD: "2026-01-02"}, "build-1"
    ),
    "a deployment from elsewhere, as old as the record": _told(
        {"build-9": "2026-01-02", BUILD: "2026-01-02"}, "build-9"
    ),
    "a deployment from elsewhere, older than the record": _told(
        {"build-9": "2026-01-03", BUILD: "2026-01-02"}, "build-9"
    ),
    "the replaced build, soon after the activation": _on_one_host(subject(), REPLACING),
    "the replaced build, much later": _on_one_host(subject(), REPLACING, later_ns=LATER_NS),
    "an older recorded build, much later": _on_one_host(subject(), _twice(), later_ns=LATER_NS),
    "no active build, after a recorded activation": Case(
        subject(None, build=None), tuple(recorded())
    ),
    "an active build that the app does not list": _told({"build-9": "2026-01-01"}, "build-9"),
    "builds without times": _told({"build-9": "", BUILD: ""}, "build-9"),
    "two recorded builds, one of them listed": _told(
        {"build-9": "2026-01-01", BUILD: "2026-01-02"}, "build-9", "build-8"
    ),
    "two recorded builds, one of them newer than the active one": _told(
        {"build-9": "2026-01-01", "build-8": "2026-01-03", BUILD: "2026-01-02"},
        *("build-9", "build-8"),
    ),
    "a record of a build without a time": _told({"build-9": "", BUILD: "2026-01-02"}, "build-9"),
    "a record of another endpoint count": Case(
        subject(),
        (*recorded()[:2], span(sc.MANIFEST_UPLOAD, 30, build_id=BUILD, endpoint_count=3)),
    ),
}
