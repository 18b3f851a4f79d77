"""What a hub that could not publish makes good, how much it keeps for that, and what the log says of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore._relay import _REMEMBERED, _WAITING
from notistore.sse import SOMETHING_CHANGED, Event

from .conftest import Service
from .reading import DONE, until, until_done
from .servers import Wire
from .test_faults import failing, recovered, streams_of

ADA, BOB = Recipient("ada"), Recipient("bob")

one_server = pytest.mark.parametrize("service", ["redis", "postgres"], indirect=True)


async def publish_on_a_cut_connection(hub: SseHub, wire: Wire, users: Sequence[Recipient]) -> None:
    """Return once the hub has found that it can publish again."""
    await hub.flush()  # or it would be this that was lost, and what follows would wait for the next connection
    wire.cut()
    for user in users:
        hub.publish(user, Event("lost"))
    await failing(hub)
    wire.mend()
    await recovered(hub)


@one_server
async def test_only_those_who_could_not_be_told_are_told_to_refetch(service: Service) -> None:
    async with Wire(service.url) as wire, service.hub() as hub, service.hub(wire.url) as sender:
        async with hub.subscribe(ADA) as adas, hub.subscribe(BOB) as bobs:
            sender.publish(ADA, DONE)
            await until_done(adas)
            await publish_on_a_cut_connection(sender, wire, [ADA])
            assert await until(adas, SOMETHING_CHANGED.encode()) == SOMETHING_CHANGED.encode()
            sender.publish(BOB, DONE)
            assert await until_done(bobs) == []
        assert hub.stats().gaps == 0


@one_server
async def test_when_too_many_could_not_be_told_everyone_gets_a_fresh_count(service: Service) -> None:
    async with Wire(service.url) as wire, service.hub() as hub, service.hub(wire.url) as sender:
        inbox = Inbox(MemoryStore(), hub)
        await inbox.send(ADA, "test", push=False)
        async with hub.subscribe(ADA) as stream:
            sender.publish(ADA, DONE)
            await until_done(stream)
            await publish_on_a_cut_connection(sender, wire, [Recipient(str(n)) for n in range(_REMEMBERED + 1)])
            await until(stream, Event.count(1).encode())
        assert hub.stats().gaps == 1


@pytest.mark.parametrize("service", ["redis"], indirect=True)
async def test_what_waits_to_be_published_is_bounded(service: Service) -> None:
    """A server that is slow to take what is published, not one that is gone."""
    taken: list[tuple[str, bytes]] = []
    release = asyncio.Event()
    async with service.backplane() as plane:

        async def slow(messages: Sequence[tuple[str, bytes]]) -> None:
            await release.wait()
            taken.extend(messages)

        plane.publish = slow  # type: ignore[method-assign]
        async with SseHub(plane) as hub:
            piece = Event("piece", "x" * 1_000_000)
            for _ in range(2 * _WAITING // len(piece.encode())):
                hub.publish(ADA, piece)
            release.set()
            await recovered(hub)
    assert sum(len(message) for _, message in taken) < _WAITING + 1_000_000
    assert SOMETHING_CHANGED.encode() in taken[0][1], "what was left out is told of"


@pytest.mark.parametrize("own_service", ["redis", "postgres"], indirect=True)
async def test_an_outage_is_a_few_lines_however_much_it_keeps_from_being_sent(
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
        await failing(hub)
        async with streams_of(hub, [Recipient(str(n)) for n in range(50)]):
            pass
        await asyncio.to_thread(own_service.server.start)
        await until(stream, SOMETHING_CHANGED.encode())
        await recovered(hub)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("notistore")]
    assert len([line for line in lines if "cannot publish" in line]) == 1
    assert len([line for line in lines if "20 recipients were told to refetch" in line]) == 1
    assert len([line for line in lines if "no connection (" in line]) == 1
    assert len([line for line in lines if "connected again after" in line]) == 1
    assert len(lines) <= 6, lines
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
