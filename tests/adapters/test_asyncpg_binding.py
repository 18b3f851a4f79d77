"""asyncpg's transactions, as far as the kit does not cover them: how they end, and what is published then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from notistore import Inbox, Notification, Recipient, SseHub, StoreError
from notistore_asyncpg import AsyncpgStore

ME = Recipient("me")


@pytest.fixture
async def pool(empty_postgres_url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(empty_postgres_url, min_size=1, max_size=2) as pool:
        yield pool


@pytest.fixture
async def store(pool: Any) -> AsyncpgStore:
    store = AsyncpgStore(pool)
    await store.create_schema()
    return store


@pytest.fixture
def calls() -> list[str]:
    return []


def row() -> Notification:
    return Notification.new(ME, "t")


async def fail(connection: Any) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("SELECT * FROM nothing_of_that_name")


async def test_a_commit_that_is_a_rollback_because_an_error_was_swallowed_calls_nothing(
    pool: Any, store: AsyncpgStore, calls: list[str]
) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            bound = store.bind(connection)
            await bound.insert(row())
            bound.after_commit(lambda: calls.append("never"))
            await fail(connection)
        async with connection.transaction():
            await bound.count(ME)
            bound.after_commit(lambda: calls.append("committed"))
    assert calls == ["committed"]
    assert await store.count(ME) == 0


async def test_an_error_before_the_first_callback_does_so_too(pool: Any, store: AsyncpgStore, calls: list[str]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        bound = store.bind(connection)
        await bound.insert(row())
        await fail(connection)
        bound.after_commit(lambda: calls.append("never"))
    assert calls == []


async def test_an_error_inside_a_savepoint_that_was_rolled_back_does_not(
    pool: Any, store: AsyncpgStore, calls: list[str]
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        bound = store.bind(connection)
        await bound.insert(row())
        bound.after_commit(lambda: calls.append("outer"))
        savepoint = connection.transaction()
        await savepoint.start()
        bound.after_commit(lambda: calls.append("never"))
        await fail(connection)
        await savepoint.rollback()
    assert calls == ["outer"]
    assert await store.count(ME) == 1


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["COMMIT"], ["first", "second"]),
        (["end transaction"], ["first", "second"]),
        (["ROLLBACK"], []),
        (["rollback to savepoint here", "commit"], ["first"]),
        (["ROLLBACK TO here", "COMMIT"], ["first"]),
        (["RELEASE SAVEPOINT here", "COMMIT"], ["first", "second"]),
        (["ABORT"], []),
    ],
)
async def test_transactions_in_sql_of_the_applications_own(
    statements: list[str], expected: list[str], pool: Any, store: AsyncpgStore, calls: list[str]
) -> None:
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        bound = store.bind(connection)
        await bound.insert(row())
        bound.after_commit(lambda: calls.append("first"))
        await connection.execute("SAVEPOINT here")
        bound.after_commit(lambda: calls.append("second"))
        for statement in statements:
            await connection.execute(statement)
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    assert calls == expected


async def test_outside_a_transaction_a_bound_store_refuses(pool: Any, store: AsyncpgStore) -> None:
    async with pool.acquire() as connection:
        bound = store.bind(connection)
        with pytest.raises(StoreError, match="no transaction to join"):
            await bound.insert(row())
        async with connection.transaction():
            with pytest.raises(StoreError, match="joined a transaction yet"):
                bound.after_commit(lambda: None)


async def test_sends_of_a_transaction_that_was_rolled_back_are_never_published(pool: Any, store: AsyncpgStore) -> None:
    published: list[Any] = []

    class Hub(SseHub):
        def publish(self, recipient: Recipient, *events: Any) -> None:
            published.append(events)

    inbox = Inbox(store, Hub())
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await inbox.bind(connection).send(ME, "t")
        await transaction.rollback()
        assert not published
        async with connection.transaction():
            await inbox.bind(connection).send(ME, "t")
            assert not published
    assert len(published) == 1
