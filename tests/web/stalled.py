"""A uvicorn that sends more than its client reads: `python -m tests.web.stalled <TCP_USER_TIMEOUT in ms>`.

Prints its port, then why the stream ended.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub.events import Event
from notistore.web import inbox_app

USER = Recipient("42")


def main(user_timeout: str) -> None:
    hub = SseHub()

    async def send() -> None:
        while not hub.stats().ended:
            hub.publish(USER, Event("filler", "x" * 50_000))
            await asyncio.sleep(0.001)
        print(*hub.stats().ended, flush=True)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(send())
        yield
        sending.cancel()

    app = Starlette(routes=[Mount("/", inbox_app(Inbox(MemoryStore(), hub), lambda _: USER))], lifespan=lifespan)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout))
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
