"""The fault table: how each fault is found, what proves it, and its remedies.

If several faults are found, the first in the order of the table is the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.faults import environment, read_path, verdicts, workers, write_path

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
        hides: Codes of its consequences, which are not reported beside it.
    """

    find: Callable[[Case], Iterator[Finding]]
    proof: str
    deployer: str
    maintainer: str
    hides: frozenset[str] = frozenset()


FAULTS: Final[dict[str, Fault]] = {
    sc.UNAUTHORIZED: Fault(
        read_path.unauthorized,
        "A step, a read or a call failed with HTTP 401 or 403, or for want of a key, and no later "
        "one of the same process succeeded.",
        "Run `flash login`, and check that RUNPOD_API_KEY is not set to an old key: it wins over "
        "the login. For a worker, deploy again, so that it gets the current key.",
        "Say in the error which key was used and where it came from.",
        frozenset({sc.STATE_MANAGER_UNAVAILABLE, sc.REMOTE_CALLS_UNDETECTED}),
    ),
    sc.UPLOAD_FAILED: Fault(
        write_path.upload_failed,
        "The artifact upload is the innermost failed step.",
        "Nothing was activated: the environment runs what it ran before. Check the network, a "
        "proxy and the artifact's size, then deploy again.",
        "Retry the upload on HTTP errors too: only connection errors are retried.",
    ),
    sc.PROVISIONING_FAILED: Fault(
        write_path.provisioning_failed,
        "The provisioning, or one endpoint of it, is the innermost failed step.",
        "The new build is active without its endpoints: remote calls fail until a deployment "
        "succeeds. Fix the named cause (capacity, quota, configuration) and deploy again.",
        "Provision before activating, and write what could be provisioned even if one fails.",
        frozenset({sc.MANIFEST_NEVER_WRITTEN, sc.READ_BEFORE_WRITE, sc.STALE_CACHE}),
    ),
    sc.NOTHING_DEPLOYED: Fault(
        write_path.nothing_deployed,
        "The deployment returned, and the manifest it wrote or provisioned holds no endpoint.",
        "Check that the project has remote functions that the build finds: endpoints of "
        "client-mode images alone are not deployed.",
        "Fail, or warn, when a deployment ends with no endpoint.",
        frozenset({sc.CALL_TARGET_UNKNOWN}),
    ),
    sc.ENVIRONMENT_TAKEOVER: Fault(
        environment.environment_takeover,
        "The latest deployments to two environments hold the same endpoint ids or URLs.",
        "Deploy each environment from a folder of its own: Flash remembers endpoints in `.flash/` "
        "by name only. Remove that file and deploy the first environment again.",
        "Put the environment into the local resource key.",
        frozenset({sc.ENVIRONMENT_MISMATCH, sc.ENDPOINTS_DIFFER}),
    ),
    sc.OVERLAPPING_DEPLOYS: Fault(
        environment.overlapping_deploys,
        "The writes of two deployments to one environment, each from activation to manifest "
        "upload, overlap by more than the clocks may differ.",
        "Deploy again, one at a time; in CI, serialize deployments to an environment.",
        "Refuse an activation while another deployment to the environment is open.",
        frozenset({sc.STALE_BUILD}),
    ),
    sc.ENVIRONMENT_UNSET: Fault(
        environment.environment_unset,
        "A worker looked for endpoints without asking, because FLASH_ENVIRONMENT_ID is not set.",
        "Deploy again. Flash sets the variable on resources that make remote calls; do not "
        "override a resource's environment by hand.",
        "Set FLASH_ENVIRONMENT_ID on every resource, or fail loudly where it is missing.",
        frozenset({sc.REMOTE_CALLS_UNDETECTED}),
    ),
    sc.ENVIRONMENT_MISMATCH: Fault(
        environment.environment_mismatch,
        "A worker that runs this deployment's code, or is one of its endpoints, asked for another "
        "environment. Of logs alone: every read in them asks for another one.",
        "Check FLASH_ENVIRONMENT_ID in the worker: it must be the deployed environment's id. "
        "Deploy again, so that Flash sets it.",
        "Check where the provisioner sets FLASH_ENVIRONMENT_ID (before 1.4: RUNPOD_ENDPOINT_ID "
        "was asked for).",
        frozenset({sc.ENVIRONMENT_UNKNOWN, sc.STALE_BUILD, sc.CODE_NOT_ROLLED}),
    ),
    sc.ENVIRONMENT_UNKNOWN: Fault(
        environment.environment_unknown,
        "The State Manager answered a read with a null environment.",
        "The environment was deleted, or belongs to another account than the worker's API key. "
        "`flash env list` shows what exists; deploy again.",
        "Answer with an error instead of null: the client fails with an AttributeError.",
    ),
    sc.STALE_BUILD: Fault(
        read_path.stale_build,
        "A read that came after the activation (by the code that its worker runs, by an older "
        "deployment's build, or by clocks) was answered with another active build; or the "
        "activation put another artifact in place than was uploaded.",
        "Deploy again, and compare the active build with the deployed one: `flash-otel verify`.",
        "Check that the mutation deployBuildToEnvironment takes effect, and let it answer with "
        "activeBuildId.",
        frozenset({sc.CODE_NOT_ROLLED, sc.STALE_CACHE}),
    ),
    sc.MANIFEST_NEVER_WRITTEN: Fault(
        write_path.manifest_never_written,
        "The build was activated, the deployment is over, and no manifest upload returned; an "
        "upload without an answer counts once a later read still shows the build's manifest.",
        "Deploy again and let it finish: until then the active build has no endpoints.",
        "Write the manifest before activating the build.",
        frozenset({sc.READ_BEFORE_WRITE, sc.STALE_CACHE}),
    ),
    sc.MANIFEST_NOT_PERSISTED: Fault(
        write_path.manifest_not_persisted,
        "The server answered the upload without endpoints; or a read that surely came after it "
        "still shows the manifest of the build, and no read ever holds the write.",
        "Deploy again. If it repeats, report it with the trace: the State Manager loses writes.",
        "Check the State Manager's log for this build id, and the manifest's size; let the client "
        "compare the answer with what it sent, and retry.",
        frozenset({sc.READ_BEFORE_WRITE, sc.STALE_CACHE, sc.ENDPOINTS_MISSING}),
    ),
    sc.ENDPOINTS_MISSING: Fault(
        write_path.endpoints_missing,
        "The server's answer, or a read of the written manifest, holds some of the endpoints that "
        "were written, and no read holds them all.",
        "Deploy again. Until then, calls of the missing endpoints fail.",
        "Check the State Manager's log for this build id; let the client compare the answer with "
        "what it sent.",
    ),
    sc.ENDPOINTS_DIFFER: Fault(
        write_path.endpoints_differ,
        "Names and number of the endpoints are those of the write, the digest of names and URLs "
        "is not.",
        "Deploy again: calls go to endpoints that are not those of this deployment.",
        "Find out who else writes the manifest of this build.",
    ),
    sc.READ_BEFORE_WRITE: Fault(
        read_path.read_before_write,
        "An answer without endpoints that came before the write: by the phase of its manifest's "
        "carrier while another answer shows the write, or by clocks.",
        "Wait until workers refresh (300 s) or restart them. The window between activation and "
        "write is open in every deployment; it hurts only workers that read in it.",
        "Write the manifest before activating the build, and do not cache an empty answer.",
        frozenset({sc.STALE_CACHE}),
    ),
    sc.READ_INCOMPLETE: Fault(
        read_path.read_incomplete,
        "The answer is the manifest of the write (by its carrier, or another read holds it), "
        "and lacks endpoints.",
        "Restart the worker or wait for its refresh (300 s); if it repeats, report the trace.",
        "Compare the stored manifest with what the read answers: the endpoints were lost in one of "
        "the two.",
    ),
    sc.STATE_MANAGER_UNAVAILABLE: Fault(
        read_path.state_manager_unavailable,
        "The activation, or a worker's read with all of its attempts, failed on connection, "
        "timeout, HTTP 429 or 5xx or an error answer; no later read of the worker succeeded.",
        "Check Runpod's status and try again.",
        "Let workers keep asking, and answer calls with the real cause.",
    ),
    sc.CODE_NOT_ROLLED: Fault(
        workers.code_not_rolled,
        "A worker runs the code of an older deployment, though its endpoint was updated and the "
        "time of a rolling release is over.",
        "Restart the endpoint's workers, or deploy again.",
        "Roll workers whenever the code has changed (before 1.14.0 it is not noticed).",
        frozenset({sc.FUNCTION_UNKNOWN}),
    ),
    sc.STALE_CACHE: Fault(
        workers.stale_cache,
        "A call after the write went elsewhere than was written, and its worker's last read, "
        "less than 300 s before, was of an older build.",
        "Wait 300 s, or restart the worker.",
        "Refresh the registry when a call fails.",
    ),
    sc.REMOTE_CALLS_UNDETECTED: Fault(
        workers.remote_calls_undetected,
        "A worker called another endpoint without a URL, and never asked the State Manager.",
        "Call the remote function by its plain name, as in `await gpu_info()`, in the resource's "
        "own module: the build passes over `module.gpu_info()`. Then deploy again.",
        "Find remote calls through imports and attributes, or ask whenever a call is routed.",
    ),
    sc.FUNCTION_UNKNOWN: Fault(
        workers.function_unknown,
        "The registry did not find the called function in the worker's own manifest.",
        "Check the function's name and that the build finds its module: it passes over a "
        "package's `__init__.py`. Then deploy again.",
        "Raise instead of running the function in place.",
    ),
    sc.CALL_TARGET_MISMATCH: Fault(
        workers.call_target_mismatch,
        "A call names another app or environment than the deployment whose code makes it; or it "
        "found nothing there, while a deployment elsewhere has an endpoint of that name.",
        "Set FLASH_APP and FLASH_ENV where the call is made: Flash takes the folder's name and "
        "`production` otherwise.",
        "Say in the error which app and environment were guessed.",
        frozenset({sc.CALL_TARGET_UNKNOWN}),
    ),
    sc.CALL_TARGET_UNKNOWN: Fault(
        workers.call_target_unknown,
        "A call was answered with HTTP 404.",
        "Deploy the endpoint to this app and environment, or correct the names.",
        "List in the error what the environment does have.",
    ),
    sc.WORKER_PROVISIONS: Fault(
        workers.worker_provisions,
        "A worker process made or updated an endpoint (Flash 1.3 and later).",
        "Delete the stray endpoint in the console: it costs money. Then cure what made the worker "
        "miss the deployed one.",
        "Never fall back to provisioning inside a worker.",
    ),
    sc.ENVIRONMENT_CREATED: Fault(
        environment.environment_created,
        "The deployment created the environment in an app that existed already.",
        "If the name was a slip, delete the environment and deploy with the right `--env`.",
        "Ask before creating an environment in an app that has others.",
    ),
    sc.NONE: Fault(
        verdicts.none,
        "The build was activated, its manifest was written, and the reads of it hold all that was "
        "written (of Flash 1.15 and later: there is nothing to read).",
        "Nothing is to be done.",
        "Nothing is to be done.",
    ),
    sc.INCONCLUSIVE: Fault(
        verdicts.inconclusive,
        "The evidence allows several faults, or lacks one of the two phases.",
        "Get the named evidence, then diagnose again.",
        "Nothing is to be done.",
    ),
}
