"""Tortoise, as far as the kit does not cover it: ambient transactions, when they have ended, and its contexts."""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.connection import get_connection
from tortoise.exceptions import OperationalError
from tortoise.transactions import in_transaction

from notistore import DuplicateNotification, Inbox, Notification, Recipient, SseHub, StoreError
from notistore.errors import InvalidArgument
from notistore_tortoise import TortoiseStore, open_store
from notistore_tortoise.models import Notification as Model

from .test_tortoise_conforms import tortoise, with_scheme


class RolledBack(Exception):
    """Raised to leave a transaction, so that it rolls back."""


@asynccontextmanager
async def rolled_back() -> AsyncIterator[TransactionalDBClient]:
    """A transaction, or a savepoint inside one, that ends rolled back."""
    with suppress(RolledBack):
        async with in_transaction() as transaction:
            yield transaction
            raise RolledBack


@pytest.fixture
def me() -> Recipient:
    return Recipient(uuid.uuid4().hex)


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture(params=["sqlite", "asyncpg", "psycopg", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'x.db'}"
    server = "mariadb_url" if request.param == "mysql" else "postgres_url"
    return with_scheme(request.getfixturevalue(server), request.param)


@pytest.fixture
async def store(url: str) -> AsyncIterator[TortoiseStore]:
    async with tortoise(url):
        store = TortoiseStore()
        await store.create_schema()
        yield store


async def test_a_call_inside_a_transaction_joins_it_without_being_bound(store: TortoiseStore, me: Recipient) -> None:
    async with rolled_back():
        await store.insert(Notification.new(me, "test"))
        assert await store.count(me) == 1
    assert await store.count(me) == 0


async def test_a_store_bound_to_a_transactions_client_joins_it_and_so_do_the_applications_models(
    store: TortoiseStore, me: Recipient
) -> None:
    async with in_transaction() as transaction:
        new = Notification.new(me, "test", {"n": 1})
        await store.bind(transaction).insert(new)
        row = await Model.get(id=new.id, using_db=transaction)
        assert (row.data, row.created_at, row.read_at) == ({"n": 1}, new.created_at, None)
    assert await Model.filter(recipient_id=me.id, created_at__lte=new.created_at).count() == 1


async def test_a_duplicate_leaves_the_hosts_transaction_usable_and_nothing_of_many_rows_in_it(
    store: TortoiseStore, me: Recipient
) -> None:
    there, new = (Notification.new(me, "test") for _ in range(2))
    await store.insert(there)
    async with in_transaction():
        bound = store.bind()
        with pytest.raises(DuplicateNotification, match=there.id):
            await bound.insert(there)
        with pytest.raises(DuplicateNotification, match=there.id):
            await bound.insert_many([new, there])
        await bound.upsert(Notification.new(me, "test", key="k"))
    assert await store.get(me, new.id) is None
    assert await store.count(me) == 2


async def test_a_violation_of_the_applications_own_is_no_duplicate(store: TortoiseStore, me: Recipient) -> None:
    client = get_connection("default")
    await client.execute_query("CREATE UNIQUE INDEX of_the_app ON notistore_notifications (trace_id)")
    first, second = (Notification.new(me, "test", trace_id=me.id) for _ in range(2))
    await store.insert(first)
    for call in (store.insert(second), store.insert_many([Notification.new(me, "test"), second])):
        with pytest.raises(StoreError) as raised:
            await call
        assert type(raised.value) is StoreError
    table = " ON notistore_notifications" if client.capabilities.dialect == "mysql" else ""
    await client.execute_query(f"DROP INDEX of_the_app{table}")
    assert await store.count(me) == 1


async def test_a_savepoint_opened_before_the_store_was_bound_takes_its_callbacks_along(
    store: TortoiseStore, me: Recipient, calls: list[str]
) -> None:
    async with in_transaction():
        async with rolled_back():
            bound = store.bind()
            await bound.insert(Notification.new(me, "test"))
            bound.after_commit(lambda: calls.append("rolled back"))
        store.bind().after_commit(lambda: calls.append("committed"))
    assert calls == ["committed"]
    assert await store.count(me) == 0


async def test_rolling_back_an_outer_savepoint_takes_back_what_a_released_inner_one_registered(
    store: TortoiseStore, calls: list[str]
) -> None:
    async with in_transaction():
        store.bind().after_commit(lambda: calls.append("before"))
        async with rolled_back(), in_transaction() as inner:
            store.bind(inner).after_commit(lambda: calls.append("inner"))
        store.bind().after_commit(lambda: calls.append("after"))
        assert calls == []
    assert calls == ["before", "after"]


async def test_a_transaction_that_the_host_ends_by_hand_counts_as_ended(
    store: TortoiseStore, me: Recipient, calls: list[str]
) -> None:
    async with in_transaction() as transaction:
        await store.bind().insert(Notification.new(me, "test"))
        store.bind().after_commit(lambda: calls.append("rolled back"))
        await transaction.rollback()
    async with in_transaction() as transaction:
        bound = store.bind(transaction)
        await bound.insert(Notification.new(me, "test"))
        bound.after_commit(lambda: calls.append("committed"))
        await transaction.commit()
        assert calls == ["committed"]
        with pytest.raises(StoreError, match="has ended"):
            await bound.count(me)
    assert calls == ["committed"]
    assert await store.count(me) == 1


@pytest.mark.parametrize("url", ["asyncpg", "psycopg"], indirect=True)
async def test_a_commit_that_the_database_refuses_never_calls(store: TortoiseStore, calls: list[str]) -> None:
    client = get_connection("default")
    await client.execute_script("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    async def refused() -> None:
        async with in_transaction() as transaction:
            store.bind().after_commit(lambda: calls.append("never"))
            await transaction.execute_query("INSERT INTO late VALUES (1), (1)")

    with pytest.raises(Exception, match="late_id_key"):
        await refused()
    await client.execute_script("DROP TABLE late")
    assert calls == []


@pytest.mark.parametrize("url", ["asyncpg", "psycopg"], indirect=True)
async def test_a_transaction_whose_error_the_application_swallowed_never_calls(
    store: TortoiseStore, me: Recipient, calls: list[str]
) -> None:
    """PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and drivers raise no error."""
    async with in_transaction() as transaction:
        await store.insert(Notification.new(me, "test"))
        store.bind().after_commit(lambda: calls.append("published"))
        with suppress(OperationalError):
            await transaction.execute_query("SELECT * FROM there_is_no_such_table")
    assert (await store.count(me), calls) == (0, [])


@pytest.mark.parametrize("url", ["psycopg"], indirect=True)
async def test_rows_are_read_whatever_the_date_style(store: TortoiseStore, me: Recipient) -> None:
    async with in_transaction() as transaction:
        await transaction.execute_query("SET LOCAL DateStyle TO 'SQL, DMY'")
        await transaction.execute_query("SET LOCAL TimeZone TO 'Asia/Kolkata'")
        stored = await store.upsert(Notification.new(me, "test", key="k"))
        assert await store.get(me, stored.id) == stored
    assert await store.get(me, stored.id) == stored


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_call_in_a_block_that_was_ended_by_hand_is_refused_and_does_not_hang(
    store: TortoiseStore, me: Recipient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notistore_tortoise.drivers._LOCK_TIMEOUT", 0.1)
    async with in_transaction() as transaction:
        await store.insert(Notification.new(me, "test"))
        await transaction.commit()
        with pytest.raises(StoreError, match="leave the in_transaction"):
            await store.count(me)
    assert await store.count(me) == 1


@pytest.mark.parametrize("url", ["psycopg"], indirect=True)
async def test_calls_cancelled_at_any_moment_take_no_connection_from_the_pool(url: str, me: Recipient) -> None:
    async with tortoise(f"{url}?minsize=1&maxsize=2"):
        store = TortoiseStore()
        await store.create_schema()
        for ticks in range(60):
            calls = [asyncio.create_task(store.upsert(Notification.new(me, "test", key="k"))) for _ in range(2)]
            for _ in range(ticks):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(store.count(Recipient("nobody")) for _ in range(4))) == [0] * 4


async def test_what_outlives_a_transaction_gets_a_connection_of_its_own(store: TortoiseStore, me: Recipient) -> None:
    counted: list[asyncio.Task[int]] = []
    async with in_transaction():
        bound = store.bind()
        await bound.insert(Notification.new(me, "test"))
        bound.after_commit(lambda: counted.append(asyncio.create_task(store.count(me))))
    async with in_transaction() as another:
        await another.execute_query("SELECT 1")
    assert await counted[0] == 1


async def test_an_inbox_publishes_what_was_sent_once_the_transaction_has_committed(
    store: TortoiseStore, me: Recipient
) -> None:
    hub = SseHub(heartbeat=None)
    inbox = Inbox(store, hub).bind(None)
    async with in_transaction():
        async with rolled_back():
            await inbox.send(me, "lost")
        await inbox.send(me, "kept")
        assert hub.stats().published == 0
    assert hub.stats().published == 1
    await inbox.send(me, "in no transaction")
    assert hub.stats().published == 2
    assert [kept.type for kept in await inbox.page(me)] == ["in no transaction", "kept"]


async def test_what_is_not_a_transaction_is_refused(store: TortoiseStore) -> None:
    for session in (get_connection("default"), object()):
        with pytest.raises(InvalidArgument, match="in_transaction"):
            store.bind(session)


async def test_create_schema_is_refused_inside_a_transaction(store: TortoiseStore) -> None:
    async with in_transaction():
        with pytest.raises(StoreError, match="outside of in_transaction"):
            await store.create_schema()


async def test_a_store_given_a_client_works_in_tasks_without_tortoises_context(url: str, me: Recipient) -> None:
    async with open_store(url) as store:
        stored = await asyncio.create_task(
            store.upsert(Notification.new(me, "test", key="k")), context=contextvars.Context()
        )
        assert stored.version == 1


async def test_a_task_without_tortoises_context_gets_an_error_that_says_so(me: Recipient) -> None:
    count = asyncio.create_task(TortoiseStore().count(me), context=contextvars.Context())
    with pytest.raises(StoreError, match="_enable_global_fallback"):
        await count


async def test_a_database_of_another_kind_is_refused(me: Recipient) -> None:
    class Other(BaseDBAsyncClient):
        """A client of an unknown dialect."""

    with pytest.raises(InvalidArgument, match="PostgreSQL"):
        await TortoiseStore(Other("other")).count(me)
