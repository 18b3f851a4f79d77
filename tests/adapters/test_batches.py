"""What no answer shows of the statements that adapters share: how many rows the database reads for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

pytest.importorskip("peewee")

from peewee import PostgresqlDatabase, SqliteDatabase

from notistore import Notification, Recipient
from notistore.batches import unread_counts
from notistore_peewee import SyncPeeweeStore

TABLE = "notistore_notifications"
BUSY, QUIET, NOBODY = Recipient("busy"), Recipient("quiet", tenant="acme"), Recipient("nobody")
UNREAD = 5_000


def fill(store: SyncPeeweeStore) -> None:
    with store.database.connection_context():
        store.create_schema()
        # What a planner sees is a table of many inboxes.
        store.insert_many([Notification.new(Recipient(f"{n}", tenant="acme"), "t") for n in range(UNREAD)])
        store.insert_many([Notification.new(BUSY, "t") for _ in range(UNREAD)])
        store.insert_many([Notification.new(QUIET, "t") for _ in range(3)])


@pytest.fixture
def postgres(empty_postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    fill(SyncPeeweeStore(PostgresqlDatabase(empty_postgres_url)))
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute(f"ANALYZE {TABLE}")
        yield connection


def test_postgres_stops_counting_an_inbox_at_the_cap(postgres: psycopg.Connection[Any]) -> None:
    for at_most, expected in ((100, 100), (None, UNREAD)):
        sql, parameters = unread_counts(TABLE, "postgresql", [BUSY, QUIET, NOBODY], types=["t"], at_most=at_most)
        assert [found for *_, found in postgres.execute(sql, parameters)] == [expected, 3, 0]
        [[[plan]]] = postgres.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters).fetchall()
        scans = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == TABLE]
        assert [scan.get("Index Name") for scan in scans] == [f"{TABLE}_unread"]
        assert scans[0]["Actual Rows"] * scans[0]["Actual Loops"] <= expected + 3 + 3  # a mean, rounded


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_sqlite_stops_counting_an_inbox_at_the_cap(tmp_path: Any) -> None:
    file = str(tmp_path / "x.db")
    fill(SyncPeeweeStore(SqliteDatabase(file)))
    connection = sqlite3.connect(file)
    steps = {}
    for at_most, expected in ((100, 100), (None, UNREAD)):
        ticks: list[None] = []
        connection.set_progress_handler(lambda: ticks.append(None), 100)  # noqa: B023
        sql, parameters = unread_counts(TABLE, "sqlite", [BUSY, QUIET, NOBODY], types=["t"], at_most=at_most, mark="?")
        assert [found for *_, found in connection.execute(sql, parameters)] == [expected, 3, 0]
        steps[at_most] = len(ticks)
    connection.close()
    assert steps[100] * 10 < steps[None]
