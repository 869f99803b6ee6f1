"""Nothing secret gets into a span in the first place.

Every value passes `scrub` before it is set. What counts as secret: values that the process holds
under a secret-looking name, credentials that the wrappers saw (`remember`), and whatever looks
like a key, a token or a signature. URLs lose their query, fragment and userinfo.
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
# `name=value,name=value`, percent-encoded: OTEL_EXPORTER_OTLP_HEADERS and its kin.
_HEADERS_NAME: Final = re.compile(r"headers$", re.IGNORECASE)

# Each row: what to look for, and what stands in its place. The order matters: URLs go first, so
# that a presigned URL's query goes as a whole.
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
        # The keys of Runpod, Hugging Face, GitHub and AWS tell by themselves what they are.
        re.compile(
            r"\b(?:rpa_[A-Za-z0-9]{6,}|(?:hf|gh[pousr]|github_pat)_\w{20,}|AKIA[A-Z0-9]{16})"
        ),
        REDACTED,
    ),
    # Begins where a run begins: at every eyJ within one, the search would be quadratic.
    (re.compile(r"(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*"), REDACTED),
    (
        re.compile(
            # Quotes may be escaped: JSON inside a JSON text, or inside a repr.
            r"((?:api[_-]?key|access[_-]?key(?:[_-]?id)?|aikey|secret|token|passw(?:or)?d|signature"
            r"|credentials?)[\\\"']*\s*[=:]\s*\\*)(?:([\"'])(?!\[redacted\])"
            r"(?:(?!\2)[^\r\n\\]|\\(?!\2)[^\r\n])+|(?!\[redacted\])[^\s\"'&,;})\]\\]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
)

# A text without any of these holds nothing that a pattern could match.
_SUSPECT: Final = re.compile(
    r"://|[=:]|bearer|basic|rpa_|hf_|gh[pousr]_|github_pat_|AKIA|eyJ", re.IGNORECASE
)


class _Known:
    """The secrets that this process is known to hold, longest first."""

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


_known: Final = _Known()


def remember(*values: str | None) -> None:
    """Treat these values as secret from now on (shorter than 8 characters: ignored)."""
    _known.add(value for value in values if value)


def remember_environment(environ: Mapping[str, str] | None = None) -> None:
    """Remember the values that the environment holds under a secret-looking name."""
    found = os.environ if environ is None else environ
    _known.add(value for name, value in found.items() if is_secret_name(name))
    headers = (value for name, value in found.items() if _HEADERS_NAME.search(name))
    _known.add(secret for text in headers for secret in _in_headers(text))


def _in_headers(text: str) -> Iterator[str]:
    """Yield the values of headers, as they are and without the name of their scheme."""
    for pair in text.split(","):
        value = unquote(pair.partition("=")[2].strip())
        yield value
        yield value.rpartition(" ")[2]


def remember_manifest(manifest: object) -> None:
    """Remember the credentials of a manifest, and what its resources get under such a name."""
    _known.add(manifests.secrets(manifest))
    for environment in manifests.environments(manifest):
        _known.add(
            value
            for name, value in environment.items()
            if isinstance(value, str) and is_secret_name(str(name))
        )


def is_secret_name(name: str) -> bool:
    """Tell whether a value under this name is likely to be a secret."""
    return _SECRET_NAME.search(name) is not None


def forget() -> None:
    """Forget every remembered secret (a test starts from here)."""
    _known.clear()


def scrub(text: str) -> str:
    """Return the text without anything secret; at most `MAX_TEXT` characters of it."""
    if len(text) <= CACHED_LENGTH:
        return _scrub_short(text)
    # What is cut away before the search is four times what is kept of it.
    scrubbed = _scrub(text[: 4 * MAX_TEXT])
    if len(text) > 4 * MAX_TEXT and _known.ordered:
        # The cut may go through a secret, of which the search then missed the first half.
        scrubbed = scrubbed[: 1 - len(_known.ordered[0])]
    return scrubbed if len(scrubbed) <= MAX_TEXT else scrubbed[: MAX_TEXT - 1] + "…"


def scrub_value(value: object) -> str | bool | int | float | tuple[object, ...] | None:
    """Scrub one attribute value.

    Returns:
        The scrubbed value; None for what is no attribute value. A list is cut at `MAX_ENTRIES`.
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
        # A lone surrogate (JSON can spell one) would fail a whole batch in an exporter.
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
