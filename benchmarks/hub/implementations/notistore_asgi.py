"""notistore's own ASGI app, mounted in Starlette; optionally through Redis, and with rows in a database."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, Notification, Recipient, SseHub
from notistore.hub.backplane import Backplane
from notistore.hub.events import Event
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
    return SseHub(backplane, secret="one of the benchmark's", heartbeat=heartbeat, streams_per_recipient=50_000)


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


class Unstored(MemoryStore):
    """Takes no time to store many rows."""

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        pass


async def send_many(request: Request) -> Response:
    """To recipients that have a stream each; the answer's header says how long other work had to wait at most."""
    own = SseHub(streams=10**6)
    to = [Recipient(str(n)) for n in range(int(request.query_params["n"]))]
    streams = [own.subscribe(recipient) for recipient in to]
    gc.collect()
    gc.freeze()  # a collection of all these streams is no part of it, and may come at any time
    longest, done = 0.0, False

    async def other_work() -> None:
        nonlocal longest
        while not done:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    working = asyncio.create_task(other_work())
    await Inbox(Unstored(), own).send_many(to, "invoice.paid", PAYLOAD["data"])
    while own.stats().delivered < len(to):  # noqa: ASYNC110 - other work is to have its turn
        await asyncio.sleep(0)
    done = True
    await working
    gc.unfreeze()
    for stream in streams:
        stream.end("left")
    return Response(headers={"x-longest-turn": f"{1000 * longest:.1f}"})


hub = make_hub()
store = make_store()
inbox = Inbox(store, hub)
app = Starlette(
    routes=[
        Route("/publish", publish, methods=["POST"]),
        Route("/send-many", send_many, methods=["POST"]),
        Mount("/", inbox_app(inbox, recipient)),
    ],
    lifespan=lifespan,
)
