"""`inbox_wsgi`: the routes of docs/wire.md as a WSGI app, for any WSGI server or framework."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from ..model import Recipient
from ..sync import SyncInbox
from .core import Answer, Query, Request
from .sync import SyncStreamResponse, SyncWebInbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["inbox_wsgi"]


def inbox_wsgi(
    inbox: SyncInbox,
    recipient: Callable[[WSGIEnvironment], Recipient | None],
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    live: bool = False,
) -> WSGIApplication:
    """The inbox as a WSGI app, which serves `path` below where it is mounted; it also runs without a framework.

    Args:
        inbox: the inbox to serve.
        recipient: gets the recipient from the WSGI environment; None is answered with 401.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. The
            application has to add the CORS headers for such pages.
        close_on_signals: with `live`, close the hub on SIGINT and SIGTERM.
        live: keep streams open, each in its own thread; otherwise browsers poll (docs/web.md).
    """
    web = SyncWebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals, live=live)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        matched = web.match(method, _text(environ.get("PATH_INFO", "")))
        answer: Answer | SyncStreamResponse
        if isinstance(matched, Answer):
            answer = matched
        else:
            route, id = matched
            found = None if route.public else _find_recipient(recipient, environ)
            answer = web.answer(route, found, _request(environ, id))
        headers = list(answer.headers.items())
        if not isinstance(answer, Answer):
            start_response("200 OK", headers)
            return answer.frames()
        if "content-type" in answer.headers:
            headers.append(("content-length", str(len(answer.body))))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [] if method == "HEAD" else [answer.body]

    return app


def _find_recipient(
    get_recipient: Callable[[WSGIEnvironment], Recipient | None], environ: WSGIEnvironment
) -> Recipient | None:
    try:
        return get_recipient(environ)
    except InvalidArgument:
        return None  # what it was given cannot name a recipient, so nobody is signed in


def _request(environ: WSGIEnvironment, id: str) -> Request:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    length = environ.get("CONTENT_LENGTH") or ""
    left = None
    if length.isdecimal():
        headers["content-length"] = length
        left = int(length[:20])

    def read(size: int) -> bytes:
        nonlocal left
        if left is None:
            return b"" if not environ.get("wsgi.input_terminated") else environ["wsgi.input"].read(size)
        body: bytes = environ["wsgi.input"].read(min(size, left))  # beyond it a server would wait for the client
        left -= len(body)
        return body

    return Request(environ["REQUEST_METHOD"], Query(environ.get("QUERY_STRING", "")), headers, read, id)


def _text(value: str) -> str:
    """A path of the WSGI environment (UTF-8 bytes decoded as Latin-1) as text."""
    return value.encode("latin-1", errors="replace").decode(errors="replace")
