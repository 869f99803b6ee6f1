from __future__ import annotations

import pytest
from verify.cases import BUILT, OF_ANOTHER, OF_BUILD
from verify.subjects import (
    BUILD,
    REAL,
    SOUND,
    URLS,
    WRITTEN,
    carried,
    faults,
    manifest,
    subject,
)

from flash_otel import semconv as sc
from flash_otel.verify.checks import FAIL, UNKNOWN, Subject, compare
from flash_otel.verify.snapshot import EndpointCall, LocalManifest, Ref, is_of_successor, owner_of


def test_sound_snapshots_pass() -> None:
    """A sound snapshot passes, with or without carrier, local manifest and expected build."""
    local = LocalManifest("shop", ("api", "gpu"), URLS, OF_BUILD)
    for stored in (SOUND, manifest(URLS, WRITTEN)):
        for expected in (None, BUILD, BUILD[:5]):
            found = compare(subject(stored, expected=expected, local=local))
            assert {comparison.result for comparison in found} == {"pass"}


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        (subject(None, build=None, known=False), ("environment_known", sc.ENVIRONMENT_UNKNOWN, ())),
        (subject(None, build=None), ("build_active", sc.INCONCLUSIVE, (sc.STALE_BUILD,))),
        (subject(expected="build-1"), ("build_expected", sc.STALE_BUILD, ())),
        (
            subject(None),
            ("manifest_stored", sc.INCONCLUSIVE, (sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE)),
        ),
        (
            subject(manifest()),
            (
                "endpoints_held",
                sc.INCONCLUSIVE,
                (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED),
            ),
        ),
        (
            subject(manifest({}, WRITTEN)),
            ("endpoints_held", sc.INCONCLUSIVE, (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)),
        ),
        (
            subject(manifest(None, BUILT), local=LocalManifest("shop", ("api",), {}, OF_BUILD)),
            ("endpoints_held", sc.MANIFEST_NEVER_WRITTEN, ()),
        ),
        (subject({}, real=()), ("endpoints_held", sc.NOTHING_DEPLOYED, ())),
        (
            subject(manifest({"gpu": URLS["gpu"]})),
            ("endpoints_complete", sc.ENDPOINTS_MISSING, ()),
        ),
        (
            subject(manifest({**URLS, "gpu": "https://api.example/v2/qb9"})),
            ("endpoints_exist", sc.ENDPOINTS_DIFFER, ()),
        ),
        (subject(real=REAL[:1]), ("endpoints_exist", sc.CALL_TARGET_UNKNOWN, ())),
        (
            subject(real=REAL[:1], elsewhere={"qb2": "staging"}),
            ("endpoints_exist", sc.ENVIRONMENT_TAKEOVER, ()),
        ),
        (
            subject(calls=(EndpointCall("gpu", "health", 404),)),
            ("call_health", sc.CALL_TARGET_UNKNOWN, ()),
        ),
        (
            subject(calls=(EndpointCall("gpu", "health", 401),)),
            ("call_health", sc.UNAUTHORIZED, ()),
        ),
    ],
)
def test_each_comparison(compared: Subject, expected: tuple[str, str, tuple[str, ...]]) -> None:
    """Each fault is found by its own comparison, and by no other."""
    assert faults(compared) == [expected]


@pytest.mark.parametrize(
    ("url", "elsewhere", "code"),
    [
        ("https://api.example/v2/qb2", {"qb2": "staging"}, sc.ENVIRONMENT_TAKEOVER),
        ("https://qb2.api.example", {"qb9": "test", "qb2": "staging"}, sc.ENVIRONMENT_TAKEOVER),
        ("https://api.example/v2/qb22", {"qb2": "staging"}, sc.CALL_TARGET_UNKNOWN),
        ("https://qb22.api.example", {"qb2": "staging"}, sc.CALL_TARGET_UNKNOWN),
    ],
    ids=["its id", "its host", "another id", "another host"],
)
def test_an_endpoint_elsewhere_has_the_whole_id(
    url: str, elsewhere: dict[str, str], code: str
) -> None:
    """An id that only begins like that of an endpoint elsewhere is not taken over."""
    asked = subject(manifest({**URLS, "gpu": url}), real=REAL[:1], elsewhere=elsewhere)
    assert faults(asked) == [("endpoints_exist", code, ())]
    text = compare(asked)[-1].text
    assert ("belongs to environment staging now, not to production" in text) == (
        code == sc.ENVIRONMENT_TAKEOVER
    )


def test_the_writers_digest_and_count() -> None:
    """A manifest that contradicts its own carrier is found without any record."""
    other = {**URLS, "gpu": "https://api.example/v2/qb3"}
    real = (REAL[0], Ref("qb3", "gpu"))
    swapped = subject(manifest(other, WRITTEN), real=real)
    assert faults(swapped) == [("endpoints_written", sc.ENDPOINTS_DIFFER, ())]
    fewer = subject({**manifest({"api": URLS["api"]}, WRITTEN), "resources": {}}, real=REAL[:1])
    assert faults(fewer) == [("endpoints_complete", sc.ENDPOINTS_MISSING, ())]


def test_more_endpoints_than_written() -> None:
    """A manifest with more endpoints than its carrier counts was written by something else, too."""
    for digest in ({"digest": "0"}, {}):
        carrier = carried("write", **{"endpoint_count": 1, **digest})
        (fault,) = faults(subject(manifest(URLS, carrier)))
        assert fault == ("endpoints_written", sc.ENDPOINTS_DIFFER, ())
    exact = carried("write", endpoint_count=len(URLS))
    assert faults(subject(manifest(URLS, exact))) == []
    built = carried("build")
    assert faults(subject(manifest(URLS, built))) == []


def test_the_local_manifest_of_the_same_deployment() -> None:
    """Endpoints that this folder's deployment wrote and the State Manager lacks are missing."""
    stored = manifest({"api": URLS["api"]}, carried("write"))
    local = LocalManifest("shop", ("api", "gpu"), URLS, OF_BUILD)
    found = faults(subject({**stored, "resources": {"api": {}}}, real=REAL[:1], local=local))
    assert found == [("local_agrees", sc.ENDPOINTS_MISSING, ())]


@pytest.mark.parametrize(
    "local",
    [
        LocalManifest("shop", ("api",), {"api": "https://other.example"}, OF_ANOTHER),
        LocalManifest("shop", ("api",), {"api": "https://other.example"}),
        LocalManifest(problem="no JSON"),
    ],
)
def test_a_local_manifest_of_another_deployment(local: LocalManifest) -> None:
    """A local manifest of another environment or a newer build is not a fault."""
    found = {comparison.name: comparison.result for comparison in compare(subject(local=local))}
    assert found.pop("local_agrees") == UNKNOWN
    assert set(found.values()) == {"pass"}


def test_another_apps_local_manifest() -> None:
    """The local manifest of another app is ignored."""
    local = LocalManifest("other", ("api",), {"api": "https://other.example"})
    assert "local_agrees" not in {comparison.name for comparison in compare(subject(local=local))}


@pytest.mark.parametrize(
    "call",
    [
        EndpointCall("gpu", "health", None, "timed out"),
        EndpointCall("gpu", "health", 500),
        EndpointCall("gpu", "sentinel", 404),
    ],
)
def test_an_inconclusive_call(call: EndpointCall) -> None:
    """A missing response, a server error and a sentinel's 404 are not faults."""
    last = compare(subject(calls=(call,)))[-1]
    assert (last.result, last.finding) == (UNKNOWN, None)


def test_a_resource_without_any_endpoint() -> None:
    """A resource without any endpoint (a client-mode image) is not a fault."""
    found = compare(subject(manifest({"api": URLS["api"]}), real=REAL[:1]))
    assert FAIL not in {comparison.result for comparison in found}
    assert UNKNOWN in {comparison.result for comparison in found}


def test_an_environment_without_a_list() -> None:
    """If the answer lists no endpoints, none of the manifest's is missing."""
    found = {comparison.name: comparison.result for comparison in compare(subject(real=None))}
    assert found["endpoints_exist"] == UNKNOWN


def test_urls_are_redacted() -> None:
    """A URL of the manifest is shown without query and credentials."""
    url = "https://user:hunter22@api.example/v2/qb9?api_key=abcdefgh12345"
    found = compare(subject(manifest({**URLS, "gpu": url})))
    text = " ".join(comparison.text for comparison in found)
    assert "qb9" in text
    assert "hunter22" not in text
    assert "abcdefgh12345" not in text


@pytest.mark.parametrize(
    ("url", "owner"),
    [
        ("https://1vv4.api.example", "1vv4"),
        ("https://api.example/v2/qb2", "qb2"),
        ("https://api.example/v2/qb2/", "qb2"),
        ("http://[broken", None),
        ("", None),
        ("https://api.example/v2/qb22", None),
    ],
)
def test_the_endpoint_of_a_url(url: str, owner: str | None) -> None:
    """The endpoint's id is the first label of the host or a part of the path."""
    found = owner_of(url, (Ref("1vv4", "api"), Ref("qb2", "gpu")))
    assert (found.id if found else None) == owner


# Runpod 2: a list of resources, and no mapping.
SUCCESSOR = {"resources": [{"name": "api"}, {"name": "gpu"}]}


@pytest.mark.parametrize(
    ("real", "result", "text"),
    [
        (REAL, "pass", "the environment has 2 endpoints: 'api', 'gpu-fb'"),
        (None, UNKNOWN, "the environment's endpoints were not listed"),
        ((), FAIL, "has no endpoint at all, though a build is active"),
    ],
)
def test_endpoints_of_a_manifest_that_names_none(
    real: tuple[Ref, ...] | None, result: str, text: str
) -> None:
    """With runpod 2 the environment lists the endpoints, or they are unknown or missing."""
    has_mapping = not is_of_successor(SUCCESSOR)
    compared = subject(SUCCESSOR, real=real, has_mapping=has_mapping)
    (found,) = (each for each in compare(compared) if each.name == "endpoints_listed")
    assert (found.result, found.text.endswith(text)) == (result, True)
    expected = [sc.NOTHING_DEPLOYED] if result == FAIL else []
    assert [code for _, code, _ in faults(compared)] == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(SUCCESSOR, True), (SOUND, False), ({"resources": {}}, False), ({}, False), (None, False)],
)
def test_the_generation_of_a_manifest(stored: object, expected: bool) -> None:
    """Runpod 2 lists its resources; runpod-flash maps them by name."""
    assert is_of_successor(stored) is expected
