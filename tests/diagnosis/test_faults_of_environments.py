"""Faults of environments, each with what it needs: without any one of it, nobody is accused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import LIMITS, S, beside, case_in, place, told

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointFact,
    EndpointSet,
    Evidence,
    Failure,
    ManifestFetch,
    ManifestUpload,
    ProcessIdentity,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.faults.environment import (
    environment_created,
    environment_mismatch,
    environment_takeover,
    environment_unknown,
    environment_unset,
    overlapping_deploys,
)

if TYPE_CHECKING:
    from flash_otel.diagnosis import Limits

WORKER: Final = ProcessIdentity("w-1", host="pod", worker=True, resource_name="gpu")


LONG: Final = "224c5f0a-8f0b-4a6e-9f57-2f0c1f7f8c11"


GPU: Final = EndpointFact(resource_name="gpu", endpoint_id="gpu0000001")
DEPLOYED: Final = Deployment(
    id="d-1",
    aliases=frozenset({"d-1"}),
    app_name="shop",
    build_id="b-1",
    environment_id="e-1",
    environment_name="production",
    activation=Activation(origin=place(1), start_ns=2 * S),
    upload=ManifestUpload(origin=place(2), end_ns=6 * S, endpoints=EndpointSet(1, ("gpu",))),
    endpoints=(GPU,),
    start_ns=S,
)
ASTRAY: Final = RuntimeFetch(
    origin=place(3), process=WORKER, environment_id="e-2", code_deployment_id="d-1"
)


# --- reads of another environment -----------------------------------------------------------------


def astray(
    read: RuntimeFetch,
    *others: Deployment,
    deployment: Deployment | None = DEPLOYED,
    more: tuple[RuntimeFetch, ...] = (),
) -> Any:
    """Return what is found of a read, beside deployments and other reads."""
    known = (*others, deployment) if deployment else others
    case = case_in(Evidence(known, (read, *more)), deployment)
    return told(environment_mismatch(replace(case, reads=(read, *more))))


STAGING: Final = replace(
    DEPLOYED,
    id="d-2",
    aliases=frozenset({"d-2"}),
    build_id="b-2",
    environment_id="e-2",
    environment_name="staging",
    endpoints=(replace(GPU, endpoint_id="gpu0000002"),),
    start_ns=10 * S,
)
BY_LINES: Final = {"by_lines": True, "in_log": True}


def test_a_read_of_another_environment() -> None:
    """The worker, its environment and the deployed one are named, and all such reads shown."""
    fine = replace(ASTRAY, environment_id="e-1", origin=place(4))
    assert astray(ASTRAY, more=(fine, *[ASTRAY] * 9)) == [
        (
            "The worker asked for environment e-2, but build b-1 was deployed to production (e-1).",
            "certain",
            [
                "1: deployed to production (e-1)",
                *["3: asked for environment e-2"] * 8,
            ],
        )
    ]
    assert astray(fine) == []
    known = replace(STAGING, environment_id=LONG)
    ((sentence, _, evidence),) = astray(replace(ASTRAY, environment_id=LONG), known)
    assert sentence.startswith("The worker asked for staging (224c5f0a…), but")
    assert evidence[1] == f"3: asked for staging ({LONG})"
    deployed = replace(DEPLOYED, environment_id=LONG)
    ((sentence, _, evidence),) = astray(ASTRAY, deployment=deployed)
    assert sentence.endswith("was deployed to production (224c5f0a…).")
    assert evidence[0] == f"1: deployed to production ({LONG})"


@pytest.mark.parametrize(
    ("known", "line"),
    [({}, "1"), ({"activation": None}, "2"), ({"activation": None, "upload": None}, "3")],
)
def test_the_deployed_environment_is_shown_by_the_first_step_that_knows_it(
    known: dict[str, Any], line: str
) -> None:
    """That is the activation, or else the upload."""
    ((*_, evidence),) = astray(ASTRAY, deployment=replace(DEPLOYED, **known))
    assert evidence[0].startswith(f"{line}: ")


def test_an_endpoints_id_in_place_of_an_environments() -> None:
    """A worker of Flash before 1.4 asks with the id of its own endpoint."""
    read = replace(ASTRAY, environment_id="gpu0000001", worker_endpoint_id="gpu0000001")
    ((sentence, *_),) = astray(read)
    assert sentence.endswith(" That is its own endpoint id, as Flash before 1.4 asks.")
    ((sentence, *_),) = astray(replace(ASTRAY, worker_endpoint_id="gpu0000001"))
    assert sentence.endswith("production (e-1).")


@pytest.mark.parametrize(
    ("read", "known", "others", "confidence"),
    [
        ({}, {}, (), "certain"),
        ({"environment_id": None}, {}, (), None),
        # The same code was deployed to the environment that was asked for.
        ({}, {}, (replace(STAGING, aliases=frozenset({"d-1"})),), None),
        ({}, {}, (STAGING,), "certain"),
        # Its endpoint is the deployment's.
        ({"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"}, {}, (), "certain"),
        ({"code_deployment_id": None, "worker_endpoint_id": "gpu0000009"}, {}, (), None),
        ({"code_deployment_id": "d-9", "worker_endpoint_id": "gpu0000001"}, {}, (), None),
        (
            {"code_deployment_id": "d-9", "worker_endpoint_id": "gpu0000001"},
            {"by_lines": True},
            (),
            "certain",
        ),
        (
            {"code_deployment_id": "d-0", "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(DEPLOYED, id="d-0", aliases=frozenset({"d-0"})),),
            "certain",
        ),
        # Another environment has the endpoint, too, or may have it.
        (
            {"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(STAGING, endpoints=(GPU,)),),
            None,
        ),
        (
            {"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(STAGING, endpoints=(), by_lines=True),),
            None,
        ),
        (
            {"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(STAGING, endpoints=()),),
            "certain",
        ),
        (
            {"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(STAGING, endpoints=(), by_lines=True, environment_id="e-3"),),
            "certain",
        ),
        (
            {"code_deployment_id": None, "worker_endpoint_id": "gpu0000001"},
            {},
            (replace(STAGING, by_lines=True),),
            "certain",
        ),
        # Logs that were given together.
        ({"code_deployment_id": None, "in_log": True}, BY_LINES, (), "likely"),
        ({"code_deployment_id": None, "in_log": True}, {"in_log": True}, (), "likely"),
        ({"code_deployment_id": "d-9", "in_log": True}, {"in_log": True}, (), None),
        ({"code_deployment_id": None}, BY_LINES, (), None),
        ({"code_deployment_id": None, "in_log": True}, {}, (), None),
        # Only a name is known of the deployed environment, which may be an id.
        ({"environment_id": "224c5f"}, {"environment_id": None}, (), None),
        (
            {"environment_id": "224c5f"},
            {"environment_id": None, "environment_name": "{env}"},
            (),
            "possible",
        ),
        (
            {"environment_id": "224c5f"},
            {"environment_id": None, "environment_name": "cc9471"},
            (),
            "possible",
        ),
        (
            {"environment_id": "cc9471"},
            {"environment_id": None, "environment_name": "cc9471"},
            (),
            None,
        ),
        (
            {"environment_id": "224c5f", "endpoints": EndpointSet(1)},
            {"environment_id": None, "environment_name": "cc9471"},
            (),
            None,
        ),
        (
            {"environment_id": "224c5f"},
            {"environment_id": None, "environment_name": None},
            (),
            None,
        ),
    ],
)
def test_which_worker_asks_elsewhere_by_mistake(
    read: dict[str, Any],
    known: dict[str, Any],
    others: tuple[Deployment, ...],
    confidence: str | None,
) -> None:
    """It runs the deployment's code, has one of its endpoints, or stands in the same logs."""
    found = astray(replace(ASTRAY, **read), *others, deployment=replace(DEPLOYED, **known))
    assert [sure for _, sure, _ in found] == ([confidence] if confidence else [])


def test_one_read_of_the_deployed_environment_clears_the_logs() -> None:
    """Of logs that were given together, every read has to ask elsewhere."""
    logged = replace(ASTRAY, code_deployment_id=None, in_log=True)
    own = replace(logged, environment_id="e-1")
    known = replace(DEPLOYED, **BY_LINES)  # type: ignore[arg-type]  # names and values of fields
    assert len(astray(logged, deployment=known, more=(logged,))) == 1
    assert astray(logged, deployment=known, more=(own,)) == []
    assert astray(logged, deployment=None) == []


# --- unknown, unset and created environments ------------------------------------------------------


def test_an_environment_that_is_null() -> None:
    """The State Manager knows another state of an environment, or none."""
    null = replace(ASTRAY, environment_state=sc.ENVIRONMENT_NULL)
    others = [
        replace(ASTRAY, environment_state=state)
        for state in (None, sc.ENVIRONMENT_ACTIVE, sc.ENVIRONMENT_NO_ACTIVE_BUILD)
    ]

    def found(*reads: RuntimeFetch) -> Any:
        return told(environment_unknown(replace(beside(DEPLOYED), reads=reads)))

    assert found(*others) == []
    sentence = "The State Manager does not know environment e-2."
    evidence = ["3: the answer is null"] * 8
    assert found(*others, *[null] * 9) == [(sentence, "certain", evidence)]


UNSET: Final = RuntimeFetch(origin=place(5), process=WORKER)
UNSET_LINES: Final = replace(
    UNSET, origin=place(5, rebuilt=True), fault=sc.ENVIRONMENT_UNSET, process=ProcessIdentity()
)


@pytest.mark.parametrize(
    ("read", "change", "is_found"),
    [
        (UNSET, {}, True),
        (UNSET, {"environment_id": "e-1"}, False),
        (UNSET, {"worker_environment_id": "e-1"}, False),
        (UNSET, {"bare": True}, False),
        (UNSET, {"attempts": (ManifestFetch(),)}, False),
        (UNSET, {"build_id": "b-1"}, False),
        (UNSET, {"endpoints": EndpointSet(0)}, False),
        (UNSET, {"failure": Failure("other")}, False),
        (UNSET, {"process": replace(WORKER, worker=False)}, False),
        (UNSET, {"fault": sc.STALE_BUILD}, True),
        (UNSET_LINES, {}, True),
        (UNSET_LINES, {"fault": None}, False),
        (UNSET_LINES, {"fault": None, "process": WORKER}, False),
        (UNSET_LINES, {"environment_id": "e-1"}, False),
    ],
)
def test_a_worker_without_an_environment(
    read: RuntimeFetch, change: dict[str, Any], *, is_found: bool
) -> None:
    """It asked nothing at all; of lines, only the reader of the log knows why."""
    made = replace(read, **change)
    found = told(environment_unset(replace(beside(DEPLOYED), reads=(made,))))
    assert [evidence for *_, evidence in found] == ([["5: asked nothing"]] if is_found else [])


def test_the_worker_without_an_environment_is_named() -> None:
    """It is named by its resource, as far as that is known, and its reads are shown."""
    case = replace(beside(DEPLOYED), reads=(UNSET,) * 9)
    ((sentence, confidence, evidence),) = told(environment_unset(case))
    assert sentence == (
        "FLASH_ENVIRONMENT_ID is not set in the worker of 'gpu': it asked for no endpoints."
    )
    assert (confidence, len(evidence)) == ("certain", 8)
    nameless = replace(case, reads=(UNSET_LINES,))
    ((sentence, *_),) = told(environment_unset(nameless))
    assert sentence == "FLASH_ENVIRONMENT_ID is not set in the worker: it asked for no endpoints."


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ((), ""),
        ((STAGING,), " beside 'staging'"),
        ((replace(STAGING, app_name="blog"),), ""),
        ((replace(STAGING, environment_name=None),), ""),
        ((replace(STAGING, environment_name="production"),), ""),
        (
            (STAGING, replace(STAGING, id="d-3", environment_name="qa")),
            " beside 'qa', 'staging'",
        ),
    ],
)
def test_an_environment_that_the_deployment_created(
    others: tuple[Deployment, ...], named: str
) -> None:
    """The other environments of the app are named, each once."""
    made = replace(DEPLOYED, created_environment=(place(7), place(8)))
    case = case_in(Evidence((*others, made)), made)
    sentence = (
        f"The deployment created environment 'production'{named}: is its name what was meant?"
    )
    evidence = ["7: created the environment", "8: created the environment"]
    assert told(environment_created(case)) == [(sentence, "certain", evidence)]
    assert told(environment_created(beside(DEPLOYED))) == []


# --- two environments on the same endpoints -------------------------------------------------------


def urls(*names: str, are_whole: bool = True) -> ManifestUpload:
    """Return an upload of endpoints with these ids."""
    listed = tuple(f"https://api.runpod.ai/v2/{name}" for name in names)
    endpoints = EndpointSet(len(names), names, listed, are_urls_whole=are_whole)
    return ManifestUpload(origin=place(6), endpoints=endpoints)


def taken_over(*others: Deployment, **known: Any) -> Any:
    """Return what is found of a deployment beside others."""
    deployment = replace(DEPLOYED, **known)
    return told(environment_takeover(case_in(Evidence((*others, deployment)), deployment)))


def test_endpoints_that_two_environments_share() -> None:
    """The later deployment took over what the earlier one had, whichever is judged."""
    other = replace(STAGING, endpoints=(GPU,))
    sentence = (
        "The deployment to staging (e-2) took over 'gpu0000001' of production (e-1): both "
        "environments now stand on the same endpoints."
    )
    evidence = [
        "2: production (e-1) holds gpu0000001",
        "2: staging (e-2) holds gpu0000001",
    ]
    assert taken_over(other) == [(sentence, "certain", evidence)]
    case = case_in(Evidence((DEPLOYED, other)), other)
    assert told(environment_takeover(case)) == [(sentence, "certain", evidence)]
    ((sentence, _, evidence),) = taken_over(replace(other, environment_id=LONG))
    assert sentence.startswith("The deployment to staging (224c5f0a…) took over")
    assert evidence[1] == f"2: staging ({LONG}) holds gpu0000001"
    ((earlier, *_),) = taken_over(replace(other, start_ns=1))
    assert "The deployment to production (e-1) took over" in earlier


@pytest.mark.parametrize(
    ("other", "known", "is_found"),
    [
        ({"endpoints": (GPU,)}, {}, True),
        ({}, {}, False),
        ({"endpoints": (), "upload": urls("gpu0000001")}, {}, True),
        ({"endpoints": (), "upload": urls("gpu0000001", are_whole=False)}, {}, False),
        ({"endpoints": (GPU,), "environment_id": "e-1"}, {}, False),
        ({"endpoints": (GPU,), "environment_id": None}, {}, False),
        ({"endpoints": (GPU,)}, {"environment_id": None}, False),
        (
            {"endpoints": (GPU,)},
            {"endpoints": (), "upload": urls("gpu0000001", are_whole=False)},
            False,
        ),
    ],
)
def test_only_proven_endpoints_of_two_environments_are_shared(
    other: dict[str, Any], known: dict[str, Any], *, is_found: bool
) -> None:
    """URLs that may have been cut prove nothing, nor does an unknown environment."""
    assert bool(taken_over(replace(STAGING, **other), **known)) is is_found


def test_the_latest_deployment_to_the_other_environment_counts() -> None:
    """One that has its own endpoints again clears it; one that provisioned nothing does not."""
    shared = replace(STAGING, endpoints=(GPU,))
    own = replace(STAGING, id="d-3", start_ns=20 * S)
    assert taken_over(shared, own) == []
    assert len(taken_over(shared, replace(own, endpoints=()))) == 1
    third = replace(shared, id="d-4", environment_id="e-3", upload=None, root=None)
    ((*_, evidence),) = taken_over(third)
    assert evidence == ["2: production (e-1) holds gpu0000001"]
    root = Step(name=sc.DEPLOY, origin=place(9))
    ((*_, evidence),) = taken_over(replace(third, root=root))
    assert evidence[1] == "9: staging (e-3) holds gpu0000001"
    assert len(taken_over(shared, third)) == 1


# --- deployments at the same time -----------------------------------------------------------------

CLI: Final = ProcessIdentity("cli-1", host="laptop")
OVERLAPPING: Final = replace(
    DEPLOYED,
    id="d-2",
    build_id="b-2",
    process=replace(CLI, instance="cli-2"),
    activation=Activation(origin=place(11), start_ns=5 * S),
)


def overlapping(other: dict[str, Any], limits: Limits = LIMITS, **known: Any) -> Any:
    """Return what is found of a deployment from 2 s to 6 s beside another from 5 s on."""
    deployment = replace(DEPLOYED, **{"process": CLI, **known})
    evidence = Evidence((deployment, replace(OVERLAPPING, **other)))
    return told(overlapping_deploys(case_in(evidence, deployment, limits)))


def test_two_deployments_at_the_same_time() -> None:
    """Both are named, with the environment, and both activations are shown."""
    sentence = "Build b-1 and build b-2 were written to production (e-1) at the same time."
    evidence = [
        "1: build b-1 became active",
        "11: build b-2 became active before the other was written",
    ]
    assert overlapping({}) == [(sentence, "certain", evidence)]


def lasting(begin_ns: int | None, end_ns: int | None) -> dict[str, Any]:
    """Return the fields of a deployment that wrote from one time to another."""
    return {"activation": Activation(start_ns=begin_ns), "upload": ManifestUpload(end_ns=end_ns)}


UNKNOWN_HOST: Final = {"process": ProcessIdentity("cli-2")}


@pytest.mark.parametrize(
    ("other", "confidence"),
    [
        (lasting(5 * S, 9 * S), "certain"),
        (lasting(6 * S - 1, 9 * S), "certain"),
        (lasting(6 * S, 9 * S), None),
        (lasting(0, 2 * S), None),
        (lasting(0, 2 * S + 1), "certain"),
        (lasting(3 * S, 4 * S), "certain"),
        (lasting(0, 9 * S), "certain"),
        (lasting(None, 9 * S), None),
        (lasting(5 * S, None), None),
        ({"activation": None}, None),
        ({"upload": None}, None),
        ({"environment_id": "e-2"}, None),
        ({"environment_id": None}, None),
        ({"id": "d-1"}, None),
        ({"process": ProcessIdentity("cli-2", host="desktop")}, None),
        (UNKNOWN_HOST, None),
        ({**UNKNOWN_HOST, **lasting(1 * S, 7 * S)}, None),
    ],
)
def test_when_two_deployments_overlap(other: dict[str, Any], confidence: str | None) -> None:
    """Their writes, from activation to upload, have time in common by the same clock."""
    assert [sure for _, sure, _ in overlapping(other)] == ([confidence] if confidence else [])


@pytest.mark.parametrize(
    ("skew_s", "known", "confidence"),
    [
        (3.0, {}, "likely"),
        (4.0, {}, None),
        (3.0, {"environment_id": None}, None),
        (3.0, lasting(None, 6 * S), None),
    ],
)
def test_unknown_machines_overlap_beyond_the_skew(
    skew_s: float, known: dict[str, Any], confidence: str | None
) -> None:
    """Their clocks may differ by as much as is assumed."""
    limits = replace(LIMITS, skew_s=skew_s)
    found = overlapping({**UNKNOWN_HOST, **lasting(1 * S, 7 * S)}, limits, **known)
    assert [sure for _, sure, _ in found] == ([confidence] if confidence else [])


def test_a_deployment_that_does_not_overlap_hides_no_other() -> None:
    """The first that overlaps is told, and no more than one."""
    deployment = replace(DEPLOYED, process=CLI)
    apart = replace(OVERLAPPING, id="d-0", **lasting(8 * S, 9 * S))
    twice = [replace(OVERLAPPING, id=name) for name in ("d-3", "d-4")]
    elsewhere = replace(OVERLAPPING, id="d-5", environment_id="e-2")
    case = case_in(Evidence((deployment, apart, elsewhere, *twice)), deployment)
    assert len(told(overlapping_deploys(case))) == 1
