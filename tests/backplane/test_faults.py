"""A backplane's server that dies, falls silent or is not there yet; what streams are told afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub import Subscription
from notistore.sse import SOMETHING_CHANGED, Event

from .conftest import Service
from .reading import DONE, until, until_done
from .servers import Wire

USER = Recipient("42")


@asynccontextmanager
async def streams_of(hub: SseHub, users: Sequence[Recipient]) -> AsyncIterator[list[Subscription]]:
    async with AsyncExitStack() as stack:
        streams = [hub.subscribe(user) for user in users]
        for stream in streams:
            stack.push_async_exit(stream)
        await asyncio.gather(*(stream.__aenter__() for stream in streams))
        yield streams


async def failing(hub: SseHub) -> None:
    """Return once the hub has found that it cannot publish."""
    async with asyncio.timeout(10):
        while hub.stats().backplane != "failing":  # noqa: ASYNC110 - the hub only has this to say it with
            await asyncio.sleep(0.01)


async def recovered(hub: SseHub) -> None:
    """Return once everything is published, or told to refetch."""
    async with asyncio.timeout(15):
        await hub.flush()


class Counted(MemoryStore):
    """Notes for how many recipients each query counts."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[int] = []

    async def unread_counts(self, recipients: Sequence[Recipient], **options: Any) -> Mapping[Recipient, int]:
        self.queries.append(len(recipients))
        return await super().unread_counts(recipients, **options)


async def test_after_a_crash_every_stream_gets_a_fresh_count_soon(own_service: Service) -> None:
    users = [Recipient(str(n)) for n in range(1000)]
    store = Counted()
    async with own_service.hub() as hub:
        inbox = Inbox(store, hub)
        for user in users[::2]:
            await inbox.send(user, "test", push=False)
        loop = asyncio.get_running_loop()
        async with streams_of(hub, users) as streams:

            async def fresh(stream: Subscription, unread: int) -> float:
                await until(stream, Event.count(unread).encode(), within=30)
                return loop.time()

            counts = [asyncio.create_task(fresh(stream, 1 - n % 2)) for n, stream in enumerate(streams)]
            assert own_service.server is not None
            own_service.server.kill()
            await asyncio.to_thread(own_service.server.start)
            back = loop.time()
            told_at = await asyncio.gather(*counts)
        assert store.queries[:10] == [100] * 10, "it counted for fewer at a time"
        assert max(told_at) - min(told_at) < 2.0
        assert min(told_at) - back < 4.0, "it was long in noticing that the server is back"


async def test_recipients_that_could_not_be_told_are_told_to_refetch(own_service: Service) -> None:
    async with own_service.hub() as hub, own_service.hub() as sender, hub.subscribe(USER) as stream:
        assert own_service.server is not None
        own_service.server.kill()
        sender.publish(USER, Event("lost"))
        await failing(sender)
        await asyncio.to_thread(own_service.server.start)
        # Whichever connects first: the sender announces it, or the hub knows by itself that it may have missed it.
        await until(stream, SOMETHING_CHANGED.encode())
        await recovered(sender)
        sender.publish(USER, DONE)
        await until_done(stream)
        assert sender.stats().publish_failures > 0


async def test_a_listener_that_is_half_open_is_noticed_within_seconds(own_service: Service) -> None:
    async with Wire(own_service.url) as wire, own_service.hub(wire.url) as hub, own_service.hub() as sender:
        inbox = Inbox(MemoryStore(), hub)
        await inbox.send(USER, "test", push=False)
        async with hub.subscribe(USER) as stream:
            wire.go_dead()
            sender.publish(USER, Event("lost"))
            assert b"lost" not in await until(stream, Event.count(1).encode(), within=6)
            sender.publish(USER, Event("found"), DONE)
            assert Event("found").encode().strip() in await until_done(stream)


async def test_a_publisher_that_is_half_open_is_noticed_within_seconds(own_service: Service) -> None:
    async with (
        Wire(own_service.url) as wire,
        own_service.hub(wire.url) as hub,
        own_service.hub() as other,
        other.subscribe(USER) as stream,
    ):
        hub.publish(USER, DONE)
        await until_done(stream)
        await hub.flush()  # or the answer to this would be what is lost, and what follows it would go out anew
        wire.go_dead()
        hub.publish(USER, Event("lost"))
        assert b"lost" not in await until(stream, SOMETHING_CHANGED.encode(), within=6)
        await recovered(hub)


async def test_an_application_starts_while_its_backplane_is_down(own_service: Service) -> None:
    assert own_service.server is not None
    own_service.server.kill()
    try:
        async with own_service.hub() as hub, own_service.hub() as other:
            async with asyncio.timeout(3):
                stream = await hub.subscribe(USER).__aenter__()
            async with stream:
                hub.publish(USER, Event("local"), DONE)
                assert await until_done(stream) == [Event("local").encode().strip()]
                other.publish(USER, Event("lost"))
                await asyncio.to_thread(own_service.server.start)
                await until(stream, SOMETHING_CHANGED.encode())
                await recovered(other)
                other.publish(USER, DONE)
                await until_done(stream)
    finally:
        await asyncio.to_thread(own_service.server.restart)


async def test_a_backplane_that_cannot_be_opened_is_opened_again(own_service: Service) -> None:
    """The relay's own patience, with a real backplane whose first attempts raise."""
    attempts = []
    async with own_service.backplane() as plane:
        opened = plane.open

        async def reluctant(*args: object) -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise OSError("no address")
            await opened(*args)  # type: ignore[arg-type]

        plane.open = reluctant  # type: ignore[method-assign]
        async with SseHub(plane) as hub, own_service.hub() as other, hub.subscribe(USER) as stream:
            other.publish(USER, Event("hello"), DONE)
            assert await until_done(stream) == [Event("hello").encode().strip()]
        assert len(attempts) == 3


async def test_a_stream_that_ends_before_it_is_subscribed_leaves_nothing_behind(own_service: Service) -> None:
    async with own_service.hub() as hub:
        visits = [asyncio.create_task(hub.subscribe(Recipient(str(n))).__aenter__()) for n in range(100)]
        await asyncio.sleep(0)
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        async with hub.subscribe(USER):
            assert hub.stats().streams == 1
            assert hub._relay is not None
            assert hub._relay._joining == {}
