"""The table of targets against the source of seven versions of Flash, the first to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.flash_source import modules_binding, names_in, packages_of
from support.versions import FLASH_VERSIONS, RUNPOD_VERSIONS

from flash_otel.tracing import runpod2
from flash_otel.tracing.flash import TARGETS
from flash_otel.tracing.pending import SUCCESSOR_MODULES

if TYPE_CHECKING:
    from support.flash import FlashEnvironments

pytestmark = pytest.mark.flash

VERSIONS: Final = tuple(FLASH_VERSIONS)
ALL: Final = VERSIONS

# Module and function -> the versions that have it.
FOUND: Final = {
    "cli.commands.deploy deploy_command": VERSIONS[1:],
    "cli.commands.deploy _resolve_and_deploy": VERSIONS[1:],
    "cli.utils.deployment deploy_to_environment": VERSIONS[:2],
    "cli.commands.deploy deploy_to_environment": VERSIONS[:2],
    "cli.utils.deployment deploy_from_uploaded_build": VERSIONS[2:],
    "cli.commands.deploy deploy_from_uploaded_build": VERSIONS[2:],
    "cli.commands.build run_build": VERSIONS[1:],
    "cli.commands.deploy run_build": VERSIONS[1:],
    "cli.commands.build build_command": ALL,
    "cli.commands.build_utils.manifest ManifestBuilder.build": ALL,
    "core.resources.app FlashApp.upload_build": ALL,
    "core.api.runpod RunpodGraphQLClient.deploy_build_to_environment": ALL,
    "cli.utils.deployment reconcile_and_provision_resources": ALL,
    "core.resources.resource_manager ResourceManager.get_or_deploy_resource": ALL,
    "core.api.runpod RunpodGraphQLClient.update_build_manifest": ALL,
    "core.api.runpod RunpodGraphQLClient._execute_graphql": ALL,
    "core.api.runpod RunpodGraphQLClient._execute_graphql_once": VERSIONS[4:],
    "runtime.state_manager_client StateManagerClient.get_persisted_manifest": ALL,
    "runtime.state_manager_client StateManagerClient._fetch_build_and_manifest": ALL,
    "runtime.service_registry ServiceRegistry._ensure_manifest_loaded": ALL,
    "runtime.service_registry ServiceRegistry.get_routing_info": VERSIONS[3:],
    "runtime.service_registry ServiceRegistry.get_resource_for_function": ALL,
    "runtime.production_wrapper ProductionWrapper.wrap_function_execution": ALL,
    "runtime.production_wrapper ProductionWrapper.wrap_class_method_execution": ALL,
    "core.resources.serverless ServerlessResource.run_sync": VERSIONS[:3],
    "core.resources.serverless ServerlessResource.runsync": VERSIONS[3:],
    "core.utils.http get_authenticated_httpx_client": ALL,
    "core.resources.load_balancer_sls_resource get_authenticated_httpx_client": VERSIONS[:6],
    "core.resources.request_logs get_authenticated_httpx_client": VERSIONS[5:],
    "runtime.production_wrapper get_authenticated_httpx_client": VERSIONS[3:],
    "stubs.load_balancer_sls get_authenticated_httpx_client": ALL,
    "flash_sentinel _sentinel_qb_post": VERSIONS[6:],
    "flash_sentinel sentinel_lb_request": VERSIONS[6:],
}

# What serves a worker's requests; `test_queue_worker.py` and `pipeline/test_servers.py` run these.
OF_OTHERS: Final = {
    "runpod.serverless start",
    "starlette.applications Starlette.__call__",
    "concurrent.futures.thread ThreadPoolExecutor.submit",
}

# Function -> parameters that its facts are read from; one of each group, in every version.
READ: Final = {
    "_resolve_and_deploy": ({"app_name"}, {"env_name"}),
    "deploy_to_environment": ({"app_name"}, {"env_name"}),
    "deploy_from_uploaded_build": ({"app"}, {"build_id"}, {"env_name"}),
    "FlashApp.upload_build": ({"tar_path"},),
    "RunpodGraphQLClient.deploy_build_to_environment": ({"input_data"},),
    "reconcile_and_provision_resources": ({"build_id"}, {"environment_name"}),
    "ResourceManager.get_or_deploy_resource": ({"config"},),
    "RunpodGraphQLClient.update_build_manifest": ({"build_id"}, {"manifest"}),
    "RunpodGraphQLClient._execute_graphql": ({"query"}, {"variables"}),
    "RunpodGraphQLClient._execute_graphql_once": ({"query"}, {"variables"}),
    "StateManagerClient.get_persisted_manifest": ({"mothership_id", "flash_environment_id"},),
    "StateManagerClient._fetch_build_and_manifest": ({"mothership_id", "flash_environment_id"},),
    "ProductionWrapper.wrap_function_execution": ({"func"},),
    "ProductionWrapper.wrap_class_method_execution": ({"request"},),
    "_sentinel_qb_post": ({"app"}, {"env"}, {"endpoint_name"}),
    "sentinel_lb_request": ({"app"}, {"env"}, {"endpoint_name"}),
}


def full(module: str) -> str:
    """Return a module's name with its package."""
    return f"runpod_flash.{module}"


def test_table_holds_every_target() -> None:
    """A target that is added to the table is added here, with the versions that have it."""
    places = {f"{module} {name}" for target in TARGETS for module, name in target.places}
    assert places == {full(place) for place in FOUND} | OF_OTHERS


@pytest.mark.parametrize("version", VERSIONS)
def test_targets_of_a_version(version: str, flash_env: FlashEnvironments) -> None:
    """Each version has the targets of the table, with the parameters that flash_otel reads."""
    packages = packages_of(flash_env(version))
    for place, versions in FOUND.items():
        module, name = place.split(" ")
        there = names_in(packages, full(module))
        assert (name in there) == (version in versions), place
    for target in TARGETS:
        parameters = names_in(packages, target.module).get(target.name)
        for group in READ.get(target.name, ()) if parameters is not None else ():
            assert group & (parameters or set()), (target.name, group)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_alias_is_missed(version: str, flash_env: FlashEnvironments) -> None:
    """No module binds a target by from-import that the table does not name."""
    packages = packages_of(flash_env(version))
    for target in TARGETS:
        if "." in target.name or target.name not in names_in(packages, target.module):
            continue
        registers = {full("cli.main"), full("cli.commands.__init__")}
        bound = modules_binding(packages, target.name) - {target.module, *target.aliases}
        assert bound <= registers, target.name


# Function of runpod 2 -> the parameters that its fields are read from.
SUCCESSOR: Final = {
    "apps.deploy deploy_app": {"app", "env_name"},
    "apps.deploy build_artifact": set(),
    "apps.deploy build_environment": set(),
    "apps.deploy build_manifest": set(),
    "apps.deploy package_project": set(),
    "apps.deploy reconcile_endpoints": {"app", "environment", "build_id"},
    "apps.api AppsApiClient.prepare_artifact_upload": {"tarball_size"},
    "apps.api AppsApiClient.upload_tarball": set(),
    "apps.api AppsApiClient.finalize_artifact_upload": {"object_key", "manifest"},
    "apps.api AppsApiClient.deploy_build": {"environment_id", "build_id"},
    "apps.api AppsApiClient.save_endpoint": {"endpoint_input"},
    "apps.api AppsApiClient._execute": {"query", "variables"},
    "apps.api run_graphql_query_async": set(),
    "apps.api AppsApiClient._put_tarball": set(),
    "apps.targets SentinelTarget.invoke": set(),
    "apps.targets SentinelTarget.submit": set(),
    "apps.targets SentinelTarget.request": set(),
    "apps.targets SentinelTarget._sentinel_headers": set(),
    "apps.targets _request_json": set(),
}


@pytest.mark.parametrize("version", RUNPOD_VERSIONS)
def test_targets_of_the_successor(version: str, flash_env: FlashEnvironments) -> None:
    """Runpod 2 has the targets of its table, with the parameters that flash_otel reads."""
    packages = packages_of(flash_env(version), "runpod")
    assert {target.module for target in runpod2.TARGETS} == set(SUCCESSOR_MODULES)
    named = {f"{target.module} {target.name}": target for target in runpod2.TARGETS}
    assert named.keys() == {f"runpod.{place}" for place in SUCCESSOR}
    for place, parameters in SUCCESSOR.items():
        module, name = place.split(" ")
        found = names_in(packages, f"runpod.{module}")
        assert name in found, place
        assert parameters <= found[name], place


@pytest.mark.parametrize("version", RUNPOD_VERSIONS)
def test_no_alias_of_the_successor_is_missed(version: str, flash_env: FlashEnvironments) -> None:
    """No module but the one in the table binds a target by from-import when it is imported."""
    packages = packages_of(flash_env(version), "runpod")
    for target in runpod2.TARGETS:
        bound = modules_binding(packages, target.name, "runpod") - {target.module}
        assert bound <= {"runpod.api.rest"}, target.name
