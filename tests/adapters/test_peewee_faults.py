"""Faults that are Peewee's own (those of every SQL store are in test_faults.py), processes that write the same rows,
and tables that others made."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peewee")

from sqlalchemy import Engine, create_engine

from notistore import Notification, Recipient, StoreError
from notistore_peewee import PeeweeStore, SyncPeeweeStore, notification_model, open_store
from notistore_sqlalchemy import SyncSQLAlchemyStore

from .test_peewee_conforms import closing_all, database

ME = Recipient("42")
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


def row(key: str | None = None, type: str = "test") -> Notification:
    return Notification.new(ME, type, key=key)


@pytest.fixture(params=DRIVERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    fixtures = {"postgresql": "postgres_url", "mysql": "mariadb_url"}
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    found: str = request.getfixturevalue(fixtures[request.param])
    return found


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PeeweeStore]:
    store = PeeweeStore(database(url, asynchronous=True, **options))
    try:
        await store.create_schema()
        yield store
    finally:
        await store.database.close_pool()


async def test_calls_cancelled_while_they_open_a_connection_lose_none(url: str) -> None:
    async with opened(url, pool_size=10, acquire_timeout=5) as store:
        for delay in range(40):
            calls = [asyncio.create_task(store.count(ME)) for _ in range(5)]
            await asyncio.sleep(delay / 5000)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        together = asyncio.Barrier(10)

        async def hold() -> None:
            async with store.database:
                await together.wait()

        await asyncio.gather(*(hold() for _ in range(10)))


async def test_tasks_that_live_on_hold_no_connection(url: str) -> None:
    async with opened(url, pool_size=2, acquire_timeout=5) as store:
        go = asyncio.Event()
        counted: asyncio.Queue[int] = asyncio.Queue()

        async def stream() -> None:
            await counted.put(await store.unread_count(Recipient("nobody")))
            await go.wait()

        tasks = [asyncio.create_task(stream()) for _ in range(6)]
        assert [await counted.get() for _ in tasks] == [0] * 6
        go.set()
        await asyncio.gather(*tasks)


async def test_an_exhausted_pool_raises_store_error(url: str) -> None:
    async with opened(url, pool_size=1, acquire_timeout=0.5) as store:
        async with store.database:
            with pytest.raises(StoreError, match="acquire_timeout") as raised:
                await asyncio.create_task(store.insert(row()))
            assert type(raised.value) is StoreError
        assert await store.count(Recipient("nobody")) == 0


RACER = """
import asyncio, random, sys
from notistore import Notification, Recipient
from notistore.model import utc_now
from notistore_peewee import PeeweeStore
from tests.adapters.test_peewee_conforms import database

async def main(url, seed):
    shuffled = random.Random(seed)
    me = Recipient("racers")
    store = PeeweeStore(database(url, asynchronous=True))
    versions, ids = [], []

    async def work():
        for _ in range(12):
            stored = await store.upsert(Notification.new(me, "hot", key=f"key:{shuffled.randrange(6)}"))
            versions.append(f"{stored.id} {stored.version}")
            ids.append(stored.id)
            await store.mark_read(me, *shuffled.sample(ids, min(len(ids), 5)), at=utc_now())
            await store.mark_unread(me, *shuffled.sample(ids, min(len(ids), 5)))
            await store.mark_all_read(me, at=utc_now())
            rows = [Notification.new(me, "cold") for _ in range(3)]
            await store.insert_many(rows)
            await store.delete(me, *(row.id for row in reversed(rows)))
            await store.prune(older_than=Notification.new(me, "x").created_at.replace(year=1971))

    await asyncio.gather(*(work() for _ in range(4)))
    await store.database.close_pool()
    print("\\n".join(versions))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_processes_on_the_same_rows_see_no_error_and_each_upsert_its_own_version(url: str) -> None:
    me = Recipient("racers")
    async with opened(url) as store:
        await store.erase(me)
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", RACER, url, str(seed), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for seed in range(3)
        ]
        answers = await asyncio.gather(*(process.communicate() for process in processes))
        assert [errors.decode() for _, errors in answers] == [""] * 3
        versions = [line.split() for output, _ in answers for line in output.decode().splitlines()]
        assert len(versions) == 3 * 4 * 12
        rows = {each.id: each for each in await store.page(me)}
        assert {each.type for each in rows.values()} == {"hot"}
        for id, stored in rows.items():
            seen = sorted(int(version) for its, version in versions if its == id)
            assert seen == list(range(1, stored.version + 1))


def test_the_table_is_the_one_of_the_other_adapters(url: str) -> None:
    """Each creates the table in turn, and the other uses its columns and rows unchanged."""
    engine = create_engine(DRIVERS[url.partition(":")[0]] + url[url.index(":") :])
    alchemy = SyncSQLAlchemyStore(engine)
    with closing_all(database(url, asynchronous=False)) as db:
        exchange(alchemy, SyncPeeweeStore(db), engine)
    engine.dispose()


def exchange(alchemy: SyncSQLAlchemyStore, peewee: SyncPeeweeStore, engine: Engine) -> None:
    first: Any
    second: Any
    for first, second in ((alchemy, peewee), (peewee, alchemy)):
        alchemy.table.drop(engine, checkfirst=True)
        first.create_schema()
        columns, indexes = describe_table(peewee)
        second.create_schema()
        assert describe_table(peewee) == (columns, indexes)
        for writer, reader in ((first, second), (second, first)):
            written = writer.upsert(row("k"))
            assert reader.get(ME, written.id) == written
            assert reader.mark_read(ME, written.id, at=written.created_at) == 1
            assert writer.get(ME, written.id) == reader.get(ME, written.id)
        assert len(indexes) == 4


def describe_table(store: SyncPeeweeStore) -> tuple[Any, Any]:
    with store.database.connection_context():
        table = "notistore_notifications"
        columns = [(column.name, column.full_type, column.null) for column in store.database.get_columns(table)]
        return columns, sorted((index.name, index.columns) for index in store.database.get_indexes(table))


def test_a_table_with_other_columns_is_refused_and_kept(url: str) -> None:
    with closing_all(database(url, asynchronous=False)) as db, db.connection_context():
        db.execute_sql("CREATE TABLE other_columns (id integer, version integer)")
        with pytest.raises(StoreError, match="unexpected none"):
            SyncPeeweeStore(db, model=notification_model(db, "other_columns")).create_schema()
        assert [column.name for column in db.get_columns("other_columns")] == ["id", "version"]
        db.execute_sql("DROP TABLE other_columns")


async def test_open_store_makes_what_it_needs(url: str) -> None:
    async with open_store(url) as store:
        kept = row()
        await store.insert(kept)
        assert await store.get(ME, kept.id) == kept
