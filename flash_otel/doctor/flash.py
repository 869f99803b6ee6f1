"""Would tracing apply: which functions of the installed Flash it finds, for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.doctor import sources
from flash_otel.doctor.checks import OK, PROBLEM, Check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each row: what is traced, and the targets of which a version of Flash has at least one.
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
    ),
}
_PACKAGE: Final = "runpod_flash"
_NEWER: Final = "This Flash may be newer than flash_otel knows: upgrade flash-otel."


def targets() -> Iterator[Check]:
    """Look up every target of the table in the source of the installed Flash."""
    package = sources.folder_of(_PACKAGE)
    if package is None:
        return
    found = _found(package)
    for purpose, names in PURPOSES.items():
        yield _judged(purpose, [(name, found[name]) for name in names if name in found])


def _found(package: Path) -> dict[str, bool]:
    """Tell of each target of Flash whether the module that defines it has it."""
    from flash_otel.tracing.flash import TARGETS

    ours = [one for one in TARGETS if one.module.startswith(_PACKAGE)]
    return {one.name: one.name in sources.names_in(package, one.module) for one in ours}


def _judged(purpose: str, found: list[tuple[str, bool]]) -> Check:
    there = [name for name, is_there in found if is_there]
    absent = [name for name, is_there in found if not is_there]
    name = f"target {purpose}"
    if not there:
        said = f"{purpose} is not traced: this Flash has none of {', '.join(absent)}"
        return Check(name, PROBLEM, said, _NEWER)
    without = f"; not in this version: {', '.join(absent)}" if absent else ""
    return Check(name, OK, f"{purpose}: {', '.join(there)}{without}")
