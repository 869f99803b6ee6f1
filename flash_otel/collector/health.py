"""Whether a program is well: its health check, asked from this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flash_otel.collector.programs import Program

_ASK_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 0.1
_OK: Final = 200


def trouble(program: Program, ports: Mapping[str, int]) -> str | None:
    """Return why a program is not well, in a few words; None where it is."""
    import httpx

    url = f"http://127.0.0.1:{ports[program.health]}{program.health_path}"
    try:
        # No proxy of the user's stands between this machine and itself.
        with httpx.Client(trust_env=False, timeout=_ASK_SECONDS) as client:
            status = client.get(url).status_code
    except httpx.ConnectError:
        return f"nothing answers at {url}"
    except httpx.HTTPError as error:
        return f"{url}: {type(error).__name__}"
    return None if status == _OK else f"{url} answers {status}"


def wait(
    program: Program, ports: Mapping[str, int], seconds: float, *, alive: Callable[[], bool]
) -> str | None:
    """Wait until a program is well; return the last trouble where it does not get there.

    Args:
        program: Whose health is asked.
        ports: Its ports.
        seconds: How long at most.
        alive: Tells whether waiting on makes sense.
    """
    deadline = time.monotonic() + seconds
    while (found := trouble(program, ports)) and time.monotonic() < deadline:
        if not alive():
            return "it ended"
        time.sleep(_AGAIN_SECONDS)
    return found
