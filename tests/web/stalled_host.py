"""Applications for tests of clients that stop reading: `NOTISTORE_HOST` selects one of them.

`POST /publish` publishes more than the kernel buffers for a connection, `GET /stats` gives the hub's statistics.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from notistore import Event, Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_websocket
from notistore.web.fastapi import inbox_router
from tests.django_project.asgi import inbox_application

USER = Recipient("42")

gc.disable()  # a stream that only its garbage collection would end stays open
hub = SseHub(backlog=20_000_000)
inbox = Inbox(MemoryStore(), hub)
fastapi = FastAPI()
fastapi.include_router(inbox_router(inbox, lambda: USER), prefix="/api")
fastapi.add_api_websocket_route("/api/notifications/ws", inbox_websocket(inbox, lambda connection: USER))
streams = {"fastapi": fastapi, "django": inbox_application(inbox)}[os.environ["NOTISTORE_HOST"]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] in ("/publish", "/stats"):
        if scope["path"] == "/publish":
            for size in (8_000_000, *range(1, 9)):
                hub.publish(USER, Event("filler", "x" * size))
                await asyncio.sleep(0.01)  # so that they are written one by one: granian reads some ahead
        stats = hub.stats()
        answer = Response(json.dumps({"ended": stats.ended, "streams": stats.streams}))
        await answer(scope, receive, send)
    else:
        await streams(scope, receive, send)
