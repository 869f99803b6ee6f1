from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.browser import running_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser, which all tests of a module share."""
    with running_browser() as browser:
        yield browser
