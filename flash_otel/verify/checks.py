"""The comparisons: what must agree for remote calls to work, one small function each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import manifest as manifests
from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.findings import Exhibit, Finding, count, several
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.redaction import scrub
from flash_otel.verify.snapshot import LOCAL_PATH, ORIGIN, Ref, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.verify.snapshot import EndpointCall, LocalManifest, Snapshot

PASS: Final = "pass"  # noqa: S105 - a result, not a password
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"

_READ_BACK: Final = Origin(file=ORIGIN)
_LOCAL_NAME: Final = LOCAL_PATH.as_posix()
_LOCAL: Final = Origin(file=_LOCAL_NAME)
_SAME_ENDPOINTS: Final = f"{_LOCAL_NAME} names the same endpoints"
_NOT_FOUND: Final = 404
_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Subject:
    """The input of the comparisons.

    Attributes:
        snapshot: What was read back.
        expected_build: The build that should be active, or its first characters; None for any.
        local: The manifest in the working folder, or None.
    """

    snapshot: Snapshot
    expected_build: str | None = None
    local: LocalManifest | None = None

    @property
    def place(self) -> str:
        """The environment, in words."""
        environment = self.snapshot.environment
        return f"environment {environment.name} ({environment.id})"

    @property
    def is_locally_deployed(self) -> bool:
        """Whether the active manifest and the local one carry the same deployment."""
        local, active = self.local, self.snapshot.carrier
        if local is None or local.carrier is None or active is None:
            return False
        return local.carrier.deployment_id == active.deployment_id


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of one comparison.

    Attributes:
        name: Its name in the JSON output.
        result: pass, fail or unknown.
        text: The result in words.
        finding: The fault, if it failed.
    """

    name: str
    result: str
    text: str
    finding: Finding | None = None


def compare(subject: Subject) -> tuple[Comparison, ...]:
    """Make all comparisons that the snapshot allows."""
    return tuple(comparison for check in CHECKS for comparison in check(subject))


def _failed(
    name: str, code: str, text: str, confidence: str = CERTAIN, origin: Origin = _READ_BACK
) -> Comparison:
    finding = Finding(code, _sentence(text), (Exhibit(origin, text),), confidence)
    return Comparison(name, FAIL, text, finding)


def _undecided(name: str, codes: tuple[str, ...], text: str) -> Comparison:
    """Return a failure that several faults explain."""
    finding = Finding(
        sc.INCONCLUSIVE,
        _sentence(text),
        (Exhibit(_READ_BACK, text),),
        candidates=codes,
        missing=("the record of the deployment",),
        command="flash-otel run -- flash deploy",
    )
    return Comparison(name, FAIL, text, finding)


def _sentence(text: str) -> str:
    end = "" if text.endswith("?") else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


def _plain(name: str) -> str:
    """Return an endpoint's name without the suffix that Flash adds for FlashBoot."""
    return name.removesuffix("-fb")


# --- the environment and its build ---------------------------------------------------------------


def environment_known(subject: Subject) -> Iterator[Comparison]:
    """The State Manager knows the environment by its id."""
    if subject.snapshot.environment.is_known:
        yield Comparison("environment_known", PASS, f"the State Manager knows {subject.place}")
        return
    text = f"the State Manager does not know {subject.place}, though the app lists it"
    yield _failed("environment_known", sc.ENVIRONMENT_UNKNOWN, text)


def build_active(subject: Subject) -> Iterator[Comparison]:
    """The environment has an active build."""
    environment = subject.snapshot.environment
    if not environment.is_known:
        return
    if environment.active_build_id:
        yield Comparison("build_active", PASS, f"build {environment.active_build_id} is active")
        return
    text = (
        f"no build is active in {subject.place}: nothing was activated there, or the activation "
        "did not take effect"
    )
    yield _undecided("build_active", (sc.STALE_BUILD,), text)


def build_expected(subject: Subject) -> Iterator[Comparison]:
    """The active build is the expected one."""
    wanted, active = subject.expected_build, subject.snapshot.environment.active_build_id
    if wanted is None or not subject.snapshot.environment.is_known:
        return
    if active is not None and active.startswith(wanted):
        yield Comparison("build_expected", PASS, "the active build is the expected one")
        return
    is_listed = any(build.id.startswith(wanted) for build in subject.snapshot.builds)
    doubt = "" if is_listed else "; the app lists no such build: is the id right?"
    actual = f"build {active} is active" if active else "no build is active"
    text = f"build {wanted} was expected, but {actual} in {subject.place}{doubt}"
    yield _failed("build_expected", sc.STALE_BUILD, text, CERTAIN if is_listed else LIKELY)


# --- the manifest of the active build ------------------------------------------------------------


def manifest_stored(subject: Subject) -> Iterator[Comparison]:
    """The active build has a manifest."""
    snapshot = subject.snapshot
    build = snapshot.environment.active_build_id
    if build is None or not snapshot.has_mapping:
        return
    if snapshot.manifest is not None:
        keys = ", ".join(manifests.keys(snapshot.manifest))
        yield Comparison("manifest_stored", PASS, f"its manifest is stored, with keys: {keys}")
        return
    codes = (sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE)
    yield _undecided("manifest_stored", codes, f"build {build} has no manifest at all")


def endpoints_held(subject: Subject) -> Iterator[Comparison]:
    """The manifest holds endpoints."""
    snapshot = subject.snapshot
    if snapshot.manifest is None or not snapshot.has_mapping:
        return
    if snapshot.endpoints:
        names = several(list(snapshot.endpoints))
        text = f"the manifest holds {count(len(snapshot.endpoints), 'endpoint')}: {names}"
        yield Comparison("endpoints_held", PASS, text)
    elif snapshot.resources or snapshot.environment.endpoints:
        yield _without_endpoints(subject)
    else:
        text = f"build {snapshot.environment.active_build_id} has no endpoint at all"
        yield _failed("endpoints_held", sc.NOTHING_DEPLOYED, text, LIKELY)


def _without_endpoints(subject: Subject) -> Comparison:
    """Name the faults that explain an empty mapping: its carrier shows whether it was written."""
    snapshot, carrier = subject.snapshot, subject.snapshot.carrier
    text = f"the manifest of active build {snapshot.environment.active_build_id} holds no endpoints"
    listed = snapshot.environment.endpoints
    if listed:
        actual = count(len(listed), "endpoint")
        text += f", though the environment has {actual}: workers find none of them"
    elif listed is not None:
        text += ", and the environment has none"
    if carrier is not None and carrier.phase == sc.PHASE_WRITE:
        codes = (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)
        return _undecided("endpoints_held", codes, text)
    # Flash writes the endpoints into the local file immediately before it uploads them
    # (`reconcile_and_provision_resources`, 1.2.0-1.21.0): without them it never got that far.
    if subject.local is not None and subject.is_locally_deployed and not subject.local.endpoints:
        return _failed("endpoints_held", sc.MANIFEST_NEVER_WRITTEN, text, LIKELY, _LOCAL)
    codes = (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED)
    return _undecided("endpoints_held", codes, f"{text}; or a deployment is running just now")


def endpoints_listed(subject: Subject) -> Iterator[Comparison]:
    """The environment has endpoints, where no manifest names them (runpod 2)."""
    environment = subject.snapshot.environment
    if subject.snapshot.has_mapping or environment.active_build_id is None:
        return
    if environment.endpoints is None:
        text = "the environment's endpoints were not listed"
        yield Comparison("endpoints_listed", UNKNOWN, text)
    elif environment.endpoints:
        names = several([endpoint.name for endpoint in environment.endpoints])
        text = f"the environment has {count(len(environment.endpoints), 'endpoint')}: {names}"
        yield Comparison("endpoints_listed", PASS, text)
    else:
        text = f"{subject.place} has no endpoint at all, though a build is active"
        yield _failed("endpoints_listed", sc.NOTHING_DEPLOYED, text, LIKELY)


def endpoints_complete(subject: Subject) -> Iterator[Comparison]:
    """The manifest holds an endpoint for each resource, and as many as its carrier counts."""
    snapshot = subject.snapshot
    if not snapshot.endpoints:
        return
    actual = {_plain(endpoint.name) for endpoint in snapshot.environment.endpoints or ()}
    # A resource may have no endpoint at all, such as an image in client mode.
    absent = [name for name in snapshot.resources if name not in snapshot.endpoints]
    lost = [name for name in absent if name in actual]
    held = len(snapshot.endpoints)
    written = snapshot.carrier.endpoint_count if snapshot.carrier else None
    if lost or (written is not None and held < written):
        total = written if written is not None else held + len(lost)
        names = f": {several(lost)} missing" if lost else ""
        text = f"the manifest holds {held} of {count(total, 'endpoint')}{names}"
        yield _failed("endpoints_complete", sc.ENDPOINTS_MISSING, text)
    elif absent:
        text = f"{several(absent)} has no endpoint, neither here nor in the environment"
        yield Comparison("endpoints_complete", UNKNOWN, text)
    else:
        yield Comparison("endpoints_complete", PASS, "every resource of the build has an endpoint")


def endpoints_written(subject: Subject) -> Iterator[Comparison]:
    """The endpoints are as many as the manifest's carrier counts, and match its digest."""
    endpoints, carrier = subject.snapshot.endpoints, subject.snapshot.carrier
    if carrier is None or carrier.endpoint_count is None:
        return
    if len(endpoints) > carrier.endpoint_count:
        text = (
            f"the manifest holds {count(len(endpoints), 'endpoint')}, but its deployment wrote "
            f"{carrier.endpoint_count}: something else has written it since"
        )
        # Perhaps a worker, which Flash 1.0 to 1.2 let add endpoints of its own.
        yield _failed("endpoints_written", sc.ENDPOINTS_DIFFER, text, LIKELY)
        return
    if carrier.digest is None or len(endpoints) != carrier.endpoint_count:
        return
    if manifests.digest(endpoints) == carrier.digest:
        text = "the endpoints are those that were written"
        yield Comparison("endpoints_written", PASS, text)
        return
    text = "the manifest holds other endpoints than its deployment wrote"
    yield _failed("endpoints_written", sc.ENDPOINTS_DIFFER, text)


# --- the endpoints themselves, the working folder, and the health requests -----------------------


def endpoints_exist(subject: Subject) -> Iterator[Comparison]:
    """The environment lists every endpoint of the manifest."""
    snapshot = subject.snapshot
    listed = snapshot.environment.endpoints
    if not snapshot.endpoints:
        return
    if listed is None:
        text = "the environment's endpoints were not listed"
        yield Comparison("endpoints_exist", UNKNOWN, text)
        return
    gone = [name for name, url in snapshot.endpoints.items() if owner_of(url, listed) is None]
    if not gone:
        text = "every endpoint of the manifest exists in the environment"
        yield Comparison("endpoints_exist", PASS, text)
    for name in gone:
        yield _gone(subject, name)


def _gone(subject: Subject, name: str) -> Comparison:
    snapshot = subject.snapshot
    url = snapshot.endpoints[name]
    endpoints = snapshot.environment.endpoints or ()
    taken = owner_of(url, tuple(Ref(*found) for found in snapshot.elsewhere.items()))
    other = next((endpoint.id for endpoint in endpoints if _plain(endpoint.name) == name), None)
    if taken is not None:
        whose = f"environment {taken.name} now, not to {snapshot.environment.name}"
        text = f"endpoint {name!r} of the manifest belongs to {whose}"
        return _failed("endpoints_exist", sc.ENVIRONMENT_TAKEOVER, text)
    if other is not None:
        text = f"the manifest sends calls of {name!r} to {scrub(url)}, but the endpoint is {other}"
        return _failed("endpoints_exist", sc.ENDPOINTS_DIFFER, text)
    text = f"endpoint {name!r} of the manifest ({scrub(url)}) does not exist in {subject.place}"
    return _failed("endpoints_exist", sc.CALL_TARGET_UNKNOWN, text, LIKELY)


def local_agrees(subject: Subject) -> Iterator[Comparison]:
    """The working folder's manifest agrees, if it is of the same deployment."""
    local, snapshot = subject.local, subject.snapshot
    if local is None or snapshot.manifest is None or local.app not in (None, snapshot.app.name):
        return
    if local.problem:
        text = f"{_LOCAL_NAME} cannot be read: {local.problem}"
        yield Comparison("local_agrees", UNKNOWN, text)
    elif subject.is_locally_deployed:
        yield from _same_deployment(local, snapshot)
    elif local.endpoints and local.endpoints != snapshot.endpoints:
        text = (
            f"{_LOCAL_NAME} names other endpoints: this folder's last deployment went elsewhere, "
            "or another one came after it"
        )
        yield Comparison("local_agrees", UNKNOWN, text)
    elif local.endpoints:
        yield Comparison("local_agrees", PASS, _SAME_ENDPOINTS)


def _same_deployment(local: LocalManifest, snapshot: Snapshot) -> Iterator[Comparison]:
    lost = [name for name in local.endpoints if name not in snapshot.endpoints]
    if not snapshot.endpoints:
        return  # `endpoints_held` has failed
    if local.endpoints == snapshot.endpoints:
        yield Comparison("local_agrees", PASS, _SAME_ENDPOINTS)
    elif lost:
        text = f"this folder's deployment wrote {several(lost)} too, and the manifest lacks it"
        yield _failed("local_agrees", sc.ENDPOINTS_MISSING, text, CERTAIN, _LOCAL)
    elif local.endpoints:
        text = "the manifest holds other URLs than this folder's deployment wrote"
        yield _failed("local_agrees", sc.ENDPOINTS_DIFFER, text, CERTAIN, _LOCAL)


def call_answered(subject: Subject) -> Iterator[Comparison]:
    """The endpoint answered the health requests."""
    for call in subject.snapshot.calls:
        yield _answered(call)


def _answered(call: EndpointCall) -> Comparison:
    name = f"call_{call.by}"
    way = "by its id" if call.by == "health" else "by app, environment and name"
    endpoint = f"endpoint {call.name!r}, asked {way},"
    if call.status is None:
        return Comparison(name, UNKNOWN, f"{endpoint} did not answer: {call.problem}")
    if call.status in _REFUSED:
        text = f"{endpoint} refused the API key: HTTP {call.status}"
        return _failed(name, sc.UNAUTHORIZED, text)
    if call.status == _NOT_FOUND and call.by == "health":
        text = f"Runpod knows no {endpoint} though the environment lists it: HTTP 404"
        return _failed(name, sc.CALL_TARGET_UNKNOWN, text)
    if call.status == _NOT_FOUND:
        # Runpod does not document that the sentinel serves health requests: a 404 proves nothing.
        return Comparison(name, UNKNOWN, f"{endpoint} was not found: HTTP 404")
    is_ok = 200 <= call.status < 300  # noqa: PLR2004 - HTTP
    return Comparison(name, PASS if is_ok else UNKNOWN, f"{endpoint} answered HTTP {call.status}")


CHECKS: Final[tuple[Callable[[Subject], Iterator[Comparison]], ...]] = (
    environment_known,
    build_active,
    build_expected,
    manifest_stored,
    endpoints_held,
    endpoints_listed,
    endpoints_complete,
    endpoints_written,
    endpoints_exist,
    local_agrees,
    call_answered,
)
