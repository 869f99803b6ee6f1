"""The versions of Flash that the tests run: one table, prepared by `tests/prepare.py`."""

from __future__ import annotations

from typing import Final

FLASH_VERSIONS: Final = {
    "1.0.0": "the first release: build and deploy are separate commands",
    "1.1.1": "adds `flash deploy`; workers do not read the State Manager yet",
    "1.3.0": "adds `deploy_from_uploaded_build`; workers read the State Manager",
    "1.4.2": "adds `ServiceRegistry.get_routing_info`",
    "1.9.1": "retries GraphQL requests, in `_execute_graphql_once`",
    "1.14.0": "the last whose workers read the State Manager",
    "1.21.0": "the last: calls go through the sentinel",
}
"""Version of runpod-flash to the reason that the tests need it."""

RUNPOD_VERSIONS: Final = {"2.0.0rc2": "the successor of runpod-flash: `runpod.apps`"}
"""Version of runpod to the reason that the tests need it."""

_DEPLOYED_VERSIONS: Final = {
    "1.10.2": "the last whose user modules are not imported by a deployment",
    "1.15.0": "the first whose calls go through the sentinel",
}
"""Versions between those, of which only whole deployments are compared, and why."""

ALL_VERSIONS: Final = {**FLASH_VERSIONS, **_DEPLOYED_VERSIONS, **RUNPOD_VERSIONS}

MAIN_VERSIONS: Final = ("1.14.0", "1.21.0")
"""The versions that whole deployments are tested with."""
