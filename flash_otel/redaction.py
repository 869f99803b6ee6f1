"""Scrubs secrets from every value before it is set on a span.

Secrets are the values of environment variables with a secret-looking name, credentials that the
wrappers saw (`remember`), and anything that looks like a key, a token or a signature. URLs lose
their query, fragment and userinfo.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final
from urllib.parse import unquote

from flash_otel import manifest as manifests

REDACTED: Final = "[redacted]"

MIN_SECRET_LENGTH: Final = 8
MAX_REMEMBERED: Final = 4096
MAX_TEXT: Final = 8192
MAX_ENTRIES: Final = 1000
CACHED_LENGTH: Final = 256

_SCALARS: Final = (str, bool, int, float)

_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|credential|signature|auth(?!or)"
    r"|(?:^|_)pass(?:$|_)|_(?:pwd|dsn|pat)$",
    re.IGNORECASE,
)
# Hold `name=value,name=value`, percent-encoded: OTEL_EXPORTER_OTLP_HEADERS and its variants.
_PLAIN_WORD: Final = re.compile(r"[a-z]+")
_HEADERS_NAME: Final = re.compile(r"headers$", re.IGNORECASE)
# Hold a URL, which may contain credentials: https_proxy, OTEL_EXPORTER_OTLP_ENDPOINT.
_URL_NAME: Final = re.compile(r"(?:_proxy|endpoint)$", re.IGNORECASE)

# Pattern -> replacement. URLs come first: the query of a presigned URL is removed as a whole.
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(
            r"\b([a-z][a-z0-9+.-]{1,30}://)(?:[^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)(?:[?#][^\s'\"<>]*)?",
            re.IGNORECASE,
        ),
        r"\1\2",
    ),
    (
        re.compile(
            r"(authorization[\\\"']*\s*[=:]\s*[\\\"']*)(?!\[redacted\])[^\"'\r\n,;})\]\\]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (
        # Keys of Runpod, Hugging Face, GitHub and AWS, which are recognizable by their prefix.
        re.compile(
            r"\b(?:rpa_[A-Za-z0-9]{6,}|(?:hf|gh[pousr]|github_pat)_\w{20,}|AKIA[A-Z0-9]{16})"
        ),
        REDACTED,
    ),
    # JSON Web Tokens. The lookbehind keeps the search linear in a long run of such characters.
    (re.compile(r"(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*"), REDACTED),
    (
        re.compile(
            # Quotes may be escaped: JSON inside a JSON string, or inside a repr.
            r"((?:api[_-]?key|access[_-]?key(?:[_-]?id)?|aikey|secret|token|passw(?:or)?d|signature"
            r"|credentials?)[\\\"']*\s*[=:]\s*\\*)(?:([\"'])(?!\[redacted\])"
            r"(?:(?!\2)[^\r\n\\]|\\(?!\2)[^\r\n])+|(?!\[redacted\])[^\s\"'&,;})\]\\]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
)

# No pattern matches a text without any of these, so most texts skip the search.
_SUSPECT: Final = re.compile(
    r"://|[=:]|bearer|basic|rpa_|hf_|gh[pousr]_|github_pat_|AKIA|eyJ", re.IGNORECASE
)


class _KnownSecrets:
    """The secrets known to this process.

    Attributes:
        ordered: Longest first: a secret may contain another.
    """

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.ordered: tuple[str, ...] = ()

    def add(self, values: Iterable[str]) -> None:
        new = {value for value in values if len(value) >= MIN_SECRET_LENGTH} - self.values
        new = set(islice(new, MAX_REMEMBERED - len(self.values)))
        if not new:
            return
        self.values |= new
        self.ordered = tuple(sorted(self.values, key=len, reverse=True))
        _scrub_short.cache_clear()

    def clear(self) -> None:
        self.values = set()
        self.ordered = ()
        _scrub_short.cache_clear()


_known: Final = _KnownSecrets()


def remember(*values: str | None) -> None:
    """Treat these values as secret from now on; those shorter than 8 characters are ignored."""
    _known.add(value for value in values if value)


def remember_environment(environ: Mapping[str, str] | None = None) -> None:
    """Remember the values of environment variables with a secret-looking name."""
    found = os.environ if environ is None else environ
    _known.add(value for name, value in found.items() if is_secret_name(name))
    headers = (value for name, value in found.items() if _HEADERS_NAME.search(name))
    _known.add(secret for text in headers for secret in _in_headers(text))
    urls = (value for name, value in found.items() if _URL_NAME.search(name))
    _known.add(password for text in urls for password in _in_url(text))


def _in_headers(text: str) -> Iterator[str]:
    """Yield the values of headers, with and without their authentication scheme."""
    for pair in text.split(","):
        name, _, value = pair.partition("=")
        value = unquote(value.strip())
        # A tenant's header may hold the name of an environment, which must stay readable.
        if is_secret_name(name) or not _PLAIN_WORD.fullmatch(value):
            yield value
            yield value.rpartition(" ")[2]


def _in_url(text: str) -> Iterator[str]:
    """Yield the password of a URL, as written and decoded."""
    user, at, _ = text.rpartition("@")
    password = user.rpartition("://")[2].partition(":")[2]
    if at and password:
        yield from (password, unquote(password))


def remember_manifest(manifest: object) -> None:
    """Remember the credentials of a manifest, and secret-looking variables of its resources."""
    _known.add(manifests.secrets(manifest))
    for environment in manifests.environments(manifest):
        _known.add(
            value
            for name, value in environment.items()
            if isinstance(value, str) and is_secret_name(str(name))
        )


def is_secret_name(name: str) -> bool:
    """Return True if the value of a variable with this name is likely to be a secret."""
    return _SECRET_NAME.search(name) is not None


def forget() -> None:
    """Forget every remembered secret (for tests)."""
    _known.clear()


def scrub(text: str) -> str:
    """Return the text without secrets, truncated to `MAX_TEXT` characters."""
    if len(text) <= CACHED_LENGTH:
        return _scrub_short(text)
    # A margin: redaction may shorten the text, but the search in a huge text must end.
    scrubbed = _scrub(text[: 4 * MAX_TEXT])
    if len(text) > 4 * MAX_TEXT and _known.ordered:
        # The cut may have split a secret, whose first half the search does not find.
        scrubbed = scrubbed[: 1 - len(_known.ordered[0])]
    return scrubbed if len(scrubbed) <= MAX_TEXT else scrubbed[: MAX_TEXT - 1] + "…"


def scrub_address(text: str) -> str:
    """Return an address, which need not be a valid URL, without user, password and query."""
    scheme, separator, rest = text.partition("://")
    rest = rest if separator else scheme
    rest = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    # It may be a password whose host is missing.
    rest = re.sub(r":(?!\d{1,5}(?:/|$)).*", ":…", rest, flags=re.DOTALL)
    return scrub(f"{scheme}{separator}{rest}" if separator else rest)


def scrub_value(value: object) -> str | bool | int | float | tuple[object, ...] | None:
    """Scrub one attribute value.

    Returns:
        The scrubbed value, a list truncated to `MAX_ENTRIES`; None if it is not a valid value.
    """
    if isinstance(value, str):
        return _scrub_short(value) if len(value) <= CACHED_LENGTH else scrub(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        scalars = (item for item in value[:MAX_ENTRIES] if isinstance(item, _SCALARS))
        return tuple(scrub(item) if isinstance(item, str) else item for item in scalars)
    return None


def _scrub(text: str) -> str:
    if not text.isascii():
        # A lone surrogate, which JSON can encode, would make an exporter fail a whole batch.
        text = text.encode("utf-8", "replace").decode()
    for secret in _known.ordered:
        if secret in text:
            text = text.replace(secret, REDACTED)
    if _SUSPECT.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=2048)
def _scrub_short(text: str) -> str:
    return _scrub(text)
