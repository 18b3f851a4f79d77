"""How tests read streams: to a mark, so that what should not come has had its time to come."""

from __future__ import annotations

import asyncio

from notistore.hub import Subscription
from notistore.sse import Event

DONE = Event("done")


async def until(stream: Subscription, mark: bytes, *, within: float = 10.0) -> bytes:
    """All that comes up to and with the piece that holds `mark`."""
    read = b""
    async with asyncio.timeout(within):
        while mark not in read:
            read += await anext(stream)
    return read


async def until_done(stream: Subscription, *, within: float = 10.0) -> list[bytes]:
    """The frames before DONE."""
    return (await until(stream, DONE.encode(), within=within)).split(DONE.encode())[0].split(b"\n\n")[:-1]


def frame(event: Event) -> bytes:
    return event.encode().removesuffix(b"\n\n")
