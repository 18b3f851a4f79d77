"""The conformance kit on the stores over the standard library's sqlite3, async and sync."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_sqlite import SQLiteStore, SyncSQLiteStore

from ..backends import backend


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """One of the application's own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


@contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT application")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK TO application")
        raise
    finally:
        connection.execute("RELEASE application")


class TestAsync(NotificationStoreSuite):
    path: Path

    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.path = tmp_path_factory.getbasetemp() / "async.db"

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        store, peer = SQLiteStore(self.path), SQLiteStore(self.path)
        try:
            await store.create_schema()
            yield StoreImplementation(
                store,
                peer=peer,
                transaction=lambda: transaction(self.path),
                savepoint=savepoint,
                no_outage="an embedded database",
                processes=True,
                backend=backend("sqlite:"),
            )
        finally:
            await store.close()
            await peer.close()


class TestSync(NotificationStoreSuite):
    path: Path

    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.path = tmp_path_factory.getbasetemp() / "sync.db"

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        store, peer = SyncSQLiteStore(self.path), SyncSQLiteStore(self.path)
        try:
            store.create_schema()
            yield StoreImplementation(
                store,
                peer=peer,
                transaction=lambda: transaction(self.path),
                savepoint=savepoint,
                no_outage="an embedded database",
                processes=True,
                backend=backend("sqlite:"),
            )
        finally:
            store.close()
            peer.close()
