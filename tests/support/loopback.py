"""HTTP on this machine, without certificates: to load the authorities takes longer than to ask."""

from __future__ import annotations

import ssl
from typing import Any, Final

import httpx

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def get(url: str, **options: Any) -> httpx.Response:
    """Send a GET request."""
    return httpx.get(url, verify=NO_AUTHORITIES, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """Send a POST request."""
    return httpx.post(url, verify=NO_AUTHORITIES, **options)


def put(url: str, **options: Any) -> httpx.Response:
    """Send a PUT request."""
    return httpx.put(url, verify=NO_AUTHORITIES, **options)
