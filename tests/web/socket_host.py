"""WebSockets of three inboxes, for servers that run in a process of their own: `tests.web.socket_host:app`.

`/lifetime`, `/bounded` and `/closing` each serve an inbox with a hub of its own. The user is the `x-user` header.
`POST /{name}/publish` sends every open stream 60 KB, `POST /{name}/close` closes the hub, and `GET /{name}/state` gives
the number of sockets that the hub and the host have.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub.events import Event
from notistore.web import inbox_app

INBOXES = {
    "lifetime": Inbox(MemoryStore(), SseHub(lifetime=0.3)),
    "bounded": Inbox(MemoryStore(), SseHub(lifetime=None, heartbeat=None, backlog=128 * 1024, streams_per_recipient=2)),
    "closing": Inbox(MemoryStore(), SseHub(lifetime=None)),
}
handlers: Counter[str] = Counter()


def user_of(connection: Any) -> Recipient:
    return Recipient(connection.headers["x-user"])


class CountsHandlers:
    """Middleware that counts the WebSocket handlers that are running."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sockets = scope["type"] == "websocket"
        handlers[self._name] += sockets
        try:
            await self._app(scope, receive, send)
        finally:
            handlers[self._name] -= sockets


async def state(request: Request) -> Response:
    name = request.path_params["name"]
    hub = INBOXES[name].hub
    assert hub is not None
    return JSONResponse({"streams": hub.stats().streams, "handlers": handlers[name], "ended": hub.stats().ended})


async def publish(request: Request) -> Response:
    hub = INBOXES[request.path_params["name"]].hub
    assert hub is not None
    hub.broadcast(Event("filler", "x" * 60_000))
    return Response(status_code=204)


async def close(request: Request) -> Response:
    hub = INBOXES[request.path_params["name"]].hub
    assert hub is not None
    hub.close()
    return Response(status_code=204)


async def send(request: Request) -> Response:
    sent = await INBOXES[request.path_params["name"]].send(user_of(request), "t")
    return JSONResponse({"id": sent.id})


def inbox_of(name: str) -> ASGIApp:
    return CountsHandlers(inbox_app(INBOXES[name], user_of, websocket=user_of), name)


app = Starlette(
    routes=[
        Route("/{name}/state", state),
        Route("/{name}/publish", publish, methods=["POST"]),
        Route("/{name}/close", close, methods=["POST"]),
        Route("/{name}/send", send, methods=["POST"]),
        *(Mount(f"/{name}", inbox_of(name)) for name in INBOXES),
    ]
)
