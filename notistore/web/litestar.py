"""`inbox_router`: the routes of docs/wire.md as a Litestar router, with models in its OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import field, make_dataclass
from datetime import datetime
from functools import cache, reduce
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from operator import or_
from typing import Any, Final, TypeAlias

try:
    from litestar import Request, Response, Router, WebSocket, route
    from litestar import websocket as websocket_handler
    from litestar.di import NamedDependency, Provide
    from litestar.exceptions import WebSocketDisconnect
    from litestar.handlers import BaseRouteHandler, HTTPRouteHandler, WebsocketRouteHandler
    from litestar.openapi.datastructures import ResponseSpec
    from litestar.openapi.spec import Operation
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.litestar needs Litestar: pip install "notistore[litestar]"') from error

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from .core import UNAUTHORIZED, Answer, Query, Route, WebInbox, find_recipient
from .core import Request as InboxRequest
from .endpoints import Endpoint
from .openapi import OPERATIONS, SCHEMAS, Json
from .stream import StreamResponse

__all__ = ["GetSocketRecipient", "inbox_router"]

GetSocketRecipient: TypeAlias = Callable[[WebSocket[Any, Any, Any]], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient of a WebSocket from its handshake, sync or async; None refuses it."""

_REFUSED: Final = 1008  # before the socket is accepted: every server answers the handshake with 403
_RECIPIENT: Final = "notistore_recipient"


def inbox_router(
    inbox: Inbox,
    recipient: Callable[..., Any] | Provide,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    websocket: GetSocketRecipient | None = None,
    token_timeout: float | None = None,
) -> Router:
    """The inbox as a Litestar router; arguments as for `notistore.web.inbox_app`, but for one.

    Args:
        inbox: the inbox to serve.
        recipient: a dependency that returns a Recipient, or None, which is a 401: sync (on the event loop: it must not
            block), async or a generator, which may have dependencies; or a `Provide` of it.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins whose pages may send unsafe requests cross-site.
        close_on_signals: close the hub on SIGINT and SIGTERM.
        websocket: also serve `{path}/ws` (docs/transports.md), and how to get the recipient from its handshake: no
            dependency, but a function of Litestar's `WebSocket`. A token sent as a subprotocol or in the first message
            is in its `authorization` header, as "Bearer TOKEN".
        token_timeout: with `websocket`, seconds that a client without a recipient has to send a token as its first
            message; None refuses its handshake.
    """
    web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    handlers: list[BaseRouteHandler] = [handler for route in web.routes for handler in _handlers(web, route)]
    if websocket is not None:
        handlers.append(_socket_handler(web, websocket, token_timeout))
    return Router(
        "/",
        dependencies={_RECIPIENT: recipient if isinstance(recipient, Provide) else _provide(recipient)},
        exception_handlers={InvalidArgument: _nobody},
        route_handlers=handlers,
        tags=["notifications"],
    )


def _provide(recipient: Callable[..., Any]) -> Provide:
    plain = not any(is_other(recipient) for is_other in (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction))
    return Provide(recipient, sync_to_thread=False if plain else None)


def _nobody(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The request's values are not a valid recipient, so nobody is signed in."""
    return _to_response(UNAUTHORIZED)


def _handlers(web: WebInbox, routed: Route) -> list[HTTPRouteHandler]:
    async def public(request: Request[Any, Any, Any]) -> Response[Any]:
        return await _respond(web, routed, None, request)

    async def handle(request: Request[Any, Any, Any], notistore_recipient: NamedDependency[Any]) -> Response[Any]:
        return await _respond(web, routed, notistore_recipient, request)

    serve = public if routed.public else handle
    serve.__name__ = routed.endpoint.__name__  # of which Litestar makes the operation's id
    path = routed.path.replace("{id}", "{id:str}")
    handlers = [
        route(path, http_method=[routed.method], **_documented(routed.endpoint))(serve)  # type: ignore[list-item]
    ]
    if routed.method == "GET":
        handlers.append(route(path, http_method=["HEAD"], include_in_schema=False)(serve))
    return handlers


async def _respond(
    web: WebInbox, routed: Route, recipient: Recipient | None, request: Request[Any, Any, Any]
) -> Response[Any]:
    asked = InboxRequest(
        method=request.method,
        query=Query(request.scope["query_string"]),
        headers=request.headers,
        body=request.stream(),
        id=request.path_params.get("id", ""),
    )
    answer = await web.answer(routed, recipient, asked)
    return _to_response(answer) if isinstance(answer, Answer) else _Stream(answer)


def _to_response(answer: Answer) -> Response[bytes]:
    headers = dict(answer.headers)
    return Response(
        answer.body, status_code=answer.status, media_type=headers.pop("content-type", None), headers=headers
    )


class _Stream(Response[None]):
    """A stream, which is an ASGI app. It begins after the exit of the dependencies, such as database sessions."""

    def __init__(self, stream: StreamResponse) -> None:
        super().__init__(None)
        self._stream = stream

    def to_asgi_response(self, *args: Any, **options: Any) -> Any:
        return self._stream


# WebSockets


def _socket_handler(web: WebInbox, recipient: GetSocketRecipient, token_timeout: float | None) -> WebsocketRouteHandler:
    async def serve(socket: WebSocket[Any, Any, Any]) -> None:
        with suppress(OSError, WebSocketDisconnect):  # raised by a send once the client has disconnected
            opened = _Socket(socket, recipient)
            if not await web.serve_websocket(opened, token_timeout=token_timeout, scope=socket.scope):
                await socket.close(_REFUSED)

    return websocket_handler(f"{web.path}/ws")(serve)


class _Socket:
    def __init__(self, socket: WebSocket[Any, Any, Any], recipient: GetSocketRecipient) -> None:
        self.headers: Mapping[str, str] = socket.headers
        self.accept = socket.accept
        self._socket = socket
        self._recipient = recipient

    async def find_recipient(self, token: str | None) -> Recipient | None:
        socket = self._socket
        if token is not None:
            headers = [pair for pair in socket.scope["headers"] if pair[0] != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode()))
            scope: Any = {**socket.scope, "headers": headers, "state": {}}  # where Litestar keeps headers it has read
            socket = WebSocket(scope)
        return await find_recipient(self._recipient, socket)

    async def receive(self) -> str | bytes | None:
        message: Any = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        binary: bytes | None = message.get("bytes")
        return (binary or b"") if text is None else text

    async def send(self, text: str) -> None:
        await self._socket.send_text(text)

    async def close(self, code: int) -> None:
        with suppress(OSError, RuntimeError, WebSocketDisconnect):  # the client has closed it already
            await self._socket.close(code)


# OpenAPI


def _documented(endpoint: Endpoint) -> dict[str, Any]:
    """The OpenAPI arguments of a handler. The endpoints parse the parameters, in the same way for every framework."""
    if endpoint not in OPERATIONS:
        return {"include_in_schema": False}
    operation = OPERATIONS[endpoint]
    responses = {int(status): _response(described) for status, described in operation["responses"].items()}
    return {
        "summary": operation["summary"],
        "description": endpoint.__doc__,
        "status_code": 200,  # of a 204 Litestar would not let a handler return a response
        "responses": responses,
        "operation_class": _operation_class(operation),
    }


def _response(described: Json) -> ResponseSpec:
    [(media_type, content)] = described.get("content", {"": {"schema": None}}).items()
    return ResponseSpec(
        content["schema"] and _type(content["schema"]),
        description=described["description"],
        media_type=media_type,
        generate_examples=False,
    )


def _operation_class(described: Json) -> type[Operation]:
    """Litestar's operation, with our parameters beside those of the host's dependencies."""
    ours = described.get("parameters", [])

    class Described(Operation):
        def to_schema(self) -> dict[str, Any]:
            operation = super().to_schema()
            names = {parameter["name"] for parameter in ours}
            theirs = [parameter for parameter in operation.get("parameters", []) if parameter["name"] not in names]
            statuses = [*described["responses"], *(["400"] if theirs else [])]
            operation["responses"] = {status: operation["responses"][status] for status in statuses}
            if ours or theirs:
                operation["parameters"] = [*ours, *theirs]
            if "requestBody" in described:
                content = {"application/json": {"schema": SCHEMAS["NotificationIds"]}}
                operation["requestBody"] = {**described["requestBody"], "content": content}
            return operation

    return Described


def _type(schema: Mapping[str, Any]) -> Any:
    """A JSON Schema of ours as a Python type, of which Litestar makes a component if it is one of SCHEMAS."""
    match schema:
        case {"$ref": ref}:
            return _model(ref.rpartition("/")[2])
        case {"anyOf": schemas}:
            return reduce(or_, map(_type, schemas))
        case {"type": "array", "items": items}:
            return list[_type(items)]  # type: ignore[misc]
        case {"type": "string", "format": "date-time"}:
            return datetime
        case {"type": kind}:
            return {"string": str, "integer": int, "object": dict[str, Any], "null": None}[kind]
    raise AssertionError(schema)


@cache
def _model(name: str) -> type:
    schema = SCHEMAS[name]
    fields = [
        (named, _type(described), field(default=None) if named not in schema["required"] else field())
        for named, described in schema["properties"].items()
    ]
    return make_dataclass(name, fields, namespace={"__doc__": schema["description"], "__module__": __name__})
