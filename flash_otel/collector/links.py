"""Links into Jaeger's UI: to the last deployment that the local store knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from flash_otel import semconv

if TYPE_CHECKING:
    from flash_otel.store.store import SpanStore
    from flash_otel.store.summary import TraceSummary

_SERVICE: Final = "flash-cli"  # what the resource of a deployment says: pipeline/resource.py
_LOOKED_AT: Final = 100


def last_deployment(store: SpanStore) -> TraceSummary | None:
    """Return the newest deployment among the newest traces of the store."""
    found = store.traces(limit=_LOOKED_AT)
    return next((one for one in found if one.root_name == semconv.DEPLOY), None)


def trace_link(interface: str, trace_id: str) -> str:
    """Return the address of a trace."""
    return f"{interface}/trace/{trace_id}"


def search_link(interface: str, deployment: TraceSummary) -> str:
    """Return the address of a search for what was done with the same build and environment."""
    known = {
        semconv.ENVIRONMENT_ID: deployment.environment_id,
        semconv.BUILD_ID: deployment.build_id,
    }
    tags = {name: value for name, value in known.items() if value}
    query = {"service": _SERVICE, "lookback": "2d", "limit": "50"}
    if tags:
        query["tags"] = json.dumps(tags, separators=(",", ":"))
    return f"{interface}/search?{urlencode(query)}"
