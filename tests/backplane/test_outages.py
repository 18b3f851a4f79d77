"""After an outage: which streams a hub refreshes, how many events it keeps meanwhile, and what it logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub.events import REFETCH, Event
from notistore.hub.message import Kind, Message
from notistore.hub.relay import _MAX_OUTBOX_BYTES, _MAX_UNPUBLISHED

from .conftest import Service
from .kinds import SECRET
from .reading import DONE, until, until_done
from .servers import FaultyProxy
from .test_faults import open_streams, wait_until_failing, wait_until_recovered

ADA, BOB = Recipient("ada"), Recipient("bob")

one_server = pytest.mark.parametrize("service", ["redis", "postgres"], indirect=True)


async def publish_on_a_cut_connection(hub: SseHub, proxy: FaultyProxy, users: Sequence[Recipient]) -> None:
    """Publish while the connection is broken, and return once the hub can publish again."""
    await hub.flush()  # otherwise this message would be lost, and the following ones wait for the next connection
    proxy.cut()
    for user in users:
        hub.publish(user, Event("lost"))
    await wait_until_failing(hub)
    proxy.restore()
    await wait_until_recovered(hub)


@one_server
async def test_only_recipients_that_lost_events_refetch(service: Service) -> None:
    async with FaultyProxy(service.url) as proxy, service.hub() as hub, service.hub(proxy.url) as sender:
        async with hub.subscribe(ADA) as adas, hub.subscribe(BOB) as bobs:
            sender.publish(ADA, DONE)
            await until_done(adas)
            await publish_on_a_cut_connection(sender, proxy, [ADA])
            assert await until(adas, REFETCH.encode()) == REFETCH.encode()
            sender.publish(BOB, DONE)
            assert await until_done(bobs) == []
        assert hub.stats().gaps == 0


@one_server
async def test_after_too_many_lost_events_everyone_gets_a_fresh_count(service: Service) -> None:
    async with FaultyProxy(service.url) as proxy, service.hub() as hub, service.hub(proxy.url) as sender:
        inbox = Inbox(MemoryStore(), hub)
        await inbox.send(ADA, "test", publish=False)
        async with hub.subscribe(ADA, counter=inbox) as stream:
            sender.publish(ADA, DONE)
            await until_done(stream)
            await publish_on_a_cut_connection(sender, proxy, [Recipient(str(n)) for n in range(_MAX_UNPUBLISHED + 1)])
            await until(stream, Event.count(1).encode())
        assert hub.stats().gaps >= 1  # a publish whose reply was late is repeated


@one_server
async def test_an_end_that_could_not_be_published_is_published_later(service: Service) -> None:
    async with (
        FaultyProxy(service.url) as proxy,
        service.hub() as hub,
        service.hub(proxy.url) as sender,
        hub.subscribe(ADA) as adas,
        hub.subscribe(BOB) as bobs,
    ):
        sender.publish(ADA, DONE)
        await until_done(adas)
        await sender.flush()
        proxy.cut()
        sender.end(ADA)
        sender.publish(ADA, Event("lost"))
        await wait_until_failing(sender)
        proxy.restore()
        await wait_until_recovered(sender)
        async with asyncio.timeout(60):
            async for _ in adas:
                pass
        assert (adas.ended, bobs.ended) == ("revoked", None)


@pytest.mark.parametrize("service", ["redis"], indirect=True)
async def test_what_waits_to_be_published_is_bounded(service: Service) -> None:
    """A server that is slow to accept messages, not one that is down."""
    taken: list[tuple[str, bytes]] = []
    release = asyncio.Event()
    async with service.backplane() as plane:

        async def slow(messages: Sequence[tuple[str, bytes]]) -> None:
            await release.wait()
            taken.extend(messages)

        plane.publish = slow  # type: ignore[method-assign]
        async with SseHub(plane, secret=SECRET) as hub:
            piece = Event("piece", "x" * 1_000_000)
            for _ in range(2 * _MAX_OUTBOX_BYTES // len(piece.encode())):
                hub.publish(ADA, piece)
            release.set()
            await wait_until_recovered(hub)
    assert sum(len(message) for _, message in taken) < _MAX_OUTBOX_BYTES + 1_000_000
    assert Message.decode(*taken[0]).kind is Kind.REFETCH, "the streams of what was left out refetch"


@pytest.mark.parametrize("own_service", ["redis", "postgres"], indirect=True)
async def test_an_outage_is_logged_in_few_lines_however_many_publishes_fail(
    own_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert own_service.server is not None
    async with own_service.hub() as hub, hub.subscribe(ADA) as stream:
        hub.publish(ADA, DONE)
        await until_done(stream)
        await hub.flush()
        own_service.server.kill()
        caplog.set_level(logging.WARNING, "notistore")
        for n in range(50):
            for user in range(20):
                hub.publish(Recipient(str(user)), Event("number", n))
            await asyncio.sleep(0.01)
        await wait_until_failing(hub)
        async with open_streams(hub, [Recipient(str(n)) for n in range(50)]):
            pass
        await asyncio.to_thread(own_service.server.start)
        await until(stream, REFETCH.encode())
        await wait_until_recovered(hub)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("notistore")]
    assert len([line for line in lines if "cannot publish" in line]) == 1
    assert len([line for line in lines if "20 recipients refetch" in line]) == 1
    assert len([line for line in lines if "no connection (" in line]) == 1
    assert len([line for line in lines if "connected again after" in line]) == 1
    assert len(lines) <= 6, lines
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
