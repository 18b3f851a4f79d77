"""Heartbeats and lifetimes, on an event loop whose clock the test advances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from notistore import Recipient, SseHub
from notistore.hub import Subscription, Writer
from notistore.hub.events import HEARTBEAT, REFETCH, Event

from .memory_backplane import MemoryBackplane

ONE = Event("notification", 1)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose clock the test advances, and which records the timers that were set."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.timers: list[float] = []

    def time(self) -> float:
        return self.ahead

    def call_later(self, delay: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers.append(delay)
        return super().call_later(delay, callback, *args, **options)

    async def advance(self, seconds: float) -> None:
        """Advance the clock, and run the callbacks that are due."""
        self.ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


def run(main: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    clock = Clock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(main(clock))


async def read_pending(stream: Subscription) -> bytes:
    """What can be read without waiting."""
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    if reading.done():
        return reading.result()
    reading.cancel()
    return b""


def test_a_quiet_stream_has_a_heartbeat_every_15_seconds(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub().subscribe(user) as stream:
            await clock.advance(14.9)
            assert await read_pending(stream) == b""
            await clock.advance(0.2)
            assert await read_pending(stream) == HEARTBEAT
            await clock.advance(14.7)
            assert await read_pending(stream) == b""
            await clock.advance(0.4)
            assert await read_pending(stream) == HEARTBEAT

    run(main)


def test_the_interval_of_heartbeats_can_be_set(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(heartbeat=2).subscribe(user) as stream:
            await clock.advance(1.9)
            assert await read_pending(stream) == b""
            await clock.advance(0.2)
            assert await read_pending(stream) == HEARTBEAT

    run(main)


def test_heartbeats_can_be_off(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(heartbeat=None).subscribe(user) as stream:
            for _ in range(30):
                await clock.advance(15)
            assert await read_pending(stream) == b""
            assert stream.ended is None

    run(main)


def test_a_stream_with_events_to_read_needs_no_heartbeat(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        async with hub.subscribe(user) as stream:
            hub.publish(user, ONE)
            await clock.advance(15.1)
            assert await read_pending(stream) == ONE.encode()

    run(main)


def test_heartbeats_do_not_accumulate_for_a_reader_that_stopped(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(lifetime=None).subscribe(user) as stream:
            for _ in range(100):
                await clock.advance(15)
            assert await read_pending(stream) == HEARTBEAT

    run(main)


def test_all_streams_share_one_timer_that_stops_with_the_last_of_them() -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        streams = [hub.subscribe(Recipient(f"{n}")) for n in range(50)]
        assert clock.timers == [15]
        await clock.advance(15.1)
        assert [await read_pending(stream) for stream in streams] == [HEARTBEAT] * 50
        assert clock.timers == [15, 15]
        for stream in streams:
            stream.end("left")
        await clock.advance(15.1)
        await clock.advance(15.1)
        assert clock.timers == [15, 15]
        hub.subscribe(Recipient("another"))
        assert clock.timers == [15, 15, 15]

    run(main)


def test_streams_end_after_nine_to_eleven_minutes_and_not_all_at_once() -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        for n in range(200):
            hub.subscribe(Recipient(f"{n}"))
        await clock.advance(539)
        assert hub.stats().streams == 200
        ended = []
        for _ in range(10):
            before = hub.stats().streams
            await clock.advance(15.1)
            ended.append(before - hub.stats().streams)
        assert hub.stats().ended == {"lifetime": 200}
        assert max(ended) < 100

    run(main)


def test_a_stream_past_its_lifetime_delivers_earlier_events_and_stops(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub(heartbeat=None, lifetime=1)
        async with hub.subscribe(user) as stream:
            hub.publish(user, ONE)
            await clock.advance(1.2)
            assert stream.ended == "lifetime"
            assert [data async for data in stream] == [ONE.encode()]

    run(main)


def test_a_lifetime_can_be_off(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(lifetime=None).subscribe(user) as stream:
            await clock.advance(1e9)
            assert stream.ended is None

    run(main)


def test_close_stops_the_timer(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        async with hub.subscribe(user) as stream:
            hub.close()
            assert [data async for data in stream] == []
        await clock.advance(15.1)
        assert clock.timers == [15]

    run(main)


def test_a_hub_sends_heartbeats_on_its_next_event_loop(user: Recipient) -> None:
    hub = SseHub()

    async def leave_open(clock: Clock) -> None:
        hub.subscribe(user)

    async def read_heartbeats(clock: Clock) -> None:
        async with hub.subscribe(user) as stream:
            await clock.advance(15.1)
            assert await read_pending(stream) == HEARTBEAT

    run(leave_open)
    run(read_heartbeats)


def test_heartbeats_and_lifetimes_reach_more_streams_than_are_written_to_in_a_tick(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub, written = SseHub(lifetime=40, streams_per_recipient=250), [list[bytes]() for _ in range(250)]

        def writer(into: list[bytes]) -> Callable[[bytes], Coroutine[Any, Any, None]]:
            async def write(data: bytes) -> None:
                into.append(data)

            return write

        streams = [hub.subscribe(user) for _ in written]
        for stream, into in zip(streams, written, strict=True):
            stream.write_to(Writer(stream, writer(into)))
        await clock.advance(15.1)
        await clock.advance(0)  # a hundred are written to in a tick
        await clock.advance(0)  # where a task starts in the tick after, one more
        assert written == [[HEARTBEAT]] * 250
        await clock.advance(45)
        await clock.advance(0)
        assert hub.stats().ended == {"lifetime": 250}

    run(main)


def test_a_store_that_does_not_answer_delays_a_refetch_for_seconds_only(user: Recipient) -> None:
    class Hanging:
        async def unread_counts(self, recipients: Iterable[Recipient], /) -> Mapping[Recipient, int]:
            await asyncio.Event().wait()
            raise AssertionError

    async def main(clock: Clock) -> None:
        backplane = MemoryBackplane()
        async with SseHub(backplane) as hub, hub.subscribe(user, counter=Hanging()) as stream:
            backplane.missed()
            await clock.advance(1)
            assert await read_pending(stream) == b""
            await clock.advance(10)
            assert await read_pending(stream) == REFETCH.encode()

    run(main)
