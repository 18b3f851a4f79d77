"""`inbox_blueprint`: the routes of docs/wire.md as a Quart blueprint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, TypeAlias

try:
    import quart
    from quart import Blueprint, Response, request
    from quart.wrappers.response import ResponseBody
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.quart needs Quart: pip install "notistore[quart]"') from error

from ..inbox import Inbox
from ..model import Recipient
from ._werkzeug import SLASHES, add_routes, remove_default_content_type
from .core import Answer, Query, Request, Route, StreamResponse, WebInbox, find_recipient

__all__ = ["GetRecipient", "inbox_blueprint"]

GetRecipient: TypeAlias = Callable[[], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient within a request, from Quart's `session` or `g`, sync (on the event loop: it must not wait)
or async; None is a 401."""


def inbox_blueprint(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    websocket: GetRecipient | None = None,
    token_timeout: float | None = None,
    name: str = "notistore",
) -> Blueprint:
    """The inbox as a blueprint.

    Args:
        inbox: what it serves.
        recipient: gets the recipient, within the request's context.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. Such
            pages need CORS headers too, which are the host's to add.
        close_on_signals: close the hub on SIGINT and SIGTERM.
        websocket: also serve `{path}/ws` (docs/transports.md), and how to get the recipient within its context. A token
            sent as a subprotocol or in the first message is in its `authorization` header, as "Bearer TOKEN".
        token_timeout: with `websocket`, seconds that a client without a recipient has to send a token as its first
            message; None refuses its handshake.
        name: the blueprint's, of which an application can have one only.
    """
    web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    blueprint = Blueprint(name, __name__)
    add_routes(blueprint, web.routes, lambda route: _view(web, route, recipient))
    if websocket is not None:
        view = _socket_view(web, websocket, token_timeout)
        blueprint.add_websocket(f"{path}/ws", "websocket", view, **SLASHES)
    return blueprint


def _view(web: WebInbox, route: Route, recipient: GetRecipient) -> Callable[..., Awaitable[Response]]:
    async def view(id: str = "", **_: Any) -> Response:
        found = None if route.public else await find_recipient(lambda _: recipient(), None)
        asked = Request(
            method=request.method,
            query=Query(request.query_string),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.body,
            id=id,
        )
        answer = await web.answer(route, found, asked)
        return _to_response(answer) if isinstance(answer, Answer) else await _stream(answer)

    return view


def _to_response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, dict(answer.headers))
    remove_default_content_type(response, answer.headers)
    return response


async def _stream(answer: StreamResponse) -> Response:
    body = answer.frames(scope=request.scope)
    # Opened before there is a response, whose headers Quart sends first: an error is a 500 then, not a broken body.
    # Quart sends the body from this task. If it sends another response instead, the stream ends with the task.
    response = Response(_Frames(body, await body.__aenter__()), answer.status, dict(answer.headers))
    response.timeout = None  # or Quart would end it after RESPONSE_TIMEOUT
    return response


class _Frames(ResponseBody):
    """The body of a stream that has been opened; the stream ends with it."""

    def __init__(self, body: AbstractAsyncContextManager[Any], frames: AsyncIterator[bytes]) -> None:
        self._body = body
        self._frames = frames

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._frames

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ConnectionResetError):  # the client has been given up, and this task cancelled
            await self._body.__aexit__(kind, error, traceback)


def _socket_view(
    web: WebInbox, recipient: GetRecipient, token_timeout: float | None
) -> Callable[..., Awaitable[Response | None]]:
    async def view(**_: Any) -> Response | None:
        scope = quart.websocket.scope
        accepted = await web.serve_websocket(_Socket(recipient), token_timeout=token_timeout, scope=scope)
        return None if accepted else Response(status=403)

    return view


class _Socket:
    """The WebSocket of Quart's context, whose task is cancelled once the client has disconnected."""

    def __init__(self, recipient: GetRecipient) -> None:
        self._socket = quart.websocket._get_current_object()  # type: ignore[attr-defined]
        self._recipient = recipient
        self.headers = {name.lower(): value for name, value in self._socket.headers.items()}

    async def find_recipient(self, token: str | None) -> Recipient | None:
        if token is not None:
            self._socket.headers["Authorization"] = f"Bearer {token}"
        return await find_recipient(lambda _: self._recipient(), None)

    async def accept(self, subprotocol: str | None) -> None:
        await self._socket.accept(subprotocol=subprotocol)

    async def receive(self) -> str | bytes | None:
        message: str | bytes = await self._socket.receive()
        return message

    async def send(self, text: str) -> None:
        await self._socket.send(text)

    async def close(self, code: int) -> None:
        await self._socket.close(code)
