"""aiohttp, with a session of its own.

pip install "notistore[aiohttp]", then in this folder, and http://127.0.0.1:8000 in a browser:

    python aiohttp_app.py
"""

import secrets
import sys
from pathlib import Path

from aiohttp import web

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.aiohttp import inbox_routes

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
sessions: dict[str, str] = {}  # with aiohttp_session: await get_session(request)


async def current_recipient(request: web.Request) -> Recipient | None:
    user = sessions.get(request.cookies.get("session", ""))
    return Recipient(user) if user else None


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(Path(__file__).with_name("page.html"))


async def login(request: web.Request) -> web.Response:
    session = secrets.token_urlsafe()
    sessions[session] = (await request.json())["user"]  # once you have checked the password
    response = web.Response(status=204)
    response.set_cookie("session", session, httponly=True, samesite="Lax")
    return response


async def logout(request: web.Request) -> web.Response:
    if (recipient := await current_recipient(request)) is not None:
        del sessions[request.cookies["session"]]
        hub.end(recipient)  # the streams that were opened with this session
    return web.Response(status=204)


async def send(request: web.Request) -> web.Response:
    recipient = await current_recipient(request)
    if recipient is None:
        raise web.HTTPUnauthorized
    asked = await request.json()
    await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return web.Response(status=204)


async def status(request: web.Request) -> web.Response:
    return web.json_response({"streams": hub.stats().streams})


app = web.Application()
app.add_routes(
    [
        web.get("/", page),
        web.post("/login", login),
        web.post("/logout", logout),
        web.post("/send", send),
        web.get("/status", status),
        *inbox_routes(inbox, current_recipient, websocket=current_recipient),
    ]
)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    web.run_app(app, host="127.0.0.1", port=port, handler_cancellation=True)
