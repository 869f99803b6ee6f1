"""The installed Flash's own client, without what Flash prints and logs on the way.

Flash configures the root logger when it is imported (standard output, and a file in the working
folder), unless that has a handler already (`runpod_flash.logger.setup_logging`).
"""

from __future__ import annotations

import io
import logging
from contextlib import contextmanager, redirect_stdout
from importlib import util
from typing import TYPE_CHECKING, Any

from flash_otel.redaction import remember
from flash_otel.verify import errors

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_installed() -> bool:
    """Tell whether this interpreter has runpod-flash, without importing it."""
    return util.find_spec("runpod_flash") is not None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Flash's log off the terminal and out of the working folder."""
    root = logging.getLogger()
    held = None if root.handlers else logging.NullHandler()
    if held is not None:
        root.addHandler(held)
    before = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        if held is not None:
            root.removeHandler(held)


def make_client() -> Any:
    """Make the client that `flash deploy` and workers use, with the key that they would use.

    Returns:
        A `runpod_flash.core.api.runpod.RunpodGraphQLClient` (1.0.0-1.21.0).

    Raises:
        VerifyError: Flash found no API key.
    """
    with redirect_stdout(io.StringIO()):
        from runpod_flash.core.api.runpod import RunpodGraphQLClient
    try:
        client = RunpodGraphQLClient()
    except Exception as error:
        if type(error).__name__ == "RunpodAPIKeyError":
            raise errors.missing_key() from None
        raise
    remember(client.api_key)
    return client


def endpoint_base() -> str:
    """Return where endpoints are called, as Flash resolves it (`runpod.endpoint_url_base`)."""
    import runpod

    return str(runpod.endpoint_url_base).rstrip("/")
