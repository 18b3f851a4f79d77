"""A web process of an application: `python -m tests.clusters.application <arguments as JSON>`; prints its address."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from notistore import Inbox, Recipient, SseHub
from notistore.errors import StoreError
from notistore.web import inbox_app

from .stores import STORES, open_backplane


async def main(store: str, url: str, backplane: str, port: int) -> None:
    """Serve the inbox, and `POST /send/{user}`, as an application would.

    Args:
        store: its name in STORES.
        url: its database's.
        backplane: the URL of the backplane's server.
        port: to listen on; 0 for any free port.
    """
    logging.basicConfig(level=logging.WARNING)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(STORES[store](url))
        hub = SseHub(await stack.enter_async_context(open_backplane(backplane)))
        inbox = Inbox(opened, hub)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with hub:
                yield

        async def send(request: Request) -> Response:
            """Body: the notification's data. `?key=` updates in place. Returns its id, or the error."""
            user, key = Recipient(request.path_params["user"]), request.query_params.get("key")
            try:
                sent = await inbox.send(user, "test", await request.json(), key=key)
            except StoreError as error:
                return Response(f"{type(error).__name__}: {error}", 503)
            except Exception as error:
                logging.exception("not a StoreError")
                return Response(f"{type(error).__name__}: {error}", 500)
            return Response(sent.id)

        routes = [
            Route("/send/{user}", send, methods=["POST"]),
            Route("/health", lambda request: Response()),
            Mount("/", inbox_app(inbox, lambda request: Recipient(request.headers["x-user"]))),
        ]
        with socket.create_server(("127.0.0.1", port), backlog=2048) as listening:
            print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
            config = uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), log_level="warning", backlog=2048)
            await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
