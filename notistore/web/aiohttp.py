"""`inbox_routes`: the routes of docs/wire.md for aiohttp, as `app.add_routes(inbox_routes(inbox, recipient))`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TypeAlias

try:
    from aiohttp import WSMsgType, web
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.aiohttp needs aiohttp: pip install "notistore[aiohttp]"') from error

from ..inbox import Inbox
from ..model import Recipient
from .core import Answer, Query, Request, Route, StreamResponse, WebInbox, find_recipient

__all__ = ["GetRecipient", "inbox_routes"]

GetRecipient: TypeAlias = Callable[[web.Request], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient from the request, sync (on the event loop: it must not block) or async; None is a 401."""


def inbox_routes(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    websocket: GetRecipient | None = None,
    token_timeout: float | None = None,
) -> list[web.RouteDef]:
    """The inbox as routes for an `Application`.

    Run the application with `handler_cancellation=True`: otherwise a disconnect is detected only at the next event or
    heartbeat.

    Args:
        inbox: the inbox to serve.
        recipient: gets the recipient from the request.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. The
            application has to add the CORS headers for such pages.
        close_on_signals: close the hub on SIGINT and SIGTERM.
        websocket: also serve `{path}/ws` (docs/transports.md), and how to get the recipient from its handshake. A token
            sent as a subprotocol or in the first message is in its `authorization` header, as "Bearer TOKEN".
        token_timeout: with `websocket`, seconds that a client without a recipient has to send a token as its first
            message; None refuses its handshake.
    """
    mount = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    handlers = [(route.method, route.path, _handler(mount, route, recipient)) for route in mount.routes]
    if websocket is not None:
        handlers.append(("GET", f"{path}/ws", _socket_handler(mount, websocket, token_timeout)))
    return [web.route(method, path + slash, handler) for method, path, handler in handlers for slash in ("", "/")]


_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _handler(mount: WebInbox, route: Route, recipient: GetRecipient) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        found = None if route.public else await find_recipient(recipient, request)
        asked = Request(
            method=request.method,
            query=Query(request.url.raw_query_string),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.content.iter_any(),
            id=request.match_info.get("id", ""),
        )
        answer = await mount.answer(route, found, asked)
        if isinstance(answer, Answer):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await _stream(answer, request)

    return handle


async def _stream(answer: StreamResponse, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    try:
        async with answer.frames() as frames:
            await response.prepare(request)
            async for data in frames:
                await response.write(data)
    except ConnectionError:  # the client has disconnected, or does not read
        if request.transport is not None:
            request.transport.abort()
    return response


def _socket_handler(mount: WebInbox, recipient: GetRecipient, token_timeout: float | None) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        socket = _Socket(request, recipient)
        with suppress(ConnectionError):  # raised by a send once the client has disconnected
            if not await mount.serve_websocket(socket, token_timeout=token_timeout):
                return web.Response(status=403)
        return socket.response

    return handle


class _Socket:
    def __init__(self, request: web.Request, recipient: GetRecipient) -> None:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.response = web.WebSocketResponse()
        self._request = request
        self._recipient = recipient

    async def find_recipient(self, token: str | None) -> Recipient | None:
        request = self._request
        if token is not None:
            request = request.clone(headers={**request.headers, "Authorization": f"Bearer {token}"})
        return await find_recipient(self._recipient, request)

    async def accept(self, subprotocol: str | None) -> None:
        self.response = web.WebSocketResponse(protocols=[] if subprotocol is None else [subprotocol])
        await self.response.prepare(self._request)

    async def receive(self) -> str | bytes | None:
        message = await self.response.receive()
        return message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def send(self, text: str) -> None:
        await self.response.send_str(text)

    async def close(self, code: int) -> None:
        await self.response.close(code=code)
