"""Secrets never get into a span; ordinary values are unchanged."""

from __future__ import annotations

import asyncio
import json
import re
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import flash_otel
from flash_otel import redaction
from flash_otel.redaction import REDACTED, remember, remember_environment, scrub, scrub_address
from flash_otel.runtime import process
from flash_otel.testing import Recorded, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "cNry7Kq2Zt9Xw4Lm"
"""Has no recognizable shape: only its place or its name makes it secret."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget all secrets, before and after."""
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    redaction.forget()
    yield
    redaction.forget()


def everything(spans: Recorded) -> str:
    """Return everything recorded, as text."""
    assert spans.records
    return "\n".join(repr(record) for record in spans.records)


SECRET_TEXTS = [
    f"https://bucket.s3.amazonaws.com/key?X-Amz-Credential=AKIA%2F1&X-Amz-Signature={CANARY}",
    f"HTTPSConnectionPool(host='b', port=443): url: /k?a=1&X-Amz-Signature={CANARY} (Caused by x)",
    f"url: /k?X-Amz-Security-Token={CANARY}&X-Amz-Date=1",
    f"https://user:{CANARY}@api.runpod.io/graphql",
    f"https://{CANARY}@api.runpod.io",
    f"https://user:p@ss{CANARY}@api.runpod.io/graphql",
    f"postgresql+psycopg://u:{CANARY}@db/x",
    f"https://api.runpod.io/graphql?api_key={CANARY}",
    f"https://api.runpod.io/graphql#{CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"Authorization: Token {CANARY}",
    f"headers={{'Authorization': 'Bearer {CANARY}', 'Accept': '*/*'}}",
    f"authorization={CANARY}",
    f"bearer  {CANARY}",
    f"Basic {CANARY}=",
    f"RUNPOD_API_KEY={CANARY}",
    f"'api-key': '{CANARY}'",
    f'{{"aiKey": "{CANARY}"}}',
    f"{{'aiKey': '{CANARY}', 'name': 'gpu'}}",
    json.dumps(json.dumps({"aiKey": CANARY})),
    repr(json.dumps({"aiKey": CANARY}).encode()),
    json.dumps({"outer": json.dumps({"inner": json.dumps({"apiKey": CANARY})})}),
    f'"password": "two words {CANARY}"',
    f"password='with ; and , {CANARY}'",
    f"client_secret = {CANARY}",
    f"aws_secret_access_key={CANARY}",
    f"access_key_id: {CANARY}",
    f"passwd:{CANARY}",
    f"credentials={CANARY}",
    f"signature={CANARY}",
    f"x-api-key: {CANARY}",
]


@pytest.mark.parametrize("text", SECRET_TEXTS)
@pytest.mark.parametrize("around", ["{}", "failed: {}", "({})\nnext line", "a" * 300 + " {}"])
def test_places_of_secrets(text: str, around: str) -> None:
    """Keys, tokens, signatures and userinfo are removed, wherever they are."""
    assert CANARY not in scrub(around.replace("{}", text))


@pytest.mark.parametrize(
    "text",
    [
        "rpa_" + "A1" * 20,
        "hf_" + "Ab1" * 11,
        "ghp_" + "x" * 36,
        "AKIA" + "0Z" * 8,
        "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM",
        "key=eyJhbGciO.eyJzdWIi.x",
    ],
)
def test_shapes_of_secrets(text: str) -> None:
    """Runpod keys and JSON Web Tokens are removed, wherever they are."""
    shown = scrub(f"prefix {text} suffix")
    assert text not in shown
    assert REDACTED in shown


ORDINARY = [
    "b-2f1b8463",
    "clx8s9d3f0000ab12",
    "https://api.runpod.ai/v2/abc123def",
    "https://abc123.api.runpod.ai",
    "http://127.0.0.1:8080/v2/x/run",
    "https://h/@scope/package",
    "gpu_info",
    "tokenizer",
    "keyboard",
    "secretary",
    "my-api-keyless-worker",
    "flash-examples/03_advanced_workers",
    "resources_endpoints",
    "função",
    "日本語",
    "🚀 deploy",
    "2026-01-01T00:00:00+00:00",
    "sha256:0123456789abcdef",
    "app/build.tar.gz",
    "a=b",
    "key",
    "token",
    "",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts(text: str) -> None:
    """Ordinary ids, names and URLs are unchanged."""
    assert scrub(text) == text


@given(st.from_regex(re.compile(r"[A-Za-z0-9_.-]{1,200}"), fullmatch=True))
def test_ordinary_ids(text: str) -> None:
    """Ids and names without a secret's shape are unchanged."""
    if "rpa_" not in text and "eyJ" not in text:
        assert scrub(text) == text


PARTS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=20)


@given(PARTS, st.lists(PARTS, max_size=4), st.integers(1, 65535))
def test_ordinary_urls(host: str, path: list[str], port: int) -> None:
    """URLs without query, fragment and userinfo are unchanged."""
    url = "/".join([f"https://{host}.example:{port}", *path])
    if "rpa_" not in url:
        assert scrub(url) == url


SECRETS = st.text(string.ascii_letters + string.digits + "-_.~+/=%", min_size=12, max_size=80)


@given(SECRETS, st.text(max_size=300), st.text(max_size=300))
@example("secretsecret", "", "")
def test_remembered_secrets(secret: str, before: str, after: str) -> None:
    """A remembered value is removed, wherever it is."""
    redaction.forget()
    remember(secret)
    assert secret not in scrub(f"{before}{secret}{after}")


@given(st.integers(0, 40_000), st.integers(0, 3))
def test_a_secret_at_the_cut(offset: int, query: int) -> None:
    """Truncating a long text never leaves half a secret."""
    redaction.forget()
    secret = "Zq" * 30
    remember(secret)
    text = f"https://h/?{'q' * (30_000 * query // 3)} " + "x" * offset + secret + "y" * 10_000
    shown = scrub(text)
    assert "ZqZq" not in shown
    assert len(shown) <= redaction.MAX_TEXT


@given(st.text(max_size=2000))
def test_any_text(text: str) -> None:
    """Scrubbing accepts any text, returns encodable text, and is idempotent."""
    once = scrub(text)
    once.encode("utf-8")
    assert scrub(once) == once


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value(value: object) -> None:
    """Any value becomes a valid attribute value, or None."""
    shown = redaction.scrub_value(value)
    scalars = (str, bool, int, float)
    assert shown is None or isinstance(shown, (*scalars, tuple))
    if isinstance(shown, tuple):
        assert all(isinstance(item, scalars) for item in shown)


HOSTILE = [
    "a",
    "eyJ",
    "eyJaaaaaa-",
    "eyJaaaaaa.",
    "token",
    "token ",
    "token=",
    "token='",
    "token=\\",
    "'\\",
    "authorization",
    "authorization:\\",
    "a://",
    "ab://@",
    "a@",
    "@",
    "?",
    "http://?",
    "bearer ",
    "basic\t",
    "rpa_",
    "https://u:p@",
    "a.b-c+d",
    "=",
    " ",
]


BEGINNINGS = ["token=", "token='", "ab://", "bearer", "eyJ"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("begin", "repeated"),
    [("", text) for text in HOSTILE] + [(begin, "a-") for begin in BEGINNINGS],
)
def test_hostile_texts(begin: str, repeated: str) -> None:
    """No text makes a search slow.

    A search whose steps grow with the square of the text would take minutes over a million
    characters, thirty times what is ever searched; a linear one takes a fraction of a second.
    """
    text = begin + repeated * (1024 * 1024 // len(repeated))
    for pattern, replacement in redaction._PATTERNS:
        pattern.sub(replacement, text)
    assert len(scrub(text)) <= redaction.MAX_TEXT


def test_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values under secret-looking names are secret, unless short; others are not."""
    remember_environment(
        {
            "RUNPOD_API_KEY": "value-one-1234",
            "hf_Token": "value-two-1234",
            "DB_PASSWORD": "value-three-1234",
            "GIT_AUTHOR_NAME": "Ordinary Person",
            "KEY": "short",
            "HOME": "/home/ordinary",
        }
    )
    shown = scrub(
        "value-one-1234 value-two-1234 value-three-1234 Ordinary Person /home/ordinary short"
    )
    assert shown == f"{REDACTED} {REDACTED} {REDACTED} Ordinary Person /home/ordinary short"
    monkeypatch.setenv("OTHER_SECRET", "value-four-1234")
    remember_environment()
    assert scrub("value-four-1234") == REDACTED


def test_memory_is_bounded() -> None:
    """A bounded number of secrets is remembered: the first ones."""
    remember("first-secret-value")
    remember(*(f"secret-number-{number}" for number in range(3 * redaction.MAX_REMEMBERED)))
    assert len(redaction._known.values) == redaction.MAX_REMEMBERED
    assert scrub("first-secret-value") == REDACTED


# --- planted into real spans ---------------------------------------------------------------------


class Planted:
    """A deployment with secrets in every place."""

    @flash_otel.trace_deploy
    def deploy(self, app_name: str, env_name: str) -> dict[str, Any]:
        assert app_name
        assert env_name
        self.upload_artifact()
        self.activate("b-1", CANARY)
        try:
            asyncio.run(self.write({"resources": {"gpu": {"aiKey": AI_KEY}}, **ENDPOINTS}))
        except RuntimeError as error:
            raise LookupError(f"https://u:{CANARY}@h/?x={CANARY}") from error
        return {}

    @flash_otel.trace_artifact_upload(object_key=lambda _: f"https://b/k?X-Amz-Signature={CANARY}")
    def upload_artifact(self) -> None: ...

    @flash_otel.trace_activate
    def activate(self, build_id: str, environment_name: str) -> None:
        assert build_id
        assert environment_name

    @flash_otel.trace_upload(manifest="payload")
    async def write(self, payload: dict[str, Any]) -> None:
        assert payload
        raise RuntimeError(f"400 - invalid {AI_KEY}: Bearer {CANARY}")


AI_KEY = "pLnt3dAiKeyValue9"
ENDPOINTS = {
    "resources_endpoints": {
        "gpu": f"https://user:{CANARY}@api.runpod.ai/v2/gpu1?key={CANARY}",
        "cpu": "https://api.runpod.ai/v2/cpu1",
    }
}


def test_other_names_of_secrets() -> None:
    """Credentials in headers are found, encoded or with their scheme; a directory is not one."""
    remember_environment(
        {
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": (
                "x-team=canary-team-1,authorization=Basic%20Y2FuYXJ5"
            ),
            "FLASH_OTEL_JAEGER_HEADERS": "authorization=Bearer canary-bearer",
            "DB_PASS": "canary-database",
            "ADMIN_PWD": "canary-admin",
            "SENTRY_DSN": "canary-of-a-dsn",
            "GITHUB_PAT": "canary-of-a-pat",
            "PWD": "/home/somebody/project",
            "COMPASS_FOLDER": "/opt/compass",
            "MAX_HEADERSIZE": "16384000",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-scope-orgid=production,x-token=plainword",
        }
    )
    assert scrub("plainword in production") == f"{REDACTED} in production"
    text = (
        "canary-team-1 Y2FuYXJ5 canary-bearer canary-database canary-admin canary-of-a-dsn "
        "canary-of-a-pat"
    )
    assert scrub(text) == " ".join([REDACTED] * 7)
    plain = "/home/somebody/project /opt/compass 16384000"
    assert scrub(plain) == plain


def test_planted_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """No planted secret is in any attribute, event or status; the text around them is."""
    monkeypatch.setenv("RUNPOD_API_KEY", CANARY)
    with recording() as spans:
        with pytest.raises(LookupError):
            Planted().deploy("shop", "production")
        shown = everything(spans)
        (written,) = spans.named("flash.manifest.upload")
        (root,) = spans.named("flash.deploy")
    assert CANARY not in shown
    assert AI_KEY not in shown
    assert written.attributes["flash.endpoint_urls"] == (
        "https://api.runpod.ai/v2/gpu1",
        "https://api.runpod.ai/v2/cpu1",
    )
    assert root.attributes["flash.app_name"] == "shop"
    assert "raise LookupError" in str(root.events[0].attributes["exception.stacktrace"])
    assert root.status_message == "LookupError: https://h/"


def test_a_key_in_the_environment_of_a_decorated_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's secrets are known before the first span, even without `instrument()`."""
    from opentelemetry import trace as trace_api
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util._once import Once

    monkeypatch.setenv("HF_TOKEN", CANARY)
    process.reset()
    recorded = Recorded()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorded)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER_SET_ONCE", Once())
    flash_otel.trace_activate(lambda build_id: build_id)(f"b-{CANARY}")
    assert recorded.records[0].attributes["flash.build_id"] == f"b-{REDACTED}"


def test_a_read_manifests_keys_are_remembered() -> None:
    """The keys in a manifest are secret from the worker's read on."""
    with recording() as spans:
        flash_otel.trace_runtime_fetch(lambda: {"resources": {"gpu": {"aiKey": AI_KEY}}})()
        flash_otel.trace_call(lambda function_name: function_name)(AI_KEY)
    assert AI_KEY not in everything(spans)


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize("password", ["canary-0123", "canary/0123", "canary%40123"])
def test_passwords_in_the_urls_of_variables(name: str, password: str) -> None:
    """The password of a proxy or an endpoint is a secret wherever it turns up, decoded too."""
    remember_environment({name: f"http://me:{password}@h:3128"})
    for text in (password, unquote(password)):
        assert scrub(f"proxy said {text}!") == f"proxy said {REDACTED}!"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h:4318/base", "http://h:4318/base"),
        ("http://me:canary@h:1?key=canary", "http://h:1"),
        ("http://me:can ary@h:1", "http://h:1"),
        ("http://me:canary", "http://me:…"),
        ("me:can/ary", "me:…"),
        ("h:4318", "h:4318"),
        ("dns:///h:1", "dns:///h:1"),
    ],
)
def test_addresses_that_need_not_be_valid(text: str, shown: str) -> None:
    """Nothing of a user is left, even if the address is no valid URL."""
    assert scrub_address(text) == shown
