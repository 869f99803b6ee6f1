"""The server of `flash-otel ui`: loopback only, read-only, for the one person with its token.

Any web page can send requests to a loopback port, and a name that it controls can resolve to
127.0.0.1 (DNS rebinding). Each request must therefore name a loopback host, come from no other
origin, and carry the cookie for which the address with the token was exchanged. The content
security policy allows no script but the bundle.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.html import SCRIPT, STYLE, asset, page_document
from flash_otel.store.errors import StoreError
from flash_otel.ui.documents import Documents, SourceError, UnknownTraceError
from flash_otel.ui.lists import QuestionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from socket import socket

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flash_otel.ui.documents import UiSource

COOKIE: Final = "flash_otel_ui_{}"
"""Name of the cookie, with the port in it: all ports of a host share their cookies."""
TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
OPEN: Final = "/open"
HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
MOST_STREAMS: Final = 16
POLL_S: Final = 1.0
KEEP_ALIVE_S: Final = 15.0

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OWN_SITES: Final = (None, "same-origin", "none")
_KINDS: Final = {"/": "list", "/trace": "trace", "/compare": "comparison"}
_TYPES: Final = {SCRIPT: "text/javascript", STYLE: "text/css"}

_SHELL: Final = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>flash-otel</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}">
</head>
<body>
<div id="root"></div>
<script type="application/json" id="document-page">DOCUMENT</script>
<script src="{SCRIPT}"></script>
</body>
</html>
"""

_T = TypeVar("_T")


@dataclass
class UiState:
    """What the requests of one server share.

    Attributes:
        documents: Makes the documents, on a thread of its own.
        token: What the printed address holds.
        single_use: What the address holds that is given to a browser; empty after its use. Other
            users of the machine can see the arguments of the browser's process.
        session: The value of the cookie.
        is_stopping: Returns whether the server is about to end.
        streams: Number of open event streams.
    """

    documents: Documents
    token: str = field(default_factory=partial(secrets.token_urlsafe, 32))
    single_use: str = field(default_factory=partial(secrets.token_urlsafe, 32))
    session: str = field(default_factory=partial(secrets.token_urlsafe, 32))
    is_stopping: Callable[[], bool] = lambda: False
    streams: int = 0
    _thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))
    _poll: asyncio.Lock = field(default_factory=asyncio.Lock)
    _polled: tuple[float, str] = (float("-inf"), "")

    def accepts(self, given: str) -> bool:
        """Return whether a token may be exchanged for the cookie."""
        if self.single_use and _is_same(given, self.single_use):
            self.single_use = ""
            return True
        return _is_same(given, self.token)

    async def run(self, function: Callable[..., _T], *args: object) -> _T:
        """Call a function of the documents on their thread, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def prepare(self) -> None:
        """Open the source, so that it is readable before anybody is invited.

        Raises:
            SourceError: The source cannot be opened.
        """
        self._thread.submit(self.documents.prepare).result()

    async def version(self) -> str:
        """Return the version of the source, looked up at most once per `POLL_S` for all streams."""
        async with self._poll:
            now = asyncio.get_running_loop().time()
            if now - self._polled[0] >= POLL_S:
                self._polled = (now, await self.run(self.documents.version))
            return self._polled[1]

    async def close(self) -> None:
        """Close the source, and end its thread."""
        await self.run(self.documents.close)
        self._thread.shutdown(wait=False)


def _is_same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def application(source: UiSource) -> tuple[Starlette, UiState]:
    """Return the application for a source, and its state."""
    state = UiState(Documents(source))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await state.close()

    routes = [
        Route(OPEN, partial(_open, state)),
        *(Route(path, partial(_page, state, kind)) for path, kind in _KINDS.items()),
        *(Route(f"/{name}", partial(_asset, name)) for name in _TYPES),
        Route("/documents/{name}", partial(_document, state)),
        Route("/events", partial(_events, state)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(_Guard, state=state)
    return app, state


class _Guard:
    """Refuses every request that is not the person's own, and hardens every response."""

    def __init__(self, app: ASGIApp, state: UiState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, send_hardened)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] != "GET":
            return PlainTextResponse("only GET", 405, {"Allow": "GET"})
        port = scope["server"][1]
        hosts = {f"{host}:{port}" for host in HOSTS}
        if headers.getlist("host")[:2] not in ([host] for host in hosts):
            return PlainTextResponse("not a loopback host", 421)
        origins = {f"http://{host}" for host in hosts}
        if not set(headers.getlist("origin")) <= origins:
            return PlainTextResponse("another origin", 403)
        if scope["path"] == OPEN:
            return None
        if headers.get("sec-fetch-site") not in _OWN_SITES:
            return PlainTextResponse("another site", 403)
        return None if self._has_cookie(scope) else PlainTextResponse(_NO_SESSION, 401)

    def _has_cookie(self, scope: Scope) -> bool:
        return _is_same(Request(scope).cookies.get(_cookie(scope), ""), self._state.session)


def _cookie(scope: Scope) -> str:
    return COOKIE.format(scope["server"][1])


_CODES: Final = {code: words.verdict(code) for code in semconv.FAULTS}
_NO_SESSION: Final = "Open the address that `flash-otel ui` has printed: it holds a token.\n"


async def _open(state: UiState, request: Request) -> Response:
    """Exchange the token for the cookie, on a page that leads on.

    A redirect would not do: a browser does not send a strict cookie along after a click in a
    page of another site, such as a terminal in the browser.
    """
    if not state.accepts(request.query_params.get(TOKEN, "")):
        return PlainTextResponse(_NO_SESSION, 401)
    response = HTMLResponse(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>flash-otel</title>'
        '<meta http-equiv="refresh" content="0;url=/"><a href="/">flash-otel</a></html>'
    )
    response.set_cookie(_cookie(request.scope), state.session, httponly=True, samesite="strict")
    return response


async def _page(state: UiState, kind: str, request: Request) -> Response:
    parameters, version = dict(request.query_params), await state.version()
    document = page_document(
        kind, parameters=parameters, is_served=True, version=version, codes=_CODES
    )
    # In a script element, only `<` has a meaning.
    text = json.dumps(document).replace("<", "\\u003c")
    return HTMLResponse(_SHELL.replace("DOCUMENT", text))


async def _asset(name: str, _: Request) -> Response:
    return Response(asset(name), media_type=_TYPES[name])


async def _document(state: UiState, request: Request) -> Response:
    name = request.path_params["name"]
    try:
        text = await state.run(state.documents.named, name, dict(request.query_params))
    except QuestionError as error:
        return _problem(error, 400)
    except UnknownTraceError as error:
        return _problem(error, 404)
    except (SourceError, StoreError) as error:
        return _problem(error, 503)
    return Response(text, media_type="application/json")


def _problem(error: Exception, status: int) -> Response:
    return Response(json.dumps({"error": str(error)}), status, media_type="application/json")


async def _events(state: UiState, request: Request) -> Response:
    if state.streams >= MOST_STREAMS:
        return PlainTextResponse("too many streams", 503)
    return _EventStream(state, request.query_params.get("version"))


class _EventStream(StreamingResponse):
    """Events of the changes of a source."""

    def __init__(self, state: UiState, known: str | None) -> None:
        super().__init__(_changes(state, known), media_type="text/event-stream")
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._state.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._state.streams -= 1


async def _changes(state: UiState, known: str | None) -> AsyncIterator[str]:
    """Yield an event after each change of the source, and comments that keep the stream open.

    Args:
        state: The state of the server.
        known: The version that the page shows; None for the present one.
    """
    known, quiet_s = await state.version() if known is None else known, 0.0
    yield ": open\n\n"
    while not state.is_stopping():
        version = await state.version()
        if version != known:
            known, quiet_s = version, 0.0
            yield "event: change\ndata: {}\n\n"
        await asyncio.sleep(POLL_S)
        quiet_s += POLL_S
        if quiet_s >= KEEP_ALIVE_S:
            quiet_s = 0.0
            yield ": still open\n\n"


def serve(source: UiSource, listener: socket, on_ready: Callable[[str, str], None]) -> None:
    """Serve a source until the process is interrupted.

    Args:
        source: What is shown.
        listener: A socket that is bound to a loopback address.
        on_ready: Called with the address to print, and with one to give to a browser.

    Raises:
        SourceError: The source cannot be opened; nothing was served.
    """
    app, state = application(source)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    state.is_stopping = lambda: server.should_exit
    state.prepare()
    host, port = listener.getsockname()[:2]
    address = f"http://{host}:{port}{OPEN}?{TOKEN}="
    on_ready(address + state.token, address + state.single_use)
    server.run(sockets=[listener])
