"""MemoryStore: what the conformance kit does not require of every store."""

from __future__ import annotations

import pytest

from notistore import DuplicateNotification, MemoryStore, Notification, NotificationStore, Recipient
from notistore.memory import open_store


def test_it_satisfies_the_protocol() -> None:
    assert isinstance(MemoryStore(), NotificationStore)


async def test_two_stores_share_nothing(user: Recipient) -> None:
    await MemoryStore().insert(Notification.new(user, "t"))
    assert await MemoryStore().count(user) == 0


async def test_a_bulk_insert_that_names_an_id_twice_stores_none(user: Recipient) -> None:
    store, row = MemoryStore(), Notification.new(user, "t")
    with pytest.raises(DuplicateNotification) as refused:
        await store.insert_many([Notification.new(user, "t"), row, row])
    assert refused.value.id == row.id
    assert await store.count(user) == 0


async def test_the_entry_point_opens_an_empty_store_whatever_the_url(user: Recipient) -> None:
    async with open_store("memory://anything") as store:
        assert isinstance(store, MemoryStore)
        assert await store.count(user) == 0
