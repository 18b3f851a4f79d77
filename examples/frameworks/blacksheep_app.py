"""BlackSheep, with the inbox in front of it, which reads BlackSheep's session.

pip install "notistore[web]" blacksheep uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn blacksheep_app:app
"""

from pathlib import Path
from typing import Any

import blacksheep
from blacksheep.sessions.cookies import CookieSessionStore
from starlette.requests import HTTPConnection

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
sessions = CookieSessionStore("from your settings")

host = blacksheep.Application()
host.use_sessions(sessions)


def recipient_of(session: Any) -> Recipient | None:
    user = session.get("user")
    return Recipient(user) if user else None


async def current_recipient(connection: HTTPConnection) -> Recipient | None:
    request = blacksheep.Request.incoming("GET", b"/", b"", connection.scope["headers"])
    return recipient_of(await sessions.load(request))


@blacksheep.get("/")
async def page() -> blacksheep.Response:
    return blacksheep.html(Path(__file__).with_name("page.html").read_text())


@blacksheep.post("/login")
async def login(request: blacksheep.Request) -> blacksheep.Response:
    request.session["user"] = (await request.json())["user"]  # once you have checked the password
    return blacksheep.no_content()


@blacksheep.post("/logout")
async def logout(request: blacksheep.Request) -> blacksheep.Response:
    recipient = recipient_of(request.session)
    if recipient is not None:
        del request.session["user"]
        hub.end(recipient)  # the streams that were opened with this session
    return blacksheep.no_content()


@blacksheep.post("/send")
async def send(request: blacksheep.Request) -> blacksheep.Response:
    recipient = recipient_of(request.session)
    if recipient is None:
        return blacksheep.unauthorized()
    asked = await request.json()
    await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return blacksheep.no_content()


@blacksheep.get("/status")
async def status() -> blacksheep.Response:
    return blacksheep.json({"streams": hub.stats().streams})


notifications = inbox_app(inbox, current_recipient, websocket=current_recipient)


async def app(scope: Any, receive: Any, send: Any) -> None:
    ours = scope["type"] != "lifespan" and scope["path"].startswith("/notifications")
    await (notifications if ours else host)(scope, receive, send)
