"""Heartbeats and lifetimes, on an event loop whose clock the test sets forward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from notistore import Recipient, SseHub
from notistore.hub import Subscription
from notistore.sse import HEARTBEAT, Event

ONE = Event("notification", 1)


class Clock(asyncio.SelectorEventLoop):
    """An event loop that is told how much time has gone by, and notes which timers it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.timers: list[float] = []

    def time(self) -> float:
        return self.ahead

    def call_later(self, delay: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers.append(delay)
        return super().call_later(delay, callback, *args, **options)

    async def forward(self, seconds: float) -> None:
        """Let time go by, and what is due happen."""
        self.ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


def run(main: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    clock = Clock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(main(clock))


async def waiting(stream: Subscription) -> bytes:
    """What there is to read now, without waiting for more."""
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    if reading.done():
        return reading.result()
    reading.cancel()
    return b""


def test_a_quiet_stream_has_a_heartbeat_every_15_seconds(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub().subscribe(user) as stream:
            await clock.forward(14.9)
            assert await waiting(stream) == b""
            await clock.forward(0.2)
            assert await waiting(stream) == HEARTBEAT
            await clock.forward(14.7)
            assert await waiting(stream) == b""
            await clock.forward(0.4)
            assert await waiting(stream) == HEARTBEAT

    run(main)


def test_the_pace_of_heartbeats_can_be_set(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(heartbeat=2).subscribe(user) as stream:
            await clock.forward(1.9)
            assert await waiting(stream) == b""
            await clock.forward(0.2)
            assert await waiting(stream) == HEARTBEAT

    run(main)


def test_heartbeats_can_be_off(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(heartbeat=None).subscribe(user) as stream:
            for _ in range(30):
                await clock.forward(15)
            assert await waiting(stream) == b""
            assert stream.ended is None

    run(main)


def test_a_stream_with_events_to_read_needs_no_heartbeat(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        async with hub.subscribe(user) as stream:
            hub.publish(user, ONE)
            await clock.forward(15.1)
            assert await waiting(stream) == ONE.encode()

    run(main)


def test_a_reader_that_is_gone_gathers_no_heartbeats(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(lifetime=None).subscribe(user) as stream:
            for _ in range(100):
                await clock.forward(15)
            assert await waiting(stream) == HEARTBEAT

    run(main)


def test_all_streams_share_one_timer_that_stops_with_the_last_of_them() -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        streams = [hub.subscribe(Recipient(f"{n}")) for n in range(50)]
        assert clock.timers == [15]
        await clock.forward(15.1)
        assert [await waiting(stream) for stream in streams] == [HEARTBEAT] * 50
        assert clock.timers == [15, 15]
        for stream in streams:
            stream.end("left")
        await clock.forward(15.1)
        await clock.forward(15.1)
        assert clock.timers == [15, 15]
        hub.subscribe(Recipient("another"))
        assert clock.timers == [15, 15, 15]

    run(main)


def test_streams_end_after_ten_minutes_give_or_take_one_and_not_all_at_once() -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        for n in range(200):
            hub.subscribe(Recipient(f"{n}"))
        await clock.forward(539)
        assert hub.stats().streams == 200
        ended = []
        for _ in range(10):
            before = hub.stats().streams
            await clock.forward(15.1)
            ended.append(before - hub.stats().streams)
        assert hub.stats().ended == {"lifetime": 200}
        assert max(ended) < 100

    run(main)


def test_a_stream_past_its_lifetime_gives_out_what_had_come_and_stops(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub(heartbeat=None, lifetime=1)
        async with hub.subscribe(user) as stream:
            hub.publish(user, ONE)
            await clock.forward(1.2)
            assert stream.ended == "lifetime"
            assert [data async for data in stream] == [ONE.encode()]

    run(main)


def test_a_lifetime_can_be_off(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        async with SseHub(lifetime=None).subscribe(user) as stream:
            await clock.forward(1e9)
            assert stream.ended is None

    run(main)


def test_close_stops_the_timer(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub = SseHub()
        async with hub.subscribe(user) as stream:
            hub.close()
            assert [data async for data in stream] == []
        await clock.forward(15.1)
        assert clock.timers == [15]

    run(main)


def test_a_hub_beats_again_on_its_next_event_loop(user: Recipient) -> None:
    hub = SseHub()

    async def leave_open(clock: Clock) -> None:
        hub.subscribe(user)

    async def beat(clock: Clock) -> None:
        async with hub.subscribe(user) as stream:
            await clock.forward(15.1)
            assert await waiting(stream) == HEARTBEAT

    run(leave_open)
    run(beat)


def test_heartbeats_and_lifetimes_reach_more_pumps_than_are_written_in_a_tick(user: Recipient) -> None:
    async def main(clock: Clock) -> None:
        hub, written = SseHub(lifetime=40, streams_per_recipient=250), [list[bytes]() for _ in range(250)]

        def writer(into: list[bytes]) -> Callable[[bytes], Coroutine[Any, Any, None]]:
            async def write(data: bytes) -> None:
                into.append(data)

            return write

        pumping = [hub.subscribe(user).pump(writer(into)) for into in written]
        await clock.forward(0)
        await clock.forward(15.1)
        await clock.forward(0)  # a hundred are written in a tick
        assert written == [[HEARTBEAT]] * 250
        await clock.forward(45)
        await asyncio.gather(*pumping)
        assert written == [[HEARTBEAT, b""]] * 250
        assert hub.stats().ended == {"lifetime": 250}

    run(main)
