"""Many rows in one call: all of them or none, and a DuplicateNotification names the id that was taken."""

from __future__ import annotations

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from notistore import DuplicateNotification, Notification, Recipient
from notistore_django.store import SyncDjangoStore


@pytest.mark.parametrize("joined", [True, False], ids=["in a block", "alone"])
def test_one_taken_id_among_thousands_is_named_and_nothing_is_inserted(
    alias: str, user: Recipient, joined: bool
) -> None:
    store = SyncDjangoStore(alias)
    kept, other = (Notification.new(user, "t") for _ in range(2))
    store.insert(kept)
    many = [Notification.new(user, "t") for _ in range(2_500)]

    def insert() -> None:
        with pytest.raises(DuplicateNotification) as caught:
            store.insert_many([*many, kept])
        assert caught.value.id == kept.id

    if joined:
        with transaction.atomic(alias):
            store.insert(other)
            insert()
            assert store.count(user) == 2
        assert store.count(user) == 2
    else:
        insert()
        assert store.page(user) == [kept]
    store.insert_many(many)
    assert store.page(user, limit=2_500) == many[::-1]
    store.erase(user)


def test_many_rows_are_few_statements(alias: str, user: Recipient) -> None:
    with CaptureQueriesContext(connections[alias]) as statements:
        SyncDjangoStore(alias).insert_many([Notification.new(user, "t") for _ in range(2_500)])
    inserts = [each for each in statements.captured_queries if "INSERT" in each["sql"]]
    assert 1 <= len(inserts) <= 25
