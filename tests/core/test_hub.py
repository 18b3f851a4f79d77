"""What the hub does within one iteration of the event loop, and from which threads it may be called."""

from __future__ import annotations

import asyncio
import selectors
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore import Recipient, SseHub
from notistore.errors import InvalidArgument, TooManyStreams
from notistore.hub import Subscription
from notistore.hub.events import Event

from .memory_backplane import MemoryBackplane

ONE, TWO, THREE = (Event("notification", number) for number in (1, 2, 3))


async def read(stream: Subscription) -> bytes:
    """The next chunk of the stream."""
    async with asyncio.timeout(60):
        return await anext(stream)


async def rest(stream: Subscription) -> bytes:
    """Everything up to the end of the stream."""
    async with asyncio.timeout(60):
        return b"".join([data async for data in stream])


async def tick() -> None:
    """Let the hub deliver what has been published."""
    await asyncio.sleep(0)


async def test_a_stream_gets_what_is_published_for_its_recipient(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish(user, ONE)
        assert await read(stream) == ONE.encode()


async def test_events_of_one_tick_are_joined_in_order(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish(user, ONE, TWO)
        hub.publish(user, THREE)
        assert await read(stream) == ONE.encode() + TWO.encode() + THREE.encode()


async def test_every_one_of_many_streams_gets_every_event_once_and_in_order(user: Recipient) -> None:
    hub = SseHub(streams_per_recipient=1000)
    streams = [hub.subscribe(user) for _ in range(1000)]
    for event in (ONE, TWO, THREE):
        hub.publish(user, event)
        await tick()  # most of them have not been given the last one yet
    hub.close()
    expected = ONE.encode() + TWO.encode() + THREE.encode()
    assert {await rest(stream) for stream in streams} == {expected}


async def test_events_queued_during_a_large_delivery_do_not_end_readers_that_keep_up(user: Recipient) -> None:
    hub = SseHub(streams_per_recipient=1000, backlog=10 * len(ONE.encode()))
    streams = [hub.subscribe(user) for _ in range(1000)]
    reading = [asyncio.create_task(rest(stream)) for stream in streams]
    for _ in range(40):
        hub.publish(user, ONE, TWO)
        await tick()
    await hub.flush()
    await tick()
    hub.close()
    assert set(await asyncio.gather(*reading)) == {(ONE.encode() + TWO.encode()) * 40}


async def test_all_streams_of_a_recipient_share_the_same_bytes(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as first, hub.subscribe(user) as second:
        hub.publish(user, ONE, TWO)
        assert await read(first) is await read(second)


async def test_events_published_after_subscribing_wait_for_the_reader(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        for event in (ONE, TWO):
            hub.publish(user, event)
            await tick()
        assert await read(stream) == ONE.encode() + TWO.encode()


async def test_events_published_before_subscribing_do_not_come(user: Recipient) -> None:
    hub = SseHub()
    hub.publish(user, ONE)
    async with hub.subscribe(user) as stream:
        hub.publish(user, TWO)
        assert await read(stream) == TWO.encode()


async def test_a_publisher_does_not_run_the_reader(user: Recipient) -> None:
    hub, seen = SseHub(), []
    async with hub.subscribe(user) as stream:

        async def reader() -> None:
            seen.append(await read(stream))

        reading = asyncio.create_task(reader())
        await tick()
        hub.publish(user, ONE)
        assert seen == []
        await reading
        assert seen == [ONE.encode()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Recipient("c", tenant="a:b"), Recipient("b:c", tenant="a")),
        (Recipient("c", "x", tenant="a:b"), Recipient("x:c", "b", tenant="a")),
        (Recipient("1"), Recipient("1", tenant="acme")),
        (Recipient("1"), Recipient("1", "team")),
        (Recipient("bc", "a"), Recipient("c", "ab")),
        (Recipient("x", "y", tenant="4:user"), Recipient("x", "4:usery")),
        (Recipient("e\u0301"), Recipient("\u00e9")),
    ],
    ids=["colons", "more colons", "tenant", "type", "the end of the type", "lengths", "normal forms"],
)
async def test_an_event_reaches_no_other_recipient(one: Recipient, other: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(one) as mine, hub.subscribe(other) as theirs:
        hub.publish(one, ONE)
        hub.publish(other, TWO)
        assert (await read(mine), await read(theirs)) == (ONE.encode(), TWO.encode())


similar_ids = st.text("a:14", min_size=1, max_size=3)
recipients = st.builds(Recipient, similar_ids, similar_ids, st.none() | similar_ids)


@given(st.sets(recipients, min_size=2))
def test_no_two_recipients_are_one_to_the_hub(recipients: set[Recipient]) -> None:
    async def main() -> None:
        hub = SseHub()
        for recipient in recipients:
            hub.subscribe(recipient)
        assert hub.stats().recipients == len(recipients)
        assert set(hub.online()) == recipients

    asyncio.run(main())


async def test_a_reader_past_its_backlog_is_ended_and_holds_no_memory(user: Recipient) -> None:
    hub = SseHub(backlog=3 * len(ONE.encode()))
    async with hub.subscribe(user) as slow:
        for _ in range(4):
            hub.publish(user, ONE)
            await tick()
        assert slow.ended == "backlog"
        assert await rest(slow) == b""
        assert not hub.is_online(user)


async def test_a_slow_reader_costs_the_others_nothing(user: Recipient) -> None:
    hub = SseHub(backlog=3 * len(ONE.encode()))
    async with hub.subscribe(user) as slow, hub.subscribe(user) as quick:
        seen = []
        for _ in range(10):
            hub.publish(user, ONE)
            seen.append(await read(quick))
        assert (slow.ended, quick.ended) == ("backlog", None)
        assert seen == [ONE.encode()] * 10


async def test_a_full_backlog_does_not_end_a_stream(user: Recipient) -> None:
    hub = SseHub(backlog=3 * len(ONE.encode()))
    async with hub.subscribe(user) as stream:
        for _ in range(2):
            hub.publish(user, ONE, ONE, ONE)
            assert await read(stream) == ONE.encode() * 3
        assert stream.ended is None


async def test_a_recipient_has_no_more_streams_than_allowed(user: Recipient) -> None:
    hub = SseHub(streams_per_recipient=2)
    async with hub.subscribe(user), hub.subscribe(Recipient("another")):
        async with hub.subscribe(user):
            with pytest.raises(TooManyStreams, match="this recipient already has 2 open streams"):
                hub.subscribe(user)
        async with hub.subscribe(user):
            assert hub.stats().streams == 3


async def test_a_hub_has_no_more_streams_than_allowed(user: Recipient) -> None:
    hub = SseHub(streams=2)
    async with hub.subscribe(user), hub.subscribe(Recipient("b")):
        with pytest.raises(TooManyStreams, match="this hub already has 2 open streams"):
            hub.subscribe(Recipient("c"))
    async with hub.subscribe(Recipient("c")):
        assert hub.stats().streams == 1


async def test_a_cancelled_reader_leaves_nothing_behind(user: Recipient) -> None:
    hub = SseHub()

    async def reader() -> None:
        async with hub.subscribe(user) as stream:
            await rest(stream)

    reading = asyncio.create_task(reader())
    await tick()
    assert hub.is_online(user)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not hub.is_online(user)
    assert (hub.stats().streams, hub.stats().recipients, hub.stats().ended) == (0, 0, {"left": 1})


async def test_a_cancelled_read_loses_no_event(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        reading = asyncio.create_task(rest(stream))
        await tick()
        hub.publish(user, ONE)
        await tick()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await read(stream) == ONE.encode()


async def test_a_stream_that_was_left_still_delivers_earlier_events(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish(user, ONE)
        await tick()
    hub.publish(user, TWO)
    assert (await rest(stream), stream.ended) == (ONE.encode(), "left")


async def test_on_end_is_called_once(user: Recipient) -> None:
    hub, reasons = SseHub(), []
    async with hub.subscribe(user) as stream:
        stream.on_end = lambda: reasons.append(stream.ended)
        stream.end("left")
        stream.end("closed")
    assert reasons == ["left"]


async def test_close_ends_every_stream_after_what_was_published(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as first, hub.subscribe(Recipient("another")) as second:
        hub.publish(user, ONE)
        hub.close()
        hub.close()
        assert (await rest(first), await rest(second)) == (ONE.encode(), b"")
        assert (first.ended, second.ended) == ("closed", "closed")
    assert hub.stats().ended == {"closed": 2}


async def test_aclose_ends_every_stream_after_what_was_published(user: Recipient) -> None:
    async with SseHub() as hub:
        stream = hub.subscribe(user)
        hub.publish(user, ONE)
    assert (await rest(stream), stream.ended) == (ONE.encode(), "closed")


async def test_a_broadcast_reaches_every_stream_of_everyone(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as one, hub.subscribe(Recipient("x", tenant="a")) as other:
        hub.broadcast(ONE)
        assert (await read(one), await read(other)) == (ONE.encode(), ONE.encode())


async def test_a_flush_hands_out_at_once_what_was_published(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish(user, ONE)
        await hub.flush()
        hub.publish(user, TWO)
        assert await read(stream) == ONE.encode()
        assert await read(stream) == TWO.encode()


@pytest.mark.parametrize("used", [True, False], ids=["used before", "never used"])
async def test_a_stream_of_a_closed_hub_ends_as_it_begins(user: Recipient, used: bool) -> None:
    hub = SseHub()
    if used:
        async with hub.subscribe(user):
            pass
    hub.close()
    assert hub.closed
    async with hub.subscribe(user) as stream:
        assert await rest(stream) == b""
    assert hub.stats().streams == 0


class Interrupted(selectors.DefaultSelector):
    """A selector that runs a callback at the moment when the event loop starts to wait."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile: Callable[[], None] | None = meanwhile

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._meanwhile is not None and timeout != 0:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return super().select(timeout)


def run_interrupted(main: Callable[[], Coroutine[Any, Any, None]], meanwhile: Callable[[], None]) -> None:
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Interrupted(meanwhile))) as runner:
        runner.run(main())


def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_close_may_be_called_from_another_thread(user: Recipient) -> None:
    hub = SseHub()

    async def main() -> None:
        async with hub.subscribe(user) as stream:
            assert await rest(stream) == b""
            assert stream.ended == "closed"

    run_interrupted(main, lambda: in_a_thread(hub.close))


def test_close_may_be_called_from_a_signal_handler(user: Recipient) -> None:
    hub = SseHub()

    async def main() -> None:
        async with hub.subscribe(user) as stream:
            assert await rest(stream) == b""
            assert stream.ended == "closed"

    previous = signal.signal(signal.SIGUSR1, lambda *_: hub.close())
    try:
        run_interrupted(main, lambda: signal.raise_signal(signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_events_may_be_published_from_another_thread(user: Recipient) -> None:
    hub = SseHub()

    async def main() -> None:
        async with hub.subscribe(user) as stream:
            assert await read(stream) == ONE.encode()

    run_interrupted(main, lambda: in_a_thread(lambda: hub.publish(user, ONE)))


async def test_events_may_be_published_from_another_event_loop(user: Recipient) -> None:
    hub = SseHub()

    async def elsewhere() -> None:
        hub.publish(user, ONE)

    async with hub.subscribe(user) as stream:
        publishing = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        publishing.start()
        assert await read(stream) == ONE.encode()
        publishing.join()


async def test_an_event_that_cannot_be_encoded_reaches_its_publisher_and_no_stream(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        with pytest.raises(ValueError, match="JSON"):
            hub.publish(user, ONE, Event("notification", float("nan")))
        await tick()
        hub.publish(user, TWO)
        assert await read(stream) == TWO.encode()


async def test_publishing_no_event_gives_nothing_to_read(user: Recipient) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish(user)
        await tick()
        hub.publish(user, ONE)
        assert await read(stream) == ONE.encode()


async def test_stats_count_what_is_open_and_what_was_done(user: Recipient) -> None:
    hub = SseHub(backlog=2 * len(ONE.encode()))
    async with hub.subscribe(user) as quick, hub.subscribe(user), hub.subscribe(Recipient("another")):
        hub.publish(user, ONE, TWO)
        hub.publish(Recipient("offline"), ONE)
        await read(quick)
        stats = hub.stats()
        assert (stats.streams, stats.recipients, stats.published, stats.delivered) == (3, 2, 3, 4)
        assert stats.ended == {}
        hub.publish(user, THREE)
        await read(quick)
        stats = hub.stats()
        assert (stats.streams, stats.recipients, stats.published, stats.delivered) == (2, 2, 4, 5)
        assert stats.ended == {"backlog": 1}
    assert hub.stats().ended == {"backlog": 1, "left": 2}


def test_a_hub_without_streams_may_publish_and_close_without_an_event_loop(user: Recipient) -> None:
    hub = SseHub()
    hub.publish(user, ONE)
    hub.close()
    assert (hub.stats().published, hub.stats().delivered) == (1, 0)


def test_a_hub_with_a_backplane_and_no_event_loop_says_what_to_call(user: Recipient) -> None:
    hub = SseHub(MemoryBackplane())
    for call in (lambda: hub.publish(user, ONE), lambda: hub.end(user)):
        with pytest.raises(RuntimeError, match=r"call `start\(\)` on the SyncInbox"):
            call()


def test_a_hub_outlives_its_event_loop_however_that_was_closed(user: Recipient) -> None:
    hub = SseHub()

    async def leave_open() -> Subscription:
        return hub.subscribe(user)

    async def begin_anew() -> None:
        async with hub.subscribe(user) as stream:
            assert hub.stats().streams == 1
            hub.publish(user, TWO)
            assert await read(stream) == TWO.encode()

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(leave_open())
    reading = loop.create_task(rest(stream))
    loop.run_until_complete(tick())
    # With a reader waiting, and an event that the streams have not received yet.
    loop.call_soon(hub.publish, user, ONE)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    hub.publish(user, THREE)
    asyncio.run(begin_anew())
    assert (stream.ended, reading.done()) == ("closed", False)


def test_a_hub_on_a_later_event_loop_calls_nothing_of_an_earlier_one(user: Recipient) -> None:
    hub, called = SseHub(), []

    async def leave_open() -> None:
        hub.subscribe(user).on_end = lambda: called.append("on_end")

    async def begin_anew() -> None:
        hub.subscribe(user).end("left")

    asyncio.run(leave_open())
    asyncio.run(begin_anew())
    assert (hub.stats().ended, called) == ({"closed": 1, "left": 1}, [])


async def test_two_event_loops_at_once_cannot_share_a_hub(user: Recipient) -> None:
    hub = SseHub()

    async def elsewhere() -> None:
        hub.subscribe(user)

    async with hub.subscribe(user):
        with pytest.raises(RuntimeError, match="make one hub for each loop"):
            await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        assert hub.stats().streams == 1


@pytest.mark.parametrize("event", ["maintenance", {"name": "maintenance"}, None])
async def test_what_is_no_event_is_refused_and_reaches_no_stream(event: object) -> None:
    hub = SseHub()
    async with hub.subscribe(Recipient("42")) as stream:
        with pytest.raises(InvalidArgument, match="expected an Event"):
            hub.broadcast(event)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="expected an Event"):
            hub.publish(Recipient("42"), Event("fine"), event)  # type: ignore[arg-type]
        hub.publish(Recipient("42"), Event("next"))
        assert await anext(stream) == Event("next").encode()


ADA, BOB, CAT = Recipient("ada", tenant="acme"), Recipient("bob", tenant="acme co"), Recipient("cat")


@pytest.mark.parametrize(
    ("tenant", "reached"),
    [(..., {ADA, BOB, CAT}), ("acme", {ADA}), ("acme co", {BOB}), (None, {CAT}), ("another", set())],
    ids=["everyone", "one", "another that begins alike", "those without", "nobody"],
)
async def test_a_broadcast_may_be_for_one_tenant(tenant: Any, reached: set[Recipient]) -> None:
    hub = SseHub()
    streams = [hub.subscribe(recipient) for recipient in (ADA, BOB, CAT)]
    hub.broadcast(ONE, tenant=tenant)
    hub.close()
    await tick()
    assert {stream.recipient for stream in streams if await rest(stream)} == reached


async def test_end_ends_every_stream_of_a_recipient_after_what_was_published(user: Recipient) -> None:
    hub, another = SseHub(), Recipient("another")
    async with hub.subscribe(user) as first, hub.subscribe(user) as second, hub.subscribe(another) as theirs:
        hub.publish(user, ONE)
        hub.end(user)
        hub.publish(user, TWO)
        for stream in (first, second):
            assert (await rest(stream), stream.ended) == (ONE.encode(), "revoked")
        async with hub.subscribe(user) as later:
            hub.publish(user, THREE)
            assert await read(later) == THREE.encode()
        assert theirs.ended is None
    assert hub.stats().ended == {"revoked": 2, "left": 2}


def test_end_may_be_called_from_another_thread_and_without_any_stream(user: Recipient) -> None:
    hub = SseHub()
    hub.end(user)

    async def main() -> None:
        async with hub.subscribe(user) as stream:
            assert await rest(stream) == b""
            assert stream.ended == "revoked"

    run_interrupted(main, lambda: in_a_thread(lambda: hub.end(user)))


async def test_many_are_published_to_in_slices_in_order_with_what_follows(user: Recipient) -> None:
    hub, made = SseHub(), 0

    def make(event: Event) -> Callable[[], Event]:
        def made_now() -> Event:
            nonlocal made
            made += 1
            return event

        return made_now

    users = [Recipient(str(n)) for n in range(250)]
    streams = [hub.subscribe(user) for user in users]
    hub.publish_many((user, make(ONE)) for user in users)
    hub.publish_many((user, make(TWO)) for user in users[240:])
    for user in users:
        hub.publish(user, THREE)
    assert made == 100, "a slice at a time"
    await hub.flush()
    assert made == 260
    for number, stream in enumerate(streams):
        assert await read(stream) == b"".join(
            event.encode() for event in (ONE, TWO, THREE) if event is not TWO or number >= 240
        )
    assert hub.stats().published == 250 + 10 + 250


async def test_no_event_is_made_for_a_recipient_without_a_stream(user: Recipient) -> None:
    hub = SseHub()

    def make() -> Event:
        raise AssertionError("made for nobody")

    async with hub.subscribe(user) as stream:
        hub.publish_many([(Recipient(str(n)), make) for n in range(1000, 1300)] + [(user, lambda: ONE)])
        assert await read(stream) == ONE.encode()


async def test_of_many_the_one_that_cannot_be_made_is_logged_and_left_out(
    user: Recipient, caplog: pytest.LogCaptureFixture
) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish_many([(user, lambda: ONE), (user, lambda: Event("notification", object())), (user, lambda: TWO)])
        assert await read(stream) == ONE.encode() + TWO.encode()
    assert "an event of publish_many could not be made" in caplog.text


def fail_after(*given: Any) -> Iterator[Any]:
    yield from given
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "events",
    [
        lambda user: fail_after((user, lambda: ONE)),
        lambda user: [(user, lambda: ONE), (user,)],
        lambda user: [(user, lambda: ONE), (None, lambda: THREE)],
    ],
    ids=["an iterable that raises", "no pair", "no recipient"],
)
@pytest.mark.parametrize("before", [0, 150], ids=["in the first slice", "in a later slice"])
async def test_many_that_fail_half_way_delay_no_later_event(
    user: Recipient, events: Any, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        hub.publish_many(chain([(Recipient("other"), lambda: ONE)] * before, events(user)))
        hub.publish(user, TWO)
        await hub.flush()
        assert await read(stream) == ONE.encode() + TWO.encode()
    assert "publish_many" in caplog.text
