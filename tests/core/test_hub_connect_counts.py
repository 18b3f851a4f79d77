"""The counts that streams begin with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from notistore import Inbox, MemoryStore, Recipient, SseHub, StoreError

USERS = [Recipient(str(n)) for n in range(1_200)]


class Counted(MemoryStore):
    """Records for how many recipients each query counts; the result waits until the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[int] = []
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def unread_counts(self, recipients: Sequence[Recipient], **options: Any) -> Mapping[Recipient, int]:
        self.queries.append(len(recipients))
        self.called.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return await super().unread_counts(recipients, **options)


async def test_counts_asked_for_in_one_tick_are_one_query() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    await inbox.send(USERS[3], "t")
    streams = [hub.subscribe(user, counter=inbox) for user in USERS[:100] + USERS[:1]]
    counts = await asyncio.gather(*(stream.unread_count() for stream in streams))
    assert counts == [int(n == 3) for n in range(101)]
    assert store.queries == [100]
    assert await streams[3].unread_count() == 1
    assert store.queries == [100, 1]


async def test_a_query_is_of_five_hundred_at_most() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    streams = [hub.subscribe(user, counter=inbox) for user in USERS]
    assert await asyncio.gather(*(stream.unread_count() for stream in streams)) == [0] * 1200
    assert store.queries == [500, 500, 200]


async def test_counts_requested_during_a_query_are_another_query() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    stream = hub.subscribe(USERS[0], counter=inbox)
    store.may_answer.clear()
    first = asyncio.create_task(stream.unread_count())
    await store.called.wait()
    await inbox.send(USERS[0], "t")
    second = asyncio.create_task(stream.unread_count())
    store.may_answer.set()
    assert await second == 1
    await first
    assert store.queries == [1, 1]


async def test_a_cancelled_stream_cancels_no_other_streams_count() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    store.may_answer.clear()
    leaving, staying = (asyncio.create_task(hub.subscribe(user, counter=inbox).unread_count()) for user in USERS[:2])
    await store.called.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    store.may_answer.set()
    assert await staying == 0


async def test_a_query_is_cancelled_with_the_last_stream_that_waits_for_it() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    store.may_answer.clear()
    before = asyncio.all_tasks()
    for begun in (True, False):
        counting = [asyncio.create_task(hub.subscribe(user, counter=inbox).unread_count()) for user in USERS[:2]]
        if begun:
            await store.called.wait()
        else:
            await asyncio.sleep(0)
        for one in counting:
            one.cancel()
        await asyncio.wait(counting)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == set()
    store.may_answer.set()
    assert await hub.subscribe(USERS[0], counter=inbox).unread_count() == 0
    assert store.queries == [2, 1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly since Python 3.12")
async def test_a_loop_whose_tasks_start_eagerly_counts_as_any_other() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
    for _ in range(2):
        streams = [hub.subscribe(user, counter=inbox) for user in USERS[:3]]
        assert await asyncio.gather(*(stream.unread_count() for stream in streams)) == [0, 0, 0]
    assert store.queries == [3, 3]


async def test_a_failure_raises_in_every_waiting_stream() -> None:
    hub, store = SseHub(), Counted()
    inbox = Inbox(store, hub)
    store.error = StoreError("it is down")
    streams = [hub.subscribe(user, counter=inbox) for user in USERS[:3]]
    errors = await asyncio.gather(*(stream.unread_count() for stream in streams), return_exceptions=True)
    assert [str(error) for error in errors] == ["it is down"] * 3
    assert len({id(error) for error in errors}) == 3
    store.error = None
    assert await streams[0].unread_count() == 0


async def test_each_stream_is_counted_by_its_own_inbox() -> None:
    hub, stores = SseHub(), [Counted(), Counted()]
    inboxes = [Inbox(store, hub) for store in stores]
    await inboxes[1].send(USERS[0], "t")
    streams = [hub.subscribe(USERS[0], counter=inbox) for inbox in inboxes]
    assert await asyncio.gather(*(stream.unread_count() for stream in streams)) == [0, 1]


async def test_a_stream_without_a_counter_says_what_is_missing(user: Recipient) -> None:
    with pytest.raises(RuntimeError, match="counter=inbox"):
        await SseHub().subscribe(user).unread_count()


async def test_a_hub_counts_again_on_its_next_event_loop(user: Recipient) -> None:
    class Hanging:
        async def unread_counts(self, recipients: Iterable[Recipient], /) -> Mapping[Recipient, int]:
            await asyncio.Event().wait()
            raise AssertionError

    hub = SseHub()

    def run(counter: Any) -> int | None:
        loop = asyncio.new_event_loop()

        async def main() -> int | None:
            counting = asyncio.ensure_future(hub.subscribe(user, counter=counter).unread_count())
            await asyncio.wait([counting], timeout=0.01)
            if counting.done():
                return counting.result()
            counting.cancel()
            await asyncio.wait([counting])
            return None

        try:
            return loop.run_until_complete(main())
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    def both() -> tuple[int | None, int | None]:
        return run(Hanging()), run(Inbox(MemoryStore(), hub))

    assert await asyncio.to_thread(both) == (None, 0)
