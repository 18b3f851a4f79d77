"""An ASGI app for tests of servers: an inbox with streams, `POST /publish?n=` and `GET /stats`.

`NOTISTORE_AROUND=1` adds a middleware that wraps `send`, `NOTISTORE_DIRECT_WRITES=0` turns direct writes off.
"""

from __future__ import annotations

import asyncio
import json
import os

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notistore import Event, Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

USER = Recipient("42")

hub = SseHub(direct_writes=os.environ.get("NOTISTORE_DIRECT_WRITES") != "0", backlog=2**20)
inbox = inbox_app(Inbox(MemoryStore(), hub), lambda request: USER)


def event(number: int) -> Event:
    """An event whose size depends on its number. Two hundred of them fit into a backlog."""
    return Event("number", f"{number}:" + "x" * 5 ** (number % 6))


async def control(request: Request) -> Response:
    if request.url.path == "/publish":
        for number in range(int(request.query_params["n"])):
            hub.publish(USER, event(number))
            if number % 3:
                await asyncio.sleep(0)
    return Response(json.dumps({"ended": hub.stats().ended, "streams": hub.stats().streams}))


def yielding_middleware(app: ASGIApp) -> ASGIApp:
    async def wrapped_app(scope: Scope, receive: Receive, send: Send) -> None:
        async def wrapped(message: Message) -> None:
            await asyncio.sleep(0)
            await send(message)

        await app(scope, receive, wrapped)

    return wrapped_app


streams = yielding_middleware(inbox) if os.environ.get("NOTISTORE_AROUND") == "1" else inbox


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] in ("/publish", "/stats"):
        await (await control(Request(scope)))(scope, receive, send)
    else:
        await streams(scope, receive, send)
