"""The host's transaction: what a send writes and publishes is committed or rolled back with the host's own work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, connections, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from notistore import DuplicateNotification, Inbox, Notification, Recipient, SseHub
from notistore.errors import InvalidArgument, Unsupported
from notistore.sync import SyncInbox
from notistore_django.store import DjangoStore, SyncDjangoStore


@contextmanager
def rolled_back(alias: str) -> Iterator[None]:
    """An `atomic()` block that rolls back at its end."""

    class RollBack(Exception):
        pass

    with suppress(RollBack), transaction.atomic(alias):
        yield
        raise RollBack


class RecordingHub(SseHub):
    """A hub that records how many rows another connection could read when something was published."""

    def __init__(self, seen: Callable[[], int]) -> None:
        super().__init__()
        self.published: list[int] = []
        self._seen = seen

    def publish(self, recipient: Recipient, *events: Any) -> None:
        self.published.append(self._seen())
        super().publish(recipient, *events)


@pytest.fixture
def store(alias: str) -> SyncDjangoStore:
    return SyncDjangoStore(alias)


def count_elsewhere(store: SyncDjangoStore, user: Recipient) -> int:
    """The number of rows that another thread, and so another connection, can read."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(store.count, user).result()


@pytest.fixture
def hub(store: SyncDjangoStore, user: Recipient) -> RecordingHub:
    return RecordingHub(lambda: count_elsewhere(store, user))


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest, store: SyncDjangoStore, hub: SseHub, user: Recipient) -> Callable[[], None]:
    """Sends from synchronous code, through an inbox bound once for all."""
    if request.param == "sync":
        blocking = SyncInbox(store, hub).bind(None)
        return lambda: blocking.send(user, "t")
    inbox = Inbox(DjangoStore(store.using), hub).bind(None)
    return lambda: async_to_sync(inbox.send)(user, "t")


def test_a_send_is_published_once_the_outermost_block_has_committed(
    alias: str, send: Callable[[], None], hub: RecordingHub
) -> None:
    with transaction.atomic(alias):
        with transaction.atomic(alias):
            send()
        send()
        assert hub.published == []
    assert hub.published == [2, 2]


def test_a_send_outside_any_block_is_published_at_once(send: Callable[[], None], hub: RecordingHub) -> None:
    send()
    assert hub.published == [1]


def test_a_send_in_a_block_that_is_rolled_back_is_neither_stored_nor_published(
    alias: str, store: SyncDjangoStore, send: Callable[[], None], hub: RecordingHub, user: Recipient
) -> None:
    with rolled_back(alias):
        send()
        assert store.count(user) == 1
    assert store.count(user) == 0
    assert hub.published == []


def test_a_send_in_a_savepoint_that_is_rolled_back_is_neither_stored_nor_published(
    alias: str, store: SyncDjangoStore, send: Callable[[], None], hub: RecordingHub, user: Recipient
) -> None:
    with transaction.atomic(alias):
        send()
        with rolled_back(alias):
            send()
            with transaction.atomic(alias):
                send()
        assert store.count(user) == 1
    assert hub.published == [1]


def test_in_a_test_case_djangos_own_tool_publishes_the_events(
    alias: str, send: Callable[[], None], hub: RecordingHub
) -> None:
    with rolled_back(alias):  # as a TestCase's test is
        with TestCase.captureOnCommitCallbacks(using=alias, execute=True):
            send()
            assert hub.published == []
        assert len(hub.published) == 1


def test_in_an_async_test_that_tool_is_entered_in_djangos_thread(
    alias: str, hub: RecordingHub, user: Recipient
) -> None:
    """On the event loop's thread it looks at a connection that nothing uses (docs/adapters/django.md)."""
    inbox = Inbox(DjangoStore(alias), hub).bind(None)

    async def test() -> None:
        with TestCase.captureOnCommitCallbacks(using=alias, execute=True) as caught:
            await inbox.send(user, "t")
        assert caught == []
        capture = TestCase.captureOnCommitCallbacks(using=alias, execute=True)
        await sync_to_async(capture.__enter__)()
        await inbox.send(user, "t")
        assert hub.published == []
        await sync_to_async(capture.__exit__)(None, None, None)
        assert len(hub.published) == 1

    with rolled_back(alias):
        async_to_sync(test)()


def test_what_is_sent_live_after_a_rollback_goes_out(alias: str, hub: RecordingHub, user: Recipient) -> None:
    inbox = Inbox(DjangoStore(alias), hub).bind(None)

    async def send_rolled_back_then_live() -> None:
        await sync_to_async(send_rolled_back)()
        await inbox.send_live(user, "typing")

    def send_rolled_back() -> None:
        with rolled_back(alias):
            async_to_sync(inbox.send)(user, "t")

    async_to_sync(send_rolled_back_then_live)()
    assert hub.published == [0]


def test_an_unbound_store_joins_the_block_that_is_open(alias: str, store: SyncDjangoStore, user: Recipient) -> None:
    rows = [Notification.new(user, "t", {"n": n}, key=f"{n}") for n in range(3)]
    with rolled_back(alias):
        store.insert(rows[0])
        store.upsert(rows[1])
        async_to_sync(DjangoStore(alias).insert)(rows[2])
        assert store.mark_all_read(user, at=rows[0].created_at) == 3
    assert store.count(user) == 0


def test_a_duplicate_that_is_caught_leaves_the_hosts_work_standing(
    alias: str, store: SyncDjangoStore, user: Recipient
) -> None:
    first, second, third = (Notification.new(user, "t") for _ in range(3))
    with transaction.atomic(alias):
        store.insert(first)
        with pytest.raises(DuplicateNotification):
            store.insert(replace(second, id=first.id))
        with pytest.raises(DuplicateNotification) as caught:
            store.insert_many([second, replace(third, id=first.id)])
        assert caught.value.id == first.id
        store.insert(third)
    assert {row.id for row in store.page(user)} == {first.id, third.id}


def test_a_call_of_its_own_is_one_statement(alias: str, store: SyncDjangoStore, user: Recipient) -> None:
    row = Notification.new(user, "t", key="k")
    for call in (
        lambda: store.insert(Notification.new(user, "t")),
        lambda: store.upsert(row),
        lambda: store.get(user, row.id),
        lambda: store.page(user, before=row.cursor),
        lambda: store.count(user),
        lambda: store.unread_count(user, at_most=99),
        lambda: store.unread_counts([user, replace(user, tenant="other")]),
    ):
        with CaptureQueriesContext(connections[alias]) as queries:
            call()
        assert len(queries) == 1, [query["sql"] for query in queries]


def test_a_savepoint_that_the_application_rolls_back_by_hand_takes_its_sends_along(
    alias: str, send: Callable[[], None], hub: RecordingHub
) -> None:
    with transaction.atomic(alias):
        first = transaction.savepoint(alias)
        send()
        second = transaction.savepoint(alias)
        send()
        transaction.savepoint_rollback(second, alias)
        send()
        transaction.savepoint_commit(first, alias)
    assert hub.published == [2, 2]
    with transaction.atomic(alias):
        first = transaction.savepoint(alias)
        send()
        transaction.savepoint_rollback(first, alias)
    assert hub.published == [2, 2]


def test_a_block_whose_error_the_application_swallowed_publishes_what_was_committed(
    alias: str, store: SyncDjangoStore, send: Callable[[], None], hub: RecordingHub, user: Recipient
) -> None:
    """PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and Django calls its hooks."""
    connection = connections[alias]

    def fail() -> None:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")

    with transaction.atomic(alias):
        send()
        inner = transaction.savepoint(alias)
        fail()
        transaction.savepoint_rollback(inner, alias)
    assert hub.published == [1]
    with transaction.atomic(alias):
        send()
        fail()
    assert len(hub.published) == store.count(user) == (1 if connection.vendor == "postgresql" else 2)


def test_reads_register_no_hook(alias: str, user: Recipient) -> None:
    bound = DjangoStore(alias).bind()
    with transaction.atomic(alias):
        async_to_sync(bound.count)(user)
        async_to_sync(bound.page)(user)
        assert connections[alias].run_on_commit == []


def test_with_autocommit_off_a_call_joins_and_is_not_retried(
    alias: str, store: SyncDjangoStore, user: Recipient
) -> None:
    transaction.set_autocommit(False, using=alias)
    try:
        store.insert(Notification.new(user, "t"))
        store.insert_many([Notification.new(user, "t") for _ in range(1001)])
        assert store.count(user) == 1002
        transaction.rollback(using=alias)
        assert store.count(user) == 0
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)


def test_with_autocommit_off_there_is_no_hook_and_the_caller_publishes(
    alias: str, store: SyncDjangoStore, user: Recipient, hub: RecordingHub
) -> None:
    transaction.set_autocommit(False, using=alias)
    try:
        with pytest.raises(Unsupported, match="autocommit off"):
            store.bind().after_commit(lambda: None)
        blocking = SyncInbox(store, hub).bind(None)
        sent = blocking.send(user, "t")
        transaction.commit(using=alias)
        assert hub.published == []
        blocking.publish(sent)
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)
    assert store.count(user) == 1


def test_bind_takes_an_alias_and_refuses_what_is_none(alias: str) -> None:
    assert SyncDjangoStore().bind(alias).count(Recipient("nobody")) == 0
    with pytest.raises(InvalidArgument, match="expected None or the alias of a database"):
        SyncDjangoStore().bind("nowhere")
    with pytest.raises(InvalidArgument, match="expected None or the alias of a database"):
        DjangoStore().bind(connections[alias])
