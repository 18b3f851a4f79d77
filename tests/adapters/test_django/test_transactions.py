"""A host's transaction: what a send writes in it, and what it pushes, commits or vanishes with the host's own work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
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
    """A hub that notes how many rows could be read, by another connection, when something was published."""

    def __init__(self, seen: Callable[[], int]) -> None:
        super().__init__()
        self.pushes: list[int] = []
        self._seen = seen

    def publish(self, recipient: Recipient, *events: Any) -> None:
        self.pushes.append(self._seen())
        super().publish(recipient, *events)


@pytest.fixture
def store(alias: str) -> SyncDjangoStore:
    return SyncDjangoStore(alias)


def count_elsewhere(store: SyncDjangoStore, user: Recipient) -> int:
    """What another thread, and so another connection, can read."""
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


def test_a_send_is_pushed_once_the_outermost_block_has_committed(
    alias: str, send: Callable[[], None], hub: RecordingHub
) -> None:
    with transaction.atomic(alias):
        with transaction.atomic(alias):
            send()
        send()
        assert hub.pushes == []
    assert hub.pushes == [2, 2]


def test_a_send_outside_any_block_is_pushed_at_once(send: Callable[[], None], hub: RecordingHub) -> None:
    send()
    assert hub.pushes == [1]


def test_a_send_in_a_block_that_is_rolled_back_is_neither_stored_nor_pushed(
    alias: str, store: SyncDjangoStore, send: Callable[[], None], hub: RecordingHub, user: Recipient
) -> None:
    with rolled_back(alias):
        send()
        assert store.count(user) == 1
    assert store.count(user) == 0
    assert hub.pushes == []


def test_a_send_in_a_savepoint_that_is_rolled_back_is_neither_stored_nor_pushed(
    alias: str, store: SyncDjangoStore, send: Callable[[], None], hub: RecordingHub, user: Recipient
) -> None:
    with transaction.atomic(alias):
        send()
        with rolled_back(alias):
            send()
            with transaction.atomic(alias):
                send()
        assert store.count(user) == 1
    assert hub.pushes == [1]


def test_in_a_test_case_djangos_own_tool_runs_the_pushes(
    alias: str, send: Callable[[], None], hub: RecordingHub
) -> None:
    with rolled_back(alias):  # as a TestCase's test is
        with TestCase.captureOnCommitCallbacks(using=alias, execute=True):
            send()
            assert hub.pushes == []
        assert len(hub.pushes) == 1


def test_what_is_pushed_live_after_a_rollback_goes_out(alias: str, hub: RecordingHub, user: Recipient) -> None:
    inbox = Inbox(DjangoStore(alias), hub).bind(None)

    async def send_in_vain_then_push() -> None:
        await sync_to_async(send_in_vain)()
        await inbox.push(user, "typing")

    def send_in_vain() -> None:
        with rolled_back(alias):
            async_to_sync(inbox.send)(user, "t")

    async_to_sync(send_in_vain_then_push)()
    assert hub.pushes == [0]


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


def test_without_insert_returning_an_upsert_reads_its_row_in_the_same_transaction(
    alias: str, store: SyncDjangoStore, user: Recipient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL's way, on whatever database there is."""
    row = Notification.new(user, "t", {"n": 1}, key="k")
    store.upsert(row)
    monkeypatch.setattr(connections[alias].features, "can_return_columns_from_insert", False)
    with CaptureQueriesContext(connections[alias]) as queries:
        assert store.upsert(row) == replace(row, version=2)
    assert [query["sql"].split()[0] for query in queries] in (
        ["BEGIN", "INSERT", "SELECT", "COMMIT"],
        ["SET", "INSERT", "SELECT", "COMMIT", "SET"],
    )


def test_with_autocommit_off_there_is_no_hook_and_the_caller_publishes(
    alias: str, store: SyncDjangoStore, user: Recipient, hub: RecordingHub
) -> None:
    transaction.set_autocommit(False, using=alias)
    try:
        with pytest.raises(Unsupported, match="autocommit off"):
            store.after_commit(lambda: None)
        blocking = SyncInbox(store, hub).bind(None)
        sent = blocking.send(user, "t")
        transaction.commit(using=alias)
        assert hub.pushes == []
        blocking.publish(sent)
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)
    assert store.count(user) == 1


def test_bind_takes_an_alias_and_refuses_what_is_none(alias: str) -> None:
    assert SyncDjangoStore().bind(alias).using == alias
    with pytest.raises(InvalidArgument, match="expected None or the alias of a database"):
        SyncDjangoStore().bind("nowhere")
    with pytest.raises(InvalidArgument, match="expected None or the alias of a database"):
        DjangoStore().bind(connections[alias])
