"""`inbox_blueprint`: the routes of docs/wire.md as a Sanic blueprint."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeAlias, cast

try:
    import sanic
    from sanic import Blueprint, HTTPResponse
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.sanic needs Sanic: pip install "notistore[sanic]"') from error

from ..inbox import Inbox
from ..model import Recipient
from .core import Answer, Query, Request, Route, StreamResponse, WebInbox, find_recipient

__all__ = ["GetRecipient", "inbox_blueprint"]

SanicRequest: TypeAlias = "sanic.Request[Any, Any]"
GetRecipient: TypeAlias = Callable[[SanicRequest], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient from the request, sync (on the event loop: it must not wait) or async; None is a 401."""


def inbox_blueprint(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    name: str = "notistore",
) -> Blueprint:
    """The inbox as a blueprint.

    Args:
        inbox: what it serves.
        recipient: gets the recipient from the request.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. Such
            pages need CORS headers too, which are the host's to add.
        close_on_signals: close the hub on SIGINT and SIGTERM.
        name: the blueprint's, of which an application can have one only.
    """
    web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    blueprint = Blueprint(name)
    for route in web.routes:
        blueprint.add_route(
            _handler(web, route, recipient),
            route.path.replace("{id}", "<id:str>"),
            methods=[route.method, "HEAD"] if route.method == "GET" else [route.method],
            name=route.endpoint.__name__,
            strict_slashes=False,
            stream=True,  # the body is read by the core, no further than its limit
        )
    return blueprint


def _handler(
    web: WebInbox, route: Route, recipient: GetRecipient
) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
    async def handle(request: SanicRequest, id: str = "", **_: Any) -> HTTPResponse | None:
        found = None if route.public else await find_recipient(recipient, request)
        asked = Request(
            method=request.method,
            query=Query(request.query_string),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=cast(AsyncIterable[bytes], request.stream),
            id=id,
        )
        answer = await web.answer(route, found, asked)
        if isinstance(answer, Answer):
            return HTTPResponse(answer.body, answer.status, dict(answer.headers))
        await _stream(answer, request)
        return None

    return handle


async def _stream(answer: StreamResponse, request: SanicRequest) -> None:
    response = await request.respond(status=answer.status, headers=dict(answer.headers))
    try:
        async with answer.frames() as frames:
            async for data in frames:
                await response.send(data)
        await response.eof()
    except ConnectionResetError:  # the client takes nothing more
        if request.stream is not None:
            request.stream.protocol.abort()  # type: ignore[no-untyped-call]
