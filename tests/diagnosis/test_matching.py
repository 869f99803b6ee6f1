"""Which reads and calls have to do with a deployment: by code, build, environment and endpoint."""

from __future__ import annotations

from typing import Any, Final

import pytest

from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointFact,
    EndpointSet,
    Evidence,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    Provisioning,
    RemoteCall,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.matching import (
    DeploymentMatcher,
    EvidenceIndex,
    asks_for_deployed,
    endpoint_ids,
    endpoint_urls,
    is_given_with,
    looks_like_id,
)
from flash_otel.diagnosis.order import Offset

WORKER: Final = ProcessIdentity("worker-1")
GPU: Final = "https://api.example/v2/gpu"
WEB: Final = "https://api.example/v2/web"


def deployed(number: int = 1, **more: Any) -> Deployment:
    """Make a deployment that took effect at 100 times its number."""
    known: dict[str, Any] = {
        "id": f"d{number}",
        "aliases": frozenset({f"d{number}", f"b{number}"}),
        "build_id": f"build-{number}",
        "app_name": "shop",
        "environment_id": "env-1",
        "environment_name": "production",
        "activation": Activation(start_ns=100 * number),
        "start_ns": 100 * number,
    }
    return Deployment(**{**known, **more})


def read(**known: Any) -> RuntimeFetch:
    """Make a read at 1000 of which nothing else is known."""
    times: dict[str, Any] = {"start_ns": 990, "end_ns": 1_000, "process": WORKER}
    return RuntimeFetch(**{**times, **known})


def of_lines(number: int = 1, **more: Any) -> Deployment:
    """Make a deployment that is known by a log without times."""
    step = Step(name="flash.activate", origin=Origin(f"{number}.log", 1, rebuilt=True))
    known: dict[str, Any] = {
        "aliases": frozenset({f"d{number}"}),
        "by_lines": True,
        "in_log": True,
        "activation": Activation(),
        "start_ns": None,
        "steps": (step,),
        "app_name": None,
    }
    return deployed(number, **{**known, **more})


# --- endpoints of a deployment --------------------------------------------------------------------

URLS: Final = EndpointSet(urls=(GPU, WEB))
CUT: Final = EndpointSet(urls=("https://api.example/v2/g",), are_urls_whole=False)
STEPS: Final = (EndpointFact(endpoint_id="cpu"), EndpointFact(endpoint_id=None))


@pytest.mark.parametrize(
    ("known", "urls", "ids", "proven"),
    [
        ({}, (), set(), set()),
        ({"endpoints": STEPS}, (), {"cpu"}, {"cpu"}),
        ({"upload": ManifestUpload(endpoints=URLS)}, (GPU, WEB), {"gpu", "web"}, {"gpu", "web"}),
        (
            {"provisioning": Provisioning(endpoints=URLS)},
            (GPU, WEB),
            {"gpu", "web"},
            {"gpu", "web"},
        ),
        (
            {"upload": ManifestUpload(), "provisioning": Provisioning(endpoints=URLS)},
            (GPU, WEB),
            {"gpu", "web"},
            {"gpu", "web"},
        ),
        (
            {
                "upload": ManifestUpload(endpoints=EndpointSet(urls=(GPU,))),
                "provisioning": Provisioning(endpoints=URLS),
                "endpoints": STEPS,
            },
            (GPU,),
            {"gpu", "cpu"},
            {"gpu", "cpu"},
        ),
        (
            {"upload": ManifestUpload(endpoints=CUT), "endpoints": STEPS},
            ("https://api.example/v2/g",),
            {"g", "cpu"},
            {"cpu"},
        ),
        (
            {"upload": ManifestUpload(endpoints=EndpointSet(urls=("http://127.0.0.1",)))},
            ("http://127.0.0.1",),
            set(),
            set(),
        ),
    ],
    ids=[
        "nothing",
        "steps",
        "upload",
        "provisioning",
        "an upload without URLs",
        "the upload first",
        "URLs that were cut",
        "a URL without an id",
    ],
)
def test_endpoints_are_known_by_their_steps_and_by_their_urls(
    known: dict[str, Any], urls: tuple[str, ...], ids: set[str], proven: set[str]
) -> None:
    """A URL that may have been cut proves no id."""
    found = deployed(**known)
    assert endpoint_urls(found) == urls
    assert endpoint_ids(found) == ids
    assert endpoint_ids(found, are_proven=True) == proven


@pytest.mark.parametrize(
    ("label", "asked", "is_id"),
    [
        ("{env}", "production", True),
        ("{env", "production", False),
        ("env}", "production", False),
        ("abc123", "xyz789", True),
        ("abc123", "xyzxyz", False),
        ("abcabc", "xyz789", False),
        ("abc12", "xyz789", False),
        ("abcdef", "xyzxyz", False),
    ],
)
def test_a_placeholder_or_a_text_like_the_asked_one_may_be_an_id(
    label: str, asked: str, is_id: bool
) -> None:
    """Ids have digits, and all the same length."""
    assert looks_like_id(label, asked) is is_id


# --- what a read asks for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "asked", "is_deployed"),
    [
        ({}, {"environment_id": "env-1"}, True),
        ({}, {"environment_id": "env-2"}, False),
        ({}, {"environment_id": "env-2", "build_id": "build-1"}, False),
        ({}, {"environment_id": "production"}, False),
        ({}, {}, False),
        ({}, {"build_id": "build-2"}, True),
        ({"environment_id": None}, {"environment_id": "production"}, True),
        ({"environment_id": None}, {"environment_id": "env-1"}, False),
        ({"environment_id": None}, {"environment_id": "env-1", "build_id": "build-1"}, True),
        ({"environment_id": None}, {"environment_id": "env-1", "build_id": "build-2"}, False),
    ],
    ids=str,
)
def test_a_read_asks_for_the_deployed_environment(
    known: dict[str, Any], asked: dict[str, Any], is_deployed: bool
) -> None:
    """By its id; a log knows the name alone; what was asked for may have been lost."""
    assert asks_for_deployed(deployed(**known), read(**asked)) is is_deployed


@pytest.mark.parametrize(
    ("made", "known", "is_together"),
    [
        (deployed(in_log=True), {"in_log": True}, True),
        (deployed(in_log=True), {}, False),
        (deployed(), {"in_log": True}, False),
        (deployed(in_log=True), {"in_log": True, "code_deployment_id": "b1"}, True),
        (deployed(in_log=True), {"in_log": True, "code_deployment_id": "d2"}, False),
        (of_lines(), {"in_log": True, "code_deployment_id": "d2"}, True),
    ],
    ids=[
        "both",
        "no log of the read",
        "no log of the deployment",
        "own code",
        "other code",
        "lines",
    ],
)
def test_logs_that_are_given_together_belong_together(
    made: Deployment, known: dict[str, Any], is_together: bool
) -> None:
    """Unless the worker runs other code, which lines do not tell of a deployment."""
    assert is_given_with(made, read(**known)) is is_together


# --- the index ------------------------------------------------------------------------------------


def test_the_index_knows_deployments_names_and_reads() -> None:
    """Each by the id that workers have of it, oldest first."""
    first = deployed(aliases=frozenset({"d1", "shared"}))
    second = deployed(2, build_id="build-1", aliases=frozenset({"d2", "shared"}))
    other = deployed(3, build_id=None, environment_id=None, aliases=frozenset({"d3"}))
    reads = (
        read(environment_id="env-1", environment_name="told"),
        read(environment_id="env-2", environment_name="staging"),
        read(environment_id="env-3"),
        read(environment_name="nameless", process=ProcessIdentity("worker-2")),
    )
    index = EvidenceIndex(Evidence(deployments=(first, second, other), reads=reads))
    assert index.of_code("shared") == [first, second]
    assert index.of_code("d3") == [other]
    assert index.of_build("build-1") == [first, second]
    assert [index.of_code(None), index.of_code("d4"), index.of_build(None)] == [[], [], []]
    assert index.of_build("build-3") == []
    names = {"env-1": "production", "env-2": "staging", "env-3": None, None: None, "d1": None}
    assert {key: index.name_of(key) for key in names} == names
    assert index.reads_by("worker-1") == list(reads[:3])
    assert index.reads_by("worker-2") == [reads[3]]
    assert index.reads_by("worker-3") == []


def test_the_index_knows_the_only_app_of_an_environment() -> None:
    """By its id, or else by its name, which environments of several apps may have."""
    made = (
        deployed(),
        deployed(2, app_name=None),
        deployed(3, app_name="blog", environment_id="env-3"),
        deployed(4, app_name="blog", environment_id="env-4", environment_name="staging"),
        deployed(5, app_name=None, environment_id="env-5", environment_name="test"),
        deployed(6, app_name="lost", environment_id=None, environment_name=None),
    )
    index = EvidenceIndex(Evidence(deployments=made))
    for environments, app in (
        (("env-1",), "shop"),
        (("env-3", "staging"), "blog"),
        (("production",), None),
        (("staging",), "blog"),
        (("env-5", "staging"), "blog"),
        (("production", "env-1"), None),
        ((None, "env-1"), "shop"),
        (("env-9",), None),
        ((None,), None),
        ((), None),
    ):
        assert index.app_of(*environments) == app, environments


# --- reads of a deployment ------------------------------------------------------------------------

SAME: Final = Offset(exact=True)


def matcher(
    made: Deployment, *others: Deployment, clocks: Offset = SAME, **more: Any
) -> DeploymentMatcher:
    """Make the matcher of a deployment among others."""
    evidence = Evidence(deployments=(made, *others), **more)
    return DeploymentMatcher(made, evidence, EvidenceIndex(evidence), {"worker-1": clocks})


NEWER: Final = deployed(2)
ELSEWHERE: Final = deployed(3, environment_id="env-2", environment_name="staging")
OTHERS: Final = {
    "alone": (),
    "newer": (NEWER,),
    "newer, without a build": (deployed(2, build_id=None),),
    "older": (deployed(0),),
    "elsewhere": (ELSEWHERE,),
}


@pytest.mark.parametrize(
    ("beside", "known", "is_own"),
    [
        ("alone", {}, False),
        ("alone", {"code_deployment_id": "b1"}, True),
        ("alone", {"code_deployment_id": "d9"}, False),
        ("alone", {"build_id": "build-1"}, True),
        ("alone", {"build_id": "build-9"}, False),
        ("alone", {"environment_id": "env-1"}, True),
        ("alone", {"environment_id": "env-2"}, False),
        ("alone", {"environment_id": "production"}, False),
        ("alone", {"worker_endpoint_id": "gpu"}, True),
        ("alone", {"worker_endpoint_id": "web"}, False),
        ("newer", {"code_deployment_id": "d1", "build_id": "build-2"}, False),
        ("newer", {"code_deployment_id": "d1", "build_id": "build-1"}, True),
        ("newer", {"code_deployment_id": "b2", "build_id": "build-1"}, False),
        ("newer", {"code_deployment_id": "d2", "environment_id": "env-1"}, False),
        ("newer", {"code_deployment_id": "d9", "environment_id": "env-1"}, True),
        ("newer, without a build", {"environment_id": "env-1"}, True),
        ("older", {"code_deployment_id": "d0", "environment_id": "env-1"}, True),
        ("older", {"build_id": "build-0", "environment_id": "env-1"}, True),
        ("elsewhere", {"code_deployment_id": "d3", "environment_id": "env-1"}, False),
        ("elsewhere", {"build_id": "build-3", "environment_id": "env-1"}, True),
        ("elsewhere", {"build_id": "build-3", "environment_id": "env-2"}, False),
        ("elsewhere", {"worker_endpoint_id": "gpu"}, True),
    ],
    ids=str,
)
def test_a_read_is_of_the_deployment_that_it_shows(
    beside: str, known: dict[str, Any], is_own: bool
) -> None:
    """By its code, build, environment or endpoint, unless it shows a newer or another one."""
    made = deployed(endpoints=(EndpointFact(endpoint_id="gpu"),))
    assert matcher(made, *OTHERS[beside]).of_read(read(**known)) is is_own


@pytest.mark.parametrize(
    ("asked", "is_own"), [("production", True), ("env-1", False), (None, False)], ids=str
)
def test_a_log_knows_an_environment_by_its_label(asked: str | None, is_own: bool) -> None:
    """Old logs print the id where Flash prints the name."""
    made = deployed(environment_id=None)
    assert matcher(made).of_read(read(environment_id=asked)) is is_own
    nameless = deployed(environment_id=None, environment_name=None)
    assert not matcher(nameless).of_read(read(environment_id=asked))


@pytest.mark.parametrize(
    ("known", "clocks", "is_own"),
    [
        ({"end_ns": 99}, SAME, False),
        ({"end_ns": 100}, SAME, False),
        ({"end_ns": 101}, SAME, True),
        ({"end_ns": None}, SAME, True),
        ({"end_ns": 99}, Offset(), True),
        ({"end_ns": 99}, Offset(assumed=0), False),
        ({"end_ns": 99, "build_id": "build-1"}, SAME, True),
        ({"end_ns": 99, "build_id": "build-0"}, SAME, False),
        ({"end_ns": 99, "code_deployment_id": "d1"}, SAME, True),
    ],
    ids=["before", "at once", "after", "open", "unknown clock", "likely", "build", "older", "code"],
)
def test_a_read_that_ended_before_is_of_no_deployment(
    known: dict[str, Any], clocks: Offset, is_own: bool
) -> None:
    """Before the activation, or else before the beginning; what it knew goes before its time."""
    asked = read(environment_id="env-1", **known)
    assert matcher(deployed(), clocks=clocks).of_read(asked) is is_own
    root = Step(name="flash.deploy", start_ns=100)
    failed = deployed(activation=None, root=root)
    assert matcher(failed, clocks=clocks).of_read(asked) is is_own
    assert matcher(deployed(activation=None), clocks=clocks).of_read(asked)


@pytest.mark.parametrize(
    ("others", "known", "is_own"),
    [
        ((), {}, True),
        ((), {"in_log": False}, False),
        ((), {"environment_id": "env-9"}, True),
        ((), {"code_deployment_id": "d9"}, True),
        ((of_lines(2),), {}, True),
        ((of_lines(2, environment_id=None),), {}, True),
        ((of_lines(2, environment_id="env-2"),), {}, False),
        ((of_lines(2, environment_id=None, environment_name="staging"),), {}, False),
        ((of_lines(2, environment_id=None, environment_name="prod*"),), {}, True),
        ((of_lines(2, environment_id=None, environment_name=None),), {}, False),
    ],
    ids=[
        "given together",
        "no log",
        "an environment of nobody",
        "code of nobody",
        "the same environment",
        "the same name",
        "another id",
        "another name",
        "a part of the name",
        "neither",
    ],
)
def test_a_read_in_a_log_is_presumed_to_be_of_the_only_environment(
    others: tuple[Deployment, ...], known: dict[str, Any], is_own: bool
) -> None:
    """Logs that are given together belong together, unless they may be of several environments."""
    asked = read(**{"in_log": True, **known})
    assert matcher(of_lines(), *others).of_read(asked) is is_own


def test_a_read_of_a_recorded_environment_is_not_presumed_to_be_of_another() -> None:
    """It asks for an environment that a deployment has, if not this one."""
    asked = read(in_log=True, environment_id="env-1")
    made = of_lines(environment_id=None, environment_name="production")
    other = of_lines(2, environment_id="env-1", environment_name="production")
    assert not matcher(made, other).of_read(asked)
    unknown = read(in_log=True, environment_id="env-9")
    assert matcher(made, other).of_read(unknown)


# --- calls of a deployment ------------------------------------------------------------------------

UPLOAD: Final = ManifestUpload(endpoints=EndpointSet(names=("gpu", "web"), urls=(GPU, WEB)))
NAMED: Final[dict[str, Any]] = {"app_name": "shop", "environment_name": "production"}
UNKNOWN_PLACE: Final[dict[str, Any]] = {"app_name": "shop", "environment_name": "typo"}
OTHER_PLACE: Final[dict[str, Any]] = {"app_name": "shop", "environment_name": "staging"}


@pytest.mark.parametrize(
    ("known", "is_own"),
    [
        ({}, False),
        ({"code_deployment_id": "b1"}, True),
        ({"code_deployment_id": "b1", **OTHER_PLACE}, True),
        ({"code_deployment_id": "d2", **NAMED}, False),
        ({"code_deployment_id": "d0", **NAMED}, True),
        ({"code_deployment_id": "d3", **NAMED}, True),
        ({"process": ProcessIdentity("worker-2")}, True),
        ({"process": ProcessIdentity("worker-2"), **OTHER_PLACE}, True),
        ({"process": ProcessIdentity("worker-2"), "code_deployment_id": "d2"}, False),
        ({"endpoint_url": GPU}, True),
        ({"endpoint_url": "https://api.example/v2/cpu"}, False),
        ({"endpoint_url": ""}, False),
        ({"endpoint_url": GPU, **OTHER_PLACE}, False),
        (NAMED, True),
        ({**NAMED, "app_name": "blog"}, False),
        ({**NAMED, "app_name": None}, False),
        ({**UNKNOWN_PLACE, "resource_name": "gpu"}, True),
        ({**UNKNOWN_PLACE, "resource_name": "cpu"}, False),
        (UNKNOWN_PLACE, False),
        ({**OTHER_PLACE, "resource_name": "gpu"}, False),
    ],
    ids=str,
)
def test_a_call_is_of_the_deployment_that_it_shows(known: dict[str, Any], is_own: bool) -> None:
    """By its code or its worker; else by its URL or by the place that it names.

    A place where nobody deployed is a mistake for one with such an endpoint.
    """
    others = (deployed(0), NEWER, ELSEWHERE)
    found = matcher(deployed(upload=UPLOAD), *others)
    assert found.of_call(RemoteCall(**known), frozenset({"worker-2"})) is is_own


def test_a_call_of_an_unknown_place_needs_an_endpoint_of_that_name() -> None:
    """Without an upload, or without names in it, no endpoint is known by its name."""
    mistaken = RemoteCall(**UNKNOWN_PLACE, resource_name="gpu")
    for upload in (None, ManifestUpload(), ManifestUpload(endpoints=EndpointSet(names=()))):
        assert not matcher(deployed(upload=upload)).of_call(mistaken, frozenset())
    assert matcher(deployed(upload=UPLOAD)).of_call(mistaken, frozenset())
