"""Who may ask, and the page's files: tokens, hosts and origins of requests."""

from __future__ import annotations

import hmac
import mimetypes
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SOCKET = "/socket"
DOWNLOAD = "/download/"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Door:
    """token: in the query of the page and of the socket; host: to which the server is bound.

    Bound to a loopback address, only requests to a loopback name are answered: a page on the internet whose name
    resolves to this machine sends its own.
    """

    def __init__(self, token: str, host: str) -> None:
        self._token, self._local = token, host in LOOPBACK

    def objection(self, request: Request) -> Response | None:
        """The answer to a request that is not to be served, or None."""
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or (self._local and _name(hosts[0]) not in LOOPBACK):
            return words(
                403, "Forbidden", "This page is served to this machine alone: open the printed address."
            )
        origins = request.headers.get_all("Origin")
        if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            return words(
                403, "Forbidden", "The request comes from another site's page: open the printed address."
            )
        if not is_public(place(request)) and not self._knows(request):
            return words(
                403, "Forbidden", "The token is missing or wrong: open the address that was printed."
            )
        return None

    def _knows(self, request: Request) -> bool:
        given = query(request, "token")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def place(request: Request) -> str:
    """The path of a request, without its query."""
    return urlsplit(request.path).path


def query(request: Request, name: str) -> str:
    """The value of a key of the query, or an empty text."""
    return parse_qs(urlsplit(request.path).query).get(name, [""])[0]


def is_public(path: str) -> bool:
    """Styles and scripts: they are the same for everybody."""
    return path.endswith((".css", ".js", ".svg"))


def page_file(path: str) -> Response | None:
    """The page or one of its files; None where there is no such file."""
    name = path.removeprefix("/") or "index.html"
    known = {item.name: item for item in files("worldmodel.play").joinpath("page").iterdir()}
    if name not in known or not known[name].is_file():
        return None
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "text/javascript" if name.endswith(".js") else kind
    return answer(200, "OK", known[name].read_bytes(), f"{kind}; charset=utf-8")


def words(status: int, reason: str, sentence: str) -> Response:
    """A sentence as an answer."""
    return answer(status, reason, f"{sentence}\n".encode(), "text/plain; charset=utf-8")


def answer(status: int, reason: str, body: bytes, kind: str, filename: str = "") -> Response:
    """Any answer, with headers that keep it to itself."""
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    if filename:
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return Response(status, reason, headers, body)


def _name(host: str) -> str:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
