"""What every backplane does while its server is up. The hubs of a test share only the server."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack

import pytest

from notistore import Inbox, MemoryStore, Recipient
from notistore.hub.events import REFETCH, Event
from notistore.hub.streams import key_of

from .conftest import Service
from .kinds import KINDS
from .processes import process, publish_numbers
from .reading import DONE, frame, until, until_done
from .servers import FaultyProxy

USER = Recipient("42")

# A cluster's nodes name their own addresses, past any proxy.
one_server = pytest.mark.parametrize("service", [kind for kind in KINDS if kind != "cluster"], indirect=True)


async def test_events_of_another_process_come_once_and_in_order(service: Service) -> None:
    ids = [f"user {n}" for n in range(50)]
    async with service.hub() as hub, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(hub.subscribe(Recipient(id))) for id in ids]
        async with process(publish_numbers, *service.parts, ids, 40):
            for stream in streams:
                assert await until_done(stream) == [frame(Event("number", n)) for n in range(40)]
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

        async def open_stream_and_read(n: int) -> list[bytes]:
            user = Recipient(str(n))
            async with hub.subscribe(user) as stream:
                sender.publish(user, Event("hello", n), DONE)
                return await until_done(stream)

        received = await asyncio.gather(*(open_stream_and_read(n) for n in range(1000)))
        assert received == [[frame(Event("hello", n))] for n in range(1000)]
        assert hub.stats().gaps == 0


@one_server
async def test_a_stream_begins_only_after_the_server_has_subscribed_it(service: Service) -> None:
    async with (
        FaultyProxy(service.url, delay=0.1) as slow,
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
    async with FaultyProxy(service.url) as proxy, service.hub(proxy.url) as hub, service.hub() as sender:
        async with hub.subscribe(USER) as stream:
            others = [Recipient(f"other {n}") for n in range(100)]
            for other in others:
                sender.publish(other, Event("x", "x" * 10_000))
            await sender.flush()
            sender.publish(USER, DONE)
            await until_done(stream)
        # PostgreSQL's recipients share 64 channels, so that a few of the hundred come along.
        assert proxy.received < 0.2 * 100 * 10_000


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


async def test_closing_a_hub_sends_what_was_published(service: Service) -> None:
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
            received = asyncio.Event()
            await plane.open(lambda key, message, received=received: received.set(), lambda: None)  # type: ignore[misc]
            await plane.subscribe(["key"])
            await plane.publish([("key", b"\x00\xff")])
            async with asyncio.timeout(60):
                await received.wait()
            await plane.close()
        assert asyncio.all_tasks() - before == set()


async def test_a_stream_receives_events_at_once(service: Service) -> None:
    async with service.hub() as hub, service.hub() as other, hub.subscribe(USER) as stream:
        loop = asyncio.get_running_loop()
        took = []
        for n in range(20):
            start = loop.time()
            other.publish(USER, Event("number", n))
            await until(stream, Event("number", n).encode())
            took.append(loop.time() - start)
        assert sorted(took)[10] < 2.0, "half of the events took seconds"


async def test_end_ends_the_streams_of_a_recipient_on_every_process(service: Service) -> None:
    async with service.hub() as one, service.hub() as two, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(hub.subscribe(USER)) for hub in (one, two, one)]
        another = await stack.enter_async_context(one.subscribe(Recipient("another")))
        two.publish(USER, Event("before"))
        two.end(USER)
        two.publish(USER, Event("after"))
        for stream in streams:
            async with asyncio.timeout(60):
                assert b"".join([data async for data in stream]) == Event("before").encode()
            assert stream.ended == "revoked"
        two.publish(Recipient("another"), DONE)
        assert await until_done(another) == []
        async with one.subscribe(USER) as later:
            two.publish(USER, DONE)
            assert await until_done(later) == []


async def test_a_broadcast_for_a_tenant_reaches_no_other_on_any_process(service: Service) -> None:
    users = [Recipient("42"), Recipient("42", tenant="acme"), Recipient("42", tenant="acme co")]
    async with service.hub() as one, service.hub() as two, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(hub.subscribe(user)) for user in users for hub in (one, two)]
        two.broadcast(Event("for acme"), tenant="acme")
        two.broadcast(Event("for none"), tenant=None)
        two.broadcast(DONE)
        received = [b"".join(await until_done(stream)) for stream in streams]
        assert received == [frame(Event(name)) for name in ("for none", "for acme") for _ in range(2)] + [b""] * 2


async def test_invalid_messages_reach_no_stream_and_are_counted(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_of(USER)
    async with (
        service.hub() as hub,
        service.hub() as other,
        service.backplane() as intruder,
        hub.subscribe(USER) as stream,
    ):
        await intruder.open(lambda key, message: None, lambda: None)
        head = b"intrudere" + bytes(32)
        garbage = [
            b"",
            b"12345678",
            head + b"\n\xff\xfe",
            head + b"\nevent: evil\n\n",
            head + REFETCH.encode(),
        ]
        await intruder.publish([(key, message) for message in garbage])
        await intruder.publish([("*", message) for message in garbage])
        await intruder.close()
        other.publish(USER, DONE)
        assert await until_done(stream) == []
        other.broadcast(DONE)  # after the messages of the broadcast channel
        assert await until_done(stream) == []
        assert (hub.stats().rejected, hub.stats().streams) == (10, 1)
    warnings = [record for record in caplog.records if "no hub has sent it" in record.getMessage()]
    assert len(warnings) == 2, "a flood of them is one line for each of the two hubs"
