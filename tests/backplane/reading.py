"""Reading streams up to a marker event, so that an event that must not arrive would have arrived before it."""

from __future__ import annotations

import asyncio

from notistore.hub import Subscription
from notistore.hub.events import HEARTBEAT, Event

DONE = Event("done")


async def until(stream: Subscription, mark: bytes, *, within: float = 60.0) -> bytes:
    """Read up to and including the chunk that contains `mark`."""
    read = b""
    async with asyncio.timeout(within):
        while mark not in read:
            read += await anext(stream)
    return read


async def until_done(stream: Subscription, *, within: float = 60.0) -> list[bytes]:
    """The frames before DONE, without heartbeats, which a slow machine receives."""
    read = (await until(stream, DONE.encode(), within=within)).split(DONE.encode())[0]
    return [frame for frame in read.split(b"\n\n")[:-1] if frame + b"\n\n" != HEARTBEAT]


def frame(event: Event) -> bytes:
    return event.encode().removesuffix(b"\n\n")
