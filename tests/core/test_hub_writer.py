"""Each write of a stream is a task of its own: whatever happens in it affects no other stream."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notistore import Recipient, SseHub
from notistore.hub import Subscription, Writer
from notistore.hub import writer as writer_module
from notistore.hub.events import Event

ONE, TWO, THREE = (Event("notification", number) for number in (1, 2, 3))
CAN_START_EAGERLY = sys.version_info >= (3, 12)

Write: TypeAlias = Callable[[bytes], Coroutine[Any, Any, None]]


async def tick() -> None:
    """Let the hub deliver what has been published."""
    await asyncio.sleep(0)


def write_to(stream: Subscription, write: Write) -> Writer:
    writer = Writer(stream, write)
    stream.write_to(writer)
    return writer


async def drain(*writers: Writer) -> None:
    async with asyncio.timeout(60):
        for writer in writers:
            await writer.drain()


@pytest.fixture(
    params=[
        pytest.param(
            True,
            marks=pytest.mark.skipif(not CAN_START_EAGERLY, reason="needs Python 3.12, where tasks can start eagerly"),
        ),
        False,
    ],
    ids=["eager", "in a later turn"],
)
def eager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a write's task starts eagerly. Only the cost may depend on it."""
    if not request.param:
        monkeypatch.setattr(writer_module, "_EAGER", {})
    return bool(request.param)


async def test_it_writes_each_item_in_order(user: Recipient, eager: bool) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        for event in (ONE, TWO):
            hub.publish(user, event)
            await tick()
            await tick()
        hub.publish(user, THREE)
        hub.close()
        await tick()
        await drain(writer)
    assert written == [ONE.encode(), TWO.encode(), THREE.encode()]


@pytest.mark.skipif(not CAN_START_EAGERLY, reason="needs Python 3.12, where tasks can start eagerly")
async def test_a_write_that_need_not_wait_takes_no_turn_of_its_own(user: Recipient) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        write_to(stream, write)
        hub.publish(user, ONE)
        assert written == [], "a publisher does not write"
        await tick()
        assert written == [ONE.encode()]


async def test_what_came_before_the_writer_is_written_first(user: Recipient, eager: bool) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        hub.publish(user, ONE)
        await tick()
        writer = write_to(stream, write)
        hub.publish(user, TWO)
        hub.close()
        await tick()
        await drain(writer)
    assert b"".join(written) == ONE.encode() + TWO.encode()


async def test_a_publisher_of_more_than_may_wait_writes_nothing_either(user: Recipient, eager: bool) -> None:
    hub, writers, written = SseHub(backlog=10 * len(ONE.encode())), set(), []

    async def write(data: bytes) -> None:
        writers.add(asyncio.current_task())
        written.append(data)

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        for _ in range(6):
            hub.publish(user, ONE)
        await hub.flush()
        assert written == []
        hub.close()
        await tick()
        await drain(writer)
    assert b"".join(written) == ONE.encode() * 6
    assert asyncio.current_task() not in writers


async def test_a_write_is_one_task_before_and_after_it_waits(user: Recipient, eager: bool) -> None:
    hub, seen, go_on = SseHub(), [], asyncio.Event()

    async def write(data: bytes) -> None:
        seen.append(asyncio.current_task())
        await go_on.wait()
        seen.append(asyncio.current_task())

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        hub.publish(user, ONE)
        await tick()
        await tick()
        go_on.set()
        hub.close()
        await drain(writer)
    before, after = seen
    assert before is after
    assert before not in (None, asyncio.current_task())


class Awaitable:
    """An awaitable that is no coroutine, as a server's `send` may return: it yields to the event loop once."""

    def __await__(self) -> Any:
        yield
        yield


async def sub_task() -> None:
    await asyncio.create_task(asyncio.sleep(0))


async def caught() -> None:
    failing = asyncio.get_running_loop().create_future()
    failing.set_exception(ValueError("to be caught"))
    with pytest.raises(ValueError, match="to be caught"):
        await failing
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)


WAITS: dict[str, Callable[[], Any]] = {
    "a turn": lambda: asyncio.sleep(0),
    "a time": lambda: asyncio.sleep(0.001),
    "a task": sub_task,
    "an object": Awaitable,
    "gathered": lambda: asyncio.gather(asyncio.sleep(0), asyncio.sleep(0)),
    "caught": caught,
    "anyio": lambda: anyio.sleep(0.001),
    "a thread": lambda: asyncio.to_thread(int),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
async def test_a_write_may_wait_for_anything(user: Recipient, eager: bool, wait: Callable[[], Any]) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        await wait()
        await wait()
        written.append(data)

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        for event in (ONE, TWO, THREE):
            hub.publish(user, event)
            await tick()
        hub.close()
        await tick()
        await drain(writer)
    assert b"".join(written) == ONE.encode() + TWO.encode() + THREE.encode()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_repeated_or_out_of_order_however_writes_and_publishes_interleave(data: st.DataObject) -> None:
    waits = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=5))
    pauses = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))

    async def main() -> None:
        hub, user = SseHub(), Recipient("42")
        written: list[list[bytes]] = [[] for _ in waits]

        def writer(number: int) -> Write:
            turns = iter(waits[number] * 20)

            async def write(data: bytes) -> None:
                for _ in range(next(turns)):
                    await asyncio.sleep(0)
                written[number].append(data)

            return write

        streams = [hub.subscribe(user) for _ in waits]
        writers = [write_to(stream, writer(number)) for number, stream in enumerate(streams)]
        for n, pause in enumerate(pauses):
            hub.publish(user, Event("notification", n))
            for _ in range(pause):
                await asyncio.sleep(0)
        await hub.flush()
        hub.close()
        await drain(*writers)
        expected = b"".join(Event("notification", n).encode() for n in range(len(pauses)))
        assert {b"".join(one) for one in written} == {expected}

    asyncio.run(main())


async def test_a_write_sees_the_context_in_which_its_writer_was_made(user: Recipient, eager: bool) -> None:
    hub, who, seen = SseHub(), contextvars.ContextVar("who", default="nobody"), []

    async def write(data: bytes) -> None:
        seen.append(who.get())
        who.set(who.get() + "!")
        await asyncio.sleep(0)
        seen.append(who.get())

    async with hub.subscribe(user) as stream:
        who.set("subscriber")
        writer = write_to(stream, write)
        who.set("publisher")
        for event in (ONE, TWO):
            hub.publish(user, event)
            await tick()
            assert who.get() == "publisher"
            await drain(writer)
    assert seen == ["subscriber", "subscriber!", "subscriber!", "subscriber!!"]


async def test_a_variable_that_was_set_around_a_wait_can_be_reset(user: Recipient, eager: bool) -> None:
    hub, who, done = SseHub(), contextvars.ContextVar("who", default="nobody"), []

    async def write(data: bytes) -> None:
        token = who.set("writer")
        try:
            await asyncio.sleep(0)
        finally:
            who.reset(token)  # raises in any other context
        done.append(who.get())

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        hub.publish(user, ONE)
        await tick()
        await drain(writer)
    assert done == ["nobody"]


async def test_a_timeout_around_a_wait_ends_that_wait_alone(user: Recipient, eager: bool) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            written.append(data)
        with anyio.move_on_after(0.001) as scope:
            await asyncio.Event().wait()
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            scope.cancel()
            await asyncio.sleep(0)
        assert scope.cancelled_caught

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        hub.publish(user, ONE)
        await tick()
        hub.publish(user, TWO)
        hub.close()
        await tick()
        await drain(writer)
    assert b"".join(written) == ONE.encode() + TWO.encode()


@pytest.mark.parametrize("turns", [0, 2], ids=["at once", "after a wait"])
async def test_a_write_that_fails_ends_its_own_stream_alone(user: Recipient, eager: bool, turns: int) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async def fail(data: bytes) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise OSError("the reader has gone")

    async with hub.subscribe(user) as first, hub.subscribe(user) as second, hub.subscribe(user) as third:
        before, failing, after = write_to(first, write), write_to(second, fail), write_to(third, write)
        hub.publish(user, ONE)
        await tick()
        await tick()
        with pytest.raises(OSError, match="the reader has gone"):
            await drain(failing)
        assert (first.ended, second.ended, third.ended) == (None, "left", None)
        hub.publish(user, TWO)
        await tick()
        await tick()
        hub.close()
        await drain(before, after)
        with pytest.raises(OSError, match="the reader has gone"):
            await drain(failing)
    assert sorted(written) == sorted([ONE.encode(), TWO.encode()] * 2)


@pytest.mark.parametrize("ticks", [1, 2, 3])
async def test_cancelling_a_writer_cancels_what_its_write_waits_for(user: Recipient, eager: bool, ticks: int) -> None:
    hub, received = SseHub(), []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            received.append("inner")
            raise

    working = asyncio.create_task(inner())
    await tick()

    async def write(data: bytes) -> None:
        try:
            await working
        except asyncio.CancelledError:
            received.append("write")
            raise

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        hub.publish(user, ONE)
        for _ in range(ticks + (not eager)):
            await tick()
        await writer.cancel()
        assert stream.ended == "left"
        await drain(writer)
    assert received == ["inner", "write"]
    assert working.cancelled()


@pytest.mark.parametrize("turns", [0, 1], ids=["at once", "then it waits"])
async def test_a_write_that_cancels_its_own_task_ends_its_stream(user: Recipient, eager: bool, turns: int) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        for event in (ONE, TWO):
            hub.publish(user, event)
            for _ in range(4):
                await tick()
        await drain(writer)
        assert (stream.ended, written) == ("left", [ONE.encode()])


async def test_a_write_may_publish_to_its_own_hub(user: Recipient, eager: bool) -> None:
    hub, other = SseHub(streams_per_recipient=300), Recipient("another")
    written: dict[str, list[bytes]] = {"first": [], "second": [], "other": []}
    echoed = False

    def writer(name: str) -> Write:
        async def write(data: bytes) -> None:
            nonlocal echoed
            written[name].append(data)
            if name == "first" and not echoed:
                echoed = True
                hub.publish(user, TWO)
                hub.publish(other, THREE)

        return write

    streams = {"first": hub.subscribe(user), "second": hub.subscribe(user), "other": hub.subscribe(other)}
    writers = [write_to(stream, writer(name)) for name, stream in streams.items()]
    hub.publish(user, ONE)
    for _ in range(4):
        await tick()
    hub.close()
    await drain(*writers)
    assert {name: b"".join(data) for name, data in written.items()} == {
        "first": ONE.encode() + TWO.encode(),
        "second": ONE.encode() + TWO.encode(),
        "other": THREE.encode(),
    }


@pytest.mark.parametrize("what", ["flush", "aclose", "end", "publish much"])
async def test_a_write_may_do_anything_to_its_own_hub(user: Recipient, eager: bool, what: str) -> None:
    hub, written = SseHub(backlog=100 * len(TWO.encode())), []

    async def first_write(data: bytes) -> None:
        written.append(("first", data))
        if data == ONE.encode():
            match what:
                case "flush":
                    hub.publish(user, TWO)
                    await hub.flush()
                case "aclose":
                    hub.publish(user, TWO)
                    await hub.aclose()
                case "end":
                    first.end("left")
                case "publish much":
                    for _ in range(60):
                        hub.publish(user, TWO)

    async def write(data: bytes) -> None:
        written.append(("second", data))

    async with hub.subscribe(user) as first, hub.subscribe(user) as second:
        writers = [write_to(first, first_write), write_to(second, write)]
        hub.publish(user, ONE)
        for _ in range(8):
            await tick()
        hub.close()
        await tick()
        await drain(*writers)
    twos = {"flush": 1, "aclose": 1, "end": 0, "publish much": 60}[what]
    for name in ("first", "second"):
        assert b"".join(data for whose, data in written if whose == name) == ONE.encode() + TWO.encode() * twos


async def test_on_end_of_a_stream_may_publish(user: Recipient, eager: bool) -> None:
    hub, written = SseHub(backlog=4 * len(ONE.encode())), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as slow, hub.subscribe(user) as quick:
        slow.on_end = lambda: [hub.publish(user, TWO) for _ in range(3)] and None
        writer = write_to(quick, write)
        for _ in range(5):
            hub.publish(user, ONE)
            await tick()
            await tick()
        assert slow.ended == "backlog"
        hub.close()
        await drain(writer)
    assert b"".join(written) == ONE.encode() * 5 + TWO.encode() * 3


async def test_a_write_that_waits_holds_up_no_other_stream_and_its_backlog_is_bounded(
    user: Recipient, eager: bool
) -> None:
    hub, written = SseHub(backlog=3 * len(ONE.encode())), []

    async def block(data: bytes) -> None:
        await asyncio.Event().wait()

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stuck, hub.subscribe(user) as quick:
        blocked, writer = write_to(stuck, block), write_to(quick, write)
        for _ in range(10):
            hub.publish(user, ONE)
            await tick()
            await tick()
        assert (stuck.ended, quick.ended) == ("backlog", None)
        assert written == [ONE.encode()] * 10
        assert blocked.busy
        await blocked.cancel()
        hub.close()
        await drain(writer)


async def test_what_comes_while_a_write_waits_is_written_after_it_in_one_piece(user: Recipient, eager: bool) -> None:
    hub, written, go_on = SseHub(), [], asyncio.Event()

    async def write(data: bytes) -> None:
        await go_on.wait()
        written.append(data)

    async with hub.subscribe(user) as stream:
        writer = write_to(stream, write)
        for event in (ONE, TWO, THREE):
            hub.publish(user, event)
            await tick()
            await tick()
        hub.close()
        await tick()
        assert writer.busy
        go_on.set()
        await drain(writer)
    assert written == [ONE.encode(), TWO.encode() + THREE.encode()]


def test_what_is_to_end_the_process_does(user: Recipient, eager: bool) -> None:
    async def write(data: bytes) -> None:
        raise SystemExit(3)

    async def main() -> None:
        hub = SseHub()
        async with hub.subscribe(user) as stream:
            write_to(stream, write)
            hub.publish(user, ONE)
            await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())
