"""Clients that can publish or listen on the backplane's server without knowing the hubs' secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from notistore import Recipient, SseHub
from notistore.hub.backplane import Backplane
from notistore.hub.events import REFETCH, Event
from notistore.hub.message import Kind, Message
from notistore.hub.streams import EVERYONE, key_of

from .conftest import Service
from .kinds import SECRET
from .reading import DONE, frame, until, until_done

USER = Recipient("42")
FORGED = Event("notification", {"title": "forged", "action": {"url": "https://evil.example"}})
OTHER_SECRET = SECRET[::-1]


@asynccontextmanager
async def intruder(service: Service, received: asyncio.Queue[bytes] | None = None) -> AsyncIterator[Backplane]:
    """A client of the same server and prefix, without the secret."""
    queue = asyncio.Queue[bytes]() if received is None else received
    async with service.backplane() as plane:
        await plane.open(lambda key, message: queue.put_nowait(message), lambda: None)
        await plane.subscribe([key_of(USER), EVERYONE])
        try:
            yield plane
        finally:
            await plane.close()


@pytest.mark.parametrize("secret", [None, SECRET], ids=["no secret", "secret"])
@pytest.mark.parametrize("signed_with", [None, OTHER_SECRET.encode()], ids=["unsigned", "another secret"])
async def test_a_forged_event_makes_its_streams_refetch_and_shows_them_nothing(
    service: Service, secret: str | None, signed_with: bytes | None
) -> None:
    async with service.hub(secret=secret) as hub, intruder(service) as plane, hub.subscribe(USER) as stream:
        for address in (key_of(USER), EVERYONE):
            message = Message(b"intruder", Kind.EVENTS, address, FORGED.encode())
            await plane.publish([(message.channel, message.encode(signed_with))])
            assert await until(stream, b"\n\n") == REFETCH.encode()
        assert hub.stats().rejected == 2


async def test_a_forged_end_is_obeyed_only_where_there_is_no_secret(service: Service) -> None:
    end = Message(b"intruder", Kind.END, key_of(USER))
    async with (
        service.hub(secret=None) as open_hub,
        service.hub() as hub,
        intruder(service) as plane,
        open_hub.subscribe(USER) as ended,
        hub.subscribe(USER) as stream,
    ):
        await plane.publish([(end.channel, end.encode())])
        assert await until(stream, b"\n\n") == REFETCH.encode()
        async with asyncio.timeout(60):
            assert [piece async for piece in ended] == []
        assert ended.ended == "revoked"
        assert stream.ended is None


async def test_without_a_secret_no_event_is_transmitted(service: Service) -> None:
    received = asyncio.Queue[bytes]()
    async with (
        service.hub(secret=None) as hub,
        service.hub(secret=None) as other,
        intruder(service, received),
        hub.subscribe(USER) as stream,
    ):
        for n in range(3):
            other.publish(USER, Event("notification", {"title": f"confidential {n}"}))
            assert await until(stream, b"\n\n") == REFETCH.encode()
        other.broadcast(Event("notification", {"title": "confidential"}))
        assert await until(stream, b"\n\n") == REFETCH.encode()
        assert (hub.stats().rejected, other.stats().rejected) == (0, 0)
        async with asyncio.timeout(60):
            messages = [await received.get() for _ in range(4)]
    assert not any(b"confidential" in message for message in messages)


async def test_with_a_secret_events_are_transmitted(service: Service) -> None:
    event = Event("notification", {"title": "\N{SNOWMAN}"})
    async with service.hub() as hub, service.hub() as other, hub.subscribe(USER) as stream:
        other.publish(USER, event)
        other.broadcast(DONE)
        async with asyncio.timeout(60):
            assert await until(stream, event.encode())
        assert hub.stats().rejected == 0


async def test_a_signed_message_is_not_accepted_on_another_users_channel(service: Service) -> None:
    received = asyncio.Queue[bytes]()
    other_user = Recipient("43")
    async with (
        service.hub() as hub,
        service.hub() as other,
        intruder(service, received) as plane,
        hub.subscribe(other_user) as stream,
    ):
        other.publish(USER, FORGED)
        async with asyncio.timeout(60):
            await plane.publish([(key_of(other_user), await received.get())])
        assert await until(stream, b"\n\n") == REFETCH.encode()


async def test_processes_with_and_without_the_secret_make_each_other_refetch(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """This happens while a secret is introduced or changed in one process after the other."""
    secrets = (None, SECRET, OTHER_SECRET)
    for mine in secrets:
        for theirs in secrets:
            if mine != theirs:
                async with (
                    service.hub(secret=mine) as hub,
                    service.hub(secret=theirs) as other,
                    hub.subscribe(USER) as stream,
                ):
                    other.publish(USER, Event("notification", {"title": "hello"}))
                    assert await until(stream, b"\n\n") == REFETCH.encode()
                    assert hub.stats().rejected == (0 if theirs is None else 1)
    assert "not signed with this hub's secret" in caplog.text


async def test_send_live_logs_a_warning_without_a_secret(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "notistore.hub"):
        async with service.hub(secret=None) as hub, hub.subscribe(USER) as stream:
            hub.publish(USER, Event("notification", {}), Event("maintenance"))
            hub.publish(USER, Event("maintenance"), DONE)
            assert frame(Event("maintenance")) in await until_done(stream)
    assert caplog.text.count("reaches streams of this process only") == 1


@pytest.mark.parametrize("secret", ["", "too short", b"fifteen bytes !"])
def test_a_short_secret_is_refused(secret: str | bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        SseHub(secret=secret)
