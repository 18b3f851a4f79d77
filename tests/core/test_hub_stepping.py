"""What a pumped stream writes is run in its own task's name, and stays that task's affair."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notistore import Recipient, SseHub
from notistore import hub as hub_module
from notistore.hub import Subscription
from notistore.sse import Event

ONE, TWO, THREE = (Event("notification", number) for number in (1, 2, 3))

Write: TypeAlias = Callable[[bytes], Coroutine[Any, Any, None]]


async def tick() -> None:
    """Let the hub hand out what has been published."""
    await asyncio.sleep(0)


async def pump(stream: Subscription, write: Write) -> asyncio.Task[None]:
    """A pump that waits for its first item."""
    pumping = stream.pump(write)
    await tick()
    return pumping


async def finish(*pumping: asyncio.Task[None]) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*pumping)


@pytest.fixture(params=[True, False], ids=["stepping", "waking"])
def stepping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this Python lets a task be stepped; nothing but the cost may depend on it."""
    monkeypatch.setattr(hub_module, "POSSIBLE", request.param)
    return bool(request.param)


async def test_it_writes_each_item_and_at_the_end_nothing(user: Recipient, stepping: bool) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        for event in (ONE, TWO):
            hub.publish(user, event)
            await tick()
        hub.publish(user, THREE)
        hub.close()
        await finish(pumping)
    assert written == [ONE.encode(), TWO.encode(), THREE.encode(), b""]


async def test_a_write_that_need_not_wait_takes_no_turn_of_its_own(user: Recipient) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        assert written == [], "a publisher does not write"
        await tick()
        assert written == [ONE.encode()]
        pumping.cancel()


async def test_a_publisher_of_more_than_may_wait_writes_nothing_either(user: Recipient) -> None:
    hub, writers, written = SseHub(backlog=10 * len(ONE.encode())), set(), []

    async def write(data: bytes) -> None:
        writers.add(asyncio.current_task())
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        for _ in range(6):
            hub.publish(user, ONE)
        await hub.flush()
        assert written == []
        hub.close()
        await finish(pumping)
    assert b"".join(written) == ONE.encode() * 6
    assert writers == {pumping}


async def test_every_write_is_its_tasks_own_before_and_after_it_waits(user: Recipient, stepping: bool) -> None:
    hub, seen, go_on = SseHub(), [], asyncio.Event()

    async def write(data: bytes) -> None:
        seen.append(asyncio.current_task())
        await go_on.wait()
        seen.append(asyncio.current_task())

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        await tick()
        assert asyncio.current_task() is not pumping
        go_on.set()
        hub.close()
        await finish(pumping)
    assert seen == [pumping] * 4


class Awaitable:
    """What a server's `send` may give back: no coroutine, and what it yields is nothing to asyncio but a turn."""

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
async def test_a_write_may_wait_for_anything(user: Recipient, stepping: bool, wait: Callable[[], Any]) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        await wait()
        await wait()
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        for event in (ONE, TWO, THREE):
            hub.publish(user, event)
            await tick()
        hub.close()
        await finish(pumping)
    assert b"".join(written) == ONE.encode() + TWO.encode() + THREE.encode()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_doubled_or_out_of_order_however_writes_and_publishes_fall(data: st.DataObject) -> None:
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
        pumping = [stream.pump(writer(number)) for number, stream in enumerate(streams)]
        for n, pause in enumerate(pauses):
            hub.publish(user, Event("notification", n))
            for _ in range(pause):
                await asyncio.sleep(0)
        hub.close()
        await finish(*pumping)
        expected = b"".join(Event("notification", n).encode() for n in range(len(pauses)))
        assert {b"".join(one) for one in written} == {expected}

    asyncio.run(main())


async def test_a_write_sees_the_context_in_which_its_pump_was_started(user: Recipient, stepping: bool) -> None:
    hub, who, seen = SseHub(), contextvars.ContextVar("who", default="nobody"), []

    async def write(data: bytes) -> None:
        seen.append(who.get())
        who.set(who.get() + "!")
        await asyncio.sleep(0)
        seen.append(who.get())

    async with hub.subscribe(user) as stream:
        who.set("subscriber")
        pumping = await pump(stream, write)
        who.set("publisher")
        hub.publish(user, ONE)
        await tick()
        assert who.get() == "publisher"
        hub.close()
        await finish(pumping)
    assert seen == ["subscriber", "subscriber!", "subscriber!", "subscriber!!"]


async def test_a_variable_that_was_set_around_a_wait_can_be_reset(user: Recipient, stepping: bool) -> None:
    hub, who, done = SseHub(), contextvars.ContextVar("who", default="nobody"), []

    async def write(data: bytes) -> None:
        token = who.set("writer")
        try:
            await asyncio.sleep(0)
        finally:
            who.reset(token)  # raises in any other context
        done.append(who.get())

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        await tick()
        hub.close()
        await finish(pumping)
    assert done == ["nobody", "nobody"]


async def test_a_timeout_around_a_wait_ends_that_wait_alone(user: Recipient, stepping: bool) -> None:
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
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        await tick()
        hub.publish(user, TWO)
        hub.close()
        await finish(pumping)
    assert written == [ONE.encode(), TWO.encode(), b""]
    assert pumping.cancelling() == 0


@pytest.mark.parametrize("turns", [0, 2], ids=["at once", "after a wait"])
async def test_a_write_that_fails_ends_its_own_pump_alone(user: Recipient, stepping: bool, turns: int) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async def fail(data: bytes) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise OSError("the reader has gone")

    async with hub.subscribe(user) as first, hub.subscribe(user) as second, hub.subscribe(user) as third:
        before, failing, after = [
            await pump(stream, write) for stream, write in ((first, write), (second, fail), (third, write))
        ]
        hub.publish(user, ONE)
        with pytest.raises(OSError, match="the reader has gone"):
            await finish(failing)
        hub.publish(user, TWO)
        await tick()
        hub.close()
        await finish(before, after)
    assert sorted(written) == sorted([ONE.encode(), TWO.encode(), b""] * 2)


@pytest.mark.parametrize("ticks", [1, 2, 3], ids=["before it has woken", "as it wakes", "while it waits"])
async def test_cancelling_a_pump_cancels_what_its_write_waits_for(user: Recipient, stepping: bool, ticks: int) -> None:
    hub, heard = SseHub(), []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("inner")
            raise

    working = asyncio.create_task(inner())
    await tick()

    async def write(data: bytes) -> None:
        try:
            await working
        except asyncio.CancelledError:
            heard.append("write")
            raise

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        for _ in range(ticks + (not stepping)):
            await tick()
        pumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finish(pumping)
    assert heard == ["inner", "write"]
    assert working.cancelled()


async def test_a_write_that_was_cancelled_before_its_task_woke_may_go_on(user: Recipient, stepping: bool) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        try:
            await Awaitable()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        await tick()
        if stepping:
            pumping.cancel()
        hub.close()
        await finish(pumping)
    assert written == [ONE.encode(), b""]


@pytest.mark.parametrize("turns", [0, 1], ids=["at once", "then it waits"])
async def test_a_write_may_cancel_its_own_task(user: Recipient, stepping: bool, turns: int) -> None:
    hub = SseHub()

    async def write(data: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        with pytest.raises(asyncio.CancelledError):
            await finish(pumping)


async def test_a_pump_that_is_cancelled_is_not_stepped_any_more(user: Recipient) -> None:
    hub, written = SseHub(), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        hub.publish(user, ONE)
        pumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finish(pumping)
        hub.publish(user, TWO)
        await tick()
    assert written == []


async def test_a_write_may_publish_to_its_own_hub(user: Recipient, stepping: bool) -> None:
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
    pumping = [await pump(stream, writer(name)) for name, stream in streams.items()]
    hub.publish(user, ONE)
    await tick()
    await tick()
    hub.close()
    await finish(*pumping)
    assert {name: b"".join(data) for name, data in written.items()} == {
        "first": ONE.encode() + TWO.encode(),
        "second": ONE.encode() + TWO.encode(),
        "other": THREE.encode(),
    }


@pytest.mark.parametrize("what", ["flush", "aclose", "end", "publish much"])
async def test_a_write_may_do_anything_to_its_own_hub(user: Recipient, stepping: bool, what: str) -> None:
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
        pumping = [await pump(first, first_write), await pump(second, write)]
        hub.publish(user, ONE)
        for _ in range(5):
            await tick()
        hub.close()
        await finish(*pumping)
    twos = {"flush": 1, "aclose": 1, "end": 0, "publish much": 60}[what]
    for name in ("first", "second"):
        assert b"".join(data for whose, data in written if whose == name) == ONE.encode() + TWO.encode() * twos


async def test_whoever_is_told_that_a_stream_has_ended_may_publish(user: Recipient) -> None:
    hub, written = SseHub(backlog=4 * len(ONE.encode())), []

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as slow, hub.subscribe(user) as quick:
        slow.on_end = lambda: [hub.publish(user, TWO) for _ in range(3)] and None
        pumping = await pump(quick, write)
        for _ in range(5):
            hub.publish(user, ONE)
            await tick()
        assert slow.ended == "backlog"
        hub.close()
        await finish(pumping)
    assert b"".join(written) == ONE.encode() * 5 + TWO.encode() * 3


async def test_a_write_that_waits_holds_up_no_other_stream_and_its_backlog_is_bounded(
    user: Recipient, stepping: bool
) -> None:
    hub, written = SseHub(backlog=3 * len(ONE.encode())), []

    async def block(data: bytes) -> None:
        await asyncio.Event().wait()

    async def write(data: bytes) -> None:
        written.append(data)

    async with hub.subscribe(user) as stuck, hub.subscribe(user) as quick:
        blocked, pumping = await pump(stuck, block), await pump(quick, write)
        for _ in range(10):
            hub.publish(user, ONE)
            await tick()
            await tick()
        assert (stuck.ended, quick.ended) == ("backlog", None)
        assert written == [ONE.encode()] * 10
        assert not blocked.done()
        blocked.cancel()
        hub.close()
        await finish(pumping)


async def test_what_comes_while_a_write_waits_is_written_after_it_and_before_the_end(
    user: Recipient, stepping: bool
) -> None:
    hub, written, go_on = SseHub(), [], asyncio.Event()

    async def write(data: bytes) -> None:
        await go_on.wait()
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        for event in (ONE, TWO, THREE):
            hub.publish(user, event)
            await tick()
            await tick()
        hub.close()
        await tick()
        assert not pumping.done()
        go_on.set()
        await finish(pumping)
    assert written == [ONE.encode(), TWO.encode() + THREE.encode(), b""]


@pytest.mark.parametrize("cancel", [False, True])
async def test_where_another_task_is_running_the_write_waits_for_its_own(user: Recipient, cancel: bool) -> None:
    hub, written, writers = SseHub(), [], set()
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None

    async def write(data: bytes) -> None:
        writers.add(asyncio.current_task())
        written.append(data)

    async with hub.subscribe(user) as stream:
        pumping = await pump(stream, write)
        loop.call_soon(asyncio._enter_task, loop, this)  # as where one event loop is run within another
        hub.publish(user, ONE)
        loop.call_soon(asyncio._leave_task, loop, this)
        await tick()
        assert written == []
        if cancel:
            pumping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await finish(pumping)
            return
        hub.publish(user, TWO)
        hub.close()
        await finish(pumping)
    assert written == [ONE.encode(), TWO.encode(), b""]
    assert writers == {pumping}


def test_what_is_to_end_the_process_does(user: Recipient, stepping: bool) -> None:
    hub, pumps = SseHub(), []

    async def write(data: bytes) -> None:
        raise SystemExit(3)

    async def main() -> None:
        async with hub.subscribe(user) as stream:
            pumps.append(await pump(stream, write))
            hub.publish(user, ONE)
            await asyncio.wait(pumps)

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert isinstance(pumps[0].exception(), SystemExit)
