"""Who may ask the server, how many at once, and how slowly."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PUBLIC = (".css", ".js", ".svg")  # styles and scripts are the same for everybody
REQUEST_SECONDS = 10.0  # within which a connection has to ask for something
STALL_SECONDS = 20.0  # for which a reader may leave a full buffer untouched
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}


class Guard:
    """ASGI middleware: refuses requests without the token or from other sites, and adds HEADERS to every answer.

    token: in the query of the page, the socket and downloads; local: the server is bound to a loopback address. Then
    only requests to a loopback name are answered: a page on the internet whose name resolves to this machine sends its
    own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, local: bool) -> None:
        self._app, self._token, self._local = app, token, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        objection = self._objection(HTTPConnection(scope))
        answer = self._app if objection is None else PlainTextResponse(f"{objection}\n", 403)
        await answer(scope, receive, send_with_headers)

    def _objection(self, request: HTTPConnection) -> str | None:
        """Why a request is not served, or None."""
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or (self._local and _without_port(hosts[0]) not in LOOPBACK):
            return "This page is served to this machine alone: open the printed address."
        if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            return "The request comes from another site's page: open the printed address."
        token = request.query_params.get("token", "").encode("utf-8", "replace")
        if not request.scope["path"].endswith(PUBLIC) and not hmac.compare_digest(
            token, self._token.encode()
        ):
            return "The token is missing or wrong: open the address that was printed."
        return None


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class _StallLimit(asyncio.Protocol):
    """Cuts off who does not read what it asked for; uvicorn would wait for ever."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.cancel()


class LimitedHttp(_StallLimit, H11Protocol):
    """Also cuts off who asks for nothing, and who comes while `limit_concurrency` others are connected."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.abort()
        self.loop.call_later(REQUEST_SECONDS, self._cut_off_if_idle)

    def _cut_off_if_idle(self) -> None:
        """Also after an answer that was not read to its end; not a request that is being answered, or a socket."""
        if self not in self.connections:  # closed, or a socket now
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self.loop.call_later(REQUEST_SECONDS, self._cut_off_if_idle)


class LimitedSocket(_StallLimit, WebSocketsSansIOProtocol):
    """A WebSocket with the limit of its base."""
