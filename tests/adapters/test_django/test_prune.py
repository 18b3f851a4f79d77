"""`manage.py prune_notifications`, and the batches it works in."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from notistore import Notification, Recipient
from notistore.model import utc_now
from notistore_django.store import SyncDjangoStore


@pytest.fixture
def store(empty: str) -> SyncDjangoStore:
    """A store without rows, because pruning affects every recipient's."""
    store = SyncDjangoStore(empty)
    store.create_schema()
    return store


def prune(store: SyncDjangoStore, *arguments: str) -> str:
    output = StringIO()
    call_command("prune_notifications", "--using", store.using, *arguments, stdout=output)
    return output.getvalue()


def insert(store: SyncDjangoStore, user: Recipient, days: float, number: int = 1) -> list[Notification]:
    """Rows that were last changed so many days ago."""
    rows = [Notification.new(user, "t", at=utc_now() - timedelta(days=days, seconds=n)) for n in range(number)]
    store.insert_many(rows)
    return rows


def test_older_rows_are_deleted_and_newer_ones_stay(store: SyncDjangoStore, user: Recipient) -> None:
    insert(store, user, 91, 3)
    kept = insert(store, user, 89)
    assert prune(store, "--older-than", "90") == "3 deleted\n"
    assert store.page(user) == kept


def test_only_read_leaves_the_unread(store: SyncDjangoStore, user: Recipient) -> None:
    read, unread = insert(store, user, 91, 2)
    store.mark_read(user, read.id, at=utc_now())
    assert prune(store, "--older-than", "90", "--only-read") == "1 deleted\n"
    assert store.page(user) == [unread]


def test_each_batch_is_a_transaction_of_its_own(store: SyncDjangoStore, user: Recipient) -> None:
    insert(store, user, 91, 7)
    with CaptureQueriesContext(connections[store.using]) as queries:
        assert prune(store, "--older-than", "90", "--batch", "3") == "7 deleted\n"
    statements = [query["sql"] for query in queries]  # each commits by itself
    assert [sql for sql in statements if sql.startswith(("BEGIN", "SAVEPOINT"))] == []
    assert len([sql for sql in statements if sql.startswith("DELETE")]) == 3


def test_unread_rows_are_skipped_only_once(store: SyncDjangoStore, user: Recipient) -> None:
    rows = insert(store, user, 91, 9)
    store.mark_read(user, *(row.id for row in rows[::2]), at=utc_now())
    assert prune(store, "--older-than", "90", "--only-read", "--batch", "2") == "5 deleted\n"
    assert store.page(user) == rows[1::2]


@pytest.mark.parametrize("entry", ["postgres", "mariadb"], indirect=True)  # SQLite locks no rows
def test_a_locked_row_is_skipped(store: SyncDjangoStore, user: Recipient) -> None:
    held, *_ = insert(store, user, 91, 3)
    peer = connections[store.using].copy()
    try:
        peer.set_autocommit(False)
        with peer.cursor() as cursor:
            cursor.execute("UPDATE notistore_notifications SET read_at = updated_at WHERE id = %s", [held.id])
        assert prune(store, "--older-than", "90") == "2 deleted\n"
        peer.rollback()
    finally:
        peer.close()
    assert store.page(user) == [held]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--older-than", "0"), ("--older-than", "-1"), ("--older-than", "x"), ("--older-than", "9", "--batch", "0")],
)
def test_arguments_that_make_no_sense_are_refused(store: SyncDjangoStore, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        prune(store, *arguments)


def test_a_missing_table_is_a_command_error(empty: str) -> None:
    with pytest.raises(CommandError, match="table does not exist"):
        prune(SyncDjangoStore(empty), "--older-than", "90")


def test_it_joins_an_atomic_block(store: SyncDjangoStore, user: Recipient) -> None:
    rows = insert(store, user, 91, 3)
    with transaction.atomic(store.using):
        assert store.prune(older_than=utc_now()) == 3
        transaction.set_rollback(True, store.using)
    assert store.page(user) == rows


def test_a_time_that_is_not_utc_is_the_same_instant(store: SyncDjangoStore, user: Recipient) -> None:
    [row] = insert(store, user, 1)
    local = row.updated_at.astimezone(datetime.now().astimezone().tzinfo)
    assert store.prune(older_than=local) == 0
    assert store.prune(older_than=local + timedelta(milliseconds=1)) == 1
