"""What versions of Flash do differently, where more than one room asks.

Read from the published wheels of runpod-flash, 1.0.0 to 1.21.0, and of runpod, 2.0.0rc2. What a
single room needs to know stays there.
"""

from __future__ import annotations

import re
from typing import Final

READS_FROM: Final = (1, 4, 2)
"""First version in which a worker's call reads the State Manager.

Before, `_should_execute_locally` finds no resource configuration, and each call runs in its own
process: no version before 1.4.0 writes one, and 1.4.0 and 1.4.1 put it into the artifact without
the package around it. The reads of 1.2 and 1.3 are those of the worker's image.
"""
READS_UNTIL: Final = (1, 15)
"""First version whose workers call through the sentinel and read no manifest."""

WRITES_UNTIL: Final = (2,)
"""First version that writes no manifest after the activation: runpod 2.

It saves every endpoint with the build's id, one after another, and then ends.
"""

_NUMBER: Final = re.compile(r"\d{1,6}")


def release(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version, as many as it begins with.

    >>> release("1.14.0"), release("2.0.0rc2"), release("unknown")
    ((1, 14, 0), (2, 0, 0), ())
    """
    numbers: list[int] = []
    for part in version.split(".")[:3]:
        found = _NUMBER.match(part)
        if found is None:
            break
        numbers.append(int(found[0]))
    return tuple(numbers)


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as its text; empty if it is unknown."""
    return ".".join(map(str, version))


def reads_manifests(version: tuple[int, ...]) -> bool | None:
    """Return whether a call in a worker of this version reads the manifest; None if unknown."""
    return READS_FROM <= version < READS_UNTIL if version else None


def writes_manifests(version: tuple[int, ...]) -> bool:
    """Return whether a deployment of this version uploads a manifest; True if it is unknown."""
    return version < WRITES_UNTIL
