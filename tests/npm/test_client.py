"""@dudousxd/nestjs-notifications-client in Node: all of its requests, and both of its streams."""

from __future__ import annotations

from notistore import Inbox, Recipient, SseHub

from .conftest import Node

NEIGHBOUR = Recipient("43")


async def test_it_lists_and_pages(node: Node, inbox: Inbox, user: Recipient) -> None:
    sent = [(await inbox.send(user, type, {"title": type})).id for type in "abcab"][::-1]
    await inbox.send(NEIGHBOUR, "a")
    whole = await node.call("list")
    assert [item["id"] for item in whole["items"]] == sent
    assert whole["meta"] == {"page": 1, "perPage": 20, "total": 5, "lastPage": 1}
    assert whole["items"][0]["data"] == {"title": "b"}

    second = await node.call("list", {"page": 2, "perPage": 2})
    assert [item["id"] for item in second["items"]] == sent[2:4]
    assert second["meta"] == {"page": 2, "perPage": 2, "total": 5, "lastPage": 3}

    filtered = await node.call("list", {"types": ["a", "c"]})
    assert [item["type"] for item in filtered["items"]] == ["a", "c", "a"]


async def test_it_reads_what_is_unread_and_counts_it(node: Node, inbox: Inbox, user: Recipient) -> None:
    first, second, third = [await inbox.send(user, type) for type in "aab"]
    await inbox.mark_read(user, second.id)
    assert [item["id"] for item in await node.call("unread")] == [third.id, first.id]
    assert [item["id"] for item in await node.call("unread", {"types": ["b"]})] == [third.id]
    assert await node.call("unreadCount") == 2
    assert await node.call("unreadCount", {"types": ["a"]}) == 1


async def test_it_marks_and_removes(node: Node, inbox: Inbox, user: Recipient) -> None:
    first, second, third = [await inbox.send(user, "t") for _ in range(3)]
    foreign = await inbox.send(NEIGHBOUR, "t")

    assert await node.call("markAsRead", first.id) is None
    assert [row.id for row in await inbox.page(user, unread_only=True)] == [third.id, second.id]

    assert await node.call("markAllAsRead") is None
    assert await inbox.unread_count(user) == 0

    assert await node.call("remove", second.id) is None
    assert [row.id for row in await inbox.page(user)] == [third.id, first.id]

    not_found = {"error": "NotificationsApiError", "status": 404}
    assert await node.call("remove", second.id) == not_found
    assert await node.call("markAsRead", foreign.id) == not_found
    assert await inbox.get(NEIGHBOUR, foreign.id) == foreign


async def test_its_fetch_stream_receives_updates_and_reads(node: Node, inbox: Inbox, user: Recipient) -> None:
    await node.do("fetchStream")
    assert await node.received() == {"": "update"}  # the count that every stream begins with

    sent = await inbox.send(user, "t", key="k")
    assert await node.received() == {"": "update"}
    await inbox.send(user, "t", {"progress": 50}, key="k")
    assert await node.received() == {"": "update"}

    await inbox.mark_read(user, sent.id)
    row = await inbox.get(user, sent.id)
    assert row is not None
    assert row.read_at is not None
    read_at = row.read_at.isoformat(timespec="milliseconds")
    assert await node.received() == {"": "read", "notificationId": sent.id, "readAt": read_at}

    await inbox.mark_unread(user, sent.id)
    assert await node.received() == {"": "update"}
    await node.call("markAllAsRead")
    read = await node.received()
    assert (read[""], read["notificationId"]) == ("read", None)


async def test_its_fetch_stream_reconnects(node: Node, inbox: Inbox, hub: SseHub, user: Recipient) -> None:
    await node.do("fetchStream")
    assert await node.received() == {"": "update"}
    hub.close()
    assert await node.received() == {"": "update"}
    assert hub.stats().ended["closed"] >= 1
    await node.do("leave")


async def test_its_event_source_sets_the_badge_and_refetches(node: Node, inbox: Inbox, user: Recipient) -> None:
    sent = await inbox.send(user, "t")
    await node.do("eventSource")
    assert await node.received() == {"": "event", "count": 1}

    await inbox.send(user, "t", {"count": 99})  # a user's own count is no badge
    assert await node.received() == {"": "event"}
    for change in (inbox.mark_read, inbox.mark_unread, inbox.delete):
        await change(user, sent.id)
        assert await node.received() == {"": "event"}
    await inbox.mark_all_read(user)
    assert await node.received() == {"": "event"}
