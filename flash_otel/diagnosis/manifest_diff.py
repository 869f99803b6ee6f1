"""What an answer lacks of the endpoints that were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flash_otel.diagnosis.evidence import Endpoints

HOLDS: Final = "holds"
LACKS_ALL: Final = "all"
LACKS_SOME: Final = "some"
OTHER_URLS: Final = "urls"
UNSAID: Final = "unsaid"


def lack(expected: Endpoints, held: Endpoints, held_count: int | None) -> str:
    """Compare what was written with what an answer held."""
    if held_count is None:
        return UNSAID
    if held_count == 0:
        return HOLDS if expected.count == 0 else LACKS_ALL
    if expected.count is not None and (held_count < expected.count or lost_names(expected, held)):
        return LACKS_SOME
    if expected.digest and held.digest and expected.digest != held.digest:
        return OTHER_URLS
    return HOLDS


def lost_names(expected: Endpoints, held: Endpoints) -> tuple[str, ...]:
    """Return the names that were written and are not held, as far as both are known."""
    if expected.all_names is None or held.all_names is None:
        return ()
    return tuple(sorted(expected.all_names - held.all_names))
