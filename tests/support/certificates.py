"""Certificates by an authority of the tests, and a token."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import trustme
from support.real_collector import Access

if TYPE_CHECKING:
    from pathlib import Path


def make_access(folder: Path) -> Access:
    """Write a certificate for 127.0.0.1, its key, its authority, and a bearer token."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    made = Access(folder / "ca.pem", folder / "server.crt", folder / "server.key", folder / "token")
    authority.cert_pem.write_to_path(made.authority)
    server.private_key_pem.write_to_path(made.key)
    for pem in server.cert_chain_pems:
        pem.write_to_path(made.certificate, append=True)
    made.token_file.write_text(secrets.token_urlsafe(32))
    return made
