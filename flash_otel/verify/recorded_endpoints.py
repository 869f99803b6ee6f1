"""The endpoints that the recorded deployments made, by the names of their resources."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.records import text
from flash_otel.store.queries import ALL, TraceFilter
from flash_otel.store.store import StoreError, locate, open_for_reading

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord

_SEARCHED_TRACES: Final = 20


def last_endpoints(
    path: str | os.PathLike[str] | None = None, asked: TraceFilter = ALL
) -> dict[str, str]:
    """Return the ids of the endpoints of the last deployment, by resource name.

    Args:
        path: The store's first file; None for the user's default store.
        asked: Conditions on the deployment.

    Returns:
        An empty mapping if no deployment is recorded, or the store cannot be read: an endpoint can
        be named by its id, too.
    """
    try:
        opened = open_for_reading(locate(path))
        if opened is None:
            return {}
        with opened as store:
            newest = islice(store.matching_traces(asked), _SEARCHED_TRACES)
            found = (_endpoints(store.trace(summary.trace_id)) for summary in newest)
            return next(filter(None, found), {})
    except StoreError:
        return {}


def _endpoints(records: Sequence[SpanRecord]) -> dict[str, str]:
    """Return the endpoints of a trace; empty if it is not that of a deployment."""
    found: dict[str, str] = {}
    for record in records:
        name = text(record.attributes, semconv.RESOURCE_NAME)
        endpoint = text(record.attributes, semconv.ENDPOINT_ID)
        if record.name == semconv.PROVISION_ENDPOINT and name and endpoint:
            found[name] = endpoint
    return found
