"""Reads Flash manifests: endpoints, keys, state, digest, size, provenance and credentials.

A manifest comes from a server or a file: it may be missing, null, of the wrong type, or huge. No
function here raises because of that, and none modifies its argument.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import urlsplit

from flash_otel import semconv

ENDPOINTS_KEY: Final = "resources_endpoints"
"""Key of the mapping resource name -> URL (`reconcile_and_provision_resources`, 1.0.0-1.21.0)."""

RESOURCES_KEY: Final = "resources"

ENDPOINT_KINDS: Final = frozenset({"queue", "api"})
"""Kinds of runpod 2's resources that become endpoints (`reconcile_endpoints`, 2.0.0rc2)."""

GENERATED_KEY: Final = "generated_at"
"""Key of the time of the build, in UTC (`ManifestBuilder.build`, 1.0.0-1.21.0)."""

FINGERPRINT_KEY: Final = "source_fingerprint"
"""Key of the SHA-256 of the project's files (`compute_source_fingerprint`, 1.14.0-1.21.0)."""

MAX_PROVENANCE: Final = 128  # characters

# ISO 8601 down to the second. An offset needs its minutes: without them it may be a cut one.
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,](\d{1,9})\d*)?"
    r" ?(?:Z|UTC|([+-]\d\d):?([0-5]\d))?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

MEASURED_VALUES: Final = 20_000
MEASURED_BYTES: Final = 4 * 1024 * 1024


def endpoints(manifest: object) -> dict[str, str] | None:
    """Return the endpoint mapping of a manifest.

    Returns:
        Resource name -> URL in the manifest's order (a URL that is not a string becomes ""); None
        without a mapping: no manifest, no such key, or a value of another type.
    """
    if not isinstance(manifest, Mapping):
        return None
    found = manifest.get(ENDPOINTS_KEY)
    if not isinstance(found, Mapping):
        return None
    return {str(name): url if isinstance(url, str) else "" for name, url in found.items()}


def endpoint_id(url: str) -> str:
    """Read the endpoint id in a URL: `https://api/v2/ID`, or `https://ID.api` if balanced."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    last = parts.path.rstrip("/").rpartition("/")[2]
    return last or (host.split(".")[0] if "." in host and not host[:1].isdigit() else "")


def keys(manifest: object) -> list[str]:
    """Return the manifest's top-level keys in order, except `_flash_otel`."""
    if not isinstance(manifest, Mapping):
        return []
    return [str(key) for key in manifest if key != semconv.CARRIER_KEY]


def state(manifest: object) -> str:
    """Return the state of a manifest: null, incomplete (no endpoints) or complete."""
    if not isinstance(manifest, Mapping):
        return semconv.MANIFEST_NULL
    return semconv.MANIFEST_COMPLETE if endpoints(manifest) else semconv.MANIFEST_INCOMPLETE


def provenance(manifest: object) -> dict[str, str]:
    """Return when a manifest was built and from what, under `GENERATED_KEY` and `FINGERPRINT_KEY`.

    A text above `MAX_PROVENANCE` characters is not Flash's, and is left out: a part of it would be
    taken for another time, or for another project.
    """
    if not isinstance(manifest, Mapping):
        return {}
    found = {key: manifest.get(key) for key in (GENERATED_KEY, FINGERPRINT_KEY)}
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, str) and 0 < len(value) <= MAX_PROVENANCE
    }


def generated_ns(text: str | None) -> int | None:
    """Return a manifest's `generated_at` as a number.

    Flash writes UTC with microseconds and a `Z`: `2026-01-31T12:00:00.123456Z`, without the
    fraction if it is zero. Other offsets are accepted, too; a time without one is UTC.

    Returns:
        Nanoseconds since the epoch; None for any other text, and for the epoch and times before
        it, which stand for an unknown time.
    """
    found = _TIME.fullmatch(text) if text and len(text) <= MAX_PROVENANCE else None
    if found is None:
        return None
    day, clock, fraction, hours, minutes = found.groups(default="")
    try:
        # In the form that Python 3.10 reads, too: it knows neither `Z` nor nine digits.
        moment = datetime.fromisoformat(f"{day}T{clock}{hours or '+00'}:{minutes or '00'}")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")) if seconds > 0 else None


def digest(mapping: Mapping[str, str]) -> str:
    """Return the digest of an endpoint mapping: 16 hex digits, in any order of entries."""
    canonical = json.dumps(dict(mapping), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def size(manifest: object) -> int | None:
    """Return the size of a manifest as compact JSON, in bytes.

    Returns:
        The size; None if it is not JSON, or so large that measuring it would delay the deployment
        (more than `MEASURED_VALUES` values or about `MEASURED_BYTES` bytes of text).
    """
    if not _is_small(manifest):
        return None
    try:
        return len(json.dumps(manifest, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError):
        return None


def resources(manifest: object) -> Iterator[Mapping[object, object]]:
    """Yield the resources of a manifest: a mapping by name in runpod-flash, a list in runpod 2."""
    found = manifest.get(RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    listed = found.values() if isinstance(found, Mapping) else found
    for resource in listed if isinstance(listed, Iterable) and not isinstance(listed, str) else ():
        if isinstance(resource, Mapping):
            yield resource


def secrets(manifest: object) -> Iterator[str]:
    """Yield the credentials in a manifest: `resources[*].aiKey`."""
    for config in resources(manifest):
        key = config.get("aiKey")
        if isinstance(key, str):
            yield key


def environments(manifest: object) -> Iterator[Mapping[object, object]]:
    """Yield the environment variables of the resources' workers: `resources[*].env`."""
    for config in resources(manifest):
        environment = config.get("env")
        if isinstance(environment, Mapping):
            yield environment


def _is_small(value: object) -> bool:
    """Return False as soon as a walk through the value has found too much to measure."""
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
