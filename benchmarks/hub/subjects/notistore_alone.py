"""notistore's ASGI app with nothing around it but a branch for `/publish`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from notistore.web import inbox_app

from .notistore_asgi import inbox, publish, recipient

mounted = inbox_app(inbox, recipient)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/publish":
        await (await publish(Request(scope)))(scope, receive, send)
    else:
        await mounted(scope, receive, send)
