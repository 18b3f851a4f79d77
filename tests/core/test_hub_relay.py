"""How a hub uses its backplane: how many calls it makes, and for how many keys each."""

from __future__ import annotations

import asyncio

import pytest

from notistore import Event, Recipient, SseHub
from notistore.hub.streams import EVERYONE, key_of

from .memory_backplane import MemoryBackplane

USERS = [Recipient(str(n)) for n in range(2_500)]


async def settled(plane: MemoryBackplane, keys: set[str]) -> None:
    """Return once exactly these keys are subscribed, in addition to the broadcast key."""
    async with asyncio.timeout(60):
        while plane.keys != keys | {EVERYONE}:  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0)


async def test_a_storm_of_streams_is_a_few_calls() -> None:
    plane = MemoryBackplane()
    async with SseHub(plane) as hub:
        streams = [hub.subscribe(user) for user in USERS]
        await asyncio.gather(*(stream.__aenter__() for stream in streams))
        assert sum(plane.subscribed) == 2_501
        assert len(plane.subscribed) <= 4, "at most a thousand at a time"
        for stream in streams:
            stream.end("left")
        await settled(plane, set())
        assert sum(plane.unsubscribed) == 2_500
        assert len(plane.unsubscribed) == 3


async def test_a_stream_that_comes_or_goes_is_one_key_however_many_stay() -> None:
    plane = MemoryBackplane()
    async with SseHub(plane) as hub:
        streams = [hub.subscribe(user) for user in USERS]
        await asyncio.gather(*(stream.__aenter__() for stream in streams))
        plane.subscribed.clear()
        for n in range(3):
            streams[n].end("left")
            async with hub.subscribe(Recipient(f"another {n}")):
                pass
        await settled(plane, {key_of(user) for user in USERS[3:]})
        assert plane.subscribed == [1, 1, 1]
        assert sum(plane.unsubscribed) == 6


async def test_a_recipient_who_leaves_and_returns_at_once_stays_subscribed() -> None:
    plane, user = MemoryBackplane(), USERS[0]
    async with SseHub(plane) as hub:
        async with hub.subscribe(user):
            pass
        async with hub.subscribe(user):
            await asyncio.sleep(0)
            assert plane.unsubscribed == []
            assert key_of(user) in plane.keys
        await settled(plane, set())


@pytest.mark.parametrize("turns", range(6))
async def test_streams_are_subscribed_however_leaving_and_returning_interleave(turns: int) -> None:
    """Streams of one recipient that open and close while a slow `subscribe` is under way."""

    class Slow(MemoryBackplane):
        async def subscribe(self, keys: object) -> None:
            await asyncio.sleep(0)
            await super().subscribe(keys)  # type: ignore[arg-type]
            await asyncio.sleep(0)

        async def unsubscribe(self, keys: object) -> None:
            await asyncio.sleep(0)
            await super().unsubscribe(keys)  # type: ignore[arg-type]
            await asyncio.sleep(0)

    plane, user = Slow(), USERS[0]
    async with SseHub(plane) as hub:
        for _ in range(20):
            stream = hub.subscribe(user)
            joining = asyncio.create_task(stream.__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            stream.end("left")
            await joining
        async with hub.subscribe(user):
            assert key_of(user) in plane.keys
        await settled(plane, set())


async def test_many_messages_are_published_a_thousand_at_a_time_and_one_recipients_are_joined() -> None:
    plane = MemoryBackplane()
    async with SseHub(plane) as hub:
        for user in USERS:
            hub.publish(user, Event("one"))
            hub.publish(user, Event("two"))
        await hub.flush()
        assert plane.published == [1000, 1000, 500]


async def test_joined_events_are_no_larger_than_a_backplane_has_to_carry() -> None:
    plane = MemoryBackplane()
    async with SseHub(plane, secret="shared by the processes") as hub:
        for _ in range(40):
            hub.publish(USERS[0], Event("large", "x" * 10_000))
        await hub.flush()
        assert plane.published == [4]


async def test_a_hub_that_was_closed_can_be_entered_again() -> None:
    plane = MemoryBackplane()
    hub = SseHub(plane, secret="only these hubs know")
    for _ in range(2):
        async with hub, hub.subscribe(USERS[0]) as stream:
            hub.publish(USERS[0], Event("notification"))
            assert await anext(stream) == Event("notification").encode()
            assert plane.keys == {EVERYONE, key_of(USERS[0])}
        assert stream.ended == "left"
    assert plane.published == [1, 1]


def test_a_hub_publishes_from_its_next_event_loop_too() -> None:
    plane = MemoryBackplane()
    hub = SseHub(plane)

    async def job() -> None:
        hub.publish(USERS[0], Event("notification"))
        await hub.flush()

    for _ in range(2):
        asyncio.run(job())
    assert plane.published == [1, 1]
    with pytest.raises(RuntimeError, match="needs an event loop"):
        hub.publish(USERS[0], Event("notification"))
