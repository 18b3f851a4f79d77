"""What every backplane does while its server is there; the hubs of a test share nothing but the server."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack

import pytest

from notistore import Inbox, MemoryStore, Recipient
from notistore.sse import Event

from .conftest import Service
from .kinds import KINDS
from .processes import process, publish_numbers
from .reading import DONE, frame, until, until_done
from .servers import Wire

USER = Recipient("42")

# A cluster's nodes name their own addresses, past any proxy.
one_server = pytest.mark.parametrize("service", [kind for kind in KINDS if kind != "cluster"], indirect=True)


async def test_events_of_another_process_come_once_and_in_order(service: Service) -> None:
    ids = [f"user {n}" for n in range(50)]
    async with service.hub() as hub, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(hub.subscribe(Recipient(id))) for id in ids]
        async with process(publish_numbers, *service.parts, ids, 40):
            for stream in streams:
                assert await until_done(stream, within=20) == [frame(Event("number", n)) for n in range(40)]
        assert hub.stats().gaps == 0


async def test_own_events_are_not_doubled(service: Service) -> None:
    async with service.hub() as one, service.hub() as other, one.subscribe(USER) as stream:
        for number in range(5):
            one.publish(USER, Event("mine", number))
            await one.flush()
        other.publish(USER, DONE)
        assert await until_done(stream) == [frame(Event("mine", number)) for number in range(5)]


async def test_events_reach_every_stream_on_every_hub_and_no_other_recipient(service: Service) -> None:
    hostile = ["*", ">", "a.b", "{a}b", "ä ö", "a b", "'; --", "%s", "\N{SNOWMAN}" * 100, "42"]
    users = [Recipient(id, tenant=tenant) for id in hostile for tenant in (None, "{t}", "*")]
    async with service.hub() as one, service.hub() as two, service.hub() as sender, AsyncExitStack() as stack:
        streams = [
            (user, await stack.enter_async_context(hub.subscribe(user))) for user in users for hub in (one, two, one)
        ]
        for n, user in enumerate(users):
            sender.publish(user, Event("yours", n))
            sender.publish(user, DONE)
        for user, stream in streams:
            assert await until_done(stream) == [frame(Event("yours", users.index(user)))], user


async def test_a_thousand_streams_that_open_at_once_miss_nothing(service: Service) -> None:
    async with service.hub() as hub, service.hub() as sender:

        async def visit(n: int) -> list[bytes]:
            user = Recipient(str(n))
            async with hub.subscribe(user) as stream:
                sender.publish(user, Event("hello", n), DONE)
                return await until_done(stream, within=30)

        heard = await asyncio.gather(*(visit(n) for n in range(1000)))
        assert heard == [[frame(Event("hello", n))] for n in range(1000)]
        assert hub.stats().gaps == 0


@one_server
async def test_a_stream_has_not_begun_before_the_server_knows_of_it(service: Service) -> None:
    async with (
        Wire(service.url, delay=0.1) as slow,
        service.hub(slow.url) as hub,
        service.hub() as sender,
        hub.subscribe(USER) as stream,
    ):
        sender.publish(USER, Event("hello"), DONE)
        assert await until_done(stream) == [frame(Event("hello"))]


async def test_streams_that_come_and_go_miss_nothing(service: Service) -> None:
    async with service.hub() as hub, service.hub() as sender:

        async def come_and_go(user: Recipient) -> None:
            for n in range(20):
                async with hub.subscribe(user) as stream:
                    sender.publish(user, Event("visit", n), DONE)
                    assert frame(Event("visit", n)) in await until_done(stream)

        await asyncio.gather(*(come_and_go(Recipient(str(n % 10), tenant=str(n // 20))) for n in range(40)))


async def test_the_largest_notification_arrives(service: Service) -> None:
    async with service.hub() as hub, service.hub() as other, hub.subscribe(USER) as stream:
        inbox = Inbox(MemoryStore(), other)
        text = "\N{SNOWMAN}" * 21_000  # 63 kB of UTF-8
        other.publish(USER, Event("before"))
        await inbox.send(USER, "long", {"text": text})
        other.publish(USER, Event("after"), DONE)
        before, long, after = await until_done(stream)
        assert (before, after) == (frame(Event("before")), frame(Event("after")))
        assert json.loads(long.split(b"data: ")[1])["data"]["text"] == text


@one_server
async def test_a_node_gets_no_traffic_of_recipients_it_has_no_stream_of(service: Service) -> None:
    async with Wire(service.url) as wire, service.hub(wire.url) as hub, service.hub() as sender:
        async with hub.subscribe(USER) as stream:
            others = [Recipient(f"other {n}") for n in range(100)]
            for other in others:
                sender.publish(other, Event("x", "x" * 10_000))
            await sender.flush()
            sender.publish(USER, DONE)
            await until_done(stream)
        # PostgreSQL's recipients share 64 channels, so that a few of the hundred come along.
        assert wire.received < 0.2 * 100 * 10_000


async def test_a_broadcast_reaches_every_stream_once(service: Service) -> None:
    async with service.hub() as one, service.hub() as two, AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(hub.subscribe(Recipient(str(n)))) for hub in (one, two) for n in range(3)
        ]
        two.broadcast(Event("maintenance"), DONE)
        for stream in streams:
            assert await until_done(stream) == [frame(Event("maintenance"))]


async def test_any_thread_may_publish(service: Service) -> None:
    async with service.hub() as hub, service.hub() as other, hub.subscribe(USER) as stream:

        def publish() -> None:
            for n in range(10):
                other.publish(USER, Event("number", n))
            other.publish(USER, DONE)

        thread = threading.Thread(target=publish)
        thread.start()
        assert await until_done(stream) == [frame(Event("number", n)) for n in range(10)]
        thread.join()


async def test_what_was_published_leaves_before_the_hub_closes(service: Service) -> None:
    async with service.hub() as hub, hub.subscribe(USER) as stream:
        async with service.hub() as brief:
            for n in range(100):
                brief.publish(USER, Event("number", n))
        async with service.hub() as later:
            later.publish(USER, DONE)
            assert len(await until_done(stream)) == 100


async def test_closing_ends_every_task_and_leaves_the_server_without_connections(service: Service) -> None:
    before = asyncio.all_tasks()
    async with service.backplane() as plane:
        for _ in range(2):
            heard = asyncio.Event()
            await plane.open(lambda key, message, heard=heard: heard.set(), lambda: None)  # type: ignore[misc]
            await plane.subscribe(["key"])
            await plane.publish([("key", b"\x00\xff")])
            async with asyncio.timeout(5):
                await heard.wait()
            await plane.close()
        assert asyncio.all_tasks() - before == set()


async def test_a_stream_is_told_at_once(service: Service) -> None:
    async with service.hub() as hub, service.hub() as other, hub.subscribe(USER) as stream:
        loop = asyncio.get_running_loop()
        took = []
        for n in range(20):
            start = loop.time()
            other.publish(USER, Event("number", n))
            await until(stream, Event("number", n).encode())
            took.append(loop.time() - start)
        assert sorted(took)[10] < 0.1
