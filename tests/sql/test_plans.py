"""No statement reads a whole table, sorts an inbox, or sorts the table by age: as the query planners report it.

20,000 rows, one inbox with a quarter of them, a fifth of each unread. On PostgreSQL three times: with fresh statistics,
on a table that was never analyzed, and with the generic plans that prepared statements may get. What is explained is
what the stores send.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest

from notistore import Cursor, Notification, Recipient
from notistore.sql import Dialect, Host, Statements, SyncSQLStore, Table, Work, statements_for

from .hosts import connect

T = TypeVar("T")
Explain = Callable[[str, Sequence[Any]], list[str]]

ROWS = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(seconds=ROWS)
BUSY, QUIET = Recipient("busy"), Recipient("7", tenant="acme")
MANY = [BUSY, *(Recipient(str(n), tenant="acme") for n in range(700))]
TABLE = Table("notistore_plans")


class ExplainingHost(Host):
    """Sends each statement on one connection, after it was explained."""

    def __init__(self, statements: Statements, cursor: Any) -> None:
        self.statements = statements
        self.cursor = cursor
        self.explain: Explain = lambda sql, parameters: []
        self.sent: list[str] = []
        self.plan: list[str] = []

    def perform(self, work: Work[T]) -> T:
        work.begin(self.statements)
        return work.run(self)

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        self._execute(sql, parameters)
        rows: Sequence[Any] = self.cursor.fetchall()
        return rows

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        self._execute(sql, parameters)
        changed: int = self.cursor.rowcount
        return changed

    def _execute(self, sql: str, parameters: Sequence[Any]) -> None:
        self.sent.append(sql)
        self.plan += self.explain(sql, parameters)
        self.cursor.execute(sql, parameters)

    def fill(self) -> None:
        SyncSQLStore(self).insert_many([record(n) for n in range(ROWS)])


def record(n: int) -> Notification:
    recipient = BUSY if n % 4 == 0 else Recipient(str(n % 200), tenant="acme" if n % 3 else None)
    made = Notification.new(recipient, "abc"[n % 3], {"n": n}, at=START + timedelta(seconds=n))
    return made if n // 4 % 5 == 0 else replace(made, read_at=made.created_at)


@pytest.fixture(scope="module", params=["analyzed", "never analyzed", "generic plans", "mariadb", "sqlite"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExplainingHost]:
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path_factory.mktemp("plans") / "x.db", isolation_level=None)) as file:
            yield on_sqlite(file)
    elif request.param == "mariadb":
        with closing(connect(request.getfixturevalue("mariadb_url"))) as connection:
            yield on_mariadb(connection)
    else:
        with psycopg.connect(request.getfixturevalue("postgres_url"), autocommit=True) as postgres:
            yield on_postgresql(postgres, request.param)


def on_sqlite(connection: Any) -> ExplainingHost:
    host = ExplainingHost(statements_for(TABLE, Dialect("sqlite")), connection.cursor())
    SyncSQLStore(host).create_schema()
    host.fill()
    host.cursor.execute("ANALYZE")

    def explain(sql: str, parameters: Sequence[Any]) -> list[str]:
        return [str(row[-1]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]

    host.explain = explain
    return host


def on_mariadb(connection: Any) -> ExplainingHost:
    host = ExplainingHost(statements_for(TABLE, Dialect("mariadb", "%s")), connection.cursor())
    SyncSQLStore(host).create_schema()
    host.fill()
    host.cursor.execute(f"ANALYZE TABLE {TABLE.name}")

    def explain(sql: str, parameters: Sequence[Any]) -> list[str]:
        cursor = connection.cursor()
        cursor.execute(f"EXPLAIN {sql}", parameters)
        names = [column[0] for column in cursor.description]
        return [", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in cursor]

    host.explain = explain
    return host


def on_postgresql(connection: Any, statistics: str) -> ExplainingHost:
    statements = statements_for(TABLE, Dialect("postgresql", "%s", times_as_milliseconds=True))
    host = ExplainingHost(statements, connection.cursor())
    host.cursor.execute(f"DROP TABLE IF EXISTS {TABLE.name}")
    SyncSQLStore(host).create_schema()
    host.cursor.execute(f"ALTER TABLE {TABLE.name} SET (autovacuum_enabled = off)")
    host.fill()
    if statistics != "never analyzed":
        host.cursor.execute(f"VACUUM ANALYZE {TABLE.name}")

    def explain(sql: str, parameters: Sequence[Any]) -> list[str]:
        return [row[0] for row in connection.execute(f"EXPLAIN (COSTS OFF) {sql}", parameters)]

    def explain_generic(sql: str, parameters: Sequence[Any]) -> list[str]:
        """The generic plan, which holds for any parameters."""
        first, *rest = sql.split("%s")
        text = first + "".join(f"${place}{part}" for place, part in enumerate(rest, 1))
        connection.execute(f"PREPARE generic AS {text}")
        marks = f"({', '.join(['%s'] * len(parameters))})" if parameters else ""
        execute = psycopg.ClientCursor(connection).execute(f"EXPLAIN (COSTS OFF) EXECUTE generic{marks}", parameters)
        plan = [row[0] for row in execute]
        connection.execute("DEALLOCATE generic")
        return plan

    if statistics == "generic plans":
        connection.execute("SET plan_cache_mode = force_generic_plan")
    host.explain = explain_generic if statistics == "generic plans" else explain
    return host


Call = Callable[[SyncSQLStore, Cursor, list[str]], object]
CALLS: dict[str, Call] = {
    "insert": lambda store, cursor, ids: store.insert(Notification.new(QUIET, "a")),
    "insert many": lambda store, cursor, ids: store.insert_many([Notification.new(QUIET, "a") for _ in range(3)]),
    "upsert": lambda store, cursor, ids: [store.upsert(Notification.new(QUIET, "a", key="k")) for _ in range(2)],
    "page": lambda store, cursor, ids: store.page(BUSY, limit=10),
    "page of types": lambda store, cursor, ids: store.page(BUSY, types=["a", "b"], limit=10),
    "page after a cursor": lambda store, cursor, ids: store.page(BUSY, before=cursor, limit=10),
    "page after an offset": lambda store, cursor, ids: store.page(BUSY, offset=20, limit=10),
    "unread page": lambda store, cursor, ids: store.page(BUSY, unread_only=True, limit=10),
    "unread page of types": lambda store, cursor, ids: store.page(BUSY, unread_only=True, types=["a"], limit=10),
    "unread page after a cursor": lambda store, cursor, ids: store.page(
        BUSY, unread_only=True, before=cursor, limit=10
    ),
    "get": lambda store, cursor, ids: store.get(BUSY, ids[0]),
    "count": lambda store, cursor, ids: store.count(BUSY),
    "count of types": lambda store, cursor, ids: store.count(QUIET, types=["a"]),
    "unread count": lambda store, cursor, ids: store.unread_count(BUSY),
    "unread count to a limit": lambda store, cursor, ids: store.unread_count(BUSY, at_most=100),
    "unread count of types": lambda store, cursor, ids: store.unread_count(BUSY, types=["a"]),
    "unread counts": lambda store, cursor, ids: store.unread_counts(MANY),
    "unread counts to a limit": lambda store, cursor, ids: store.unread_counts(MANY, at_most=100),
    "unread counts of types": lambda store, cursor, ids: store.unread_counts(MANY, types=["a", "b"], at_most=100),
    "mark one read": lambda store, cursor, ids: store.mark_read(BUSY, ids[0], at=NOW),
    "mark many read": lambda store, cursor, ids: store.mark_read(BUSY, *ids[:50], at=NOW),
    "mark many unread": lambda store, cursor, ids: store.mark_unread(BUSY, *ids[:50]),
    "mark thousands read": lambda store, cursor, ids: store.mark_read(BUSY, *ids[:3000], at=NOW),
    "mark all read": lambda store, cursor, ids: store.mark_all_read(QUIET, at=NOW),
    "mark all of types read": lambda store, cursor, ids: store.mark_all_read(QUIET, types=["a"], at=NOW),
    "mark all seen read": lambda store, cursor, ids: store.mark_all_read(BUSY, seen=NOW, at=NOW),
    "delete": lambda store, cursor, ids: store.delete(BUSY, ids[0]),
    "delete many": lambda store, cursor, ids: store.delete(BUSY, *ids[:50]),
    "prune": lambda store, cursor, ids: prune_twice(store, only_read=False),
    "prune what is read": lambda store, cursor, ids: prune_twice(store, only_read=True),
    "erase": lambda store, cursor, ids: store.erase(QUIET),
    "erase a tenant": lambda store, cursor, ids: store.erase_tenant("globex"),
}


def prune_twice(store: SyncSQLStore, *, only_read: bool) -> None:
    """A batch from the oldest row on, and one that goes on after it."""
    old = START + timedelta(seconds=ROWS // 2)
    first, place = store._prune_batch(None, old, only_read, 20)
    second, _ = store._prune_batch(place, old, only_read, 20)
    assert (first, second) == (20, 20)


# Nobody waits for these, and to read the table is best: thousands of ids, or a tenant, are much of a table as small as
# this one. What is asserted of them below holds for them too.
UNPLANNED = ("mark thousands read", "erase a tenant")


@pytest.mark.parametrize("call", CALLS)
def test_every_statement_of(call: str, host: ExplainingHost) -> None:
    store = SyncSQLStore(host)
    host.plan.clear()
    cursor = store.page(BUSY, offset=ROWS // 8, limit=1)[0].cursor
    ids = [each.id for each in store.page(BUSY, limit=3000)]
    host.sent.clear()
    host.plan.clear()
    CALLS[call](store, cursor, ids)
    explanation = "\n".join([*host.sent, *host.plan])
    dialect = host.statements.dialect.name
    assert host.sent
    if call not in UNPLANNED:
        assert not [line for line in host.plan if is_wasteful(dialect, line)], explanation
    if "unread" in call and "mark" not in call:
        assert any(f"{TABLE.name}_unread" in line for line in host.plan), explanation
    if "cursor" in call:
        bound = {"postgresql": r"Index Cond: .*created_at <=", "mariadb": r"type=range", "sqlite": r"created_at<\?"}
        assert any(re.search(bound[dialect], line) for line in host.plan), explanation
    if "prune" in call:
        assert any(f"{TABLE.name}_age" in line for line in host.plan), explanation
    if dialect == "postgresql" and call.startswith(("mark many", "mark thousands", "delete many")):
        assert not any("Join" in line or "Nested" in line for line in host.plan), explanation
        assert not any(f"{TABLE.name}_{index}" in line for line in host.plan for index in ("inbox", "unread")), (
            explanation
        )
    if dialect == "postgresql" and call.startswith(("mark all", "erase")):
        assert not any("Join" in line or "Index Cond: ((id)" in line for line in host.plan), explanation


def is_wasteful(dialect: str, line: str) -> bool:
    """Whether a line of the plan reads the whole table or a whole index, or sorts rows of an inbox for a page or of the
    table by age. Rows that are to be locked are sorted by id."""
    if dialect == "postgresql":
        return "Seq Scan" in line or ("Sort Key" in line and "_at" in line)
    if dialect == "mariadb":
        if "select_type=INSERT" in line:
            return False
        whole = "type=ALL" in line or "type=index" in line
        return "filesort" in line or (whole and f"table={TABLE.name}" in line)
    return line.startswith(f"SCAN {TABLE.name}") or "TEMP B-TREE" in line
