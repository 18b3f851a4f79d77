"""Sanic, with a session of its own.

pip install "notistore[sanic]", then in this folder, and http://127.0.0.1:8000 in a browser:

    sanic sanic_app:app --single-process

One process, since its sessions and its hub are in memory.
"""

import secrets
from pathlib import Path

from sanic import HTTPResponse, Request, Sanic, Unauthorized, empty, file, json

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.sanic import inbox_blueprint

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
sessions: dict[str, str] = {}  # in a store that all of the workers share
app = Sanic("example")


async def current_recipient(request: Request) -> Recipient | None:
    user = sessions.get(request.cookies.get("session") or "")
    return Recipient(user) if user else None


app.blueprint(inbox_blueprint(inbox, current_recipient))


@app.get("/")
async def page(request: Request) -> HTTPResponse:
    return await file(Path(__file__).with_name("page.html"))


@app.post("/login")
async def login(request: Request) -> HTTPResponse:
    session = secrets.token_urlsafe()
    sessions[session] = request.json["user"]  # once you have checked the password
    response = empty()
    response.add_cookie("session", session, httponly=True, samesite="Lax", secure=False)
    return response


@app.post("/logout")
async def logout(request: Request) -> HTTPResponse:
    if (recipient := await current_recipient(request)) is not None:
        sessions.pop(request.cookies.get("session") or "")
        hub.end(recipient)  # the streams that were opened with this session
    return empty()


@app.post("/send")
async def send(request: Request) -> HTTPResponse:
    recipient = await current_recipient(request)
    if recipient is None:
        raise Unauthorized
    await inbox.send(recipient, request.json["type"], request.json["data"], key=request.json["key"])
    return empty()


@app.get("/status")
async def status(request: Request) -> HTTPResponse:
    return json({"streams": hub.stats().streams})
