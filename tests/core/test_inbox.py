"""Sending. Rows are checked, stored, then published; and no failure to publish fails a send."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from notistore import (
    Actor,
    Inbox,
    InvalidNotification,
    MemoryStore,
    Message,
    Notification,
    Recipient,
    SseHub,
    StoreError,
    Unsupported,
    keyed_id,
)
from notistore.hub import Subscription
from notistore.hub.events import Event
from notistore.ids import is_id
from notistore.wire import to_item

from .eventstream import Frame, parse


class NoUpsert(MemoryStore):
    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        raise Unsupported("no upsert here")


class Broken(MemoryStore):
    async def insert(self, notification: Notification) -> None:
        raise StoreError("the database is away")


class BrokenHub(SseHub):
    def publish(self, recipient: Recipient, *events: Event) -> None:
        raise RuntimeError("the hub is broken")


@dataclass
class InvoicePaid:
    invoice_id: int
    type: str = "invoice.paid"

    @property
    def data(self) -> dict[str, object]:
        return {"invoice_id": self.invoice_id}


@dataclass
class Progress:
    type: str = "export.progress"
    data: dict[str, object] = field(default_factory=lambda: {"progress": 60, "log": "long"})
    key: str | None = "export:9"
    live: dict[str, object] | None = field(default_factory=lambda: {"progress": 60})
    tenant: str | None = None


@pytest.fixture
def hub() -> SseHub:
    return SseHub()


@pytest.fixture
async def stream(hub: SseHub, user: Recipient) -> AsyncIterator[Subscription]:
    async with hub.subscribe(user) as stream:
        yield stream


async def frames(stream: Subscription) -> list[Frame]:
    async with asyncio.timeout(60):
        return parse(await anext(stream))


async def test_a_send_stores_a_row_and_returns_it(user: Recipient, noon: datetime) -> None:
    store = MemoryStore()
    inbox = Inbox(store, clock=lambda: noon)
    row = await inbox.send(user, "invoice.paid", {"invoice_id": 7}, actor=Actor("7"), trace_id="abc")
    assert await store.page(user) == [row]
    assert (row.type, row.data, row.actor, row.trace_id) == ("invoice.paid", {"invoice_id": 7}, Actor("7"), "abc")
    assert (row.version, row.read_at, row.created_at, row.updated_at) == (1, None, noon, noon)


async def test_the_stream_gets_the_row_as_it_was_stored(stream: Subscription, hub: SseHub, user: Recipient) -> None:
    inbox = Inbox(MemoryStore(), hub)
    rows = [await inbox.send(user, "t", {"n": 1}, key="k"), await inbox.send(user, "t", {"n": 2}, key="k")]
    assert [row.version for row in rows] == [1, 2]
    assert [(frame.name, frame.json) for frame in await frames(stream)] == [
        ("notification", to_item(row)) for row in rows
    ]


@pytest.mark.parametrize("key", [None, "k"])
async def test_nothing_is_published_before_the_row_is_stored(hub: SseHub, user: Recipient, key: str | None) -> None:
    class Watching(MemoryStore):
        published = -1

        async def insert(self, notification: Notification) -> None:
            await super().insert(notification)
            self.published = hub.stats().published

        async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
            stored = await super().upsert(notification, renotify=renotify)
            self.published = hub.stats().published
            return stored

    store = Watching()
    await Inbox(store, hub).send(user, "t", key=key)
    assert (store.published, hub.stats().published) == (0, 1)


async def test_what_could_not_be_stored_is_not_published(hub: SseHub, user: Recipient) -> None:
    with pytest.raises(StoreError):
        await Inbox(Broken(), hub).send(user, "t")
    assert hub.stats().published == 0


async def test_a_failure_to_publish_is_logged_and_counted_and_fails_no_call(
    user: Recipient, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox(MemoryStore(), BrokenHub())
    row = await inbox.send(user, "t")
    assert await inbox.mark_read(user, row.id) == 1
    assert await inbox.mark_unread(user, row.id) == 1
    assert await inbox.mark_all_read(user) == 1
    assert await inbox.delete(user, row.id) == 1
    assert inbox.publish_failures == 5
    assert [record.exc_text is not None for record in caplog.records] == [True] * 5
    assert {record.name for record in caplog.records} == {"notistore"}


async def test_publish_false_only_stores_and_publish_sends_its_event_later(
    stream: Subscription, hub: SseHub, user: Recipient
) -> None:
    inbox = Inbox(MemoryStore(), hub)
    row = await inbox.send(user, "t", publish=False)
    assert hub.stats().published == 0
    await inbox.publish(row)
    assert [frame.json for frame in await frames(stream)] == [to_item(row)]


async def test_live_is_published_and_data_is_stored(stream: Subscription, hub: SseHub, user: Recipient) -> None:
    row = await Inbox(MemoryStore(), hub).send(user, "t", {"large": 1}, live={"small": 2})
    assert row.data == {"large": 1}
    assert [frame.json["data"] for frame in await frames(stream)] == [{"small": 2}]


async def test_a_live_send_is_published_and_not_stored(stream: Subscription, hub: SseHub, user: Recipient) -> None:
    store = MemoryStore()
    await Inbox(store, hub).send_live(user, "typing", {"who": "Ann"})
    [frame] = await frames(stream)
    assert (frame.json["type"], frame.json["data"], frame.json["version"]) == ("typing", {"who": "Ann"}, 0)
    assert await store.count(user) == 0


async def test_a_live_send_is_checked_as_a_send_is(hub: SseHub, user: Recipient) -> None:
    with pytest.raises(InvalidNotification, match=r"data\.a"):
        await Inbox(MemoryStore(), hub).send_live(user, "typing", {"a": float("nan")})
    assert hub.stats().published == 0


async def test_without_a_hub_everything_but_publishing_works(user: Recipient) -> None:
    inbox = Inbox(MemoryStore())
    row = await inbox.send(user, "t")
    await inbox.send_live(user, "t")
    assert await inbox.mark_read(user, row.id) == 1
    assert inbox.publish_failures == 0


async def test_a_key_updates_one_row_in_place_and_makes_it_unread(user: Recipient) -> None:
    inbox = Inbox(MemoryStore())
    first = await inbox.send(user, "export.progress", {"progress": 60}, key="export:9")
    await inbox.mark_read(user, first.id)
    second = await inbox.send(user, "export.done", {"progress": 100}, key="export:9")
    assert await inbox.page(user) == [second]
    assert second.id == first.id == keyed_id(user, "export:9")
    assert (second.type, second.version, second.read_at) == ("export.done", 2, None)


async def test_renotify_false_updates_the_row_and_leaves_it_read(user: Recipient) -> None:
    inbox = Inbox(MemoryStore())
    await inbox.send(user, "export.progress", key="export:9")
    await inbox.mark_read(user, key="export:9")
    row = await inbox.send(user, "export.progress", key="export:9", renotify=False)
    assert row.read_at is not None
    assert await inbox.unread_count(user) == 0


async def test_a_store_that_cannot_upsert_gets_a_fresh_row_that_keeps_the_key(
    user: Recipient, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox(NoUpsert())
    rows = [await inbox.send(user, "t", {"n": n}, key="k") for n in (1, 2, 3)]
    assert list(await inbox.page(user)) == rows[::-1]
    assert {row.key for row in rows} == {"k"}
    assert all(is_id(row.id) and row.id[14] == "7" for row in rows)
    assert [(record.levelno, "NoUpsert" in record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


async def test_a_message_supplies_type_and_data(user: Recipient) -> None:
    assert isinstance(InvoicePaid(7), Message)
    row = await Inbox(MemoryStore()).send(user, InvoicePaid(7))
    assert (row.type, row.data, row.key) == ("invoice.paid", {"invoice_id": 7}, None)


async def test_a_message_may_supply_key_and_live(stream: Subscription, hub: SseHub, user: Recipient) -> None:
    row = await Inbox(MemoryStore(), hub).send(user, Progress())
    assert (row.id, row.data) == (keyed_id(user, "export:9"), {"progress": 60, "log": "long"})
    assert [frame.json["data"] for frame in await frames(stream)] == [{"progress": 60}]


async def test_an_argument_takes_precedence_over_the_message(
    stream: Subscription, hub: SseHub, user: Recipient
) -> None:
    row = await Inbox(MemoryStore(), hub).send(user, Progress(), key="export:10", live={"progress": 61})
    assert row.key == "export:10"
    assert [frame.json["data"] for frame in await frames(stream)] == [{"progress": 61}]


async def test_a_messages_tenant_becomes_that_of_a_recipient_without_one(user: Recipient) -> None:
    inbox = Inbox(MemoryStore())
    row = await inbox.send(user, Progress(tenant="acme"))
    assert row.recipient == Recipient("42", tenant="acme")
    assert row.id == keyed_id(row.recipient, "export:9")
    assert await inbox.count(user) == 0


async def test_a_messages_tenant_may_be_the_recipients_own() -> None:
    row = await Inbox(MemoryStore()).send(Recipient("42", tenant="acme"), Progress(tenant="acme"))
    assert row.recipient.tenant == "acme"


BAD_MESSAGES: dict[str, tuple[Recipient, Any, str]] = {
    "another tenant's": (Recipient("42", tenant="other"), Progress(tenant="acme"), "tenant"),
    "an empty tenant": (Recipient("42"), Progress(tenant=""), "recipient.tenant"),
    "an empty type": (Recipient("42"), Progress(type=""), "type"),
    "bad data": (Recipient("42"), Progress(data={"a": {1}}), "data.a"),
    "a bad key": (Recipient("42"), Progress(key="a\n"), "key"),
    "bad live": (Recipient("42"), Progress(live={"a": {1}}), "live.a"),
    "its class": (Recipient("42"), InvoicePaid, "data"),
    "no message": (Recipient("42"), object(), "type"),
}


@pytest.mark.parametrize(("recipient", "message", "name"), BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
async def test_a_bad_message_is_refused_and_nothing_written(
    recording: Any, recipient: Recipient, message: Any, name: str
) -> None:
    with pytest.raises(InvalidNotification) as refused:
        await Inbox(recording).send(recipient, message)
    assert refused.value.field == name
    assert recording.calls == []


async def test_data_in_addition_to_a_message_is_refused(recording: Any, user: Recipient) -> None:
    with pytest.raises(InvalidNotification, match="data: expected none beside a message"):
        await Inbox(recording).send(user, InvoicePaid(7), {"invoice_id": 8})
    assert recording.calls == []


EVERYONE = [Recipient("1"), Recipient("2"), Recipient("1"), Recipient("1", tenant="acme"), Recipient("2")]


async def test_send_many_sends_once_to_each_in_their_order() -> None:
    inbox = Inbox(MemoryStore())
    rows = await inbox.send_many(iter(EVERYONE), "t", {"n": 1})
    assert [row.recipient for row in rows] == [Recipient("1"), Recipient("2"), Recipient("1", tenant="acme")]
    assert len({row.id for row in rows}) == 3
    for row in rows:
        assert await inbox.page(row.recipient) == [row]


async def test_send_many_inserts_in_bulk_where_the_store_can(recording: Any) -> None:
    await Inbox(recording).send_many(EVERYONE, "t")
    assert recording.calls == ["insert_many"]


async def test_send_many_inserts_one_by_one_where_the_store_cannot() -> None:
    class OneByOne(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.insert_many = None  # type: ignore[assignment]

        async def insert(self, notification: Notification) -> None:
            self._rows[notification.id] = notification

    inbox = Inbox(OneByOne())
    rows = await inbox.send_many(EVERYONE, "t")
    assert [await inbox.count(row.recipient) for row in rows] == [1, 1, 1]


async def test_send_many_with_a_key_upserts_the_row_of_each(recording: Any) -> None:
    inbox = Inbox(recording)
    for version in (1, 2):
        rows = await inbox.send_many(EVERYONE, "t", key="k")
        assert [row.id for row in rows] == [keyed_id(row.recipient, "k") for row in rows]
        assert [row.version for row in rows] == [version] * 3
    assert recording.calls == ["upsert"] * 6


async def test_send_many_publishes_to_each_recipient_its_own_row(hub: SseHub) -> None:
    async with hub.subscribe(Recipient("1")) as one, hub.subscribe(Recipient("1", tenant="acme")) as other:
        first, _, last = await Inbox(MemoryStore(), hub).send_many(EVERYONE, "t")
        assert [frame.json for frame in await frames(one)] == [to_item(first)]
        assert [frame.json for frame in await frames(other)] == [to_item(last)]
    assert hub.stats().published == 3


async def test_send_many_in_bulk_stores_and_publishes_nothing_when_it_fails(hub: SseHub, user: Recipient) -> None:
    class Full(MemoryStore):
        async def insert_many(self, notifications: Sequence[Notification]) -> None:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        await Inbox(Full(), hub).send_many(EVERYONE, "t")
    assert hub.stats().published == 0


async def test_send_many_takes_the_messages_tenant_before_it_drops_repeats() -> None:
    rows = await Inbox(MemoryStore()).send_many(
        [Recipient("1"), Recipient("1", tenant="acme")], Progress(tenant="acme")
    )
    assert [row.recipient for row in rows] == [Recipient("1", tenant="acme")]


async def test_send_many_refuses_one_bad_recipient_and_writes_nothing(recording: Any) -> None:
    with pytest.raises(InvalidNotification, match="recipient: expected a Recipient, got '2'"):
        await Inbox(recording).send_many([Recipient("1"), "2"], "t")  # type: ignore[list-item]
    assert recording.calls == []


async def test_send_many_without_recipients_writes_nothing(recording: Any) -> None:
    assert await Inbox(recording).send_many([], "t") == []
    assert recording.calls == []


async def test_a_read_at_is_utc_truncated_to_the_millisecond(user: Recipient, noon: datetime) -> None:
    inbox = Inbox(MemoryStore(), clock=lambda: noon + timedelta(microseconds=999))
    row = await inbox.send(user, "t")
    await inbox.mark_read(user, row.id)
    read = await inbox.get(user, row.id)
    assert read is not None
    assert read.created_at == read.updated_at == read.read_at == noon


class Transaction(MemoryStore):
    """A store bound to a transaction of which the test says when it has committed."""

    def __init__(self, hook: bool = True) -> None:
        super().__init__()
        self.hook = hook
        self.committed: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        if not self.hook:
            raise Unsupported("no hook after the commit")
        self.committed.append(callback)


class Binding(NoUpsert):
    """Each session is itself the store that is bound to it."""

    def bind(self, session: object) -> Any:
        return session


async def test_a_bound_inbox_publishes_after_the_commit(stream: Subscription, hub: SseHub, user: Recipient) -> None:
    transaction = Transaction()
    bound = Inbox(Binding(), hub).bind(transaction)
    row = await bound.send(user, "t")
    await bound.mark_read(user, row.id)
    assert await transaction.count(user) == 1
    assert hub.stats().published == 0
    for callback in transaction.committed:
        callback()
    assert [frame.name for frame in await frames(stream)] == ["notification", "read", "notification"]


async def test_binding_leaves_the_inbox_itself_as_it_was(hub: SseHub, user: Recipient) -> None:
    inbox = Inbox(MemoryStore(), hub)
    inbox.store = store = Binding()
    inbox.bind(Transaction())
    await inbox.send(user, "t")
    assert (await store.count(user), hub.stats().published) == (1, 1)


async def test_a_failure_to_publish_after_the_commit_is_counted_and_not_raised_in_the_application(
    user: Recipient,
) -> None:
    inbox, transaction = Inbox(Binding(), BrokenHub()), Transaction()
    await inbox.bind(transaction).send(user, "t")
    for callback in transaction.committed:
        callback()
    assert inbox.publish_failures == 1


async def test_a_hook_that_fails_is_counted_and_fails_no_send(user: Recipient) -> None:
    class Ended(Transaction):
        def after_commit(self, callback: Callable[[], None]) -> None:
            raise RuntimeError("the session has ended")

    inbox = Inbox(Binding(), SseHub())
    await inbox.bind(Ended()).send(user, "t")
    assert inbox.publish_failures == 1


async def test_without_a_hook_after_the_commit_the_caller_publishes(
    stream: Subscription, hub: SseHub, user: Recipient
) -> None:
    inbox = Inbox(Binding(), hub)
    row = await inbox.bind(Transaction(hook=False)).send(user, "t")
    assert (hub.stats().published, inbox.publish_failures) == (0, 0)
    await inbox.publish(row)
    assert [frame.json for frame in await frames(stream)] == [to_item(row)]


async def test_inboxes_bound_from_one_warn_once_together(user: Recipient, caplog: pytest.LogCaptureFixture) -> None:
    class NoUpsertTransaction(NoUpsert, Transaction):
        pass

    inbox = Inbox(Binding())
    for _ in range(3):
        await inbox.bind(NoUpsertTransaction()).send(user, "t", key="k")
    assert len(caplog.records) == 1


async def test_a_store_that_cannot_join_a_transaction_says_so() -> None:
    with pytest.raises(Unsupported, match="MemoryStore cannot join a transaction"):
        Inbox(MemoryStore()).bind(object())
