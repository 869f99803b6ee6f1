"""The deployment's context in manifests: written to copies, read as untrusted input."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, TraceFlags

import flash_otel
from flash_otel import semconv
from flash_otel.manifest import digest
from flash_otel.tracing import carriers

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.testing import Recorded

KEY = semconv.CARRIER_KEY

GOOD: dict[str, Any] = {
    "v": 1,
    "phase": "write",
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "deployment_id": "b" * 16,
    "time_ms": 1_700_000_000_000,
    "clock": "fedcba9876543210",
    "build_id": "b-1",
    "environment_id": "e-1",
    "endpoint_count": 2,
    "digest": "0" * 16,
    "generated_at": "2026-01-31T12:00:00.123456Z",
    "source_fingerprint": "a" * 64,
}
BUILT = {key: GOOD[key] for key in ("generated_at", "source_fingerprint")}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([value for value in GOOD.values() if isinstance(value, str)]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from([*GOOD]), inner),
    max_leaves=20,
)

HEX = set("0123456789abcdef")


def well_shaped(found: object) -> bool:
    """Restate the contract independently of the parser."""
    if not isinstance(found, dict) or found.get("phase") not in ("build", "write"):
        return False
    parent, named, when = (found.get(key) for key in ("traceparent", "deployment_id", "time_ms"))
    if not isinstance(parent, str) or len(parent) != 55 or parent.count("-") != 3:
        return False
    version, trace, span, flags = parent.split("-")
    sizes = [len(part) for part in (version, trace, span, flags)]
    return (
        sizes == [2, 32, 16, 2]
        and set(version + trace + span + flags) <= HEX
        and version != "ff"
        and set(trace) != {"0"}
        and set(span) != {"0"}
        and isinstance(named, str)
        and len(named) == 16
        and set(named) <= HEX
        and type(when) is int
        and 0 <= when < 1 << 53
    )


@given(JSON)
@example([])
@example({})
@example({**GOOD, "time_ms": True})
def test_anything_may_stand_there(value: Any) -> None:
    """Arbitrary JSON under the key never raises; only a well-formed value is a carrier."""
    manifest = {"version": "1.0", KEY: value}
    assert (carriers.read(manifest) is not None) == well_shaped(value)


@given(st.fixed_dictionaries({}, optional={key: JSON | st.just(GOOD[key]) for key in GOOD}))
def test_fields_of_any_kind(fields: dict[str, Any]) -> None:
    """A wrong required field invalidates the carrier; a wrong optional field only itself."""
    carrier = carriers.read({KEY: fields})
    assert (carrier is not None) == well_shaped(fields)
    if carrier is None:
        return
    assert carrier.context.is_valid
    assert carrier.context.is_remote
    for value, limit in ((carrier.build_id, 128), (carrier.environment_id, 128)):
        assert value is None or len(value) <= limit
    assert carrier.endpoint_count is None or 0 <= carrier.endpoint_count < 1_000_000_000
    assert carrier.digest is None or set(carrier.digest) <= HEX
    for text in (carrier.generated_at, carrier.source_fingerprint):
        assert text is None or text in fields.values()


@given(JSON)
def test_anything_may_stand_for_a_manifest(value: Any) -> None:
    """A manifest of any type is read without raising."""
    assert carriers.read(value) is None or KEY in value


@given(st.text(alphabet=string.hexdigits + "-\n gx", max_size=60))
def test_traceparents(text: str) -> None:
    """Only a traceparent in the format of the specification is accepted."""
    carrier = carriers.read({KEY: {**GOOD, "traceparent": text}})
    assert (carrier is not None) == well_shaped({**GOOD, "traceparent": text})


@pytest.mark.parametrize(
    "spoilt",
    [
        {"traceparent": GOOD["traceparent"] + "\n"},
        {"traceparent": GOOD["traceparent"].upper()},
        {"traceparent": "ff" + GOOD["traceparent"][2:]},
        {"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"},
        {"traceparent": f"00-{'a' * 32}-{'0' * 16}-01"},
        {"traceparent": "x" * 10_000_000},
        {"deployment_id": "b" * 15},
        {"deployment_id": "B" * 16},
        {"phase": "read"},
        {"phase": ["write"]},
        {"time_ms": -1},
        {"time_ms": 1 << 53},
        {"time_ms": 1.5},
        {"time_ms": True},
    ],
)
def test_spoilt_carriers(spoilt: dict[str, Any]) -> None:
    """Each of these is an invalid carrier."""
    assert carriers.read({KEY: {**GOOD, **spoilt}}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("build_id", "b" * 129),
        ("build_id", "b\n1"),
        ("build_id", 1),
        ("environment_id", ""),
        ("environment_id", "e<script>"),
        ("endpoint_count", -1),
        ("endpoint_count", 1_000_000_000),
        ("endpoint_count", True),
        ("digest", "0" * 17),
        ("digest", None),
        ("generated_at", ""),
        ("generated_at", 1_769_860_800),
        ("generated_at", "2026-01-31\n12:00:00"),
        ("generated_at", "yesterday"),
        ("generated_at", "0" * 65),
        ("source_fingerprint", "a" * 129),
        ("source_fingerprint", "<script>"),
        ("source_fingerprint", ["a"]),
    ],
)
def test_spoilt_details(field: str, value: object) -> None:
    """A wrong detail is omitted; the carrier still identifies its deployment."""
    carrier = carriers.read({KEY: {**GOOD, field: value}})
    assert carrier is not None
    assert getattr(carrier, field) is None


ids = st.text(alphabet=string.ascii_letters + string.digits + "._:-", min_size=1, max_size=128)


@given(
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.sampled_from([0, 1]),
    st.sampled_from(["build", "write"]),
    st.integers(0, 1 << 52),
    ids,
    ids,
    st.integers(0, 10**9 - 1),
)
def test_round_trip(
    trace: int, span: int, flags: int, phase: str, when: int, build: str, env: str, count: int
) -> None:
    """A written carrier is read back, through JSON."""
    context = SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(flags))
    details = {
        semconv.BUILD_ID: build,
        semconv.ENVIRONMENT_ID: env,
        semconv.ENDPOINT_COUNT: count,
        semconv.ENDPOINTS_DIGEST: "0" * 16,
        semconv.APP_NAME: "stays out",
    }
    manifest = {"version": 1, **BUILT}
    written = carriers.write(manifest, phase, context, f"{span:016x}", when * 10**6, details)
    assert list(written) == ["version", *BUILT, KEY]
    assert set(written[KEY]) == set(GOOD)
    carrier = carriers.read(json.loads(json.dumps(written)))
    assert carrier is not None
    assert (carrier.context.trace_id, carrier.context.span_id) == (trace, span)
    assert carrier.context.trace_flags == flags
    assert (carrier.phase, carrier.time_ns) == (phase, when * 10**6)
    assert (carrier.build_id, carrier.environment_id) == (build, env)
    assert (carrier.endpoint_count, carrier.digest) == (count, "0" * 16)
    assert (carrier.generated_at, carrier.source_fingerprint) == tuple(BUILT.values())


@flash_otel.trace_manifest_fetch
def fetch(answer: Any) -> Any:
    """Read a manifest."""
    return answer


@pytest.mark.parametrize("held", [set(), {"generated_at"}, {"source_fingerprint"}, set(BUILT)])
def test_active_carrier_adds_what_its_manifest_lacks(spans: Recorded, held: set[str]) -> None:
    """A server may drop keys of the manifest; those that it kept are not recorded twice."""
    fetch({KEY: GOOD, **{key: BUILT[key] for key in held}})
    (read,) = spans.records
    for key, value in BUILT.items():
        own, carried = (f"flash.manifest.{key}", f"flash.active.{key}")
        assert read.attributes[own if key in held else carried] == value
        assert (carried if key in held else own) not in read.attributes


# --- written by a decorated upload --------------------------------------------------------------

ENDPOINTS = {"gpu": "https://api.runpod.ai/v2/gpu1"}


class Manifests:
    """Uploads of a custom deployment tool."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    @flash_otel.trace_upload(carrier=True)
    def upload(self, build_id: str, manifest: Any) -> None:
        assert build_id
        self.sent.append(manifest)

    @flash_otel.trace_upload(manifest="payload", carrier="payload")
    async def push(self, *, payload: Any) -> None:
        self.sent.append(payload)

    @flash_otel.trace_upload(carrier=True)
    def default(self, manifest: Any = ENDPOINTS, /) -> None:
        self.sent.append(manifest)

    @flash_otel.trace_upload
    def bare(self, manifest: Any) -> None:
        self.sent.append(manifest)

    @flash_otel.trace_deploy(environment_id=lambda _: "e-1")
    def deploy(self, how: str, *args: Any, **kwargs: Any) -> None:
        getattr(self, how)(*args, **kwargs)


def test_a_copy_carries(spans: Recorded) -> None:
    """The sent manifest is a copy with one more top-level key; the caller's dict is unchanged."""
    nested = {"gpu": {"type": "queue"}}
    mine = {"version": "1.0", "resources": nested, "resources_endpoints": ENDPOINTS, **BUILT}
    before = json.dumps(mine)
    uploads = Manifests()
    uploads.deploy("upload", "b-1", mine)
    uploads.deploy("upload", build_id="b-1", manifest=mine)
    assert json.dumps(mine) == before
    for sent, root in zip(uploads.sent, spans.named("flash.deploy"), strict=True):
        assert sent is not mine
        assert sent["resources"] is nested
        carried = sent.pop(KEY)
        assert sent == mine
        assert carried["traceparent"] == f"00-{root.trace_id}-{root.span_id}-01"
        assert carried["deployment_id"] == root.span_id
        assert (carried["phase"], carried["v"]) == ("write", 1)
        assert (carried["build_id"], carried["endpoint_count"]) == ("b-1", 1)
        assert {key: carried[key] for key in BUILT} == BUILT
        assert carried["digest"] == digest(ENDPOINTS)
        assert "time_ms" in carried
    for upload in spans.named("flash.manifest.upload"):
        assert KEY not in upload.attributes["flash.manifest_keys"]  # type: ignore[operator]  # a tuple of strings


def test_a_manifest_that_carries_already(spans: Recorded) -> None:
    """An older carrier is replaced in the copy, and is not among the recorded keys."""
    uploads = Manifests()
    mine = {"version": "1.0", KEY: {**GOOD, "phase": "build"}}
    uploads.deploy("bare", mine)
    uploads.deploy("upload", "b-1", mine)
    assert uploads.sent[0] is mine
    assert uploads.sent[1][KEY]["phase"] == "write"
    assert mine[KEY]["phase"] == "build"
    for upload in spans.named("flash.manifest.upload"):
        assert upload.attributes["flash.manifest_keys"] == ("version",)


@pytest.mark.parametrize("manifest", [None, "text", 5, ["a"], object()])
def test_what_is_no_manifest_carries_nothing(spans: Recorded, manifest: object) -> None:
    """A value that is not a mapping is passed through unchanged."""
    uploads = Manifests()
    uploads.deploy("upload", "b-1", manifest)
    assert uploads.sent == [manifest]
    assert uploads.sent[0] is manifest
    assert len(spans.records) == 2


def test_other_parameters_and_defaults(spans: Recorded) -> None:
    """The parameter may have another name; a default that was not passed stays a default."""
    import asyncio

    uploads = Manifests()

    @flash_otel.trace_deploy
    async def deploy() -> None:
        await uploads.push(payload={"version": "1.0"})
        uploads.default()
        uploads.default({"version": "2.0"})

    asyncio.run(deploy())
    pushed, default, passed = uploads.sent
    assert KEY in pushed
    assert default is ENDPOINTS
    assert KEY in passed
    assert len(spans.records) == 4


def test_no_deployment_no_carrier(spans: Recorded) -> None:
    """No carrier is written outside a deployment: a worker's own upload deploys nothing."""
    uploads = Manifests()
    mine = {"version": "1.0"}
    uploads.upload("b-1", mine)
    assert uploads.sent[0] is mine
    assert spans.tree() == ["flash.manifest.upload"]


# --- read from the artifact ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"_flash_otel": 1}',
        b" " * (carriers.MAX_FILE + 1),
    ],
)
def test_manifest_files_without_a_carrier(content: bytes) -> None:
    """A manifest file that is empty, broken, binary, too deep or too large has no carrier."""
    from pathlib import Path

    Path("flash_manifest.json").write_bytes(content)
    assert carriers.code_carrier() is None


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("10", False), ("ff", True)])
def test_the_flags_of_a_deployment(flags: str, *, sampled: bool) -> None:
    """They are a byte in hex, of which one bit says whether the trace is sampled."""
    traceparent = f"{GOOD['traceparent'][:-2]}{flags}"
    found = carriers.read({KEY: {**GOOD, "traceparent": traceparent}})
    assert found is not None
    assert found.context.trace_flags == int(flags, 16)
    assert found.context.trace_flags.sampled is sampled


def test_the_manifest_of_an_unpacked_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of runpod 2 finds it in RUNPOD_APP_DIR, before the working directory."""
    unpacked = tmp_path / "app"
    unpacked.mkdir()
    for folder, deployment_id in ((tmp_path, "1" * 16), (unpacked, "2" * 16)):
        content = json.dumps({KEY: {**GOOD, "deployment_id": deployment_id}})
        (folder / "runpod_manifest.json").write_text(content)
    found = carriers.code_carrier()
    assert found is not None
    assert found.deployment_id == "1" * 16
    monkeypatch.setenv("RUNPOD_APP_DIR", str(unpacked))
    found = carriers.code_carrier()
    assert found is not None
    assert found.deployment_id == "2" * 16


def test_where_the_manifest_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FLASH_MANIFEST_PATH is read first, then the working directory; a directory is not a file."""
    here = tmp_path / "flash_manifest.json"
    here.write_text(json.dumps({KEY: {**GOOD, "deployment_id": "1" * 16}}))
    named = tmp_path / "other.json"
    named.write_text(json.dumps({KEY: {**GOOD, "deployment_id": "2" * 16}}))
    found = carriers.code_carrier()
    assert found is not None
    assert found.deployment_id == "1" * 16
    monkeypatch.setenv("FLASH_MANIFEST_PATH", str(named))
    found = carriers.code_carrier()
    assert found is not None
    assert found.deployment_id == "2" * 16
    for unusable in (str(tmp_path), str(tmp_path / "missing"), "x" * 5000):
        monkeypatch.setenv("FLASH_MANIFEST_PATH", unusable)
        found = carriers.code_carrier()
        assert found is not None
        assert found.deployment_id == "1" * 16
