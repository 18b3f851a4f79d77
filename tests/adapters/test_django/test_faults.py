"""Databases that go away, come back, deadlock and refuse: what calls raise, and that the next one works."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore import Notification, OutcomeUnknown, Recipient, StoreError
from notistore_django.errors import run
from notistore_django.store import DjangoStore, SyncDjangoStore
from tests.django_project import databases, server, sqlite
from tests.servers import Server


@pytest.fixture(params=["postgres", "mariadb"])
def breakable(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"own_{request.param}")


@pytest.fixture
def store(breakable: Server) -> Iterator[SyncDjangoStore]:
    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: server(breakable.url)}):
        store = SyncDjangoStore(name)
        store.create_schema()
        yield store


def end_connections(store: SyncDjangoStore) -> None:
    """Have the server end this thread's connection, as an operator does."""
    connection = connections[store.using]
    peer = connection.copy()
    try:
        with connection.cursor() as mine, peer.cursor() as cursor:
            if connection.vendor == "postgresql":
                mine.execute("SELECT pg_backend_pid()")
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", mine.fetchone())
            else:
                mine.execute("SELECT CONNECTION_ID()")
                cursor.execute("KILL %s", mine.fetchone())
    finally:
        peer.close()


def test_a_connection_that_was_ended_fails_one_call_and_the_next_works(store: SyncDjangoStore, user: Recipient) -> None:
    row = Notification.new(user, "t", key="k")
    store.insert(row)
    for call in (
        lambda: store.get(user, row.id),
        lambda: store.upsert(row),
        lambda: store.insert_many([Notification.new(user, "t")]),
        lambda: store.mark_read(user, row.id, at=row.created_at),
        lambda: store.delete(user, row.id),
    ):
        end_connections(store)
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.__cause__ is not None
        assert store.get(user, row.id) == row


def test_a_write_that_lost_its_connection_says_that_its_outcome_is_unknown(
    store: SyncDjangoStore, user: Recipient
) -> None:
    end_connections(store)
    with pytest.raises(OutcomeUnknown, match="wholly or not at all"):
        store.insert(Notification.new(user, "t"))
    end_connections(store)
    with pytest.raises(StoreError, match="nothing was changed") as caught:
        store.count(user)
    assert type(caught.value) is StoreError


def test_a_block_that_lost_its_connection_fails_and_the_next_works(store: SyncDjangoStore, user: Recipient) -> None:
    first, second = (Notification.new(user, "t") for _ in range(2))

    def lose() -> None:
        with transaction.atomic(store.using):
            store.insert(first)
            end_connections(store)
            store.insert(second)

    with pytest.raises(StoreError) as caught:
        lose()
    assert type(caught.value) is StoreError, "the block can no longer commit"
    assert store.count(user) == 0


def test_a_server_that_is_down_fails_every_call_until_it_is_back(
    breakable: Server, store: SyncDjangoStore, user: Recipient
) -> None:
    row = Notification.new(user, "t")
    store.insert(row)
    breakable.kill()
    try:
        for _ in range(2):
            with pytest.raises(StoreError):
                store.page(user)
            with pytest.raises(StoreError) as caught:
                store.mark_read(user, row.id, at=row.created_at)
        assert type(caught.value) is StoreError, "nothing was sent, so nothing happened"
    finally:
        breakable.restart()
    assert store.page(user) == [row]


async def test_an_asynchronous_store_outlives_its_server(breakable: Server, user: Recipient) -> None:
    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: server(breakable.url)}):
        store = DjangoStore(name)
        await store.create_schema()
        row = Notification.new(user, "t")
        await store.insert(row)
        await asyncio.to_thread(breakable.kill)
        try:
            with pytest.raises(StoreError):
                await store.upsert(row)
        finally:
            await asyncio.to_thread(breakable.restart)
        assert await store.page(user) == [row]


async def test_a_call_that_is_cancelled_leaves_the_store_usable(alias: str, user: Recipient) -> None:
    store = DjangoStore(alias)
    rows = [Notification.new(user, "t") for _ in range(50)]
    for row in rows:
        call = asyncio.create_task(store.insert(row))
        await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    assert await store.count(user) == len(await store.page(user))


def test_calls_that_deadlock_outside_a_block_are_tried_again(entry: dict[str, Any], user: Recipient) -> None:
    """Two threads upsert the same rows in opposite orders, in blocks of the host's; then alone, where they may."""
    if "sqlite3" in entry["ENGINE"]:
        pytest.skip("SQLite has one writer at a time")
    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: entry}):
        store = SyncDjangoStore(name)
        store.create_schema()
        one, two = (Notification.new(user, "t", key=f"{n}") for n in range(2))
        store.insert_many([one, two])
        met = threading.Barrier(2)

        def cross(first: Notification, second: Notification) -> BaseException | None:
            try:
                with transaction.atomic(name):
                    store.upsert(first)
                    met.wait(10)
                    store.upsert(second)
            except StoreError as error:
                return error
            return None

        attempts: list[int] = []

        def cross_again(first: Notification, second: Notification) -> None:
            """What a call of several statements does, tried as the store tries its own."""

            def body(connection: BaseDatabaseWrapper) -> None:
                attempts.append(1)
                with transaction.atomic(name):
                    store._upsert(connection, replaced(first), True)
                    if len(attempts) <= 2:
                        met.wait(10)
                    store._upsert(connection, replaced(second), True)

            run(connections[name], body, writes=True)

        with ThreadPoolExecutor(2) as threads:
            errors = [*threads.map(cross, (one, two), (two, one))]
            assert sorted(error is None for error in errors) == [False, True]
            assert [*threads.map(cross_again, (one, two), (two, one))] == [None, None]
        assert len(attempts) == 3
        assert {row.version for row in store.page(user)} == {4}


def replaced(row: Notification) -> Notification:
    return replace(row, version=1)


def test_a_busy_sqlite_file_is_waited_for_and_then_told(tmp_path: Any, user: Recipient) -> None:
    entry = sqlite(tmp_path / "busy.db")
    entry["OPTIONS"]["timeout"] = 0.01
    with databases(busy=entry):
        store = SyncDjangoStore("busy")
        store.create_schema()
        writer = connections["busy"].copy()
        try:
            writer.set_autocommit(False)
            with writer.cursor() as cursor:
                cursor.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="database is locked") as caught:
                store.insert(Notification.new(user, "t"))
            assert isinstance(caught.value.__cause__, OperationalError)
            writer.rollback()
        finally:
            writer.close()
        store.insert(Notification.new(user, "t"))
        assert store.count(user) == 1


def test_a_full_pool_is_an_error_and_none_of_its_connections_is_kept(postgres_url: str, user: Recipient) -> None:
    pytest.importorskip("psycopg_pool")
    pooled = server(postgres_url) | {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 0.1}}}
    with databases(pooled=pooled):
        store = SyncDjangoStore("pooled")
        store.create_schema()
        with ThreadPoolExecutor(1) as other:
            with pytest.raises(StoreError, match="couldn't get a connection"):
                other.submit(store.count, user).result()
            connections["pooled"].close()
            assert other.submit(store.count, user).result() == 0
            other.submit(lambda: connections["pooled"].close()).result()
        connections["pooled"].close_pool()
