"""Read sync: which frames the methods that change rows send to the recipient's streams; and ids or key=."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime, timedelta
from typing import Any

import pytest

from notistore import Inbox, InvalidArgument, MemoryStore, Notification, Recipient, SseHub
from notistore.hub import Subscription

from .eventstream import parse

CHANGED = ("notification", None)
UNKNOWN = "019aa0a0-0000-7000-8000-000000000000"
NOON = "2026-11-20T12:00:00.123+00:00"


class InboxHarness:
    """An inbox with one open stream, and the frames that the stream receives."""

    def __init__(self, inbox: Inbox, hub: SseHub, user: Recipient, stream: Subscription) -> None:
        self.inbox = inbox
        self.hub = hub
        self.user = user
        self.stream = stream

    async def rows(self, count: int, *, read: bool = False) -> list[Notification]:
        rows = [await self.inbox.send(self.user, "t", publish=False) for _ in range(count)]
        if read:
            await self.inbox.store.mark_read(self.user, *(row.id for row in rows), at=rows[0].created_at)
        return rows

    async def events_of(self, call: Awaitable[int]) -> tuple[int, list[tuple[str, Any]]]:
        """The result of the call, and the frames that it sends."""
        before = self.hub.stats().published
        result = await call
        if self.hub.stats().published == before:
            return result, []
        async with asyncio.timeout(60):
            return result, [(frame.name, frame.json) for frame in parse(await anext(self.stream))]


@pytest.fixture
async def harness(user: Recipient, noon: datetime) -> AsyncIterator[InboxHarness]:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        yield InboxHarness(Inbox(MemoryStore(), hub, clock=lambda: noon), hub, user, stream)


async def test_mark_read_sends_the_id_the_time_and_the_empty_frame(harness: InboxHarness) -> None:
    [row] = await harness.rows(1)
    assert await harness.events_of(harness.inbox.mark_read(harness.user, row.id)) == (
        1,
        [("read", {"notificationId": row.id, "readAt": NOON}), CHANGED],
    )


async def test_mark_unread_sends_the_id_and_the_empty_frame(harness: InboxHarness) -> None:
    [row] = await harness.rows(1, read=True)
    assert await harness.events_of(harness.inbox.mark_unread(harness.user, row.id)) == (
        1,
        [("unread", {"notificationId": row.id}), CHANGED],
    )


async def test_delete_sends_the_id_and_the_empty_frame(harness: InboxHarness) -> None:
    [row] = await harness.rows(1)
    assert await harness.events_of(harness.inbox.delete(harness.user, row.id)) == (
        1,
        [("delete", {"notificationId": row.id}), CHANGED],
    )


METHODS = [("mark_read", "read", False), ("mark_unread", "unread", True), ("delete", "delete", False)]


@pytest.mark.parametrize(("method", "name", "read"), METHODS)
async def test_up_to_20_ids_have_a_frame_each(harness: InboxHarness, method: str, name: str, read: bool) -> None:
    ids = [row.id for row in await harness.rows(20, read=read)]
    changed, frames = await harness.events_of(getattr(harness.inbox, method)(harness.user, *ids))
    assert changed == 20
    assert frames.pop() == CHANGED
    assert [(event, data["notificationId"]) for event, data in frames] == [(name, id) for id in ids]


@pytest.mark.parametrize(("method", "name", "read"), METHODS)
async def test_more_than_20_ids_have_only_the_empty_frame(
    harness: InboxHarness, method: str, name: str, read: bool
) -> None:
    ids = [row.id for row in await harness.rows(21, read=read)]
    assert await harness.events_of(getattr(harness.inbox, method)(harness.user, *ids)) == (21, [CHANGED])


@pytest.mark.parametrize(("method", "name", "read"), METHODS)
async def test_a_repeated_id_is_counted_and_sent_once(
    harness: InboxHarness, method: str, name: str, read: bool
) -> None:
    [row] = await harness.rows(1, read=read)
    changed, frames = await harness.events_of(getattr(harness.inbox, method)(harness.user, *[row.id] * 21))
    assert (changed, [event for event, _ in frames]) == (1, [name, "notification"])


@pytest.mark.parametrize(("method", "name", "read"), METHODS)
async def test_no_frame_is_sent_when_nothing_changed(harness: InboxHarness, method: str, name: str, read: bool) -> None:
    theirs = await harness.inbox.send(Recipient("another"), "t", publish=False)
    [row] = await harness.rows(1, read=not read)
    ids = [theirs.id, UNKNOWN, "latest", *([] if method == "delete" else [row.id])]
    assert await harness.events_of(getattr(harness.inbox, method)(harness.user, *ids)) == (0, [])


async def test_marking_again_changes_nothing_and_sends_no_frame(harness: InboxHarness) -> None:
    [row] = await harness.rows(1)
    await harness.inbox.mark_read(harness.user, row.id)
    assert await harness.events_of(harness.inbox.mark_read(harness.user, row.id)) == (0, [])


async def test_marks_reach_no_other_recipient(harness: InboxHarness) -> None:
    stranger = Recipient("42", tenant="acme")
    async with harness.hub.subscribe(stranger) as other:
        [row] = await harness.rows(1)
        await harness.events_of(harness.inbox.mark_read(harness.user, row.id))
        await harness.inbox.send_live(stranger, "hello")
        async with asyncio.timeout(60):
            assert [frame.json["type"] for frame in parse(await anext(other))] == ["hello"]


async def test_mark_all_read_unfiltered_sends_a_null_id(harness: InboxHarness) -> None:
    await harness.rows(30)
    assert await harness.events_of(harness.inbox.mark_all_read(harness.user)) == (
        30,
        [("read", {"notificationId": None, "readAt": NOON}), CHANGED],
    )


async def test_mark_all_read_with_empty_types_is_unfiltered(harness: InboxHarness) -> None:
    await harness.rows(1)
    _, frames = await harness.events_of(harness.inbox.mark_all_read(harness.user, types=[]))
    assert [name for name, _ in frames] == ["read", "notification"]


async def test_mark_all_read_of_some_types_sends_only_the_empty_frame(harness: InboxHarness) -> None:
    await harness.rows(2)
    await harness.inbox.send(harness.user, "other", publish=False)
    assert await harness.events_of(harness.inbox.mark_all_read(harness.user, types=["t"])) == (2, [CHANGED])
    assert await harness.inbox.unread_count(harness.user) == 1


async def test_mark_all_read_of_what_was_seen_sends_only_the_empty_frame_and_leaves_the_rest(
    harness: InboxHarness, noon: datetime
) -> None:
    await harness.rows(1)
    later = Notification.new(harness.user, "t", at=noon + timedelta(milliseconds=1))
    await harness.inbox.store.insert(later)
    # The microseconds are cut off, as they are from every time a client was shown.
    seen = noon + timedelta(microseconds=999)
    assert await harness.events_of(harness.inbox.mark_all_read(harness.user, seen=seen)) == (1, [CHANGED])
    assert await harness.inbox.page(harness.user, unread_only=True) == [later]


async def test_mark_all_read_of_nothing_sends_no_frame(harness: InboxHarness) -> None:
    assert await harness.events_of(harness.inbox.mark_all_read(harness.user)) == (0, [])


async def test_a_key_stands_for_its_id_in_every_method(harness: InboxHarness) -> None:
    row = await harness.inbox.send(harness.user, "t", key="export:9", publish=False)
    assert await harness.inbox.get(harness.user, key="export:9") == row
    for method, name in (("mark_read", "read"), ("mark_unread", "unread"), ("delete", "delete")):
        changed, [(event, data), _] = await harness.events_of(
            getattr(harness.inbox, method)(harness.user, key="export:9")
        )
        assert (changed, event, data["notificationId"]) == (1, name, row.id)
    assert await harness.inbox.get(harness.user, key="export:9") is None


async def test_a_key_and_ids_may_be_combined(harness: InboxHarness) -> None:
    rows = await harness.rows(2)
    keyed = await harness.inbox.send(harness.user, "t", key="k", publish=False)
    assert await harness.inbox.mark_read(harness.user, rows[0].id, keyed.id, rows[1].id, key="k") == 3


async def test_a_key_names_nothing_in_another_inbox(harness: InboxHarness) -> None:
    await harness.inbox.send(harness.user, "t", key="k", publish=False)
    stranger = Recipient("42", tenant="acme")
    assert await harness.inbox.get(stranger, key="k") is None
    assert await harness.inbox.delete(stranger, key="k") == 0
    assert await harness.inbox.count(harness.user) == 1


async def test_an_id_names_nothing_in_another_inbox(harness: InboxHarness) -> None:
    [row] = await harness.rows(1)
    assert await harness.inbox.get(Recipient("another"), row.id) is None
    assert await harness.inbox.get(harness.user, row.id) == row


@pytest.mark.parametrize("arguments", [{}, {"id": UNKNOWN, "key": "k"}], ids=["neither", "both"])
async def test_get_takes_either_an_id_or_a_key(harness: InboxHarness, arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="id: expected either an id or a key="):
        await harness.inbox.get(harness.user, **arguments)


@pytest.mark.parametrize("method", ["mark_read", "mark_unread", "delete"])
async def test_a_method_without_any_id_or_key_is_refused(recording: Any, user: Recipient, method: str) -> None:
    with pytest.raises(InvalidArgument, match="ids: expected at least one id, or a key=, got neither"):
        await getattr(Inbox(recording), method)(user)
    assert recording.calls == []


async def test_only_what_can_be_an_id_reaches_the_store(recording: Any, user: Recipient) -> None:
    inbox = Inbox(recording)
    row = await inbox.send(user, "t")
    assert await inbox.mark_read(user, "latest", row.id, row.id.upper()) == 1
    recording.calls.clear()
    assert await inbox.mark_read(user, "latest") == 0
    assert recording.calls == []


async def test_unread_count_stops_at_at_most(harness: InboxHarness) -> None:
    await harness.rows(5)
    assert await harness.inbox.unread_count(harness.user, at_most=3) == 3
    assert await harness.inbox.unread_count(harness.user) == 5


@pytest.mark.parametrize("offered", [True, False], ids=["in one query", "one by one"])
async def test_unread_counts_are_those_of_each_recipient(recording: Any, user: Recipient, offered: bool) -> None:
    if not offered:
        recording.unread_counts = None
    inbox, other = Inbox(recording), Recipient("42", tenant="acme")
    await inbox.send_many([user, user, other], "t")
    await inbox.send(user, "more")
    nobody = Recipient("nobody")
    assert await inbox.unread_counts([user, other, nobody, user]) == {user: 2, other: 1, nobody: 0}
    assert await inbox.unread_counts([user, other], types=["t"], at_most=1) == {user: 1, other: 1}


async def test_pages_that_follow_the_last_cursor_neither_repeat_nor_skip(harness: InboxHarness) -> None:
    rows = await harness.rows(7)
    seen: list[Notification] = []
    while page := await harness.inbox.page(harness.user, limit=3, before=seen[-1].cursor if seen else None):
        seen.extend(page)
        await harness.rows(1)  # newer than any page still to come
    assert seen == rows[::-1]
