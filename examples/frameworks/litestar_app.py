"""Litestar, with a session and the recipient as a dependency.

pip install "notistore[litestar]" uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn litestar_app:app
"""

from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, WebSocket, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.server_side import ServerSideSessionConfig

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.litestar import inbox_router

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store


async def current_recipient(request: Request[Any, Any, Any]) -> Recipient | None:
    user = request.session.get("user")
    return Recipient(user) if user else None


async def socket_recipient(socket: WebSocket[Any, Any, Any]) -> Recipient | None:
    user = socket.session.get("user")
    return Recipient(user) if user else None


@get("/", media_type=MediaType.HTML)
async def page() -> bytes:
    return Path(__file__).with_name("page.html").read_bytes()


@post("/login", status_code=204)
async def login(request: Request[Any, Any, Any], data: dict[str, str]) -> None:
    request.session["user"] = data["user"]  # once you have checked the password


@post("/logout", status_code=204)
async def logout(request: Request[Any, Any, Any]) -> None:
    if (recipient := await current_recipient(request)) is not None:
        request.clear_session()
        hub.end(recipient)  # the streams that were opened with this session


@post("/send", status_code=204)
async def send(request: Request[Any, Any, Any], data: dict[str, Any]) -> None:
    recipient = await current_recipient(request)
    if recipient is None:
        raise NotAuthorizedException
    await inbox.send(recipient, data["type"], data["data"], key=data["key"])


@get("/status")
async def status() -> dict[str, int]:
    return {"streams": hub.stats().streams}


app = Litestar(
    [page, login, logout, send, status, inbox_router(inbox, current_recipient, websocket=socket_recipient)],
    middleware=[ServerSideSessionConfig().middleware],
)
