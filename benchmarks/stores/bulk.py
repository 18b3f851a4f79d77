"""insert_many against the driver's own executemany of the same rows, in one transaction each, alternating.

Both begin with objects and end with rows committed; each figure is the best of its rounds. Redis has no executemany:
there the other side is a pipeline of HSET and ZADD, without the uniqueness and the counts that the store keeps.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import redis

from notistore import Recipient

from .overhead import Say, opened
from .peers import ASYNCPG, PSYCOPG, SQLITE, Case, statements
from .peers.redis import inbox, moment, stem, text
from .rows import TABLE, Row, example, row_of, to_postgres, to_sqlite
from .servers import Servers


@dataclass(frozen=True)
class Figure:
    """Seconds, of the clock and of the client's CPU."""

    store: float
    driver: float
    store_cpu: float
    driver_cpu: float


def sqlite(url: str, rows: Sequence[Row]) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        connection.executemany(statements(SQLITE).insert.sql, map(to_sqlite, rows))
    connection.close()


async def sqlite_async(url: str, rows: Sequence[Row]) -> None:
    async with aiosqlite.connect(url.removeprefix("sqlite:///")) as connection:
        await connection.executemany(statements(SQLITE).insert.sql, map(to_sqlite, rows))
        await connection.commit()


def postgres(url: str, rows: Sequence[Row]) -> None:
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(statements(PSYCOPG).insert.sql, map(to_postgres, rows))


async def postgres_async(url: str, rows: Sequence[Row]) -> None:
    connection = await asyncpg.connect(url)
    await connection.executemany(statements(ASYNCPG).insert.sql, map(to_postgres, rows))
    await connection.close()


def redis_pipeline(url: str, rows: Sequence[Row]) -> None:
    with redis.Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for row in rows:
            hash_, all_, unread, _ = inbox(stem(row))
            member = moment(row.created_at) + row.id + row.type
            pipeline.hset(hash_, row.id, text(row))
            pipeline.zadd(all_, {member: 0})
            pipeline.zadd(unread, {member: 0})
        pipeline.execute()


DRIVERS: dict[str, Callable[[str, Sequence[Row]], Any]] = {
    "sqlite3": sqlite,
    "aiosqlite": sqlite_async,
    "psycopg": postgres,
    "asyncpg": postgres_async,
    "redis-py": redis_pipeline,
}


def empty(case: Case, url: str) -> None:
    if case.database == "Redis":
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    elif case.database == "SQLite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(f"DELETE FROM {TABLE}")
    else:
        with psycopg.connect(url) as server:
            server.execute(f"TRUNCATE {TABLE}")


def measure(case: Case, url: str, n: int, rounds: int) -> Figure:
    many = [example(Recipient(f"user-{number}"), number) for number in range(n)]
    rows = [row_of(notification) for notification in many]
    best = [float("inf")] * 4
    with opened(case, url) as (store, _, loop):
        for _ in range(rounds):
            for side, (call, arguments) in enumerate(
                [(store.insert_many, (many,)), (DRIVERS[case.driver], (url, rows))]
            ):
                empty(case, url)
                gc.collect()
                clock, cpu = _timed(call, arguments, loop)
                best[side], best[2 + side] = min(best[side], clock), min(best[2 + side], cpu)
    return Figure(*best)


def _timed(call: Callable[..., Any], arguments: Sequence[Any], loop: asyncio.Runner | None) -> tuple[float, float]:
    async def awaited() -> None:
        result: Awaitable[Any] = call(*arguments)
        await result

    clock, cpu = perf_counter(), process_time()
    if loop is not None:
        loop.run(awaited())
    else:
        call(*arguments)
    return perf_counter() - clock, process_time() - cpu


def run(cases: Sequence[Case], servers: Servers, n: int, rounds: int, say: Say) -> dict[Case, Figure]:
    """Measure them, saying a line of the table after each."""
    say(f"| insert_many of {n:,} | database | seconds | executemany | ratio | ratio of client's CPU |\n{'|---' * 6}|")
    figures = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notistore-benchmark-")))
        for case in cases:
            if case.driver not in DRIVERS:
                continue
            if case.database == "SQLite":
                url = f"sqlite:///{folder / f'{len(os.listdir(folder))}.db'}"
            else:
                url = stack.enter_context(servers.database(case.database))
            figures[case] = each = measure(case, url, n, rounds)
            ratios = f"{each.store / each.driver:.2f} | {each.store_cpu / each.driver_cpu:.2f}"
            say(f"| {case.name} | {case.database} | {each.store:.2f} | {each.driver:.2f} | {ratios} |")
    return figures
