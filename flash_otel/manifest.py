"""What a Flash manifest says, read defensively.

A manifest comes from a server or a file: it may be missing, null, of the wrong type, or huge.
Nothing here raises on any of that, and nothing here changes what it is given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from flash_otel import semconv

ENDPOINTS_KEY: Final = "resources_endpoints"
"""Where Flash keeps resource name -> URL (`reconcile_and_provision_resources`, 1.0.0-1.21.0)."""

RESOURCES_KEY: Final = "resources"

MEASURED_VALUES: Final = 20_000
MEASURED_BYTES: Final = 4 * 1024 * 1024


def endpoints(manifest: object) -> dict[str, str] | None:
    """Read the endpoint mapping of a manifest.

    Returns:
        Resource name -> URL in the manifest's order (a URL that is no string becomes ""), or None
        where there is no mapping at all: no manifest, no such key, or a value of another type.
    """
    if not isinstance(manifest, Mapping):
        return None
    held = manifest.get(ENDPOINTS_KEY)
    if not isinstance(held, Mapping):
        return None
    return {str(name): url if isinstance(url, str) else "" for name, url in held.items()}


def keys(manifest: object) -> list[str]:
    """List the manifest's top-level keys in order, without flash_otel's own."""
    if not isinstance(manifest, Mapping):
        return []
    return [str(key) for key in manifest if key != semconv.CARRIER_KEY]


def state(manifest: object) -> str:
    """Tell whether the manifest is null, incomplete (no endpoints yet) or complete."""
    if not isinstance(manifest, Mapping):
        return semconv.MANIFEST_NULL
    return semconv.MANIFEST_COMPLETE if endpoints(manifest) else semconv.MANIFEST_INCOMPLETE


def digest(mapping: Mapping[str, str]) -> str:
    """Digest an endpoint mapping: 16 hex digits, the same for every order of the same entries."""
    canonical = json.dumps(dict(mapping), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def size(manifest: object) -> int | None:
    """Measure the manifest as compact JSON, in bytes.

    Returns:
        The size, or None where it is no JSON or where measuring it would delay the deployment
        (more than `MEASURED_VALUES` values or about `MEASURED_BYTES` bytes of text).
    """
    if not _is_small(manifest):
        return None
    try:
        return len(json.dumps(manifest, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError):
        return None


def secrets(manifest: object) -> Iterator[str]:
    """Yield the credentials that Flash keeps in a manifest: `resources[*].aiKey`."""
    resources = manifest.get(RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    if not isinstance(resources, Mapping):
        return
    for config in resources.values():
        key = config.get("aiKey") if isinstance(config, Mapping) else None
        if isinstance(key, str):
            yield key


def environments(manifest: object) -> Iterator[Mapping[object, object]]:
    """Yield what the user has resources' workers get as variables: `resources[*].env`."""
    resources = manifest.get(RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    for config in resources.values() if isinstance(resources, Mapping) else ():
        environment = config.get("env") if isinstance(config, Mapping) else None
        if isinstance(environment, Mapping):
            yield environment


def _is_small(value: object) -> bool:
    """Walk the value until it is seen whole or has grown too large to measure."""
    pending: list[object] = [value]
    values = text = 0
    while pending:
        current = pending.pop()
        values += 1
        if isinstance(current, (str, bytes, bytearray)):
            text += len(current)
        elif isinstance(current, (Mapping, Sequence)):
            if values + len(pending) + len(current) > MEASURED_VALUES:
                return False
            if isinstance(current, Mapping):
                text += sum(len(key) for key in current if isinstance(key, str))
                pending.extend(current.values())
            else:
                pending.extend(current)
        if text > MEASURED_BYTES:
            return False
    return True
