"""What a call takes as an inbox grows: each is the fastest of many, in milliseconds of the caller's time.

The inboxes, a fifth of each unread, lie in one table, as they would. The database's own count is the bare statement on
the driver's connection.

Calls are made in blocks of one kind on one inbox, which take turns, so that whatever else the machine does meets all
alike. The first calls of a block do not count: they find the caches full of what the block before them read, which
after the exact count of a large inbox is up to half a millisecond more, and no part of what such a call costs.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from notistore import Cursor, Recipient
from notistore_sqlalchemy import SyncSQLAlchemyStore

from .overhead import Say
from .peers import PSYCOPG, SQLITE, inbox_of, statements
from .peers.sqlalchemy import open_sync
from .rows import COLUMNS, DATA, TABLE, TYPES, from_millis, millis, to_json
from .servers import Servers

PAGE_SIZE = 50
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
BLOCK, WARMING = 5, 3  # calls in a row that count, and those before them that do not
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Point:
    """Milliseconds, for an inbox of `size` rows."""

    size: int
    unread_count: float
    own_count: float
    at_most_100: float
    first_page: float
    far_page: float


def values(recipient: Recipient, size: int) -> Iterator[tuple[Any, ...]]:
    """Rows as SQLite stores them, from the oldest; one every minute."""
    data, (tenant, type, id) = to_json(DATA), inbox_of(recipient)
    oldest, minute = millis(NEWEST - timedelta(minutes=size)), 60_000
    for n in range(size):
        at = oldest + n * minute
        key = f"{at:012x}{size:08x}{n:012x}"
        row_id = f"{key[:8]}-{key[8:12]}-7{key[12:15]}-8{key[15:18]}-{key[18:30]}"
        read = None if n % 5 == 0 else at + 1000
        yield row_id, tenant, type, id, TYPES[n % 3], None, data, None, None, None, 1, read, at, at


def fill_sqlite(path: str, sizes: tuple[int, ...]) -> None:
    connection = sqlite3.connect(path)
    for size in sizes:
        connection.executemany(statements(SQLITE).insert.sql, values(inbox(size), size))
    connection.commit()
    connection.execute("ANALYZE")
    connection.close()


def fill_postgres(url: str, sizes: tuple[int, ...]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for size in sizes:
            with connection.cursor().copy(f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for *head, read, created, updated in values(inbox(size), size):
                    times = (None if read is None else from_millis(read), from_millis(created), from_millis(updated))
                    copy.write_row((*head, *times))
        connection.execute(f"VACUUM ANALYZE {TABLE}")


def inbox(size: int) -> Recipient:
    return Recipient(f"has-{size}")


def measure(
    store: SyncSQLAlchemyStore, count: Callable[[Recipient], int], sizes: Sequence[int], times: int
) -> list[Point]:
    calls = [calls_on(store, count, size) for size in sizes]
    best = [[float("inf")] * len(its) for its in calls]
    for _ in range(-(-times // BLOCK)):
        for its, fastest in zip(calls, best, strict=True):
            for which, call in enumerate(its):
                for number in range(-WARMING, BLOCK):
                    began = perf_counter()
                    call()
                    if number >= 0:
                        fastest[which] = min(fastest[which], perf_counter() - began)
    return [Point(size, *(1000 * each for each in fastest)) for size, fastest in zip(sizes, best, strict=True)]


def calls_on(
    store: SyncSQLAlchemyStore, count: Callable[[Recipient], int], size: int
) -> Sequence[Callable[[], object]]:
    """A point's calls in its order, seen to be right."""
    mine = inbox(size)
    far = min(500, size // PAGE_SIZE)  # the last page, where there is no page 500
    cursor = place(store, mine, (far - 1) * PAGE_SIZE)
    calls: list[Callable[[], Any]] = [
        lambda: store.unread_count(mine),
        lambda: count(mine),
        lambda: store.unread_count(mine, at_most=100),
        lambda: store.page(mine, limit=PAGE_SIZE),
        lambda: store.page(mine, before=cursor, limit=PAGE_SIZE),
    ]
    unread, own, capped, first, last = (call() for call in calls)
    assert unread == own == size // 5
    assert capped == min(100, unread)
    assert len(first) == len(last) == PAGE_SIZE
    return calls


def place(store: SyncSQLAlchemyStore, recipient: Recipient, offset: int) -> Cursor | None:
    """The cursor after the first `offset` rows."""
    return store.page(recipient, offset=offset - 1, limit=1)[0].cursor if offset else None


def run(servers: Servers, rows: int, times: int, say: Say) -> dict[str, list[Point]]:
    """Measure, saying the tables; inboxes of more than `rows` are left out."""
    sizes = tuple(size for size in SIZES if size <= rows)
    points = {}
    with tempfile.TemporaryDirectory(prefix="notistore-benchmark-") as folder:
        path = str(Path(folder) / "growth.db")
        with open_sync(f"sqlite+pysqlite:///{path}", SQLITE) as (store, _):
            fill_sqlite(path, sizes)
            connection = sqlite3.connect(path)

            def count(recipient: Recipient) -> int:
                found: int = connection.execute(statements(SQLITE).count_unread.sql, inbox_of(recipient)).fetchone()[0]
                return found

            points["SQLite"] = measure(store, count, sizes, times)
            connection.close()
    with (
        servers.database("PostgreSQL") as url,
        open_sync(url.replace("://", "+psycopg://"), PSYCOPG) as (store, _),
        psycopg.connect(url, autocommit=True) as server,
    ):
        fill_postgres(url, sizes)
        statement = statements(PSYCOPG).count_unread.sql

        def count_there(recipient: Recipient) -> int:
            found: int = server.execute(statement, inbox_of(recipient)).fetchone()[0]  # type: ignore[index]
            return found

        points["PostgreSQL"] = measure(store, count_there, sizes, times)
    for database, its in points.items():
        say(f"{database}, ms\n")
        say("| rows (unread) | unread count | the database's own count(*) | at_most=100 | first page | page 500 |")
        say("|---|---|---|---|---|---|")
        for each in its:
            figures = (each.unread_count, each.own_count, each.at_most_100, each.first_page, each.far_page)
            say(f"| {each.size:,} ({each.size // 5:,}) | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
        say("")
    return points
