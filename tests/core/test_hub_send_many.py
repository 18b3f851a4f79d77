"""A send to many recipients does not block the event loop, and later events are delivered after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from notistore import Inbox, MemoryStore, Notification, Recipient, SseHub
from notistore.hub.events import Event

MANY = [Recipient(str(n)) for n in range(5_000)]


class Unsliced(MemoryStore):
    """Stores many rows without yielding to the event loop, as a driver does once it has its arguments."""

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        pass


async def turns_during(work: Any) -> int:
    """How often another task ran in the meantime."""
    turns, done = 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(other())
    await work
    done = True
    await counting
    return turns


@pytest.mark.parametrize("key", [None, "k"])
async def test_the_event_loop_has_turns_while_many_are_sent_to(key: str | None) -> None:
    hub = SseHub()
    hub.subscribe(MANY[0])
    assert await turns_during(Inbox(Unsliced(), hub).send_many(MANY, "t", key=key)) > len(MANY) / 250
    if key is None:  # what is left is published a hundred at a time, by flush and by the hub in turns
        assert await turns_during(hub.flush()) >= len(MANY) / 200 - 1


async def test_every_stream_gets_its_own_row_and_later_sends_arrive_later() -> None:
    hub = SseHub()
    inbox = Inbox(MemoryStore(), hub)
    streams = [hub.subscribe(recipient) for recipient in MANY]
    sent = await inbox.send_many(MANY, "first")
    later = await inbox.send(MANY[-1], "later")
    await hub.flush()
    for row, stream in zip(sent, streams, strict=True):
        frames = Event.notification(row).encode()
        if stream is streams[-1]:
            frames += Event.notification(later).encode()
        assert await anext(stream) == frames


async def test_a_hub_that_closes_meanwhile_ends_its_streams_at_once() -> None:
    hub = SseHub()
    last = hub.subscribe(MANY[-1])
    await Inbox(Unsliced(), hub).send_many(MANY, "t")
    await hub.aclose()
    assert [data async for data in last] == []
    assert last.ended == "closed"
