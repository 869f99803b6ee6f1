"""The fault table: how each fault is found, what proves it, and its remedies.

If several faults are found, the first in the order of the table is the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.faults import environment, paths, verdicts, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.findings import Finding


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the fault table.

    Attributes:
        find: Yields its findings in a case.
        proof: What proves it.
        deployer: Remedy for the person who deploys.
        maintainer: Remedy for the maintainers of Flash.
        hides: Codes of its consequences, which are not reported with it.
    """

    find: Callable[[Case], Iterator[Finding]]
    proof: str
    deployer: str
    maintainer: str
    hides: frozenset[str] = frozenset()


FAULTS: Final[dict[str, Fault]] = {
    sc.UNAUTHORIZED: Fault(
        paths.unauthorized,
        "A step, a read or a call failed with HTTP 401 or 403, or because no API key was set, and "
        "no later one of the same process succeeded.",
        "Run `flash login`, and make sure that RUNPOD_API_KEY does not hold an old key: the "
        "variable takes precedence over the login. For a worker, deploy again, which gives it the "
        "current key.",
        "Name the key that was used, and its source, in the error.",
        frozenset({sc.STATE_MANAGER_UNAVAILABLE, sc.REMOTE_CALLS_UNDETECTED}),
    ),
    sc.UPLOAD_FAILED: Fault(
        paths.upload_failed,
        "The artifact upload is the innermost failed step.",
        "Nothing was activated: the environment runs what it ran before. Check the network, any "
        "proxy and the size of the artifact, then deploy again.",
        "Retry the upload after HTTP errors too: only connection errors are retried.",
    ),
    sc.PROVISIONING_FAILED: Fault(
        paths.provisioning_failed,
        "The provisioning step, or the provisioning of one endpoint, is the innermost failed step.",
        "The new build is active without its endpoints: remote calls fail until a deployment "
        "succeeds. Fix the cause in the error (capacity, quota, configuration) and deploy again.",
        "Provision before activating, and write the endpoints that were provisioned even if "
        "another one fails.",
        frozenset({sc.MANIFEST_NEVER_WRITTEN, sc.READ_BEFORE_WRITE, sc.STALE_CACHE}),
    ),
    sc.NOTHING_DEPLOYED: Fault(
        paths.nothing_deployed,
        "The deployment returned, and the manifest that it wrote or provisioned holds no endpoint.",
        "Check that the project has remote functions and that the build finds them: an endpoint "
        "that only wraps an image (`Endpoint(image=...)`) is not deployed.",
        "Fail, or warn, if a deployment ends with no endpoint.",
        frozenset({sc.CALL_TARGET_UNKNOWN}),
    ),
    sc.ENVIRONMENT_TAKEOVER: Fault(
        environment.environment_takeover,
        "The latest deployments to two environments hold the same endpoint ids or URLs.",
        "Deploy each environment from its own folder: Flash records endpoints in "
        "`.flash/resources.pkl` by name only. Delete that file and deploy the first environment "
        "again.",
        "Include the environment in the key of the local resource record.",
        frozenset({sc.ENVIRONMENT_MISMATCH, sc.ENDPOINTS_DIFFER}),
    ),
    sc.OVERLAPPING_DEPLOYS: Fault(
        environment.overlapping_deploys,
        "The writes of two deployments to one environment, each from activation to manifest "
        "upload, overlap by more than the maximum clock skew.",
        "Deploy again, one deployment at a time; in CI, serialize deployments to an environment.",
        "Reject an activation while another deployment to the environment is in progress.",
        frozenset({sc.STALE_BUILD}),
    ),
    sc.ENVIRONMENT_UNSET: Fault(
        environment.environment_unset,
        "A worker looked up endpoints without querying the State Manager, because "
        "FLASH_ENVIRONMENT_ID is not set.",
        "Deploy again. Flash sets the variable on resources that make remote calls; do not "
        "override a resource's environment variables by hand.",
        "Set FLASH_ENVIRONMENT_ID on every resource, or fail with an error if it is missing.",
        frozenset({sc.REMOTE_CALLS_UNDETECTED}),
    ),
    sc.ENVIRONMENT_MISMATCH: Fault(
        environment.environment_mismatch,
        "A worker that runs this deployment's code, or is one of its endpoints, requested a "
        "different environment. With logs alone: every read in them requests a different one.",
        "Check FLASH_ENVIRONMENT_ID in the worker: it must be the id of the deployed environment. "
        "Deploy again, and Flash sets it.",
        "Check where the provisioner sets FLASH_ENVIRONMENT_ID (before 1.4, workers sent "
        "RUNPOD_ENDPOINT_ID instead).",
        frozenset({sc.ENVIRONMENT_UNKNOWN, sc.STALE_BUILD, sc.CODE_NOT_ROLLED}),
    ),
    sc.ENVIRONMENT_UNKNOWN: Fault(
        environment.environment_unknown,
        "The State Manager responded to a read with a null environment.",
        "The environment was deleted, or belongs to another account than the worker's API key. "
        "`flash env list` shows the existing environments; deploy again.",
        "Respond with an error instead of null, which makes the client fail with an "
        "AttributeError.",
    ),
    sc.STALE_BUILD: Fault(
        paths.stale_build,
        "The response to a read shows another active build, and the read came after the "
        "activation (proved by the code that its worker runs, or by clocks). The other build is "
        "the one that the activation was meant to replace, one of an older deployment, or one that "
        "was generated before the deployed one. Or the activation made another artifact active "
        "than the one uploaded.",
        "Deploy again, and compare the active build with the deployed one: `flash-otel verify`.",
        "Check that the mutation deployBuildToEnvironment takes effect, and return activeBuildId "
        "from it.",
        frozenset({sc.CODE_NOT_ROLLED, sc.STALE_CACHE}),
    ),
    sc.MANIFEST_NEVER_WRITTEN: Fault(
        paths.manifest_never_written,
        "The build was activated, the deployment is over, and no manifest upload returned. An "
        "upload without a response counts if a later read still shows the build's manifest.",
        "Deploy again and let it finish: until then the active build has no endpoints.",
        "Write the manifest before activating the build.",
        frozenset({sc.READ_BEFORE_WRITE, sc.STALE_CACHE}),
    ),
    sc.MANIFEST_NOT_PERSISTED: Fault(
        paths.manifest_not_persisted,
        "The response to the upload holds no endpoints. Or a read after the upload still shows "
        "the manifest of the build, or none at all, and no read shows the write.",
        "Deploy again. If it happens again, report it with the trace: the State Manager loses "
        "writes.",
        "Check the State Manager's log for this build id, and the size of the manifest. Make the "
        "client compare the response with what it sent, and retry.",
        frozenset({sc.READ_BEFORE_WRITE, sc.STALE_CACHE, sc.ENDPOINTS_MISSING}),
    ),
    sc.ENDPOINTS_MISSING: Fault(
        paths.endpoints_missing,
        "The response to the upload, or a read of the written manifest, holds only some of the "
        "endpoints that were written, and no read holds them all.",
        "Deploy again. Until then, calls to the missing endpoints fail.",
        "Check the State Manager's log for this build id. Make the client compare the response "
        "with what it sent.",
    ),
    sc.ENDPOINTS_DIFFER: Fault(
        paths.endpoints_differ,
        "No written endpoint is missing, but the digest of names and URLs does not match the "
        "write, or the manifest holds more endpoints than its carrier counts.",
        "Deploy again: calls go to endpoints that do not belong to this deployment.",
        "Find out what else writes the manifest of this build.",
    ),
    sc.READ_BEFORE_WRITE: Fault(
        paths.read_before_write,
        "A response without endpoints preceded the write. Either its manifest's carrier has the "
        "phase `build` and another response shows the write, or clocks prove the order. A read "
        "that began after the upload had ended, on the same clock, does not count.",
        "Wait until the workers refresh (300 s), or restart them. The window between activation "
        "and write is open in every deployment; it affects only workers that read during it.",
        "Write the manifest before activating the build, and do not cache an empty response.",
        frozenset({sc.STALE_CACHE}),
    ),
    sc.READ_INCOMPLETE: Fault(
        paths.read_incomplete,
        "The response holds the written manifest (shown by its carrier, or by another read that "
        "holds the write), but lacks endpoints. Or it lacks them after the upload had ended, on "
        "the same clock, while another response shows the write.",
        "Restart the worker or wait for its refresh (300 s). If it happens again, report it with "
        "the trace.",
        "Compare the stored manifest with the response: the endpoints were lost either in storage "
        "or in the query.",
    ),
    sc.STATE_MANAGER_UNAVAILABLE: Fault(
        paths.state_manager_unavailable,
        "The activation, or every attempt of a worker's read, failed with a connection error, a "
        "timeout, HTTP 429 or 5xx, or an error response, and no later read of the worker "
        "succeeded.",
        "Check Runpod's status page and try again.",
        "Keep retrying in workers, and report the real cause to callers.",
    ),
    sc.CODE_NOT_ROLLED: Fault(
        workers.code_not_rolled,
        "A worker runs the code of an older deployment, although its endpoint was updated and the "
        "time for a rolling release is over.",
        "Restart the endpoint's workers, or deploy again.",
        "Roll workers whenever the code changes (Flash before 1.14.0 does not detect that).",
        frozenset({sc.FUNCTION_UNKNOWN}),
    ),
    sc.STALE_CACHE: Fault(
        workers.stale_cache,
        "A call after the write went to another URL than the written one, and its worker's last "
        "read, less than 300 s earlier, returned an older build.",
        "Wait 300 s, or restart the worker.",
        "Refresh the registry when a call fails.",
    ),
    sc.REMOTE_CALLS_UNDETECTED: Fault(
        workers.remote_calls_undetected,
        "A worker called another endpoint without a URL, and never queried the State Manager.",
        "Call the remote function by its plain name, as in `await gpu_info()`, in the resource's "
        "own module: the build does not detect `module.gpu_info()`. Then deploy again.",
        "Detect remote calls through imports and attributes, or query the State Manager for every "
        "routed call.",
    ),
    sc.FUNCTION_UNKNOWN: Fault(
        workers.function_unknown,
        "The registry did not find the called function in the worker's own manifest.",
        "Check the function's name, and that the build finds its module: it skips a package's "
        "`__init__.py`. Then deploy again.",
        "Raise an error instead of running the function in place.",
    ),
    sc.CALL_TARGET_MISMATCH: Fault(
        workers.call_target_mismatch,
        "A call names a different app or environment from that of the deployment whose code makes "
        "it. Or it found nothing there, while a deployment elsewhere has an endpoint of that "
        "name.",
        "Set FLASH_APP and FLASH_ENV where the call is made: by default, Flash uses the folder's "
        "name and `production`.",
        "Name the assumed app and environment in the error.",
        frozenset({sc.CALL_TARGET_UNKNOWN}),
    ),
    sc.CALL_TARGET_UNKNOWN: Fault(
        workers.call_target_unknown,
        "The response to a call was HTTP 404.",
        "Deploy the endpoint to this app and environment, or correct the names.",
        "List the environment's endpoints in the error.",
    ),
    sc.WORKER_PROVISIONS: Fault(
        workers.worker_provisions,
        "A worker process created or updated an endpoint (Flash 1.3 and later).",
        "Delete the stray endpoint in the console: it costs money. Then fix the reason why the "
        "worker did not find the deployed one.",
        "Never fall back to provisioning inside a worker.",
    ),
    sc.ENVIRONMENT_CREATED: Fault(
        environment.environment_created,
        "The deployment created the environment in an app that already existed.",
        "If the name was a typo, delete the environment and deploy with the right `--env`.",
        "Ask for confirmation before creating an environment in an app that already has others.",
    ),
    sc.NONE: Fault(
        verdicts.none,
        "The build was activated, its manifest was written, and all of its reads hold everything "
        "that was written (with Flash 1.15 and later, workers read nothing).",
        "Nothing to do.",
        "Nothing to do.",
    ),
    sc.INCONCLUSIVE: Fault(
        verdicts.inconclusive,
        "The evidence fits several faults, or lacks one of the two phases.",
        "Get the missing evidence, then diagnose again.",
        "Nothing to do.",
    ),
}
