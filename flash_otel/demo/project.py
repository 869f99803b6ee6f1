"""A small Flash project, and the artifact that Flash builds from it.

The project has a queue-based endpoint and a load-balanced endpoint that calls it. Its other
editions are older and newer states of the code, and states that Flash's build misreads.
"""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Final

from flash_otel.semconv import CARRIER_KEY

if TYPE_CHECKING:
    from pathlib import Path

CALLING_RESOURCE: Final = "api"

WHOLE: Final = "whole"
ALONE: Final = "alone"
"""An older state: only the load-balanced endpoint, which calls nothing."""
CHANGED: Final = "changed"
"""A newer state: the same endpoints with other code."""
UNSEEN_CALL: Final = "unseen call"
"""The call goes through an attribute of the module, which the build's search for calls misses.

The search covers plain names only (`_analyze_cross_calls_ast`, 1.14.0-1.21.0).
"""
UNSEEN_FUNCTION: Final = "unseen function"
"""The called function is in a package's `__init__.py`, which the build skips.

`RemoteDecoratorScanner` (1.3.0) to `RuntimeScanner` (1.21.0) skip files of that name.
"""
IMAGES: Final = "images"
"""Ready-made images only: the build finds nothing to deploy."""

_CALLED: Final = '''\
"""A queue-based endpoint that describes its GPU."""

{called}
async def gpu_info(verbose: bool = False) -> dict:
    """Return what the worker knows about its GPU."""
    import platform

    return {{"gpu": "none", "verbose": verbose, "python": platform.python_version()}}
'''

_CALLING: Final = '''\
"""A load-balanced endpoint whose route calls the queue-based one."""

{calling}
async def info() -> dict:
    """Ask the GPU endpoint."""
    from gpu_worker import gpu_info

    return await gpu_info(verbose=True)
'''

_ALONE: Final = '''\
"""A load-balanced endpoint that calls no other."""

{calling}
async def info() -> dict:
    """Report that there is no GPU endpoint yet."""
    return {{"gpu": "none"}}
'''

_BY_ATTRIBUTE: Final = '''\
"""A load-balanced endpoint whose route calls the queue-based one through its module."""

{calling}
async def info() -> dict:
    """Ask the GPU endpoint."""
    import gpu_worker

    return await gpu_worker.gpu_info(verbose=True)
'''

_IMAGE: Final = '''\
"""An endpoint of a ready-made image."""

from runpod_flash import Endpoint, GpuType

llm = Endpoint(name="llm", image="vllm/vllm-openai:latest", gpu=GpuType.ANY)
'''

_MAIN: Final = '''\
"""The application's own routes."""

from fastapi import FastAPI

app = FastAPI()
'''

_CALLED_HEAD: Final = """\
from runpod_flash import Endpoint, GpuType


@Endpoint(name="gpu_info", gpu=GpuType.ANY)"""

_CALLING_HEAD: Final = """\
from runpod_flash import Endpoint

api = Endpoint(name="api", cpu="cpu3c-1-2", workers=(1, 3))


@api.get("/gpu/info")"""

_OLD_CALLED_HEAD: Final = """\
from runpod_flash import LiveServerless, remote

gpu_config = LiveServerless(name="gpu_info")


@remote(resource_config=gpu_config)"""

_OLD_CALLING_HEAD: Final = """\
from runpod_flash import CpuLiveLoadBalancer, remote

api_config = CpuLiveLoadBalancer(name="api", workersMin=1)


@remote(resource_config=api_config, method="GET", path="/gpu/info")"""

_EDITIONS: Final[dict[str, dict[str, str]]] = {
    WHOLE: {"api.py": _CALLING, "gpu_worker.py": _CALLED},
    ALONE: {"api.py": _ALONE},
    CHANGED: {"api.py": _CALLING.replace("Ask the", "Query the"), "gpu_worker.py": _CALLED},
    UNSEEN_CALL: {"api.py": _BY_ATTRIBUTE, "gpu_worker.py": _CALLED},
    UNSEEN_FUNCTION: {
        "api.py": _CALLING.replace("from gpu_worker", "from gpu"),
        "gpu/__init__.py": _CALLED,
    },
    IMAGES: {"llm.py": _IMAGE},
}
_MODULES: Final = frozenset(name for modules in _EDITIONS.values() for name in modules)

# 1.6.0 has the `Endpoint` decorator, but its build does not find endpoints made with it.
_ENDPOINT_SINCE: Final = (1, 6, 1)
_NO_MAIN_SINCE: Final = (1, 3, 0)

MANIFEST_NAME: Final = "flash_manifest.json"
_TRACEPARENT_PARTS: Final = 4


def write_project(folder: Path, version: str, edition: str = WHOLE) -> Path:
    """Write the project's modules for a version of Flash into `folder` and return it.

    Args:
        folder: Created if missing; its name is the app's name. Modules of other editions are
            removed.
        version: Version of runpod-flash that will deploy it.
        edition: The state of the code.
    """
    for name in _MODULES:
        (folder / name).unlink(missing_ok=True)
    for name, text in _modules(version, edition).items():
        module = folder / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text, encoding="utf-8")
    return folder


def _modules(version: str, edition: str) -> dict[str, str]:
    old = _release(version) < _ENDPOINT_SINCE
    heads = {
        "called": _OLD_CALLED_HEAD if old else _CALLED_HEAD,
        "calling": _OLD_CALLING_HEAD if old else _CALLING_HEAD,
    }
    made = {name: text.format(**heads) for name, text in _EDITIONS[edition].items()}
    return {**made, "main.py": _MAIN} if _release(version) < _NO_MAIN_SINCE else made


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def unpack(content: bytes, folder: Path) -> None:
    """Unpack an artifact (a gzipped tar archive) into an existing folder, like the platform.

    Raises:
        tarfile.TarError: The content is not such an archive.
    """
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        # Python before 3.10.12 and 3.11.4 lacks the filter.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202 - Flash just built it on this machine


def carried_trace_id(app: Path) -> str | None:
    """Return the trace id in the manifest of an unpacked artifact, or None."""
    manifest = json.loads((app / MANIFEST_NAME).read_text(encoding="utf-8"))
    carrier = manifest.get(CARRIER_KEY) or {}
    parts = str(carrier.get("traceparent", "")).split("-")
    return parts[1] if len(parts) == _TRACEPARENT_PARTS else None
