"""The server of `flash-otel ui`, over real HTTP: who gets an answer, and what the answers hold."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.commands import python
from support.otlp import eventually
from support.samples import TRACE, healthy_deployment
from support.ui_server import serving

from flash_otel.runtime.interpreters import requirement
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from support.ui_server import UiServer

PATHS = (
    "/",
    f"/trace?trace_id={TRACE}",
    "/compare",
    "/page.js",
    "/page.css",
    "/documents/entries",
    "/events",
    "/nothing",
)
SAMPLE = "/documents/entries"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiServer]:
    """A server over a store with one deployment."""
    folder = tmp_path_factory.mktemp("ui")
    with SpanStore(folder / "spans.db") as store:
        store.write(healthy_deployment())
    with serving(folder) as found:
        yield found


@pytest.fixture
def client(server: UiServer) -> Iterator[httpx.Client]:
    """A client with the cookie."""
    with server.signed_in() as found:
        yield found


def test_it_listens_on_loopback_only(server: UiServer) -> None:
    """The address is 127.0.0.1 with a port of the system's choice."""
    parts = urlsplit(server.address)
    assert parts.hostname == "127.0.0.1"
    assert (parts.port or 0) > 1023
    addresses = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    for address in {str(found[4][0]) for found in addresses}:
        if address.startswith("127."):
            continue
        with pytest.raises(OSError), socket.create_connection((address, parts.port or 0), 2):  # noqa: PT011 - refused, unreachable, or silent
            pass


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_the_token(server: UiServer, path: str) -> None:
    """Without the cookie, every path is refused alike, and nothing is set."""
    with server.client() as client:
        answer = client.get(path)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert client.get("/open", params={"token": "wrong"}).status_code == 401
        assert client.get("/open").status_code == 401
        wrong = f"flash_otel_ui_{client.base_url.port}=wrong"
        assert client.get(path, headers={"Cookie": wrong}).status_code == 401


def test_the_token_is_exchanged_for_a_strict_cookie(server: UiServer) -> None:
    """Scripts cannot read the cookie, other sites cannot send it, and it is not the token."""
    with server.client() as client:
        answer = client.get(server.address)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert str(urlsplit(server.base).port) in cookie.partition("=")[0], "ports share cookies"
    assert server.token not in cookie
    assert server.token not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_it_only_reads(client: httpx.Client, method: str) -> None:
    """Every other method is refused, with the one that works."""
    answer = client.request(method, SAMPLE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
@pytest.mark.parametrize("path", [SAMPLE, "/open", "/"])
def test_another_host_is_refused(client: httpx.Client, host: str, path: str) -> None:
    """A name that a page has bound to 127.0.0.1 gets nothing, not even with the token."""
    host = host.format(port=client.base_url.port)
    assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_names_are_accepted(client: httpx.Client, host: str) -> None:
    """A person may write localhost."""
    own = {"Host": f"{host}:{client.base_url.port}"}
    assert client.get(SAMPLE, headers=own).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_origin_is_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    """Requests of other pages get nothing, even if a browser sent the cookie along."""
    assert client.get(SAMPLE, headers=headers).status_code == 403


def test_its_own_origin_is_accepted(client: httpx.Client) -> None:
    """The page's own requests are answered."""
    own = {"Origin": f"http://127.0.0.1:{client.base_url.port}", "Sec-Fetch-Site": "same-origin"}
    assert client.get(SAMPLE, headers=own).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_hardened(client: httpx.Client, path: str) -> None:
    """Refusals, too: no script but the bundle, no frame, no cache, no other type."""
    for given in ({}, {"Origin": "null"}):
        with client.stream("GET", path, headers=given) as answer:
            policy = answer.headers["content-security-policy"]
            directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert directives["default-src"] == "'none'"
            assert directives["script-src"] == "'self'"
            assert directives["style-src"] == "'self'"
            assert directives["frame-ancestors"] == "'none'"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "access-control-allow-origin" not in answer.headers


def test_parameters_of_an_address_are_escaped(client: httpx.Client) -> None:
    """What an address holds reaches the page as a JSON string."""
    evil = "</script><script>alert(1)</script>"
    text = client.get("/trace", params={"trace_id": evil}).text
    assert "<script>alert" not in text
    assert "\\u003c/script>" in text


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("trace?trace_id=ffff", 404, "no recorded trace begins with 'ffff'"),
        ("trace", 404, "no recorded trace begins with ''"),
        ("comparison?first=ffff", 404, "no recorded trace begins with 'ffff'"),
        ("other", 404, "there is no document 'other'"),
        ("entries?limit=many", 400, "limit is not a whole number: 'many'"),
        ("entries?since_s=-1", 400, "since_s is not a whole number: '-1'"),
        ("entries?where=odd", 400, "not an attribute=value: 'odd'"),
        ("entries?fault=odd", 400, "unknown fault code 'odd'"),
    ],
)
def test_a_wrong_question_has_an_answer(
    client: httpx.Client, path: str, status: int, problem: str
) -> None:
    """The cause is in the answer, and nothing is a bug."""
    answer = client.get(f"/documents/{path}")
    assert (answer.status_code, answer.json()) == (status, {"error": problem})


def test_a_change_of_the_store_is_an_event(tmp_path: Path) -> None:
    """Spans of another process make an event; the store need not exist before."""
    with serving(tmp_path) as server, server.signed_in() as client:
        before = client.get(SAMPLE).json()
        assert (before["entries"], before["is_empty"]) == ([], True)
        with client.stream("GET", "/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": open"
            with SpanStore(tmp_path / "spans.db") as store:
                store.write(healthy_deployment())
            found = next(line for line in lines if line.startswith("event:"))
        assert found == "event: change"
        assert [entry["trace_id"] for entry in client.get(SAMPLE).json()["entries"]] == [TRACE]


def test_a_change_before_the_stream_is_not_missed(tmp_path: Path) -> None:
    """A page names the version that it shows, so that it hears of spans since then at once."""
    with serving(tmp_path) as server, server.signed_in() as client:
        page = client.get("/").text
        [version] = re.findall(r'"version": "([^"]*)"', page)
        with SpanStore(tmp_path / "spans.db") as store:
            store.write(healthy_deployment())
        with client.stream("GET", "/events", params={"version": version}) as answer:
            found = next(line for line in answer.iter_lines() if line.startswith("event:"))
        assert found == "event: change"


def test_a_store_that_goes_away_is_an_answer(tmp_path: Path) -> None:
    """A store that was removed, or that is none any more, is a sentence on the page."""
    path = tmp_path / "named.db"
    with SpanStore(path) as store:
        store.write(healthy_deployment())
    with serving(tmp_path, "--store", str(path)) as server, server.signed_in() as client:
        assert len(client.get(SAMPLE).json()["entries"]) == 1
        for found in tmp_path.glob("named.db*"):
            found.unlink()
        gone = client.get(SAMPLE)
        assert (gone.status_code, "there is no store" in gone.json()["error"]) == (503, True)
        with SpanStore(path) as store:
            store.write(healthy_deployment())
        assert len(client.get(SAMPLE).json()["entries"]) == 1


def test_streams_are_few(client: httpx.Client) -> None:
    """A page that opens streams without end gets no more of them, and documents are still sent."""
    streams = []
    try:
        for _ in range(20):
            request = client.build_request("GET", "/events")
            streams.append(client.send(request, stream=True))
        assert [answer.status_code for answer in streams].count(200) == 16
        assert streams[-1].status_code == 503
        assert client.get(SAMPLE).status_code == 200
    finally:
        for answer in streams:
            answer.close()


def test_a_browser_is_given_an_address_that_works_once(tmp_path: Path) -> None:
    """Other users can see the arguments of the browser: they find a token that is used up."""
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}.part && mv {seen}.part {seen}\n')
    browser.chmod(0o700)
    with serving(tmp_path, "--open", env={"BROWSER": f"{browser} %s"}) as server:
        eventually(seen.exists)
        given = seen.read_text()
        assert server.token not in given
        with server.client() as client:
            assert client.get(given).status_code == 200
            assert client.get(SAMPLE).status_code == 200
        with server.client() as client:
            assert client.get(given).status_code == 401
            assert client.get(server.address).status_code == 200
            assert client.get(server.address).status_code == 200


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_a_missing_extra_names_the_command(tmp_path: Path, name: str) -> None:
    """Without starlette or uvicorn, the error is the command that installs them."""
    done = python(
        tmp_path,
        "import sys\n"
        f"sys.modules[{name!r}] = None\n"
        "from flash_otel.cli.app import main\n"
        "main(['ui', '--no-open'])",
    )
    assert done.returncode == 2
    assert f"pip install {requirement('ui')}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """A source that cannot be read is an error of the command, before any page."""
    done = python(
        tmp_path,
        "from flash_otel.cli.app import main\nmain(['ui', '--no-open', '--from', 'gone.log'])",
    )
    assert done.returncode == 2
    assert "gone.log" in done.stderr
    assert done.stdout == ""
