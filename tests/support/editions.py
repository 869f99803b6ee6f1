"""Editions of the demo's project for the matrix: newer code, code that Flash's build misreads."""

from __future__ import annotations

from typing import Final

from flash_otel.demo.project import CALLED, CALLING, Edition

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

CHANGED: Final = Edition(
    {
        "api.py": CALLING.replace("Ask the", "Query the"),
        "gpu_worker.py": CALLED,
    }
)
"""A newer state: the same endpoints with other code."""

UNSEEN_CALL: Final = Edition({"api.py": _BY_ATTRIBUTE, "gpu_worker.py": CALLED})
"""The call goes through an attribute of the module, which the build's search for calls misses.

The search covers plain names only (`_analyze_cross_calls_ast`, 1.14.0-1.21.0).
"""

UNSEEN_FUNCTION: Final = Edition(
    {
        "api.py": CALLING.replace("from gpu_worker", "from gpu"),
        "gpu/__init__.py": CALLED,
    }
)
"""The called function is in a package's `__init__.py`, which the build skips.

`RemoteDecoratorScanner` (1.3.0) to `RuntimeScanner` (1.21.0) skip files of that name.
"""

IMAGES: Final = Edition({"llm.py": _IMAGE})
"""Ready-made images only: the build finds nothing to deploy."""
