"""A backplane's server that crashes, stops responding or is not started yet; what streams receive afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub import Subscription
from notistore.hub.events import REFETCH, Event

from .conftest import Service
from .kinds import SECRET
from .reading import DONE, until, until_done
from .servers import FaultyProxy

USER = Recipient("42")


@asynccontextmanager
async def open_streams(
    hub: SseHub, users: Sequence[Recipient], counter: Inbox | None = None
) -> AsyncIterator[list[Subscription]]:
    async with AsyncExitStack() as stack:
        streams = [hub.subscribe(user, counter=counter) for user in users]
        for stream in streams:
            stack.push_async_exit(stream)
        await asyncio.gather(*(stream.__aenter__() for stream in streams))
        yield streams


async def wait_until_failing(hub: SseHub) -> None:
    """Return once a publish of the hub has failed."""
    async with asyncio.timeout(60):
        while hub.stats().backplane != "failing":  # noqa: ASYNC110 - the hub only has this to say it with
            await asyncio.sleep(0.01)


async def wait_until_recovered(hub: SseHub) -> None:
    """Return once every event is published, or replaced by a refetch."""
    async with asyncio.timeout(60):
        await hub.flush()


class Counted(MemoryStore):
    """Records for how many recipients each query counts."""

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
            await inbox.send(user, "test", publish=False)
        loop = asyncio.get_running_loop()
        async with open_streams(hub, users, inbox) as streams:

            async def read_fresh_count(stream: Subscription, unread: int) -> float:
                await until(stream, Event.count(unread).encode())
                return loop.time()

            counts = [asyncio.create_task(read_fresh_count(stream, 1 - n % 2)) for n, stream in enumerate(streams)]
            assert own_service.server is not None
            own_service.server.kill()
            await asyncio.to_thread(own_service.server.start)
            back = loop.time()
            received_at = await asyncio.gather(*counts)
        assert store.queries[:10] == [100] * 10, "it counted for fewer at a time"
        assert max(received_at) - back < 60.0, "it was long in noticing that the server is back, or in counting"


async def test_recipients_that_lost_events_refetch(own_service: Service) -> None:
    async with own_service.hub() as hub, own_service.hub() as sender, hub.subscribe(USER) as stream:
        assert own_service.server is not None
        own_service.server.kill()
        sender.publish(USER, Event("lost"))
        await wait_until_failing(sender)
        await asyncio.to_thread(own_service.server.start)
        # Whichever connects first: the sender announces it, or the hub knows by itself that it may have missed it.
        await until(stream, REFETCH.encode())
        await wait_until_recovered(sender)
        sender.publish(USER, DONE)
        await until_done(stream)
        assert sender.stats().publish_failures > 0


async def test_a_half_open_listening_connection_is_detected(own_service: Service) -> None:
    async with FaultyProxy(own_service.url) as proxy, own_service.hub(proxy.url) as hub, own_service.hub() as sender:
        inbox = Inbox(MemoryStore(), hub)
        await inbox.send(USER, "test", publish=False)
        async with hub.subscribe(USER, counter=inbox) as stream:
            proxy.discard_silently()
            sender.publish(USER, Event("lost"))
            assert b"lost" not in await until(stream, Event.count(1).encode())
            sender.publish(USER, Event("found"), DONE)
            assert Event("found").encode().strip() in await until_done(stream)


async def test_a_half_open_publishing_connection_is_detected(own_service: Service) -> None:
    async with (
        FaultyProxy(own_service.url) as proxy,
        own_service.hub(proxy.url) as hub,
        own_service.hub() as other,
        other.subscribe(USER) as stream,
    ):
        hub.publish(USER, DONE)
        await until_done(stream)
        await hub.flush()  # otherwise this reply would be lost, and the following messages sent on a new connection
        proxy.discard_silently()
        hub.publish(USER, Event("lost"))
        assert b"lost" not in await until(stream, REFETCH.encode())
        await wait_until_recovered(hub)


async def test_an_application_starts_while_its_backplane_is_down(own_service: Service) -> None:
    assert own_service.server is not None
    own_service.server.kill()
    try:
        async with own_service.hub() as hub, own_service.hub() as other:
            async with asyncio.timeout(60):
                stream = await hub.subscribe(USER).__aenter__()
            async with stream:
                hub.publish(USER, Event("local"), DONE)
                assert await until_done(stream) == [Event("local").encode().strip()]
                other.publish(USER, Event("lost"))
                await asyncio.to_thread(own_service.server.start)
                await until(stream, REFETCH.encode())
                await wait_until_recovered(other)
                other.publish(USER, DONE)
                await until_done(stream)
    finally:
        await asyncio.to_thread(own_service.server.restart)


async def test_a_backplane_that_cannot_be_opened_is_opened_again(own_service: Service) -> None:
    """The relay retries `open`, with a real backplane whose first attempts raise."""
    attempts = []
    async with own_service.backplane() as plane:
        opened = plane.open

        async def fail_twice_then_open(*args: object) -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise OSError("no address")
            await opened(*args)  # type: ignore[arg-type]

        plane.open = fail_twice_then_open  # type: ignore[method-assign]
        async with SseHub(plane, secret=SECRET) as hub, own_service.hub() as other, hub.subscribe(USER) as stream:
            other.publish(USER, Event("hello"), DONE)
            assert await until_done(stream) == [Event("hello").encode().strip()]
        assert len(attempts) == 3


async def test_a_stream_that_ends_before_it_is_subscribed_leaves_nothing_behind(own_service: Service) -> None:
    async with own_service.hub() as hub:
        tasks = [asyncio.create_task(hub.subscribe(Recipient(str(n))).__aenter__()) for n in range(100)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with hub.subscribe(USER):
            assert hub.stats().streams == 1
            assert hub._relay is not None
            assert hub._relay._to_subscribe == {}
