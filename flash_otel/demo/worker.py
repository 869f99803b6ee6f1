"""A deployed worker: this file runs in the unpacked artifact, with a mode as its argument.

Like the real worker, it imports the user's modules from the artifact. It calls the remote function
that its endpoint's code calls, once and again for each line on its standard input. Standard output
and error are the container log.

Modes:
    wrapper: One call through Flash's `ProductionWrapper` and `ServiceRegistry`.
    own: The same for the endpoint's own function.
    unlisted: The same for a function that the manifest lacks.
    function: The endpoint's own function, which makes the remote call.
    route: One HTTP request to the load balancer's generated handler, within this process.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

TRACED_VARIABLE: Final = "FLASH_OTEL_DEMO_TRACED"

ANSWERED: Final = "answer:"
"""Prefix of the line that a worker writes after an answered call."""

Manifest = dict[str, Any]


def main(mode: str) -> int:
    """Run a worker and return its exit status: 0 if all remote calls were answered, else 1."""
    if os.environ.get(TRACED_VARIABLE) == "1":
        import flash_otel

        flash_otel.instrument()
    unpacked = os.environ.get("RUNPOD_APP_DIR")
    if unpacked:
        manifest = json.loads(Path(unpacked, "runpod_manifest.json").read_text(encoding="utf-8"))
        return asyncio.run(_serve(call_route, manifest))
    manifest = json.loads(Path(os.environ["FLASH_MANIFEST_PATH"]).read_text(encoding="utf-8"))
    return asyncio.run(_serve(MODES[mode], manifest))


async def _serve(call: Callable[[Manifest], Coroutine[Any, Any, Any]], manifest: Manifest) -> int:
    """Call once, then again per line of input: Flash keeps its registries within a process."""
    status = 0
    while True:
        try:
            sys.stdout.write(f"{ANSWERED} {json.dumps(await call(manifest))}\n")
        except Exception:
            traceback.print_exc()
            status = 1
        if not await asyncio.to_thread(sys.stdin.readline):
            return status


async def call_through_wrapper(manifest: Manifest) -> Any:
    """Call the remote function through the wrapper that Flash's stubs use in workers."""
    return await _through_wrapper(_function(manifest, _called(manifest)), verbose=True)


async def call_own(manifest: Manifest) -> Any:
    """Call the endpoint's own function through the wrapper, as a request to it does."""
    return await _through_wrapper(_function(manifest, _own(manifest)))


async def call_unlisted(_: Manifest) -> Any:
    """Call a function that is in the user's modules but not in the manifest."""
    return await _through_wrapper(importlib.import_module("gpu").gpu_info, verbose=True)


async def _through_wrapper(function: Any, **arguments: Any) -> Any:
    from runpod_flash.runtime.production_wrapper import create_production_wrapper

    wrapper = create_production_wrapper()
    accelerate_downloads = True
    return await wrapper.wrap_function_execution(
        _locally, function, None, None, accelerate_downloads, **arguments
    )


async def call_function(manifest: Manifest) -> Any:
    """Call the function of this worker's endpoint, which makes the remote call."""
    return await _function(manifest, _own(manifest))()


async def request_route(manifest: Manifest) -> Any:
    """Send an HTTP request to the generated load-balancer handler, without a socket."""
    import httpx

    resource = os.environ["FLASH_RESOURCE_NAME"]
    handler = _load(Path.cwd() / f"handler_{resource}.py")
    method, path = next(iter(manifest["routes"][resource])).split(" ", 1)
    transport = httpx.ASGITransport(app=handler.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        response = await client.request(method, path)
    response.raise_for_status()
    return response.json()


async def call_route(manifest: Manifest) -> Any:
    """Call the only route of the endpoint's class, as the runtime of runpod 2 does (any mode)."""
    own = os.environ["FLASH_RESOURCE_NAME"]
    entry = next(resource for resource in manifest["resources"] if resource["name"] == own)
    handle = getattr(importlib.import_module(entry["module"]), entry["qualname"])
    api = handle.__wrapped__()
    route = next(
        name for name, method in vars(type(api)).items() if hasattr(method, "__runpod_route__")
    )
    return await getattr(api, route)()


MODES: Final[dict[str, Callable[[Manifest], Coroutine[Any, Any, Any]]]] = {
    "wrapper": call_through_wrapper,
    "own": call_own,
    "unlisted": call_unlisted,
    "function": call_function,
    "route": request_route,
}


async def _locally(function: Any, *_: Any, **arguments: Any) -> Any:
    return await function(**arguments)


def _own(manifest: Manifest) -> str:
    own = os.environ["FLASH_RESOURCE_NAME"]
    return next(name for name, resource in _registry(manifest) if resource == own)


def _called(manifest: Manifest) -> str:
    own = os.environ["FLASH_RESOURCE_NAME"]
    return next(name for name, resource in _registry(manifest) if resource != own)


def _registry(manifest: Manifest) -> list[tuple[str, str]]:
    return list(manifest["function_registry"].items())


def _function(manifest: Manifest, name: str) -> Any:
    resource = manifest["resources"][manifest["function_registry"][name]]
    module = next(entry["module"] for entry in resource["functions"] if entry["name"] == name)
    return getattr(importlib.import_module(module), name)


def _load(path: Path) -> Any:
    # The name of a generated handler may contain a hyphen, which no import statement allows.
    spec = importlib.util.spec_from_file_location("worker_handler", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
