"""What runs behind the proxies: `tests.deploy.application:app`.

The user is the `x-user` header. `POST /send/{text}` sends that user a notification; `GET /online` says
whether that user has a stream or a WebSocket open.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)


def user_of(connection: HTTPConnection) -> Recipient:
    return Recipient(connection.headers["x-user"])


async def send(request: Request) -> Response:
    await inbox.send(user_of(request), "text", {"title": request.path_params["text"]})
    return Response(status_code=204)


def online(request: Request) -> Response:
    return JSONResponse(hub.is_online(user_of(request)))


app = Starlette(
    routes=[
        Route("/send/{text}", send, methods=["POST"]),
        Route("/online", online),
        Mount("/", inbox_app(inbox, user_of, websocket=user_of)),
    ]
)
