"""The environment variables of the demo's processes: nothing of the caller's leaks into them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from flash_otel.demo.control_plane import CANARY_API_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.environment import PythonEnvironment

# What a process needs to start at all, and to print in the user's language.
_INHERITED: Final = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "LD_LIBRARY_PATH"),
)


def flash_environment(
    base_url: str,
    *,
    home: Path,
    api_key: str | None = CANARY_API_KEY,
) -> dict[str, str]:
    """Return the variables that point all of Flash at a control plane.

    Every URL is set, because a partial override makes Flash warn; both names of those that
    were renamed are set, so that one dictionary serves every version.

    Args:
        base_url: Where the control plane is reached.
        home: The process's home folder: no credentials or stores of the user's are found.
        api_key: The key to use; None for none.
    """
    variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    variables |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "RUNPOD_API_BASE_URL": base_url,
        "RUNPOD_ENDPOINT_BASE_URL": f"{base_url}/v2",
        "RUNPOD_REST_API_URL": f"{base_url}/rest/v1",
        "RUNPOD_HAPI_URL": f"{base_url}/hapi",
        "RUNPOD_CONSOLE_URL": f"{base_url}/console",
        "CONSOLE_BASE_URL": f"{base_url}/console",
        "RUNPOD_URL_MIXED_OK": "1",
        "RUNPOD_FLASH_SILENCE_DEPRECATION": "1",
        "FLASH_NO_UPDATE_CHECK": "1",
        "PYTHONUNBUFFERED": "1",  # a log that is read while it is written, as a container's is
        "PYTHONIOENCODING": "utf-8",
    }
    if api_key is not None:
        variables["RUNPOD_API_KEY"] = api_key
    return variables


def deploy_variables(
    base_url: str, environment: PythonEnvironment, *, home: Path, store: Path
) -> dict[str, str]:
    """Return the variables of a `flash deploy` on a developer's machine.

    The user's own `OTEL_*` variables are kept: a configured collector gets the demo's spans.
    """
    standard = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    return {
        **standard,
        **flash_environment(base_url, home=home),
        "PYTHONPATH": str(environment.source),
        "FLASH_OTEL_STORE": str(store),
    }


def worker_variables(
    base_url: str,
    environment: PythonEnvironment,
    *,
    home: Path,
    app: Path,
    template_env: dict[str, str],
    endpoint_id: str,
    pod_id: str,
) -> dict[str, str]:
    """Return the variables of a deployed worker: its template's, and what the platform adds.

    Args:
        base_url: Where the control plane is reached.
        environment: The worker's Python.
        home: The worker's home folder.
        app: Where the artifact is unpacked.
        template_env: What Flash itself has put into the endpoint's template.
        endpoint_id: Id of the worker's endpoint.
        pod_id: Id of the worker.
    """
    return {
        **flash_environment(base_url, home=home, api_key=None),
        **template_env,
        "RUNPOD_ENDPOINT_ID": endpoint_id,
        "RUNPOD_POD_ID": pod_id,
        "FLASH_MANIFEST_PATH": str(app / "flash_manifest.json"),
        "PYTHONPATH": os.pathsep.join((str(app), str(environment.source))),
    }
