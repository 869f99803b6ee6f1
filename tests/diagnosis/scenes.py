"""What happened, told as records: for each fault scenes that show it, and twins that do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from diagnosis.recordings import (
    GPU,
    TWO,
    Steps,
    call,
    changed,
    deployment,
    failed_read,
    linked,
    moved,
    read,
    records,
    span,
    stopped,
    unsound,
    worker,
)

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.records import SpanRecord

    Recording = list[SpanRecord]

UNREACHABLE: Final = (
    "runpod_flash.core.api.runpod._GraphQLHTTPStatusError",
    "GraphQL request failed: 503 - {'message': 'unavailable'}",
)
REFUSED: Final = (
    "runpod_flash.core.api.runpod._GraphQLHTTPStatusError",
    "GraphQL request failed: 401 - {'message': 'Unauthorized'}",
)
NO_KEY: Final = (
    "runpod_flash.core.exceptions.RunpodAPIKeyError",
    "RUNPOD_API_KEY environment variable is required",
)
NO_CAPACITY: Final = ("RuntimeError", "GraphQL errors: No capacity for this GPU")
LOST: Final = ("aiohttp.client_exceptions.ServerDisconnectedError", "Server disconnected")
INTERRUPTED: Final = ("KeyboardInterrupt", "")
CANCELLED: Final = ("asyncio.exceptions.CancelledError", "")
NOT_FOUND: Final = (
    "RuntimeError",
    (
        "endpoint 'gpu' not found in app 'shop' environment 'production'. "
        "deploy it first with 'flash deploy'."
    ),
)
NO_URL: Final = (
    "runpod_flash.runtime.exceptions.RemoteExecutionError",
    "No endpoint URL for resource 'gpu'",
)
OTHER: Final = {"gpu": "https://api.runpod.ai/v2/gpu0000999", "web": TWO["web"]}
LATER: Final = 400.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A recording and what a diagnosis has to say of it.

    Attributes:
        make: Makes the recording.
        verdict: The code of the verdict.
        also: Further codes that are reported.
        candidates: Of `inconclusive`, the codes that cannot be told apart.
        confidence: How sure the verdict is.
    """

    make: Callable[[], Recording]
    verdict: str
    also: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    confidence: str = "certain"


def told(count: int, digest: str | None = None) -> Steps:
    """Record a deployment whose upload was answered with so many endpoints."""
    steps = deployment()
    upload = changed(steps["upload"], persisted_endpoint_count=count, persisted_digest=digest)
    return {**steps, "upload": upload}


def second(**more: object) -> Steps:
    """Record a second deployment to the same environment, 400 seconds after the first."""
    return deployment(2, at=LATER, **{"action": sc.ACTION_UPDATE, **more})  # type: ignore[arg-type]  # names and values of its parameters


def again(**more: object) -> Steps:
    """Record a third deployment, of the first one's build."""
    steps = deployment(3, at=2 * LATER, action=sc.ACTION_UPDATE, **more)  # type: ignore[arg-type]  # names and values of its parameters
    return {name: changed(step, build_id="build-1") for name, step in steps.items()}


def without_answer() -> Steps:
    """Record a deployment whose manifest upload was never answered."""
    return stopped(deployment(), "upload", "provision", error=LOST, outcome=sc.UNKNOWN)


def half_provisioned() -> Steps:
    """Record a deployment of which one endpoint failed and its sibling was cancelled."""
    steps = stopped(deployment(), "gpu", "provision", error=NO_CAPACITY)
    return {**steps, "web": unsound(steps["web"], *CANCELLED, outcome=sc.UNKNOWN)}


def killed(*left: str) -> Steps:
    """Record a deployment that was killed: its root is unfinished, other open spans are lost."""
    steps = deployment()
    root = replace(steps["deploy"], end_ns=None)
    attributes = {k: v for k, v in root.attributes.items() if k != sc.OUTCOME}
    return {"deploy": replace(root, attributes=attributes), **{name: steps[name] for name in left}}


def without_carriers(made: Recording) -> Recording:
    """Return reads of a State Manager that drops keys it does not know."""
    gone = {"active__deployment_id": None, "active__phase": None, "active__endpoint_count": None}
    return [changed(record, **gone) for record in made]


def sentinel(**more: object) -> SpanRecord:
    """Record a call by Flash 1.15 or later."""
    given = {"app": "shop", "env": "production", **more}
    return call(20, **given)  # type: ignore[arg-type]  # names and values of its parameters


def stray(
    instance: str = "worker-1", version: str = "1.14.0", action: str = "create"
) -> SpanRecord:
    """Record an endpoint that a worker deployed."""
    resource = {**worker(instance), sc.FLASH_VERSION: version}
    said = {
        sc.RESOURCE_NAME: "gpu",
        sc.ENDPOINT_ID: "stray00001",
        sc.PROVISION_ACTION: action,
    }
    return span(sc.PROVISION_ENDPOINT, 11, 12, said, trace="e1", number="e10", resource=resource)


def graphql(operation: str, number: str) -> SpanRecord:
    """Record a GraphQL request of the first deployment."""
    said = {sc.GRAPHQL_OPERATION_NAME: operation, sc.DEPLOYMENT_ID: "d100".rjust(16, "0")}
    return span(sc.GRAPHQL, 2.1, 2.2, said, trace="d1", number=number, parent="d102")


def _never_asked() -> Recording:
    unrouted = unsound(call(9, instance="worker-2", url=None), *NO_URL)
    return records(deployment(), unrouted)


def _unset(instance: str = "worker-1") -> Recording:
    return read(10, env_id=None, build=None, instance=instance)[:1]


def _wrong_artifact() -> Recording:
    steps = deployment()
    steps["activate"] = changed(steps["activate"], active__object_key="artifacts/0.tar.gz")
    return records(steps)


def _cached() -> Recording:
    stale = unsound(call(LATER + 10, number="2"), *NO_URL)
    new = second(held=OTHER)
    return records(
        deployment(),
        read(LATER - 100, held=TWO, host="laptop"),
        new,
        [replace(stale, resource=worker("worker-1", host="laptop"))],
    )


def _not_rolled(*, code: int = 1, action: str = sc.ACTION_UPDATE) -> Recording:
    reads = [
        read(LATER + at, number=number, code=code, build=2, held=TWO)
        for number, at in (("5", 10.0), ("6", 340.0), ("7", 670.0), ("8", 1000.0))
    ]
    return records(deployment(), second(action=action), *reads)


def _overlapping(at: float, host: str = "laptop") -> Recording:
    other = deployment(2, at=at, host=host)
    return records(deployment(), other, read(at + 60, code=2, build=2, held=TWO))


def _taken_over(held: dict[str, str]) -> Recording:
    staging = deployment(2, at=LATER, env="staging", env_id="env-stag", held=held)
    return records(
        deployment(),
        staging,
        read(60, held=TWO),
        read(
            LATER + 60,
            number="2",
            code=2,
            build=2,
            env_id="env-stag",
            held=held,
            instance="w2",
            endpoint="gpu0000002" if held is STAGING else "web0000001",
        ),
    )


def _own_build_first() -> Recording:
    """Tell of Flash 1.0.0, where the build is a command, and a trace, of its own."""
    steps = deployment()
    build = replace(steps.pop("build"), trace_id="b1".rjust(32, "0"), parent_span_id=None)
    root = linked(steps.pop("deploy"), "b1", "d101")
    made = read(10, held=TWO)
    code = "d101".rjust(16, "0")
    return records(steps, build, root, [changed(made[0], code__deployment_id=code), made[1]])


STAGING: Final = {"gpu": "https://api.runpod.ai/v2/gpu0000002"}

FAULTY: Final[dict[str, Scene]] = {
    "a worker asks for an environment that exists": Scene(
        lambda: records(
            deployment(2, at=-50, env="staging", env_id="env-stag", held=STAGING),
            deployment(),
            read(10, env_id="env-stag", build=2, held=STAGING),
        ),
        sc.ENVIRONMENT_MISMATCH,
    ),
    "a worker asks for another app's environment": Scene(
        lambda: records(
            deployment(2, at=-50, app="other", env_id="env-other", held=STAGING),
            deployment(),
            read(10, env_id="env-other", build=2, held=STAGING),
        ),
        sc.ENVIRONMENT_MISMATCH,
    ),
    "a worker asks for an environment that does not exist": Scene(
        lambda: records(
            deployment(),
            read(10, env_id="env-none", build=None, environment=sc.ENVIRONMENT_NULL),
        ),
        sc.ENVIRONMENT_MISMATCH,
    ),
    "a worker of one of its endpoints asks elsewhere, without any carrier": Scene(
        lambda: records(deployment(), read(10, code=None, phase=None, env_id="env-x", build=9)),
        sc.ENVIRONMENT_MISMATCH,
    ),
    "a worker of Flash 1.3 asks with its endpoint's id": Scene(
        lambda: records(
            deployment(),
            read(10, env_id="web0000001", build=None, environment=sc.ENVIRONMENT_NULL),
        ),
        sc.ENVIRONMENT_MISMATCH,
    ),
    "the first build stays active, with endpoints": Scene(
        lambda: records(deployment(), second(), read(LATER + 20, code=2, build=1, held=TWO)),
        sc.STALE_BUILD,
    ),
    "the first build stays active, without endpoints": Scene(
        lambda: records(
            deployment(), second(), read(LATER + 20, code=2, build=1, phase=sc.PHASE_BUILD)
        ),
        sc.STALE_BUILD,
    ),
    "the build that was active before the deployment still is": Scene(
        lambda: records(
            deployment(),
            read(-20, code=7, build=7, held=TWO),
            read(20, number="2", build=7, held=TWO),
        ),
        sc.STALE_BUILD,
        confidence="likely",
    ),
    "no build is active after the activation": Scene(
        lambda: records(
            deployment(),
            read(20, build=None, environment=sc.ENVIRONMENT_NO_ACTIVE_BUILD),
        ),
        sc.STALE_BUILD,
    ),
    "the activation puts another artifact in place": Scene(_wrong_artifact, sc.STALE_BUILD),
    "an older worker, on one clock, still gets the older build": Scene(
        lambda: records(deployment(), second(), read(LATER + 20, held=TWO, host="laptop")),
        sc.STALE_BUILD,
    ),
    "the written manifest is read without endpoints, after what may be an echo": Scene(
        lambda: records(deployment(), read(10)),
        sc.READ_INCOMPLETE,
        candidates=(sc.MANIFEST_NOT_PERSISTED,),
        confidence="likely",
    ),
    "no carriers at all, and no endpoints after the write": Scene(
        lambda: records(deployment(), without_carriers(read(60))),
        sc.MANIFEST_NOT_PERSISTED,
        candidates=(sc.READ_INCOMPLETE,),
        confidence="likely",
    ),
    "a null manifest": Scene(
        lambda: records(deployment(), read(60, state=sc.MANIFEST_NULL, phase=None)),
        sc.MANIFEST_NOT_PERSISTED,
        candidates=(sc.READ_INCOMPLETE,),
        confidence="likely",
    ),
    "a stale replica answers after the write, on one clock": Scene(
        lambda: records(
            deployment(),
            read(10, held=TWO, host="laptop"),
            read(8, number="2", phase=sc.PHASE_BUILD, host="laptop", instance="worker-2"),
        ),
        sc.READ_INCOMPLETE,
    ),
    "an empty answer after the write, on one clock, and a later one that holds it": Scene(
        lambda: records(
            deployment(),
            without_carriers(read(6, host="laptop")),
            read(310, number="2", held=TWO, host="laptop"),
        ),
        sc.READ_INCOMPLETE,
    ),
    "a read between activation and write, and a later one, without carriers": Scene(
        lambda: records(deployment(), without_carriers(read(4)), read(310, number="2", held=TWO)),
        sc.READ_BEFORE_WRITE,
        candidates=(sc.READ_INCOMPLETE,),
        confidence="likely",
    ),
    "the replaced build is still active, and nothing else is recorded of it": Scene(
        lambda: records(deployment(previous=7), read(20, build=7, held=TWO)),
        sc.STALE_BUILD,
    ),
    "the replaced build is active again, an hour after the deployment": Scene(
        lambda: records(deployment(previous=7), read(3600, build=7, held=TWO)),
        sc.STALE_BUILD,
        confidence="likely",
    ),
    "the replaced build is active at once, and an hour after the deployment": Scene(
        lambda: records(
            deployment(previous=7),
            read(20, build=7, held=TWO),
            read(3600, number="2", build=7, held=TWO),
        ),
        sc.STALE_BUILD,
    ),
    "the replaced build is active, by a clock that nothing relates to the deployment's": Scene(
        lambda: records(
            deployment(previous=7), [moved(record, -600) for record in read(20, build=7, held=TWO)]
        ),
        sc.STALE_BUILD,
        confidence="likely",
    ),
    "the replaced build is still active for an older worker, on one clock": Scene(
        lambda: records(deployment(previous=7), read(20, code=6, build=7, held=TWO, host="laptop")),
        sc.STALE_BUILD,
    ),
    "an earlier build that was deployed again does not become active": Scene(
        lambda: records(
            deployment(),
            second(previous=1),
            again(previous=2, generated=-2 * LATER),
            read(2 * LATER + 20, code=3, build=2, held=TWO, generated=LATER),
        ),
        sc.STALE_BUILD,
    ),
    "two reads of one worker, of which the second leaves one cause": Scene(
        lambda: records(
            deployment(),
            read(7, phase=sc.PHASE_BUILD),
            read(310, number="2", phase=sc.PHASE_BUILD),
        ),
        sc.MANIFEST_NOT_PERSISTED,
    ),
    "a build that was generated before the deployed one is active": Scene(
        lambda: records(deployment(generated=0.5), read(20, build=7, held=TWO, generated=-3600.0)),
        sc.STALE_BUILD,
    ),
    "the server answers the upload without endpoints": Scene(
        lambda: records(told(0), read(10)), sc.MANIFEST_NOT_PERSISTED
    ),
    "the server answers the upload without endpoints, and nobody reads": Scene(
        lambda: records(told(0)), sc.MANIFEST_NOT_PERSISTED
    ),
    "a write is dropped, on one clock": Scene(
        lambda: records(deployment(), read(7, phase=sc.PHASE_BUILD, host="laptop")),
        sc.MANIFEST_NOT_PERSISTED,
    ),
    "a write is dropped, beyond the skew": Scene(
        lambda: records(deployment(), read(60, phase=sc.PHASE_BUILD)),
        sc.MANIFEST_NOT_PERSISTED,
        confidence="likely",
    ),
    "a write is dropped, by the worker's own clock": Scene(
        lambda: records(
            deployment(),
            [moved(record, -600) for record in read(7, phase=sc.PHASE_BUILD)],
            [moved(record, -600) for record in read(310, number="2", phase=sc.PHASE_BUILD)],
        ),
        sc.MANIFEST_NOT_PERSISTED,
    ),
    "a read in the open window, on one clock": Scene(
        lambda: records(deployment(), read(4, phase=sc.PHASE_BUILD, host="laptop")),
        sc.READ_BEFORE_WRITE,
    ),
    "a read in the open window, and a later one that holds the write": Scene(
        lambda: records(
            deployment(), read(4, phase=sc.PHASE_BUILD), read(310, number="2", held=TWO)
        ),
        sc.READ_BEFORE_WRITE,
    ),
    "a read in the open window, ten minutes ahead, and a later one": Scene(
        lambda: records(
            deployment(),
            [moved(record, 600) for record in read(4, phase=sc.PHASE_BUILD)],
            [moved(record, 600) for record in read(310, number="2", held=TWO)],
        ),
        sc.READ_BEFORE_WRITE,
        candidates=(sc.READ_INCOMPLETE,),
        confidence="likely",
    ),
    "a read in the window of an upload whose answer was lost": Scene(
        lambda: records(
            without_answer(), read(4, phase=sc.PHASE_BUILD), read(310, number="2", held=TWO)
        ),
        sc.READ_BEFORE_WRITE,
    ),
    "interrupted between activation and write": Scene(
        lambda: records(
            stopped(deployment(), "gpu", "web", "provision", error=INTERRUPTED, outcome=sc.UNKNOWN)
        ),
        sc.MANIFEST_NEVER_WRITTEN,
    ),
    "killed between activation and write": Scene(
        lambda: records(killed("activate", "gpu")),
        sc.MANIFEST_NEVER_WRITTEN,
        confidence="likely",
    ),
    "the write is refused": Scene(
        lambda: records(stopped(deployment(), "upload", "provision", error=UNREACHABLE)),
        sc.MANIFEST_NEVER_WRITTEN,
    ),
    "an upload without answer, and a read that shows the build's manifest": Scene(
        lambda: records(without_answer(), read(7, phase=sc.PHASE_BUILD, host="laptop")),
        sc.MANIFEST_NEVER_WRITTEN,
    ),
    "the server says that it stored one of two": Scene(
        lambda: records(told(1), read(10, held={"gpu": GPU})), sc.ENDPOINTS_MISSING
    ),
    "a read holds one of two": Scene(
        lambda: records(deployment(), read(10, held={"gpu": GPU})), sc.ENDPOINTS_MISSING
    ),
    "the server answers with other URLs": Scene(
        lambda: records(told(2, "0123456789abcdef")), sc.ENDPOINTS_DIFFER
    ),
    "a read holds other URLs": Scene(
        lambda: records(deployment(), read(10, held=OTHER)), sc.ENDPOINTS_DIFFER
    ),
    "one of two answers lacks the endpoints that the other holds": Scene(
        lambda: records(deployment(), read(10), read(11, number="2", held=TWO)),
        sc.READ_INCOMPLETE,
    ),
    "one of two answers lacks one endpoint": Scene(
        lambda: records(deployment(), read(10, held={"gpu": GPU}), read(11, number="2", held=TWO)),
        sc.READ_INCOMPLETE,
    ),
    "a read fails with HTTP 503": Scene(
        lambda: records(deployment(), failed_read(10, *UNREACHABLE)),
        sc.STATE_MANAGER_UNAVAILABLE,
    ),
    "a read fails on a GraphQL error": Scene(
        lambda: records(
            deployment(), failed_read(10, "Exception", "GraphQL errors: Something went wrong")
        ),
        sc.STATE_MANAGER_UNAVAILABLE,
    ),
    "the activation is not answered": Scene(
        lambda: records(stopped(deployment(), "activate", error=UNREACHABLE)),
        sc.STATE_MANAGER_UNAVAILABLE,
    ),
    "a worker's key is refused": Scene(
        lambda: records(deployment(), failed_read(10, *REFUSED)), sc.UNAUTHORIZED
    ),
    "a worker's key is refused by a GraphQL error": Scene(
        lambda: records(deployment(), failed_read(10, "Exception", "GraphQL errors: Forbidden")),
        sc.UNAUTHORIZED,
    ),
    "a worker has no key": Scene(
        lambda: records(deployment(), failed_read(10, *NO_KEY)), sc.UNAUTHORIZED
    ),
    "the deployment's key is refused at the write": Scene(
        lambda: records(stopped(deployment(), "upload", "provision", error=REFUSED)),
        sc.UNAUTHORIZED,
    ),
    "the deployed environment is gone": Scene(
        lambda: records(deployment(), read(10, build=None, environment=sc.ENVIRONMENT_NULL)),
        sc.ENVIRONMENT_UNKNOWN,
    ),
    "FLASH_ENVIRONMENT_ID is not set": Scene(
        lambda: records(deployment(), _unset()), sc.ENVIRONMENT_UNSET
    ),
    "FLASH_ENVIRONMENT_ID is not set, and a call misses its endpoint": Scene(
        lambda: records(deployment(), _unset(), unsound(call(10.5, url=None), *NO_URL)),
        sc.ENVIRONMENT_UNSET,
    ),
    "a call goes by a registry of before the deployment": Scene(
        _cached, sc.STALE_CACHE, confidence="likely"
    ),
    "a worker runs the first code after the roll-out": Scene(
        _not_rolled, sc.CODE_NOT_ROLLED, confidence="likely"
    ),
    "the worker's manifest does not know the function": Scene(
        lambda: records(
            deployment(),
            read(9, held=TWO),
            unsound(call(10, route=sc.ROUTE_MISSING, resource=None, url=None), *NO_URL),
        ),
        sc.FUNCTION_UNKNOWN,
    ),
    "a resource that makes remote calls never asks": Scene(
        _never_asked, sc.REMOTE_CALLS_UNDETECTED, confidence="likely"
    ),
    "Runpod knows no such endpoint": Scene(
        lambda: records(deployment(version="1.21.0"), unsound(sentinel(), *NOT_FOUND)),
        sc.CALL_TARGET_UNKNOWN,
    ),
    "a call goes to the default environment instead": Scene(
        lambda: records(
            deployment(version="1.21.0", env="staging", env_id="env-stag"),
            unsound(sentinel(code=None, instance="laptop-1"), *NOT_FOUND),
        ),
        sc.CALL_TARGET_MISMATCH,
        confidence="likely",
    ),
    "a worker calls another environment, and is answered": Scene(
        lambda: records(deployment(version="1.21.0", env="staging", env_id="env-stag"), sentinel()),
        sc.CALL_TARGET_MISMATCH,
    ),
    "a worker calls another app, and is answered": Scene(
        lambda: records(deployment(version="1.21.0"), sentinel(app="other")),
        sc.CALL_TARGET_MISMATCH,
    ),
    "a worker that got no answer deploys on its own": Scene(
        lambda: records(deployment(), failed_read(10, *UNREACHABLE), stray()),
        sc.STATE_MANAGER_UNAVAILABLE,
        (sc.WORKER_PROVISIONS,),
    ),
    "a worker deploys on its own, though its read was good": Scene(
        lambda: records(deployment(), read(10, held=TWO), stray()), sc.WORKER_PROVISIONS
    ),
    "the artifact is refused": Scene(
        lambda: records(
            stopped(
                deployment(),
                "artifact",
                error=("requests.exceptions.HTTPError", "403 Client Error: Forbidden"),
            )
        ),
        sc.UPLOAD_FAILED,
    ),
    "the artifact is refused without a number": Scene(
        lambda: records(
            stopped(deployment(), "artifact", error=("requests.exceptions.HTTPError", "Forbidden"))
        ),
        sc.UPLOAD_FAILED,
    ),
    "one endpoint fails half-way": Scene(
        lambda: records(half_provisioned(), read(10, phase=sc.PHASE_BUILD)),
        sc.PROVISIONING_FAILED,
    ),
    "the provisioning as a whole fails": Scene(
        lambda: records(
            stopped(deployment(), "provision", error=("RuntimeError", "not provisioned"))
        ),
        sc.PROVISIONING_FAILED,
    ),
    "success without any endpoint": Scene(
        lambda: records(deployment(held={})), sc.NOTHING_DEPLOYED
    ),
    "two deployments at the same time": Scene(lambda: _overlapping(1.0), sc.OVERLAPPING_DEPLOYS),
    "staging takes over production's endpoints": Scene(
        lambda: _taken_over(TWO), sc.ENVIRONMENT_TAKEOVER
    ),
}


def _creating(record: SpanRecord) -> SpanRecord:
    """Let the root of a deployment say that it made its environment beside others."""
    if record.name != sc.DEPLOY:
        return record
    return replace(record, attributes={**record.attributes, sc.CREATED_ENVIRONMENT: True})


HEALTHY: Final[dict[str, Scene]] = {
    "a first deployment and a read": Scene(
        lambda: records(deployment(), read(10, held=TWO)), sc.NONE
    ),
    "clocks ten minutes behind": Scene(
        lambda: records(deployment(), [moved(record, -600) for record in read(10, held=TWO)]),
        sc.NONE,
    ),
    "clocks ten minutes ahead": Scene(
        lambda: records(deployment(), [moved(record, 600) for record in read(10, held=TWO)]),
        sc.NONE,
    ),
    "an earlier build that was deployed again": Scene(
        lambda: records(
            deployment(),
            read(10, held=TWO),
            second(previous=1),
            read(LATER + 60, number="2", code=2, build=2, held=TWO),
            again(previous=2, generated=-2 * LATER),
            read(2 * LATER + 60, number="3", code=3, held=TWO, generated=0.0),
        ),
        sc.NONE,
    ),
    "a build that was active already": Scene(
        lambda: records(deployment(previous=1), read(10, held=TWO)), sc.NONE
    ),
    "workers that read the replaced build until the activation": Scene(
        lambda: records(
            read(-20, code=7, build=7, held=TWO, instance="worker-2"),
            deployment(previous=7),
            read(2.5, number="2", code=7, build=7, held=TWO, instance="worker-2"),
            read(10, number="3", held=TWO),
        ),
        sc.NONE,
    ),
    "a slow upload": Scene(
        lambda: records(deployment(), read(10, held=TWO, host="laptop")), sc.NONE
    ),
    "redeployed unchanged": Scene(
        lambda: records(
            deployment(),
            read(10, held=TWO),
            second(action=sc.ACTION_REUSE),
            read(LATER + 60, number="2", code=1, build=2, held=TWO),
        ),
        sc.NONE,
    ),
    "a worker of the first code, long after an unchanged redeployment": Scene(
        lambda: _not_rolled(action=sc.ACTION_REUSE), sc.NONE
    ),
    "a worker of the new code, long after the roll-out": Scene(
        lambda: _not_rolled(code=2), sc.NONE
    ),
    "redeployed while workers run": Scene(
        lambda: records(
            deployment(),
            read(LATER - 20, held=TWO),
            second(),
            read(LATER + 3.05, number="2", held=TWO),
            read(LATER + 60, number="3", code=1, build=2, held=TWO),
            read(LATER + 90, number="4", code=2, build=2, held=TWO, instance="worker-2"),
        ),
        sc.NONE,
    ),
    "redeployed while workers run, whose clocks are ahead": Scene(
        lambda: records(
            deployment(),
            [moved(record, 600) for record in read(LATER - 20, held=TWO)],
            second(),
            read(LATER + 90, number="4", code=2, build=2, held=TWO, instance="worker-2"),
        ),
        sc.NONE,
    ),
    "a read that failed and recovered within its attempts": Scene(
        lambda: records(
            deployment(),
            read(10, held=TWO),
            unsound(
                replace(
                    changed(read(10, build=None, phase=None)[1], environment__state=None),
                    span_id="a19".rjust(16, "0"),
                ),
                *UNREACHABLE,
            ),
        ),
        sc.NONE,
    ),
    "a read that failed before one that did not": Scene(
        lambda: records(
            deployment(), failed_read(10, *UNREACHABLE), read(20, number="2", held=TWO)
        ),
        sc.NONE,
    ),
    "a refused key before a good one": Scene(
        lambda: records(deployment(), failed_read(10, *REFUSED), read(20, number="2", held=TWO)),
        sc.NONE,
    ),
    "an answer lost after the upload took effect": Scene(
        lambda: records(without_answer(), read(10, held=TWO)), sc.NONE
    ),
    "a server that answers the upload with nothing, and reads that hold it": Scene(
        lambda: records(told(0), read(10, held=TWO)), sc.NONE
    ),
    "a State Manager that drops unknown keys": Scene(
        lambda: records(deployment(), without_carriers(read(10, held=TWO))), sc.NONE
    ),
    "two environments": Scene(lambda: _taken_over(STAGING), sc.NONE),
    "two apps": Scene(
        lambda: records(
            deployment(2, app="other", env_id="env-other", held=STAGING, at=50),
            deployment(),
            read(10, held=TWO),
            read(
                70,
                number="2",
                code=2,
                build=2,
                env_id="env-other",
                held=STAGING,
                instance="w2",
                endpoint="gpu0000002",
            ),
        ),
        sc.NONE,
    ),
    "one deployment after the other": Scene(lambda: _overlapping(7.0), sc.NONE),
    "an artifact of a command of its own": Scene(_own_build_first, sc.NONE),
    "a worker that never asks, because it calls only itself": Scene(
        lambda: records(deployment(), call(10, route=sc.ROUTE_LOCAL, url=None)), sc.NONE
    ),
    "Flash 1.21, whose workers read nothing": Scene(
        lambda: records(deployment(version="1.21.0"), sentinel()), sc.NONE
    ),
    "calls to two environments, both answered": Scene(
        lambda: records(
            deployment(version="1.21.0"),
            deployment(2, at=50, version="1.21.0", env="staging", env_id="env-stag", held=STAGING),
            sentinel(code=None, instance="laptop-1"),
        ),
        sc.NONE,
    ),
    "a call whose function failed by itself": Scene(
        lambda: records(
            deployment(),
            read(9, held=TWO),
            unsound(
                call(10),
                "runpod_flash.runtime.exceptions.RemoteExecutionError",
                "Remote execution on 'gpu' failed: 404 Client Error: Not Found",
            ),
        ),
        sc.NONE,
    ),
    "a load balancer of Flash 1.2 that reconciles at boot": Scene(
        lambda: records(
            deployment(version="1.2.0"), read(10, held=TWO), stray("worker-2", version="1.2.0")
        ),
        sc.NONE,
    ),
    "a worker that finds its endpoint as it is": Scene(
        lambda: records(deployment(), read(10, held=TWO), stray(action=sc.ACTION_REUSE)), sc.NONE
    ),
    "an environment that was created beside others": Scene(
        lambda: records(
            deployment(2, at=-50, env="prod", env_id="env-2", held=STAGING),
            deployment(),
            graphql("createFlashEnvironment", "d120"),
            read(10, held=TWO),
        ),
        sc.NONE,
        (sc.ENVIRONMENT_CREATED,),
    ),
    "an environment that its own deployment says it created": Scene(
        lambda: records([_creating(step) for step in deployment().values()], read(10, held=TWO)),
        sc.NONE,
        (sc.ENVIRONMENT_CREATED,),
    ),
    "an app that was created with its first environment": Scene(
        lambda: records(
            deployment(),
            graphql("createFlashApp", "d121"),
            graphql("createFlashEnvironment", "d120"),
            read(10, held=TWO),
        ),
        sc.NONE,
    ),
    "an old fault that a new deployment has cured": Scene(
        lambda: records(
            deployment(),
            read(310, phase=sc.PHASE_BUILD),
            second(),
            read(LATER + 60, number="2", code=2, build=2, held=TWO, instance="worker-2"),
        ),
        sc.NONE,
    ),
}

DOUBTFUL: Final[dict[str, Scene]] = {
    "a drop or a race, within the skew": Scene(
        lambda: records(deployment(), read(7, phase=sc.PHASE_BUILD)),
        sc.INCONCLUSIVE,
        candidates=(sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE),
    ),
    "a drop or a race, on a clock that is known to be off": Scene(
        lambda: records(
            deployment(), [moved(record, -600) for record in read(60, phase=sc.PHASE_BUILD)]
        ),
        sc.INCONCLUSIVE,
        candidates=(sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE),
    ),
    "an older worker, on an unknown clock, gets the older build": Scene(
        lambda: records(
            deployment(), second(), [moved(record, 600) for record in read(LATER - 20, held=TWO)]
        ),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "the replaced build is read within the skew of the activation": Scene(
        lambda: records(deployment(previous=7), read(5, code=7, build=7, held=TWO)),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "the replaced build is read by a clock that may be ahead": Scene(
        lambda: records(deployment(previous=7), read(60, code=7, build=7, held=TWO)),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "a build that was generated after the deployed one": Scene(
        lambda: records(
            deployment(generated=0.5, previous=6),
            read(900, build=7, held=TWO, generated=600.0),
        ),
        sc.INCONCLUSIVE,
    ),
    "a build that was generated at about the time of the deployed one": Scene(
        lambda: records(deployment(generated=0.5), read(20, build=7, held=TWO, generated=-3.0)),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "a build that was generated before the deployed one, perhaps read before": Scene(
        lambda: records(
            deployment(generated=0.5), read(5, code=7, build=7, held=TWO, generated=-3600.0)
        ),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "a build of nobody, perhaps of a later deployment": Scene(
        lambda: records(deployment(), read(20, build=7, held=TWO)),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "a build of nobody, read by code of nobody": Scene(
        lambda: records(deployment(), read(60, code=8, build=9, held=TWO)),
        sc.INCONCLUSIVE,
        candidates=(sc.STALE_BUILD,),
    ),
    "a deployment of Flash 1.14 that nobody has read": Scene(
        lambda: records(deployment()), sc.INCONCLUSIVE
    ),
    "an upload whose answer was lost, and no read": Scene(
        lambda: records(without_answer()), sc.INCONCLUSIVE
    ),
    "a build that failed": Scene(
        lambda: records(stopped(deployment(), "build", error=("SyntaxError", "bad"))),
        sc.INCONCLUSIVE,
    ),
    "reads without a deployment": Scene(lambda: records(read(10, held=TWO)), sc.INCONCLUSIVE),
    "nothing": Scene(list, sc.INCONCLUSIVE),
}

SCENES: Final[dict[str, Scene]] = {**FAULTY, **HEALTHY, **DOUBTFUL}
