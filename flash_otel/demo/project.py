"""A small real Flash project: one queue-based endpoint and a load-balanced one that calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CALLED_RESOURCE: Final = "gpu_info"
CALLED_FUNCTION: Final = "gpu_info"
CALLING_RESOURCE: Final = "api"

_CALLED: Final = '''\
"""A queue-based endpoint that tells about its GPU."""

{head}
async def gpu_info(verbose: bool = False) -> dict:
    """Return what the worker knows about its GPU."""
    import platform

    return {{"gpu": "none", "verbose": verbose, "python": platform.python_version()}}
'''

_CALLING: Final = '''\
"""A load-balanced endpoint whose route calls the queue-based one."""

{head}
async def info() -> dict:
    """Ask the GPU endpoint."""
    from gpu_worker import gpu_info

    return await gpu_info(verbose=True)
'''

_ALONE: Final = '''\
"""A load-balanced endpoint that calls no other."""

{head}
async def info() -> dict:
    """Say that there is no GPU endpoint yet."""
    return {{"gpu": "none"}}
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

# 1.6.0 has the `Endpoint` decorator already, but its build finds no endpoint made with it.
_ENDPOINT_SINCE: Final = (1, 6, 1)
_NO_MAIN_SINCE: Final = (1, 3, 0)


def write_project(folder: Path, version: str, *, with_gpu: bool = True) -> Path:
    """Write the project's modules for a version of Flash into `folder` and return it.

    Args:
        folder: Made if missing; its name is the app's name.
        version: Version of runpod-flash that will deploy it.
        with_gpu: Without, the project is in an older state: only the load-balanced endpoint.
    """
    old = _release(version) < _ENDPOINT_SINCE
    calling = _CALLING if with_gpu else _ALONE
    modules = {"api.py": calling.format(head=_OLD_CALLING_HEAD if old else _CALLING_HEAD)}
    if with_gpu:
        modules["gpu_worker.py"] = _CALLED.format(head=_OLD_CALLED_HEAD if old else _CALLED_HEAD)
    if _release(version) < _NO_MAIN_SINCE:
        modules["main.py"] = _MAIN
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
