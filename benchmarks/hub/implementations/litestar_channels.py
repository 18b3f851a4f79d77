"""Litestar's channels and its ServerSentEvent, with the memory backend or the Redis one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from litestar import Litestar, get, post
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.channels.backends.redis import RedisChannelsPubSubBackend
from litestar.response import ServerSentEvent, ServerSentEventMessage

from . import PAYLOAD


def make_channels() -> ChannelsPlugin:
    if url := os.environ.get("BENCH_REDIS"):
        from redis.asyncio import Redis

        return ChannelsPlugin(RedisChannelsPubSubBackend(redis=Redis.from_url(url)), arbitrary_channels_allowed=True)
    return ChannelsPlugin(MemoryChannelsBackend(), arbitrary_channels_allowed=True)


@get("/stream")
async def stream(key: str, channels: ChannelsPlugin) -> ServerSentEvent:
    async def events() -> AsyncIterator[ServerSentEventMessage]:
        async with channels.start_subscription([key]) as subscriber:
            async for data in subscriber.iter_events():
                yield ServerSentEventMessage(data=data.decode(), event="notification", sep="\n")

    return ServerSentEvent(events())


@post("/publish", status_code=204)
async def publish(first: int, keys: int, events: int, channels: ChannelsPlugin) -> None:
    for key in range(first, first + keys):
        for _ in range(events):
            channels.publish(PAYLOAD, str(key))


app = Litestar([stream, publish], plugins=[make_channels()])
