"""Falcon, with the inbox in front of it: a framework that mounts no ASGI app, and whose streams notice no one leaving.

pip install "notistore[web]" falcon uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn falcon_app:app
"""

import secrets
from pathlib import Path
from typing import Any

import falcon.asgi
from starlette.requests import HTTPConnection

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
sessions: dict[str, str] = {}  # in your database, or signed cookies


def recipient_of(session: str | None) -> Recipient | None:
    user = sessions.get(session or "")
    return Recipient(user) if user else None


def current_recipient(connection: HTTPConnection) -> Recipient | None:
    return recipient_of(connection.cookies.get("session"))


class Pages:
    async def on_get(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        response.content_type = falcon.MEDIA_HTML
        response.text = Path(__file__).with_name("page.html").read_text()

    async def on_post_login(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        session = secrets.token_urlsafe()
        sessions[session] = (await request.get_media())["user"]  # once you have checked the password
        response.set_cookie("session", session, path="/", same_site="Lax", secure=False)  # secure=True over HTTPS
        response.status = 204

    async def on_post_logout(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        recipient = recipient_of(request.cookies.get("session"))
        if recipient is not None:
            del sessions[request.cookies["session"]]
            hub.end(recipient)  # the streams that were opened with this session
        response.status = 204

    async def on_post_send(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        recipient = recipient_of(request.cookies.get("session"))
        if recipient is None:
            raise falcon.HTTPUnauthorized
        asked = await request.get_media()
        await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
        response.status = 204

    async def on_get_status(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        response.media = {"streams": hub.stats().streams}


host = falcon.asgi.App()
host.add_route("/", Pages())
for name in ("login", "logout", "send", "status"):
    host.add_route(f"/{name}", Pages(), suffix=name)

notifications = inbox_app(inbox, current_recipient, websocket=current_recipient)


async def app(scope: Any, receive: Any, send: Any) -> None:
    ours = scope["type"] != "lifespan" and scope["path"].startswith("/notifications")
    await (notifications if ours else host)(scope, receive, send)
