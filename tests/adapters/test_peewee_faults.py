"""Servers that die, calls that are cancelled, processes in each other's way, and tables that others made."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytest.importorskip("peewee")

from sqlalchemy import Engine, create_engine

from notistore import Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_conformance import Subject, check_store
from notistore_peewee import PeeweeStore, SyncPeeweeStore, notification_model, open_store
from notistore_sqlalchemy import SyncSQLAlchemyStore

from ..servers import Server
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


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("name", ["own_postgres", "own_mariadb"])
async def test_calls_raise_store_error_while_the_server_is_down_and_work_once_it_is_back(
    name: str, asynchronous: bool, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(name)

    @contextmanager
    def outage() -> Iterator[None]:
        server.kill()
        try:
            yield
        finally:
            server.start()

    @asynccontextmanager
    async def make_store() -> AsyncIterator[Subject]:
        if asynchronous:
            async with opened(server.url) as store:
                yield Subject(store, outage=outage)
        else:
            with closing_all(database(server.url, asynchronous=False)) as db:
                sync = SyncPeeweeStore(db)
                sync.create_schema()
                yield Subject(sync, outage=outage)

    report = await check_store(make_store, only="calls/errors")
    assert [(result.outcome.name, result.message) for result in report.results] == [("PASSED", "")]


async def test_a_connection_lost_during_a_write_leaves_the_outcome_unknown(postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        stored = await store.upsert(row("k"))
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute("UPDATE notistore_notifications SET version = version WHERE id = %s", [stored.id])
            call = asyncio.create_task(store.upsert(row("k")))
            process = await waiting_for_a_lock(postgres_url)
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
            with pytest.raises(OutcomeUnknown):
                await call
        assert (await store.upsert(row("k"))).version == stored.version + 1


async def test_a_call_cancelled_while_it_waits_for_a_lock_gives_its_connection_back(postgres_url: str) -> None:
    async with opened(postgres_url, pool_size=1) as store:
        stored = await store.upsert(row("k"))
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute("UPDATE notistore_notifications SET version = version WHERE id = %s", [stored.id])
            call = asyncio.create_task(store.mark_read(ME, stored.id, at=utc_now()))
            await waiting_for_a_lock(postgres_url)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await store.get(ME, stored.id) == stored


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


async def test_a_cancelled_write_leaves_no_lock_on_a_sqlite_file(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'x.db'}", pool_size=1) as store:
        cancelled: list[BaseException] = []  # their tracebacks' frames must not keep cursors alive
        for ticks in range(24):
            for write in (lambda: store.upsert(row("k")), lambda: store.insert_many([row(), row()])):
                call = asyncio.create_task(write())
                for _ in range(ticks):
                    await asyncio.sleep(0)
                call.cancel()
                [answer] = await asyncio.gather(call, return_exceptions=True)
                if isinstance(answer, BaseException):
                    assert isinstance(answer, asyncio.CancelledError)
                    cancelled.append(answer)
                with closing(sqlite3.connect(tmp_path / "x.db", timeout=1)) as other:
                    other.execute("BEGIN IMMEDIATE")
        assert cancelled
        assert await store.count(ME) % 2 == (1 if await store.get(ME, row("k").id) else 0)


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


async def test_a_pool_that_has_run_dry_raises_store_error(url: str) -> None:
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


async def test_serialisation_failures_are_tried_again(postgres_url: str) -> None:
    async with opened(postgres_url, isolation_level="SERIALIZABLE") as store:
        await store.erase(ME)
        answers = await asyncio.gather(*(store.upsert(row("k")) for _ in range(20)))
        assert sorted(answer.version for answer in answers) == list(range(1, 21))


def test_the_table_is_the_one_of_the_other_adapters(url: str) -> None:
    """Either makes it, and the other takes it as it is: its columns and rows."""
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
        columns, indexes = described(peewee)
        second.create_schema()
        assert described(peewee) == (columns, indexes)
        for writer, reader in ((first, second), (second, first)):
            written = writer.upsert(row("k"))
            assert reader.get(ME, written.id) == written
            assert reader.mark_read(ME, written.id, at=written.created_at) == 1
            assert writer.get(ME, written.id) == reader.get(ME, written.id)
        assert len(indexes) == 4


def described(store: SyncPeeweeStore) -> tuple[Any, Any]:
    with store.database.connection_context():
        table = "notistore_notifications"
        columns = [(column.name, column.full_type, column.null) for column in store.database.get_columns(table)]
        return columns, sorted((index.name, index.columns) for index in store.database.get_indexes(table))


def test_a_table_with_other_columns_is_refused_and_kept(url: str) -> None:
    with closing_all(database(url, asynchronous=False)) as db, db.connection_context():
        db.execute_sql("CREATE TABLE other_columns (id integer, version integer)")
        with pytest.raises(StoreError, match="has none besides"):
            SyncPeeweeStore(db, model=notification_model(db, "other_columns")).create_schema()
        assert [column.name for column in db.get_columns("other_columns")] == ["id", "version"]
        db.execute_sql("DROP TABLE other_columns")


async def test_open_store_makes_what_it_needs(url: str) -> None:
    async with open_store(url) as store:
        kept = row()
        await store.insert(kept)
        assert await store.get(ME, kept.id) == kept


async def waiting_for_a_lock(url: str) -> int:
    """The server process that waits for a lock in this database, once there is one."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while True:
                if found := await (await connection.execute(query)).fetchone():
                    process: int = found[0]
                    return process
