"""The WebSocket in aiohttp, Litestar and Quart: tokens, which each framework's own handshake has to carry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest
import quart
from aiohttp import web
from litestar import Litestar
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from notistore import Inbox, Recipient, SseHub
from notistore.web.aiohttp import inbox_routes
from notistore.web.litestar import inbox_router
from notistore.web.quart import inbox_blueprint
from notistore.web.websocket import UNAUTHENTICATED

from .served import Served, until

Host: TypeAlias = Callable[..., AbstractAsyncContextManager[str]]
LIMIT = 15  # seconds


def user_of(connection: Any) -> Recipient | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return Recipient(token) if scheme == "Bearer" else None


@pytest.fixture(params=["aiohttp", "litestar", "quart"])
def host(request: pytest.FixtureRequest, inbox: Inbox, uvicorn_server: Served) -> Host:
    """`async with host(token_timeout=...) as address`: of a WebSocket whose user is in its token."""

    @asynccontextmanager
    async def by_aiohttp(**options: Any) -> AsyncIterator[str]:
        app = web.Application()
        app.add_routes(inbox_routes(inbox, user_of, websocket=user_of, close_on_signals=False, **options))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()

    @asynccontextmanager
    async def by_uvicorn(**options: Any) -> AsyncIterator[str]:
        app: Any
        if request.param == "litestar":
            app = Litestar([inbox_router(inbox, lambda: None, websocket=user_of, **options)])
        else:
            app = quart.Quart(__name__)
            blueprint = inbox_blueprint(inbox, lambda: None, websocket=lambda: user_of(quart.websocket), **options)
            app.register_blueprint(blueprint)
        uvicorn_server.app = app
        yield uvicorn_server.url.replace("http", "ws")

    return by_aiohttp if request.param == "aiohttp" else by_uvicorn


async def test_a_token_may_be_a_subprotocol(host: Host, hub: SseHub) -> None:
    offered: Any = ["notistore", "bearer.42"]
    async with host() as url, asyncio.timeout(LIMIT):
        for slash in ("", "/"):
            async with connect(f"{url}/notifications/ws{slash}", subprotocols=offered, proxy=None) as socket:
                assert json.loads(await socket.recv())["data"] == {"count": 0}
                assert socket.subprotocol == "notistore"
                assert hub.is_online(Recipient("42"))
            await until(lambda: not hub.stats().streams)


async def test_a_token_may_be_the_first_message(host: Host, inbox: Inbox) -> None:
    async with host(token_timeout=LIMIT) as url, asyncio.timeout(LIMIT):
        async with connect(f"{url}/notifications/ws", proxy=None) as socket:
            await socket.send('{"type": "authenticate", "token": "42"}')
            assert json.loads(await socket.recv())["data"] == {"count": 0}
            sent = await inbox.send(Recipient("42"), "t")
            assert json.loads(await socket.recv())["data"]["id"] == sent.id
            await socket.send(json.dumps({"type": "mark_read", "ids": [sent.id]}))
            assert "marked" in {json.loads(await socket.recv())["event"] for _ in range(3)}
        async with connect(f"{url}/notifications/ws", proxy=None) as socket:
            await socket.send(b"\x00")
            await socket.wait_closed()
            assert socket.close_code == UNAUTHENTICATED


async def test_without_one_the_handshake_is_refused(host: Host) -> None:
    async with host() as url, asyncio.timeout(LIMIT):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{url}/notifications/ws", proxy=None)
        assert refused.value.response.status_code == 403
