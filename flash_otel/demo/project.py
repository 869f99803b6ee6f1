"""A small Flash project, and the artifact that Flash builds from it.

It is written for the version that deploys it: runpod 2 has decorators of its own. It has a
queue-based endpoint and a load-balanced endpoint that calls it. A second edition is an older state
of the code.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel.demo.releases import MANIFESTS, RUNPOD_2, generation_of
from flash_otel.flash_versions import release
from flash_otel.semconv import CARRIER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CALLING_RESOURCE: Final = "api"

CALLED: Final = '''\
"""A queue-based endpoint that describes its GPU."""

{called}
async def gpu_info(verbose: bool = False) -> dict:
    """Return what the worker knows about its GPU."""
    import platform

    return {{"gpu": "none", "verbose": verbose, "python": platform.python_version()}}
'''

CALLING: Final = '''\
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


_APP: Final = '''\
"""A queue-based endpoint that describes its GPU, and a load-balanced one whose route calls it."""

from runpod import App, get

app = App({app!r})
'''

_QUEUE: Final = '''

@app.queue(name="gpu_info", gpu="any")
async def gpu_info(verbose: bool = False) -> dict:
    """Return what the worker knows about its GPU."""
    import platform

    return {{"gpu": "none", "verbose": verbose, "python": platform.python_version()}}
'''

_API: Final = '''

@app.api(name="api", cpu="cpu3c-1-2", workers=(1, 3))
class Api:
    @get("/gpu/info")
    async def info(self) -> dict:
        """Ask the GPU endpoint."""
        return await gpu_info.remote.aio(verbose=True)
'''

_API_ALONE: Final = '''

@app.api(name="api", cpu="cpu3c-1-2", workers=(1, 3))
class Api:
    @get("/gpu/info")
    async def info(self) -> dict:
        """Report that there is no GPU endpoint yet."""
        return {{"gpu": "none"}}
'''


@dataclass(frozen=True, eq=False)
class Edition:
    """A state of the project's code: file -> text, with placeholders for the decorators."""

    modules: Mapping[str, str]
    successor: Mapping[str, str] = field(default_factory=dict)
    """The same for runpod 2, with a placeholder for the app's name."""


WHOLE: Final = Edition(
    {"api.py": CALLING, "gpu_worker.py": CALLED}, {"gpu_app.py": f"{_APP}{_QUEUE}{_API}"}
)
ALONE: Final = Edition({"api.py": _ALONE}, {"gpu_app.py": f"{_APP}{_API_ALONE}"})
"""An older state: only the load-balanced endpoint, which calls nothing."""

# 1.6.0 has the `Endpoint` decorator, but its build does not find endpoints made with it.
_ENDPOINT_SINCE: Final = (1, 6, 1)
_NO_MAIN_SINCE: Final = (1, 3, 0)

_TRACEPARENT_PARTS: Final = 4


def write_project(folder: Path, version: str, edition: Edition = WHOLE) -> Path:
    """Write the project's modules for a version of Flash into `folder` and return it.

    Args:
        folder: Created if missing; its name is the app's name. Modules of other editions are
            removed.
        version: Version of Flash that will deploy it.
        edition: The state of the code.
    """
    # Not those in hidden folders: `.flash` holds what Flash has built.
    for module in (*folder.glob("*.py"), *folder.glob("[!.]*/*.py")):
        module.unlink()
    for name, text in _modules(version, edition, folder.name).items():
        module = folder / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text, encoding="utf-8")
    return folder


def _modules(version: str, edition: Edition, app: str) -> dict[str, str]:
    if generation_of(version) is RUNPOD_2:
        return {name: text.format(app=app) for name, text in edition.successor.items()}
    old = release(version) < _ENDPOINT_SINCE
    heads = {
        "called": _OLD_CALLED_HEAD if old else _CALLED_HEAD,
        "calling": _OLD_CALLING_HEAD if old else _CALLING_HEAD,
    }
    made = {name: text.format(**heads) for name, text in edition.modules.items()}
    return {**made, "main.py": _MAIN} if release(version) < _NO_MAIN_SINCE else made


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
    (file,) = (app / name for name in MANIFESTS if (app / name).exists())
    manifest = json.loads(file.read_text(encoding="utf-8"))
    carrier = manifest.get(CARRIER_KEY) or {}
    parts = str(carrier.get("traceparent", "")).split("-")
    return parts[1] if len(parts) == _TRACEPARENT_PARTS else None
