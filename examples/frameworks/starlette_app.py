"""Starlette, with a session, the mounted app and a WebSocket.

pip install "notistore[web]" itsdangerous uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn starlette_app:app
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store


def current_recipient(connection: HTTPConnection) -> Recipient | None:
    user = connection.session.get("user")
    return Recipient(user) if user else None


async def page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("page.html"))


async def login(request: Request) -> Response:
    request.session["user"] = (await request.json())["user"]  # once you have checked the password
    return Response(status_code=204)


async def logout(request: Request) -> Response:
    if (recipient := current_recipient(request)) is not None:
        request.session.clear()
        hub.end(recipient)  # the streams that were opened with this session
    return Response(status_code=204)


async def send(request: Request) -> Response:
    recipient = current_recipient(request)
    if recipient is None:
        return Response(status_code=401)
    asked = await request.json()
    await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return Response(status_code=204)


async def status(request: Request) -> Response:
    return JSONResponse({"streams": hub.stats().streams})


app = Starlette(
    routes=[
        Route("/", page),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/send", send, methods=["POST"]),
        Route("/status", status),
        Mount("/", inbox_app(inbox, current_recipient, websocket=current_recipient)),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="from your settings")],
)
