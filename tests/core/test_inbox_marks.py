"""Read sync: what the verbs that change rows tell the recipient's streams; and ids or key=."""

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


class Desk:
    """An inbox with one open stream, and what that stream is told."""

    def __init__(self, inbox: Inbox, hub: SseHub, user: Recipient, stream: Subscription) -> None:
        self.inbox = inbox
        self.hub = hub
        self.user = user
        self.stream = stream

    async def rows(self, count: int, *, read: bool = False) -> list[Notification]:
        rows = [await self.inbox.send(self.user, "t", push=False) for _ in range(count)]
        if read:
            await self.inbox.store.mark_read(self.user, *(row.id for row in rows), at=rows[0].created_at)
        return rows

    async def told(self, verb: Awaitable[int]) -> tuple[int, list[tuple[str, Any]]]:
        """What the verb returns, and the frames that follow it."""
        before = self.hub.stats().published
        result = await verb
        if self.hub.stats().published == before:
            return result, []
        async with asyncio.timeout(10):
            return result, [(frame.name, frame.json) for frame in parse(await anext(self.stream))]


@pytest.fixture
async def desk(user: Recipient, noon: datetime) -> AsyncIterator[Desk]:
    hub = SseHub()
    async with hub.subscribe(user) as stream:
        yield Desk(Inbox(MemoryStore(), hub, clock=lambda: noon), hub, user, stream)


async def test_mark_read_tells_the_id_and_the_time_and_that_counts_changed(desk: Desk) -> None:
    [row] = await desk.rows(1)
    assert await desk.told(desk.inbox.mark_read(desk.user, row.id)) == (
        1,
        [("read", {"notificationId": row.id, "readAt": NOON}), CHANGED],
    )


async def test_mark_unread_tells_the_id_and_that_counts_changed(desk: Desk) -> None:
    [row] = await desk.rows(1, read=True)
    assert await desk.told(desk.inbox.mark_unread(desk.user, row.id)) == (
        1,
        [("unread", {"notificationId": row.id}), CHANGED],
    )


async def test_delete_tells_the_id_and_that_counts_changed(desk: Desk) -> None:
    [row] = await desk.rows(1)
    assert await desk.told(desk.inbox.delete(desk.user, row.id)) == (
        1,
        [("delete", {"notificationId": row.id}), CHANGED],
    )


VERBS = [("mark_read", "read", False), ("mark_unread", "unread", True), ("delete", "delete", False)]


@pytest.mark.parametrize(("verb", "name", "read"), VERBS)
async def test_up_to_20_ids_are_told_one_by_one(desk: Desk, verb: str, name: str, read: bool) -> None:
    ids = [row.id for row in await desk.rows(20, read=read)]
    changed, frames = await desk.told(getattr(desk.inbox, verb)(desk.user, *ids))
    assert changed == 20
    assert frames.pop() == CHANGED
    assert [(told, data["notificationId"]) for told, data in frames] == [(name, id) for id in ids]


@pytest.mark.parametrize(("verb", "name", "read"), VERBS)
async def test_of_more_than_20_ids_only_the_change_is_told(desk: Desk, verb: str, name: str, read: bool) -> None:
    ids = [row.id for row in await desk.rows(21, read=read)]
    assert await desk.told(getattr(desk.inbox, verb)(desk.user, *ids)) == (21, [CHANGED])


@pytest.mark.parametrize(("verb", "name", "read"), VERBS)
async def test_an_id_named_twice_counts_and_is_told_once(desk: Desk, verb: str, name: str, read: bool) -> None:
    [row] = await desk.rows(1, read=read)
    changed, frames = await desk.told(getattr(desk.inbox, verb)(desk.user, *[row.id] * 21))
    assert (changed, [told for told, _ in frames]) == (1, [name, "notification"])


@pytest.mark.parametrize(("verb", "name", "read"), VERBS)
async def test_nothing_is_told_when_nothing_changed(desk: Desk, verb: str, name: str, read: bool) -> None:
    theirs = await desk.inbox.send(Recipient("another"), "t", push=False)
    [row] = await desk.rows(1, read=not read)
    ids = [theirs.id, UNKNOWN, "latest", *([] if verb == "delete" else [row.id])]
    assert await desk.told(getattr(desk.inbox, verb)(desk.user, *ids)) == (0, [])
    assert await desk.told(getattr(desk.inbox, verb)(desk.user)) == (0, [])


async def test_marking_again_changes_and_tells_nothing(desk: Desk) -> None:
    [row] = await desk.rows(1)
    await desk.inbox.mark_read(desk.user, row.id)
    assert await desk.told(desk.inbox.mark_read(desk.user, row.id)) == (0, [])


async def test_marks_are_told_to_no_other_recipient(desk: Desk) -> None:
    stranger = Recipient("42", tenant="acme")
    async with desk.hub.subscribe(stranger) as other:
        [row] = await desk.rows(1)
        await desk.told(desk.inbox.mark_read(desk.user, row.id))
        await desk.inbox.push(stranger, "hello")
        async with asyncio.timeout(10):
            assert [frame.json["type"] for frame in parse(await anext(other))] == ["hello"]


async def test_mark_all_read_unfiltered_tells_null(desk: Desk) -> None:
    await desk.rows(30)
    assert await desk.told(desk.inbox.mark_all_read(desk.user)) == (
        30,
        [("read", {"notificationId": None, "readAt": NOON}), CHANGED],
    )


async def test_mark_all_read_with_empty_types_is_unfiltered(desk: Desk) -> None:
    await desk.rows(1)
    _, frames = await desk.told(desk.inbox.mark_all_read(desk.user, types=[]))
    assert [name for name, _ in frames] == ["read", "notification"]


async def test_mark_all_read_of_some_types_tells_only_the_change(desk: Desk) -> None:
    await desk.rows(2)
    await desk.inbox.send(desk.user, "other", push=False)
    assert await desk.told(desk.inbox.mark_all_read(desk.user, types=["t"])) == (2, [CHANGED])
    assert await desk.inbox.unread_count(desk.user) == 1


async def test_mark_all_read_of_what_was_seen_tells_only_the_change_and_leaves_the_rest(
    desk: Desk, noon: datetime
) -> None:
    await desk.rows(1)
    later = Notification.new(desk.user, "t", at=noon + timedelta(milliseconds=1))
    await desk.inbox.store.insert(later)
    # The microseconds are cut off, as they are from every time a client was shown.
    verb = desk.inbox.mark_all_read(desk.user, seen=noon + timedelta(microseconds=999))
    assert await desk.told(verb) == (1, [CHANGED])
    assert await desk.inbox.page(desk.user, unread_only=True) == [later]


async def test_mark_all_read_of_nothing_tells_nothing(desk: Desk) -> None:
    assert await desk.told(desk.inbox.mark_all_read(desk.user)) == (0, [])


async def test_a_key_stands_for_its_id_in_every_verb(desk: Desk) -> None:
    row = await desk.inbox.send(desk.user, "t", key="export:9", push=False)
    assert await desk.inbox.get(desk.user, key="export:9") == row
    for verb, name in (("mark_read", "read"), ("mark_unread", "unread"), ("delete", "delete")):
        changed, [(told, data), _] = await desk.told(getattr(desk.inbox, verb)(desk.user, key="export:9"))
        assert (changed, told, data["notificationId"]) == (1, name, row.id)
    assert await desk.inbox.get(desk.user, key="export:9") is None


async def test_a_key_may_stand_beside_ids(desk: Desk) -> None:
    rows = await desk.rows(2)
    keyed = await desk.inbox.send(desk.user, "t", key="k", push=False)
    assert await desk.inbox.mark_read(desk.user, rows[0].id, keyed.id, rows[1].id, key="k") == 3


async def test_a_key_names_nothing_in_another_inbox(desk: Desk) -> None:
    await desk.inbox.send(desk.user, "t", key="k", push=False)
    stranger = Recipient("42", tenant="acme")
    assert await desk.inbox.get(stranger, key="k") is None
    assert await desk.inbox.delete(stranger, key="k") == 0
    assert await desk.inbox.count(desk.user) == 1


async def test_an_id_names_nothing_in_another_inbox(desk: Desk) -> None:
    [row] = await desk.rows(1)
    assert await desk.inbox.get(Recipient("another"), row.id) is None
    assert await desk.inbox.get(desk.user, row.id) == row


@pytest.mark.parametrize("arguments", [{}, {"id": UNKNOWN, "key": "k"}], ids=["neither", "both"])
async def test_get_takes_either_an_id_or_a_key(desk: Desk, arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="id: expected either an id or a key="):
        await desk.inbox.get(desk.user, **arguments)


async def test_only_what_can_be_an_id_reaches_the_store(recording: Any, user: Recipient) -> None:
    inbox = Inbox(recording)
    row = await inbox.send(user, "t")
    assert await inbox.mark_read(user, "latest", row.id, row.id.upper()) == 1
    recording.asked.clear()
    assert await inbox.mark_read(user, "latest") == await inbox.mark_read(user) == 0
    assert recording.asked == []


async def test_unread_count_stops_at_at_most(desk: Desk) -> None:
    await desk.rows(5)
    assert await desk.inbox.unread_count(desk.user, at_most=3) == 3
    assert await desk.inbox.unread_count(desk.user) == 5


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


async def test_pages_that_follow_the_last_cursor_neither_repeat_nor_skip(desk: Desk) -> None:
    rows = await desk.rows(7)
    seen: list[Notification] = []
    while page := await desk.inbox.page(desk.user, limit=3, before=seen[-1].cursor if seen else None):
        seen.extend(page)
        await desk.rows(1)  # newer than any page still to come
    assert seen == rows[::-1]
