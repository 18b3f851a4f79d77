"""`inbox_app`: the routes of docs/wire.md as an ASGI app, for Starlette and other frameworks that mount one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TypeAlias

try:
    from starlette.applications import Starlette
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.asgi needs Starlette: pip install "notistore[web]"') from error
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..inbox import Inbox
from ..model import Recipient
from ._starlette import DeferredResponse, GetRecipient, respond, take_deferred
from .core import Route, StreamResponse, WebInbox, find_recipient

__all__ = ["GetRecipient", "GetSocketRecipient", "inbox_app", "inbox_websocket"]

GetSocketRecipient: TypeAlias = Callable[[HTTPConnection], Recipient | Awaitable[Recipient | None] | None]
"""A function that gets the recipient from a WebSocket's handshake, sync or async; None refuses it."""

_REFUSED = 1008  # before the socket is accepted: every server answers the handshake with 403


def inbox_app(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    websocket: GetSocketRecipient | None = None,
    token_timeout: float | None = None,
) -> Starlette:
    """The inbox as an ASGI app, which serves `path` below where it is mounted; it also runs without a framework.

    Args:
        inbox: the inbox to serve. Without a hub a stream sends the count and ends, which makes browsers poll.
        recipient: gets the recipient from a Starlette request, sync or async; None is answered with 401.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site and open
            WebSockets. The application has to add the CORS headers for such pages.
        close_on_signals: close the hub on SIGINT and SIGTERM, so that open streams do not delay the server's shutdown;
            then the server's own handlers are called.
        websocket: a function that gets the recipient from a WebSocket's handshake; with it, `{path}/ws` is served too
            (docs/transports.md).
        token_timeout: with `websocket`, seconds that a client without a recipient has to send a token as its first
            message; None refuses its handshake.
    """
    web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)

    class Serve:  # not a function, for which Starlette would wrap `send`, at a cost for every event
        def __init__(self, route: Route) -> None:
            self._route = route

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            found = None if self._route.public else await find_recipient(recipient, request)
            response = await respond(web, self._route, found, request)
            app = scope.get("app")
            if isinstance(response, StreamResponse) and isinstance(app, _InboxApp) and app.is_bare:
                response = DeferredResponse(response)
            await response(scope, receive, send)

    routes: list[BaseRoute] = [
        StarletteRoute(route.path + slash, Serve(route), methods=[route.method])
        for route in web.routes
        for slash in ("", "/")
    ]
    if websocket is not None:
        socket = _websocket(web, websocket, token_timeout)
        routes += [WebSocketRoute(path + "/ws" + slash, socket) for slash in ("", "/")]
    app = _InboxApp(routes=routes)
    app.router.redirect_slashes = False
    return app


def inbox_websocket(
    inbox: Inbox,
    recipient: GetSocketRecipient,
    *,
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    token_timeout: float | None = None,
) -> Callable[[WebSocket], Awaitable[None]]:
    """An endpoint for Starlette's `WebSocketRoute` and FastAPI's `add_api_websocket_route`.

    A page of an origin that is not trusted is refused, since browsers let any page open a WebSocket with the user's
    cookies. When the stream ends, the socket is closed with 4013, and the client has to reconnect, as EventSource does
    by itself. Arguments as for `inbox_app`; `recipient` gets a Starlette `HTTPConnection`, the base class of `Request`.
    A token sent as a subprotocol or in the first message is in its `authorization` header, as "Bearer TOKEN".
    """
    web = WebInbox(inbox, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    return _websocket(web, recipient, token_timeout)


def _websocket(
    web: WebInbox, recipient: GetSocketRecipient, token_timeout: float | None
) -> Callable[[WebSocket], Awaitable[None]]:
    async def serve(socket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):  # raised by a send once the client has disconnected
            opened = _Socket(socket, recipient)
            if not await web.serve_websocket(opened, token_timeout=token_timeout, scope=socket.scope):
                await socket.close(_REFUSED)

    return serve


class _Socket:
    def __init__(self, socket: WebSocket, recipient: GetSocketRecipient) -> None:
        self.headers = socket.headers
        self.accept = socket.accept
        self.send = socket.send_text
        self._socket = socket
        self._recipient = recipient

    async def find_recipient(self, token: str | None) -> Recipient | None:
        connection: HTTPConnection = self._socket
        if token is not None:
            headers = [pair for pair in connection.scope["headers"] if pair[0] != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode()))
            connection = HTTPConnection({**connection.scope, "headers": headers})
        return await find_recipient(self._recipient, connection)

    async def receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        binary: bytes | None = message.get("bytes")
        return (binary or b"") if text is None else text

    async def close(self, code: int) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the client has closed it already
            await self._socket.close(code)


class _InboxApp(Starlette):
    """Runs streams outside of Starlette's routing, whose stack frames would cost memory for every open stream."""

    @property
    def is_bare(self) -> bool:
        """Whether no middleware was added that a stream would have to pass through."""
        return not (self.debug or self.user_middleware or self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        if (deferred := take_deferred(scope)) is not None:
            await deferred(scope, receive, send)
