"""What must agree for remote calls to work: one small function per comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import manifest as manifests
from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.findings import Exhibit, Finding, count, several
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.pipeline.redaction import scrub
from flash_otel.verify.local import PATH
from flash_otel.verify.reading import ORIGIN, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.verify.local import LocalManifest
    from flash_otel.verify.reading import Answer, Reading

PASS: Final = "pass"  # noqa: S105 - the guide's word, no secret
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"

_READ_BACK: Final = Origin(file=ORIGIN)
_LOCAL: Final = Origin(file=PATH.as_posix())
_NOT_FOUND: Final = 404
_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared.

    Attributes:
        reading: What was read back.
        expected_build: The build that should be active, or its first characters; None if unsaid.
        local: The manifest in the working folder, or None.
    """

    reading: Reading
    expected_build: str | None = None
    local: LocalManifest | None = None

    @property
    def place(self) -> str:
        """The environment, in words."""
        environment = self.reading.environment
        return f"environment {environment.name} ({environment.id})"


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        name: What a machine calls it.
        result: pass, fail or unknown.
        says: What was found.
        finding: The fault that a failure is.
    """

    name: str
    result: str
    says: str
    finding: Finding | None = None


def environment_known(subject: Subject) -> Iterator[Check]:
    """The State Manager answers the question for the environment's id."""
    if subject.reading.environment.known:
        yield Check("environment_known", PASS, f"the State Manager knows {subject.place}")
        return
    says = f"the State Manager does not know {subject.place}, though the app lists it"
    yield _failed("environment_known", sc.ENVIRONMENT_UNKNOWN, says)


def build_active(subject: Subject) -> Iterator[Check]:
    """Some build is active."""
    environment = subject.reading.environment
    if not environment.known:
        return
    if environment.active_build_id:
        yield Check("build_active", PASS, f"build {environment.active_build_id} is active")
        return
    says = (
        f"no build is active in {subject.place}: nothing was activated there, or the activation "
        "did not take effect"
    )
    yield _undecided("build_active", (sc.STALE_BUILD,), says)


def build_expected(subject: Subject) -> Iterator[Check]:
    """The active build is the one that was named."""
    wanted, active = subject.expected_build, subject.reading.environment.active_build_id
    if wanted is None or not subject.reading.environment.known:
        return
    if active is not None and active.startswith(wanted):
        yield Check("build_expected", PASS, "the active build is the expected one")
        return
    known = any(one.id.startswith(wanted) for one in subject.reading.builds)
    doubt = "" if known else "; the app lists no such build: is the id right?"
    stands = f"build {active} is active" if active else "no build is active"
    says = f"build {wanted} was expected, but {stands} in {subject.place}{doubt}"
    yield _failed("build_expected", sc.STALE_BUILD, says, CERTAIN if known else LIKELY)


def manifest_stored(subject: Subject) -> Iterator[Check]:
    """The active build has a manifest."""
    reading = subject.reading
    build = reading.environment.active_build_id
    if build is None:
        return
    if reading.manifest is not None:
        keys = ", ".join(manifests.keys(reading.manifest))
        yield Check("manifest_stored", PASS, f"its manifest is stored, with keys: {keys}")
        return
    codes = (sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE)
    yield _undecided("manifest_stored", codes, f"build {build} has no manifest at all")


def endpoints_held(subject: Subject) -> Iterator[Check]:
    """The manifest holds endpoints."""
    reading = subject.reading
    if reading.manifest is None:
        return
    if reading.held:
        names = several(list(reading.held))
        says = f"the manifest holds {count(len(reading.held), 'endpoint')}: {names}"
        yield Check("endpoints_held", PASS, says)
    elif reading.resources or reading.environment.endpoints:
        yield _without_endpoints(subject)
    else:
        says = f"build {reading.environment.active_build_id} has no endpoint at all"
        yield _failed("endpoints_held", sc.NOTHING_DEPLOYED, says, LIKELY)


def _without_endpoints(subject: Subject) -> Check:
    """Name what an empty mapping proves by itself: its carrier tells whether it was written."""
    reading, carrier = subject.reading, subject.reading.carrier
    real = len(reading.environment.endpoints or ())
    says = (
        f"the manifest of active build {reading.environment.active_build_id} holds no endpoints, "
        f"though the environment has {count(real, 'endpoint')}: workers find none of them"
    )
    if carrier is not None and carrier.phase == sc.PHASE_WRITE:
        codes = (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)
        return _undecided("endpoints_held", codes, says)
    if _never_came_to_write(subject):
        return _failed("endpoints_held", sc.MANIFEST_NEVER_WRITTEN, says, LIKELY, _LOCAL)
    codes = (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED)
    return _undecided("endpoints_held", codes, f"{says}; or a deployment is running just now")


def _never_came_to_write(subject: Subject) -> bool:
    """Tell whether the local manifest shows that its deployment died before the upload.

    Flash writes the endpoints into the local file immediately before it uploads them
    (`reconcile_and_provision_resources`, 1.2.0-1.21.0).
    """
    local, active = subject.local, subject.reading.carrier
    if local is None or local.carrier is None or active is None or local.endpoints:
        return False
    return local.carrier.deployment_id == active.deployment_id


def endpoints_complete(subject: Subject) -> Iterator[Check]:
    """The manifest holds every endpoint that its resources have, and that its writer counted."""
    reading = subject.reading
    if not reading.held:
        return
    real = {_plain(one.name) for one in reading.environment.endpoints or ()}
    absent = [name for name in reading.resources if name not in reading.held]
    lost = [name for name in absent if name in real]
    written = reading.carrier.endpoint_count if reading.carrier else None
    if lost or (written is not None and len(reading.held) < written):
        total = written if written is not None else len(reading.held) + len(lost)
        named = f": {several(lost)} missing" if lost else ""
        says = f"the manifest holds {len(reading.held)} of {count(total, 'endpoint')}{named}"
        yield _failed("endpoints_complete", sc.ENDPOINTS_MISSING, says)
    elif absent:
        says = f"{several(absent)} has no endpoint, neither here nor in the environment"
        yield Check("endpoints_complete", UNKNOWN, says)
    else:
        yield Check("endpoints_complete", PASS, "every resource of the build has an endpoint")


def endpoints_written(subject: Subject) -> Iterator[Check]:
    """The endpoints are those that the manifest's writer wrote, by its own digest."""
    reading, carrier = subject.reading, subject.reading.carrier
    if carrier is None or carrier.digest is None or len(reading.held) != carrier.endpoint_count:
        return
    if manifests.digest(reading.held) == carrier.digest:
        yield Check("endpoints_written", PASS, "the endpoints are those that were written")
        return
    says = "the manifest holds other endpoints than its deployment wrote"
    yield _failed("endpoints_written", sc.ENDPOINTS_DIFFER, says)


def endpoints_exist(subject: Subject) -> Iterator[Check]:
    """Every endpoint of the manifest is one of the environment's real ones."""
    reading = subject.reading
    listed = reading.environment.endpoints
    if not reading.held:
        return
    if listed is None:
        yield Check("endpoints_exist", UNKNOWN, "the environment's endpoints were not listed")
        return
    gone = [name for name, url in reading.held.items() if owner_of(url, listed) is None]
    if not gone:
        says = "every endpoint of the manifest exists in the environment"
        yield Check("endpoints_exist", PASS, says)
        return
    for name in gone:
        yield _gone(subject, name)


def _gone(subject: Subject, name: str) -> Check:
    reading = subject.reading
    url = scrub(reading.held[name])
    taken = [place for known, place in reading.elsewhere.items() if f"/{known}" in url]
    if taken:
        says = (
            f"endpoint {name!r} of the manifest belongs to environment {taken[0]} now, not to "
            f"{reading.environment.name}"
        )
        return _failed("endpoints_exist", sc.ENVIRONMENT_TAKEOVER, says)
    same = [one for one in reading.environment.endpoints or () if _plain(one.name) == name]
    if same:
        says = f"the manifest sends calls of {name!r} to {url}, but the endpoint is {same[0].id}"
        return _failed("endpoints_exist", sc.ENDPOINTS_DIFFER, says)
    says = f"endpoint {name!r} of the manifest ({url}) does not exist in {subject.place}"
    return _failed("endpoints_exist", sc.CALL_TARGET_UNKNOWN, says, LIKELY)


def local_agrees(subject: Subject) -> Iterator[Check]:
    """The working folder's manifest says the same, if it is of the same deployment."""
    local, reading = subject.local, subject.reading
    if local is None or reading.manifest is None or local.app not in (None, reading.app.name):
        return
    if local.problem:
        yield Check("local_agrees", UNKNOWN, f"{PATH.as_posix()} cannot be read: {local.problem}")
    elif _is_same_deployment(subject):
        yield from _same_deployment(local, reading)
    elif local.endpoints and local.endpoints != reading.held:
        says = (
            f"{PATH.as_posix()} names other endpoints: this folder's last deployment went "
            "elsewhere, or another one came after it"
        )
        yield Check("local_agrees", UNKNOWN, says)
    elif local.endpoints:
        yield Check("local_agrees", PASS, f"{PATH.as_posix()} names the same endpoints")


def _is_same_deployment(subject: Subject) -> bool:
    local, active = subject.local, subject.reading.carrier
    if local is None or local.carrier is None or active is None:
        return False
    return local.carrier.deployment_id == active.deployment_id


def _same_deployment(local: LocalManifest, reading: Reading) -> Iterator[Check]:
    lost = [name for name in local.endpoints if name not in reading.held]
    if not reading.held or local.endpoints == reading.held:
        if reading.held:
            yield Check("local_agrees", PASS, f"{PATH.as_posix()} names the same endpoints")
    elif lost:
        says = f"this folder's deployment wrote {several(lost)} too, and the manifest lacks it"
        yield _failed("local_agrees", sc.ENDPOINTS_MISSING, says, CERTAIN, _LOCAL)
    elif local.endpoints:
        says = "the manifest holds other URLs than this folder's deployment wrote"
        yield _failed("local_agrees", sc.ENDPOINTS_DIFFER, says, CERTAIN, _LOCAL)


def call_answered(subject: Subject) -> Iterator[Check]:
    """The endpoint that was asked has answered."""
    for answer in subject.reading.answers:
        yield _answered(answer)


def _answered(answer: Answer) -> Check:
    name = f"call_{answer.by}"
    way = "by its id" if answer.by == "health" else "by app, environment and name"
    asked = f"endpoint {answer.name!r}, asked {way},"
    if answer.status is None:
        return Check(name, UNKNOWN, f"{asked} did not answer: {answer.problem}")
    if answer.status in _REFUSED:
        says = f"{asked} refused the API key: HTTP {answer.status}"
        return _failed(name, sc.UNAUTHORIZED, says)
    if answer.status == _NOT_FOUND and answer.by == "health":
        says = f"Runpod knows no {asked} though the environment lists it: HTTP 404"
        return _failed(name, sc.CALL_TARGET_UNKNOWN, says)
    if answer.status == _NOT_FOUND:
        # That the real sentinel serves health is not proven: its 404 accuses nobody.
        return Check(name, UNKNOWN, f"{asked} was not found: HTTP 404")
    ok = 200 <= answer.status < 300  # noqa: PLR2004 - HTTP
    return Check(name, PASS if ok else UNKNOWN, f"{asked} answered HTTP {answer.status}")


def _plain(name: str) -> str:
    """Return an endpoint's name without the suffix that Flash adds for FlashBoot."""
    return name.removesuffix("-fb")


def _failed(
    name: str, code: str, says: str, confidence: str = CERTAIN, origin: Origin = _READ_BACK
) -> Check:
    finding = Finding(code, _sentence(says), (Exhibit(origin, says),), confidence)
    return Check(name, FAIL, says, finding)


def _undecided(name: str, codes: tuple[str, ...], says: str) -> Check:
    missing = ("the record of the deployment",)
    command = "flash-otel run -- flash deploy"
    finding = Finding(
        sc.INCONCLUSIVE,
        _sentence(says),
        (Exhibit(_READ_BACK, says),),
        candidates=codes,
        missing=missing,
        command=command,
    )
    return Check(name, FAIL, says, finding)


def _sentence(says: str) -> str:
    return f"{says[:1].upper()}{says[1:]}."


CHECKS: Final[tuple[Callable[[Subject], Iterator[Check]], ...]] = (
    environment_known,
    build_active,
    build_expected,
    manifest_stored,
    endpoints_held,
    endpoints_complete,
    endpoints_written,
    endpoints_exist,
    local_agrees,
    call_answered,
)


def compare(subject: Subject) -> tuple[Check, ...]:
    """Make every comparison that what was read allows."""
    return tuple(check for make in CHECKS for check in make(subject))
