"""Engines and servers that crash, cancelled calls, exhausted pools, and deadlocks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notistore import DuplicateNotification, Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_conformance import StoreImplementation, check_store
from notistore_prisma import PrismaStore, SyncPrismaStore
from tools.prisma_engine import client_class
from tools.servers import PostgresServer

ME = Recipient("42")
HOLD = "UPDATE notistore_notifications SET version = version WHERE id = %s"


def row(key: str | None = None, recipient: Recipient = ME) -> Notification:
    return Notification.new(recipient, "test", key=key)


def kill_engine(client: Any) -> None:
    client._engine.process.send_signal(signal.SIGKILL)
    client._engine.process.wait()


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Opens an async store and its client on a URL; `?connection_limit=` is the size of the engine's pool."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[tuple[PrismaStore, Any]]:
        provider = "sqlite" if url.startswith("file:") else "postgresql"
        async with client_class(provider, "asyncio", request)(datasource={"url": url}) as client:
            store = PrismaStore(client)
            await store.create_schema()
            yield store, client

    return opened


async def waiting_for_a_lock(url: str) -> int:
    """Wait for a connection that waits for a lock, and return its process id."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(60), await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        while True:
            if found := await (await watcher.execute(query)).fetchone():
                process: int = found[0]
                return process


async def test_calls_raise_store_error_once_the_engine_is_dead_and_work_after_a_reconnect(
    opened: Any, tmp_path: Path
) -> None:
    @asynccontextmanager
    async def make_store() -> AsyncIterator[StoreImplementation]:
        async with opened(f"file:{tmp_path / 'x.db'}") as (store, client):

            @asynccontextmanager
            async def outage() -> AsyncIterator[None]:
                kill_engine(client)
                yield
                await client.disconnect()
                await client.connect()

            yield StoreImplementation(store, outage=outage)

    await calls_fail_properly(make_store)


async def test_sync_calls_raise_store_error_once_the_engine_is_dead_and_work_after_a_reconnect(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    @contextmanager
    def make_store() -> Iterator[StoreImplementation]:
        client_of = client_class("sqlite", "sync", request)
        with client_of(datasource={"url": f"file:{tmp_path / 'x.db'}"}) as client:

            @contextmanager
            def outage() -> Iterator[None]:
                kill_engine(client)
                yield
                client.disconnect()
                client.connect()

            store = SyncPrismaStore(client)
            store.create_schema()
            yield StoreImplementation(store, outage=outage)

    await calls_fail_properly(make_store)


async def test_calls_raise_store_error_while_the_server_is_down_and_work_once_it_is_back(
    opened: Any, own_postgres: PostgresServer
) -> None:
    @contextmanager
    def outage() -> Iterator[None]:
        own_postgres.kill()
        try:
            yield
        finally:
            own_postgres.start()

    @asynccontextmanager
    async def make_store() -> AsyncIterator[StoreImplementation]:
        async with opened(own_postgres.url) as (store, _):
            yield StoreImplementation(store, outage=outage)

    await calls_fail_properly(make_store)


async def calls_fail_properly(make_store: Any) -> None:
    report = await check_store(make_store, only="calls/errors")
    assert [(result.outcome.name, result.message) for result in report.results] == [("PASSED", "")]


async def test_an_engine_that_dies_during_a_write_leaves_the_outcome_unknown(opened: Any, postgres_url: str) -> None:
    async with opened(postgres_url) as (store, client):
        stored = await store.upsert(row("k"))
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute(HOLD, [stored.id])
            write = asyncio.create_task(store.upsert(row("k")))
            await waiting_for_a_lock(postgres_url)
            kill_engine(client)
            with pytest.raises(OutcomeUnknown, match="reply was lost") as raised:
                await write
            assert raised.value.__cause__ is not None
        with pytest.raises(StoreError) as raised:
            await store.count(ME)
        assert type(raised.value) is StoreError  # nothing is unknown of a read
        await client.disconnect()
        await client.connect()
        assert (await store.upsert(row("k"))).version >= stored.version + 1


async def test_a_connection_the_server_ends_during_a_call_is_a_store_error(opened: Any, postgres_url: str) -> None:
    async with opened(postgres_url) as (store, _):
        stored = await store.upsert(row("k"))
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute(HOLD, [stored.id])
            call = asyncio.create_task(store.upsert(row("k")))
            process = await waiting_for_a_lock(postgres_url)
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
            with pytest.raises(StoreError):
                await call
        assert (await store.upsert(row("k"))).version == stored.version + 1


async def test_a_cancelled_call_gives_its_connection_back(opened: Any, postgres_url: str) -> None:
    async with opened(f"{postgres_url}?connection_limit=1") as (store, _):
        stored = await store.upsert(row("k"))
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute(HOLD, [stored.id])
            call = asyncio.create_task(store.mark_read(ME, stored.id, at=utc_now()))
            await waiting_for_a_lock(postgres_url)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        async with asyncio.timeout(60):
            assert (await store.upsert(row("k"))).version == stored.version + 1


async def test_a_full_pool_is_a_store_error_and_the_store_works_once_there_is_room(
    opened: Any, postgres_url: str
) -> None:
    async with opened(f"{postgres_url}?connection_limit=1&pool_timeout=1") as (store, client):
        async with client.tx() as transaction:
            await store.bind(transaction).insert(row())
            with pytest.raises(StoreError, match="nothing was changed"):
                await store.count(ME)
        assert await store.count(ME) >= 1


async def test_a_client_that_is_not_connected_is_a_store_error(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    client = client_class("sqlite", "asyncio", request)(datasource={"url": f"file:{tmp_path / 'x.db'}"})
    with pytest.raises(StoreError, match="ClientNotConnectedError"):
        await PrismaStore(client).insert(row())


async def test_a_call_is_retried_after_a_deadlock(opened: Any, postgres_url: str) -> None:
    me = Recipient("deadlocked")
    async with opened(postgres_url) as (store, _):
        rows = [row(recipient=me) for _ in range(3)]
        await store.insert_many(rows)
        with psycopg.connect(postgres_url) as other:
            other.execute("SET deadlock_timeout = '20s'")  # so that the store's connection is the victim
            other.execute(HOLD, [rows[1].id])
            call = asyncio.create_task(store.mark_all_read(me, at=utc_now()))
            await waiting_for_a_lock(postgres_url)
            for outer in (rows[0], rows[2]):
                await asyncio.to_thread(other.execute, HOLD, [outer.id])
            other.commit()
            assert await call == 3


async def test_a_duplicate_among_many_rows_is_named_and_undone_inside_a_transaction(
    opened: Any, tmp_path: Path
) -> None:
    async with opened(f"file:{tmp_path / 'x.db'}") as (store, client):
        taken, first = row(), row()
        await store.insert(taken)
        many = [row() for _ in range(200)]  # more than one INSERT takes on SQLite
        async with client.tx() as transaction:
            bound = store.bind(transaction)
            await bound.insert(first)
            with pytest.raises(DuplicateNotification) as raised:
                await bound.insert_many([*many, taken])
            assert raised.value.id == taken.id
        assert {each.id for each in await store.page(ME, limit=100)} == {taken.id, first.id}
