"""Checks of versions, of the functions that tracing wraps in Flash, and of the tracer provider.

Flash is not imported: its modules are parsed.
"""

from __future__ import annotations

import ast
import os
import platform
import shlex
import shutil
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel._version import __version__
from flash_otel.doctor import NOTE, OK, PROBLEM, DoctorCheck, unset
from flash_otel.flash_versions import release
from flash_otel.runtime import interpreters
from flash_otel.runtime.options import in_worker, is_disabled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.tracing.targets import Target


FLASH: Final = "runpod-flash"
SUCCESSOR: Final = "runpod"
# Distribution -> the first version that is traced, and the first that may not be.
TRACED: Final = {FLASH: ((1, 0), (2, 0)), SUCCESSOR: ((2, 0), (3, 0))}
_TELEMETRY: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation")

# The traced operations, and their targets: every version of Flash has at least one of each row.
PURPOSES: Final[dict[str, tuple[str, ...]]] = {
    "the deployment": (
        "deploy_command",
        "_resolve_and_deploy",
        "deploy_to_environment",
        "deploy_from_uploaded_build",
    ),
    "the build": ("run_build", "build_command"),
    "the context in the manifest": ("ManifestBuilder.build",),
    "the artifact's upload": ("FlashApp.upload_build",),
    "the activation": ("RunpodGraphQLClient.deploy_build_to_environment",),
    "the provisioning": (
        "reconcile_and_provision_resources",
        "ResourceManager.get_or_deploy_resource",
    ),
    "the manifest's upload": ("RunpodGraphQLClient.update_build_manifest",),
    "the State Manager's answers": (
        "RunpodGraphQLClient._execute_graphql",
        "RunpodGraphQLClient._execute_graphql_once",
    ),
    "a worker's read": (
        "StateManagerClient.get_persisted_manifest",
        "StateManagerClient._fetch_build_and_manifest",
        "ServiceRegistry._ensure_manifest_loaded",
    ),
    "a remote call": (
        "ServiceRegistry.get_routing_info",
        "ServiceRegistry.get_resource_for_function",
        "ProductionWrapper.wrap_function_execution",
        "ProductionWrapper.wrap_class_method_execution",
        "_sentinel_qb_post",
        "sentinel_lb_request",
        "ServerlessResource.runsync",
        "ServerlessResource.run_sync",
        "get_authenticated_httpx_client",
    ),
}
# The same for runpod 2, which writes no manifest after its activation, and whose workers read none.
SUCCESSOR_PURPOSES: Final[dict[str, tuple[str, ...]]] = {
    "the deployment": ("deploy_app",),
    "the build": ("build_environment", "package_project", "build_artifact"),
    "the context in the manifest": ("build_manifest",),
    "the artifact's upload": (
        "AppsApiClient.prepare_artifact_upload",
        "AppsApiClient.upload_tarball",
        "AppsApiClient.finalize_artifact_upload",
    ),
    "the activation": ("AppsApiClient.deploy_build",),
    "the provisioning": ("reconcile_endpoints", "AppsApiClient.save_endpoint"),
    "the answers to requests": (
        "AppsApiClient._execute",
        "run_graphql_query_async",
        "AppsApiClient._put_tarball",
    ),
    "a remote call": (
        "SentinelTarget.invoke",
        "SentinelTarget.submit",
        "SentinelTarget.request",
        "SentinelTarget._sentinel_headers",
    ),
}
_PACKAGE: Final = "runpod_flash"
_NEWER: Final = "flash_otel may not support this version of Flash yet:"


def versions() -> Iterator[DoctorCheck]:
    """Check the versions that this interpreter has."""
    python = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield DoctorCheck("python", OK, f"Python: {python}")
    yield DoctorCheck("flash_otel", OK, f"flash_otel {__version__} ({Path(__file__).parents[1]})")
    found = {name: version_of(name) for name in _TELEMETRY}
    text = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    if None in found.values():
        reinstall = _pip("install --force-reinstall flash-otel")
        yield DoctorCheck("opentelemetry", PROBLEM, text, command=reinstall)
    else:
        yield DoctorCheck("opentelemetry", OK, text)
    yield from _flash()


def _flash() -> Iterator[DoctorCheck]:
    found = installed()
    on_path = shutil.which("flash") or shutil.which("rp")
    if found:
        for name, version in found.items():
            yield _installed(name, version)
        if on_path is not None and not interpreters.runs_here(Path(on_path)):
            yield _elsewhere(Path(on_path), NOTE)
        return
    if on_path is not None and interpreters.interpreter_of(Path(on_path)) is not None:
        yield _elsewhere(Path(on_path), PROBLEM)
        return
    text = "flash is neither installed beside flash-otel nor on PATH"
    yield DoctorCheck("flash", PROBLEM, text, command=_pip(f"install {FLASH}"))


def installed() -> dict[str, str]:
    """Return the versions of the generations of Flash that are installed, by distribution.

    Every runpod-flash requires runpod, of which only version 2 has a Flash of its own.
    """
    found = {name: version_of(name) for name in TRACED}
    return {
        name: version
        for name, version in found.items()
        if version and (name == FLASH or release(version) >= TRACED[SUCCESSOR][0])
    }


def _installed(name: str, version: str) -> DoctorCheck:
    first, beyond = TRACED[name]
    check = "flash" if name == FLASH else name
    if first <= release(version) < beyond:
        return DoctorCheck(check, OK, f"{name} {version}")
    return DoctorCheck(
        check,
        NOTE,
        f"flash_otel is not tested with {name} {version}",
        "Check the targets below: functions that are missing there are not traced.",
    )


def _elsewhere(script: Path, result: str) -> DoctorCheck:
    python = interpreters.interpreter_of(script)
    if python is None:
        return DoctorCheck("flash_elsewhere", NOTE, f"{script} on PATH is not Runpod's flash")
    return DoctorCheck(
        "flash_elsewhere",
        result,
        f"the {script.name} on PATH ({script}) lives in another interpreter ({python})",
        "Add flash-otel there, and check there:",
        f"{interpreters.install_command(python)} && "
        f"{shlex.quote(str(python))} -m flash_otel doctor",
    )


def _pip(arguments: str) -> str:
    return f"{shlex.quote(sys.executable)} -m pip {arguments}"


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except Exception:  # not installed, or a broken dist-info
        return None


def targets() -> Iterator[DoctorCheck]:
    """Check which of the target functions the installed Flash defines."""
    from flash_otel.tracing import flash, runpod2

    yield from _targets(_PACKAGE, flash.TARGETS, PURPOSES)
    if SUCCESSOR in installed():
        yield from _targets(SUCCESSOR, runpod2.TARGETS, SUCCESSOR_PURPOSES, f"{SUCCESSOR} 2, ")


def _targets(
    name: str, targets: Iterable[Target], purposes: dict[str, tuple[str, ...]], head: str = ""
) -> Iterator[DoctorCheck]:
    package = _folder_of(name)
    if package is None:
        return
    found = {
        target.name: target.name in names_in(package, target.module)
        for target in targets
        if target.module.startswith(name)
    }
    for purpose, names in purposes.items():
        yield _target(f"{head}{purpose}", {name: found[name] for name in names if name in found})


def _target(purpose: str, found: dict[str, bool]) -> DoctorCheck:
    present = [name for name, is_present in found.items() if is_present]
    absent = [name for name, is_present in found.items() if not is_present]
    name = f"target {purpose}"
    if not present:
        text = f"{purpose} is not traced: this Flash has none of {', '.join(absent)}"
        return DoctorCheck(name, PROBLEM, text, _NEWER, _pip("install --upgrade flash-otel"))
    without = f"; not in this version: {', '.join(absent)}" if absent else ""
    return DoctorCheck(name, OK, f"{purpose}: {', '.join(present)}{without}")


def _folder_of(package: str) -> Path | None:
    """Return the folder of an importable top-level package, or None."""
    spec = PathFinder.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def names_in(package: Path, module: str) -> frozenset[str]:
    """Return the functions of a module, and the methods of its classes as `Class.method`.

    Args:
        package: Folder of the module's top-level package.
        module: Full name of the module.
    """
    *parts, last = module.split(".")[1:] or ["__init__"]
    folder = package.joinpath(*parts)
    for file in (folder / f"{last}.py", folder / last / "__init__.py"):
        try:
            return frozenset(_names(ast.parse(file.read_bytes()).body, ""))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
    return frozenset()


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            # Definitions under a version check or an import guard.
            yield from _names(node.body, prefix)


# --- place and provider ---------------------------------------------------------------------------

# opentelemetry-instrument puts this folder on PYTHONPATH.
_AUTO: Final = Path("opentelemetry", "instrumentation", "auto_instrumentation").parts
_APPLICATIONS: Final = (
    "The application's exporters send the spans then, and flash_otel controls neither what they "
    "lose nor how long they take at exit; it only adds the lines and the store."
)
# Distributions that set a provider when an application uses them.
_SETTERS: Final = ("logfire", "ddtrace", "azure-monitor-opentelemetry", "opentelemetry-distro")


def place() -> Iterator[DoctorCheck]:
    """Report whether this is a worker, which has no store by default."""
    if in_worker():
        text = "a deployed worker (RUNPOD_ENDPOINT_ID is set): no store, unless one is named"
    elif os.environ.get("RUNPOD_POD_ID"):
        text = "a pod, but not a worker (RUNPOD_ENDPOINT_ID is not set)"
    else:
        text = "not a worker (RUNPOD_ENDPOINT_ID is not set)"
    yield DoctorCheck("place", OK, text)
    yield from _streams()


def _streams() -> Iterator[DoctorCheck]:
    """Report the standard streams that were closed when this process started."""
    missing = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    if missing:
        text = f"closed: {', '.join(missing)}. What tracing would write there is lost"
        hint = "Redirect them to a file or to the null device, as services and schedulers do."
        yield DoctorCheck("streams", NOTE, text, hint)


def providers() -> Iterator[DoctorCheck]:
    """Report which tracer provider a deployment started from here would use."""
    if is_disabled():
        text = "tracing is switched off by FLASH_OTEL_DISABLED or OTEL_SDK_DISABLED"
        mended = unset("FLASH_OTEL_DISABLED", "OTEL_SDK_DISABLED")
        yield DoctorCheck("disabled", PROBLEM, text, command=mended)
    yield _provider()
    installed = [name for name in _SETTERS if version_of(name)]
    if installed:
        text = f"installed, and may set a provider: {', '.join(installed)}. {_APPLICATIONS}"
        yield DoctorCheck("provider_setters", NOTE, text)
    yield from _other_instrumentation()


def _provider() -> DoctorCheck:
    if named := os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip():
        text = f"OTEL_PYTHON_TRACER_PROVIDER names {named}. {_APPLICATIONS}"
        return DoctorCheck("provider", NOTE, text)
    if _is_auto_instrumented():
        text = f"opentelemetry-instrument starts Python here, and sets a provider. {_APPLICATIONS}"
        return DoctorCheck("provider", NOTE, text)
    text = "flash_otel's own provider, unless the application sets one before its first span"
    return DoctorCheck("provider", OK, text)


def _is_auto_instrumented() -> bool:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return any(Path(path).parts[-len(_AUTO) :] == _AUTO for path in paths)


def _other_instrumentation() -> Iterator[DoctorCheck]:
    found = entry_points(group="opentelemetry_instrumentor", name="runpod_flash")
    others = [point for point in found if not point.value.startswith("flash_otel")]
    if others:
        values = ", ".join(sorted({point.value for point in others}))
        text = f"another package instruments Flash, too: {values}"
        packages = {point.dist.name if point.dist else point.module for point in others}
        remove = _pip(f"uninstall {shlex.join(sorted(packages))}")
        yield DoctorCheck("instrumented_twice", PROBLEM, text, command=remove)
    skipped = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "runpod_flash" in [name.strip() for name in skipped.split(",")]:
        text = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS excludes Flash from opentelemetry-instrument"
        yield DoctorCheck("instrumentation_disabled", NOTE, text)
