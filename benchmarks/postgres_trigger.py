"""What `PostgresBackplane.create_trigger` costs: commits per second, and statements about many rows, with and without.

    python benchmarks/postgres_trigger.py [SECONDS]

starts a PostgreSQL of its own that writes to the disk at each commit (a second with and without, five times each), and
prints the tables of docs/backplanes.md. The rounds with and without the trigger alternate.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[1]))

from notistore import Notification, Recipient
from notistore.model import utc_now
from notistore_asyncpg import AsyncpgStore
from notistore_postgres import PostgresBackplane
from tools.servers import PostgresServer

ROUNDS = 5


class DurableServer(PostgresServer):
    def _command(self) -> list[str]:
        return [part.replace("fsync=off", "fsync=on") for part in super()._command()]


async def alternate(plane: PostgresBackplane, measure: Callable[[], Awaitable[float]]) -> tuple[float, float]:
    """The medians with the trigger and without."""
    measured: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for has_trigger, change in ((True, plane.create_trigger), (False, plane.drop_trigger)):
            await change()
            measured[has_trigger].append(await measure())
    return median(measured[True]), median(measured[False])


async def commits(url: str, plane: PostgresBackplane, seconds: float) -> None:
    print("\n| connections that insert, each row a commit | with, per second | without | ratio |\n|---|---|---|---|")
    for connections in (1, 8, 32):
        async with asyncpg.create_pool(url, min_size=connections, max_size=connections) as pool:
            store = AsyncpgStore(pool)

            async def insert(recipient: Recipient, until: float, store: Any = store) -> int:
                n = 0
                while time.perf_counter() < until:
                    await store.insert(Notification.new(recipient, "a"))
                    n += 1
                return n

            async def measure(connections: int = connections, insert: Any = insert) -> float:
                began = time.perf_counter()
                done = await asyncio.gather(*(insert(Recipient(str(n)), began + seconds) for n in range(connections)))
                return sum(done) / (time.perf_counter() - began)

            on, off = await alternate(plane, measure)
            print(f"| {connections} | {on:.0f} | {off:.0f} | {on / off:.2f} |", flush=True)


async def bulk(url: str, plane: PostgresBackplane) -> None:
    print("\n| 10,000 rows in one statement | with | without | ratio |\n|---|---|---|---|")
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        store = AsyncpgStore(pool)
        for recipients in (1, 1_000, 10_000):

            async def insert(recipients: int = recipients) -> float:
                rows = [Notification.new(Recipient(str(n % recipients)), "a") for n in range(10_000)]
                began = time.perf_counter()
                await store.insert_many(rows)
                return (time.perf_counter() - began) * 1_000

            on, off = await alternate(plane, insert)
            print(
                f"| inserted, of {recipients:,} recipients | {on:.0f} ms | {off:.0f} ms | {on / off:.2f} |", flush=True
            )

        me = Recipient("marked")

        async def mark() -> float:
            await store.erase(me)
            await store.insert_many([Notification.new(me, "a") for _ in range(10_000)])
            began = time.perf_counter()
            await store.mark_all_read(me, at=utc_now())
            return (time.perf_counter() - began) * 1_000

        on, off = await alternate(plane, mark)
        print(f"| marked read, of 1 recipient | {on:.0f} ms | {off:.0f} ms | {on / off:.2f} |", flush=True)


async def main(seconds: float) -> None:
    with DurableServer() as server:
        async with asyncpg.create_pool(server.url, min_size=1) as pool:
            await AsyncpgStore(pool).create_schema()
        plane = PostgresBackplane(server.url)
        await commits(server.url, plane, seconds)
        await bulk(server.url, plane)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
