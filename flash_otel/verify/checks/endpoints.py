"""Comparisons of the manifest with what really exists: endpoints, this folder, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.findings import several
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.redaction import scrub
from flash_otel.verify.checks.check import LOCAL, PASS, UNKNOWN, Check, Subject, failed, plain
from flash_otel.verify.local import PATH
from flash_otel.verify.snapshot import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.verify.local import LocalManifest
    from flash_otel.verify.snapshot import Answer, Reading

_NOT_FOUND: Final = 404
_REFUSED: Final = (401, 403)


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
        return failed("endpoints_exist", sc.ENVIRONMENT_TAKEOVER, says)
    same = [one for one in reading.environment.endpoints or () if plain(one.name) == name]
    if same:
        says = f"the manifest sends calls of {name!r} to {url}, but the endpoint is {same[0].id}"
        return failed("endpoints_exist", sc.ENDPOINTS_DIFFER, says)
    says = f"endpoint {name!r} of the manifest ({url}) does not exist in {subject.place}"
    return failed("endpoints_exist", sc.CALL_TARGET_UNKNOWN, says, LIKELY)


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
        yield failed("local_agrees", sc.ENDPOINTS_MISSING, says, CERTAIN, LOCAL)
    elif local.endpoints:
        says = "the manifest holds other URLs than this folder's deployment wrote"
        yield failed("local_agrees", sc.ENDPOINTS_DIFFER, says, CERTAIN, LOCAL)


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
        return failed(name, sc.UNAUTHORIZED, says)
    if answer.status == _NOT_FOUND and answer.by == "health":
        says = f"Runpod knows no {asked} though the environment lists it: HTTP 404"
        return failed(name, sc.CALL_TARGET_UNKNOWN, says)
    if answer.status == _NOT_FOUND:
        # That the real sentinel serves health is not proven: its 404 accuses nobody.
        return Check(name, UNKNOWN, f"{asked} was not found: HTTP 404")
    ok = 200 <= answer.status < 300  # noqa: PLR2004 - HTTP
    return Check(name, PASS if ok else UNKNOWN, f"{asked} answered HTTP {answer.status}")
