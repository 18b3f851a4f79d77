"""notistore's own ASGI app, mounted in Starlette; through Redis, and with rows in a database, where told so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.backplane import Backplane
from notistore.sse import Event
from notistore.store import NotificationStore
from notistore.web import inbox_app

from . import PAYLOAD


def make_hub() -> SseHub:
    backplane: Backplane | None = None
    if url := os.environ.get("BENCH_REDIS"):
        from redis.asyncio import Redis

        from notistore_redis import RedisBackplane

        backplane = RedisBackplane(Redis.from_url(url))
    heartbeat = float(os.environ.get("BENCH_HEARTBEAT", "15"))
    return SseHub(backplane, heartbeat=heartbeat, streams_per_recipient=50_000)


def make_store() -> NotificationStore:
    if url := os.environ.get("BENCH_DATABASE"):
        from sqlalchemy.ext.asyncio import create_async_engine

        from notistore_sqlalchemy import SQLAlchemyStore

        return SQLAlchemyStore(create_async_engine(url))
    return MemoryStore()


def recipient(request: Request) -> Recipient:
    return Recipient(request.query_params.get("key", "0"))


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    if create_schema := getattr(store, "create_schema", None):
        await create_schema()
    for _ in range(20):
        await inbox.send(Recipient("0"), "invoice.paid", {})
    async with hub:
        yield


async def publish(request: Request) -> Response:
    first, keys, events = (int(request.query_params[name]) for name in ("first", "keys", "events"))
    for key in range(first, first + keys):
        to = Recipient(str(key))
        for _ in range(events):
            hub.publish(to, Event("notification", PAYLOAD))
    return Response(status_code=204)


hub = make_hub()
store = make_store()
inbox = Inbox(store, hub)
app = Starlette(
    routes=[Route("/publish", publish, methods=["POST"]), Mount("/", inbox_app(inbox, recipient))],
    lifespan=lifespan,
)
