"""Faults that are Django's own; those of every SQL store are in tests/adapters/test_faults.py."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections, transaction

from notistore import Notification, Recipient, StoreError
from notistore_django.store import SyncDjangoStore
from tests.django_project import databases, server


@pytest.fixture(params=["postgres", "mariadb"])
def store(request: pytest.FixtureRequest) -> Iterator[SyncDjangoStore]:
    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: server(request.getfixturevalue(f"{request.param}_url"))}):
        store = SyncDjangoStore(name)
        store.create_schema()
        yield store


def end_connections(store: SyncDjangoStore) -> None:
    """Make the server terminate this thread's connection."""
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


@pytest.mark.parametrize("entry", ["postgres", "mariadb"], indirect=True)  # SQLite has one writer at a time
@pytest.mark.parametrize("manual", [False, True], ids=["atomic", "autocommit off"])
def test_a_deadlock_inside_the_applications_transaction_is_raised_and_not_retried(
    entry: dict[str, Any], user: Recipient, manual: bool
) -> None:
    """The deadlock rolled back the application's own writes; a retry would commit without them."""
    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: entry}):
        store = SyncDjangoStore(name)
        store.create_schema()
        one, two = (Notification.new(user, "t", key=f"{n}") for n in range(2))
        store.insert_many([one, two])
        met = threading.Barrier(2)

        @contextmanager
        def block() -> Iterator[None]:
            if not manual:
                with transaction.atomic(name):
                    yield
                return
            transaction.set_autocommit(False, using=name)
            try:
                yield
                transaction.commit(using=name)
            finally:
                transaction.rollback(using=name)
                transaction.set_autocommit(True, using=name)

        def cross(first: Notification, second: Notification) -> BaseException | None:
            try:
                with block():
                    store.upsert(first)
                    met.wait(10)
                    store.upsert(second)
            except StoreError as error:
                return error
            return None

        with ThreadPoolExecutor(2) as threads:
            errors = [*threads.map(cross, (one, two), (two, one))]
            assert sorted(error is None for error in errors) == [False, True]
        assert {row.version for row in store.page(user)} == {2}


def test_a_full_pool_is_an_error_and_none_of_its_connections_is_kept(postgres_url: str, user: Recipient) -> None:
    pytest.importorskip("psycopg_pool")
    pooled = server(postgres_url) | {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 1}}}
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
