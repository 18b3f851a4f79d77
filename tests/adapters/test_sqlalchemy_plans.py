"""No call that a page load or a click makes may read a whole table or sort an inbox: the planners' own word for it.

10,000 rows, one inbox with a quarter of them, a fifth of each unread, statistics fresh. What is explained is what the
store sends, caught on its way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, insert, text

from notistore import Cursor, Notification, Recipient
from notistore_sqlalchemy import SyncSQLAlchemyStore, notifications_table

from .test_sqlalchemy_conforms import with_driver

ROWS = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)
BUSY, QUIET = Recipient("busy"), Recipient("7", tenant="acme")
NOW = START + timedelta(seconds=ROWS)
TABLE = notifications_table(MetaData(), "notistore_plans")
Call = Callable[[SyncSQLAlchemyStore, Cursor, list[str]], object]


@pytest.fixture(scope="module", params=["postgresql", "mysql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'x.db'}")
    elif request.param == "postgresql":
        engine = create_engine(with_driver(request.getfixturevalue("postgres_url"), "postgresql+psycopg"))
    else:
        engine = create_engine(with_driver(request.getfixturevalue("mariadb_url"), "mysql+pymysql"))
    SyncSQLAlchemyStore(engine, table=TABLE).create_schema()
    with engine.begin() as connection:
        connection.execute(insert(TABLE), [record(n) for n in range(ROWS)])
    analyze = {"postgresql": "VACUUM ANALYZE", "mysql": "ANALYZE TABLE", "sqlite": "ANALYZE"}[request.param]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"{analyze} {TABLE.name}"))
    yield engine
    TABLE.drop(engine)
    engine.dispose()


def record(n: int) -> dict[str, Any]:
    recipient = BUSY if n % 4 == 0 else Recipient(str(n % 200), tenant="acme" if n % 3 else None)
    made = Notification.new(recipient, "abc"[n % 3], {"n": n}, at=START + timedelta(seconds=n))
    return {
        "id": made.id,
        "tenant": recipient.tenant or "",
        "recipient_type": recipient.type,
        "recipient_id": recipient.id,
        "type": made.type,
        "data": made.data,
        "version": 1,
        "read_at": None if n // 4 % 5 == 0 else made.created_at,
        "created_at": made.created_at,
        "updated_at": made.updated_at,
    }


CALLS: dict[str, Call] = {
    "page": lambda store, cursor, ids: store.page(BUSY, limit=10),
    "page of types": lambda store, cursor, ids: store.page(BUSY, types=["a", "b"], limit=10),
    "page after a cursor": lambda store, cursor, ids: store.page(BUSY, before=cursor, limit=10),
    "page after an offset": lambda store, cursor, ids: store.page(BUSY, offset=20, limit=10),
    "unread page": lambda store, cursor, ids: store.page(BUSY, unread_only=True, limit=10),
    "unread page after a cursor": lambda store, cursor, ids: store.page(
        BUSY, unread_only=True, before=cursor, limit=10
    ),
    "get": lambda store, cursor, ids: store.get(BUSY, ids[0]),
    "count": lambda store, cursor, ids: store.count(BUSY),
    "count of types": lambda store, cursor, ids: store.count(QUIET, types=["a"]),
    "unread count": lambda store, cursor, ids: store.unread_count(BUSY),
    "unread count to a limit": lambda store, cursor, ids: store.unread_count(BUSY, at_most=100),
    "unread count of types": lambda store, cursor, ids: store.unread_count(BUSY, types=["a"]),
    "unread counts": lambda store, cursor, ids: store.unread_counts([BUSY, *(Recipient(str(n)) for n in range(50))]),
    "unread counts to a limit": lambda store, cursor, ids: store.unread_counts([BUSY, QUIET], at_most=100),
    "mark one read": lambda store, cursor, ids: store.mark_read(BUSY, ids[0], at=NOW),
    "mark many read": lambda store, cursor, ids: store.mark_read(BUSY, *ids, at=NOW),
    "mark many unread": lambda store, cursor, ids: store.mark_unread(BUSY, *ids),
    "mark all read": lambda store, cursor, ids: store.mark_all_read(QUIET, at=NOW),
    "mark all seen read": lambda store, cursor, ids: store.mark_all_read(BUSY, seen=NOW, at=NOW),
    "delete": lambda store, cursor, ids: store.delete(BUSY, ids[0]),
    "prune": lambda store, cursor, ids: store.prune(older_than=START + timedelta(seconds=5)),
    "prune what is read": lambda store, cursor, ids: store.prune(
        older_than=START + timedelta(seconds=50), only_read=True
    ),
    "erase": lambda store, cursor, ids: store.erase(QUIET),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_statement_of(call: str, engine: Engine) -> None:
    sent: list[str] = []

    def catch(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        sent.append(statement)
        explained.extend(explain(connection, statement, parameters))

    explained: list[str] = []
    store = SyncSQLAlchemyStore(engine, table=TABLE)
    cursor = store.page(BUSY, offset=ROWS // 8, limit=1)[0].cursor
    ids = [each.id for each in store.page(BUSY, limit=50)]
    event.listen(engine, "before_cursor_execute", catch)
    try:
        CALLS[call](store, cursor, ids)
    finally:
        event.remove(engine, "before_cursor_execute", catch)
    problems = [line for line in explained if wasteful(engine.dialect.name, line)]
    assert sent
    assert not problems, "\n".join([*sent, *explained])
    if "unread" in call and "mark" not in call:
        assert any(f"{TABLE.name}_unread" in line for line in explained), "\n".join([*sent, *explained])
    if "cursor" in call:
        bound = {"postgresql": r"Index Cond: .*created_at <=", "mysql": r"type=range", "sqlite": r"created_at<\?"}
        assert any(re.search(bound[engine.dialect.name], line) for line in explained), "\n".join([*sent, *explained])


def explain(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """The plan in lines, from the connection that is about to run the statement."""
    how = {"postgresql": "EXPLAIN (COSTS OFF)", "mysql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}
    cursor = connection.connection.cursor()
    cursor.execute(f"{how[connection.dialect.name]} {statement}", parameters)
    if connection.dialect.name == "mysql":
        names = [column[0] for column in cursor.description or ()]
        return [
            ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in cursor.fetchall()
        ]
    return [str(row[-1]) for row in cursor.fetchall()]


def wasteful(dialect: str, line: str) -> bool:
    """Whether a line of the plan reads the whole table or a whole index, or sorts rows of an inbox for a page."""
    if dialect == "postgresql":
        return "Seq Scan" in line or ("Sort Key" in line and "created_at" in line)
    if dialect == "mysql":
        whole = "type=ALL" in line or "type=index" in line
        return "filesort" in line or (whole and f"table={TABLE.name}" in line)
    return line.startswith(f"SCAN {TABLE.name}") or "TEMP B-TREE" in line
