"""Servers that die, connections that break, calls that are cancelled, processes in each other's way."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from notistore import Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_conformance import Subject, check_store
from notistore_tortoise import TortoiseStore, open_store

from ..servers import Server
from .test_tortoise_conforms import tortoise, with_scheme

SERVERS = [("postgres", "asyncpg"), ("postgres", "psycopg"), ("mariadb", "mysql")]
WAITING = {
    "postgres": "SELECT pid AS id FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type='Lock'",
    "mysql": "SELECT trx_mysql_thread_id AS id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@pytest.fixture
def me() -> Recipient:
    return Recipient(uuid.uuid4().hex)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[TortoiseStore]:
    """A store on a pool of one connection, so that one that is not given back is missed at once."""
    async with tortoise(url, "other"):
        for name in ("default", "other"):
            get_connection(name).pool_maxsize = 1  # type: ignore[attr-defined]
        store = TortoiseStore()
        await store.create_schema()
        yield store


@asynccontextmanager
async def locked(id: str) -> AsyncIterator[BaseDBAsyncClient]:
    """A transaction of someone else's that holds the row, on the connection "other"."""
    async with in_transaction("other") as other:
        await other.execute_query(f"UPDATE notistore_notifications SET version = version WHERE id = '{id}'")
        yield other


async def waiting_for_a_lock(other: BaseDBAsyncClient) -> int:
    """The connection that waits for a lock in this database, once there is one."""
    async with asyncio.timeout(10):
        while not (found := await other.execute_query_dict(WAITING[other.capabilities.dialect])):  # noqa: ASYNC110
            await asyncio.sleep(0.11)  # InnoDB tells nothing new to who asks again within 0.1 s
    return int(found[0]["id"])


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_calls_raise_store_error_while_the_server_is_down_and_work_once_it_is_back(
    server: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    running: Server = request.getfixturevalue(f"own_{server}")

    @contextmanager
    def outage() -> Iterator[None]:
        running.kill()
        try:
            yield
        finally:
            running.start()

    @asynccontextmanager
    async def make_store() -> AsyncIterator[Subject]:
        config = expand_db_url(with_scheme(running.url, scheme))
        if scheme == "psycopg":  # whose pool waits 30 s for a connection, and ever longer before it tries again
            config["credentials"] |= {"timeout": 0.3, "reconnect_timeout": 0.1}
        async with tortoise(config):
            await TortoiseStore().create_schema()
            yield Subject(TortoiseStore(), outage=outage)

    report = await check_store(make_store, only="calls/errors")
    assert [(result.outcome.name, result.message) for result in report.results] == [("PASSED", "")]


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_a_server_that_dies_during_a_write_leaves_the_outcome_unknown(
    server: str, scheme: str, me: Recipient, request: pytest.FixtureRequest
) -> None:
    running: Server = request.getfixturevalue(f"own_{server}")
    async with opened(with_scheme(running.url, scheme)) as store:
        stored = await store.upsert(Notification.new(me, "test", key="k"))
        with suppress(Exception):  # the other transaction is lost as well
            async with locked(stored.id) as other:
                call = asyncio.create_task(store.delete(me, stored.id))
                await waiting_for_a_lock(other)
                running.kill()
                [answer] = await asyncio.gather(call, return_exceptions=True)
                running.start()
        assert isinstance(answer, OutcomeUnknown)
        assert await store.get(me, stored.id) == stored


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_a_connection_killed_during_a_call_breaks_that_call_only(
    server: str, scheme: str, me: Recipient, request: pytest.FixtureRequest
) -> None:
    async with opened(with_scheme(request.getfixturevalue(f"{server}_url"), scheme)) as store:
        stored = await store.upsert(Notification.new(me, "test", key="k"))
        async with locked(stored.id) as other:
            call = asyncio.create_task(store.upsert(Notification.new(me, "test", key="k")))
            process = await waiting_for_a_lock(other)
            kill = f"KILL {process}" if server == "mariadb" else f"SELECT pg_terminate_backend({process}, 5000)"
            await other.execute_query(kill)
            with pytest.raises(StoreError) as raised:
                await call
            assert raised.value.__cause__ is not None
        assert (await store.upsert(Notification.new(me, "test", key="k"))).version == stored.version + 1


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_a_call_cancelled_while_it_waits_for_a_lock_gives_its_connection_back(
    server: str, scheme: str, me: Recipient, request: pytest.FixtureRequest
) -> None:
    async with opened(with_scheme(request.getfixturevalue(f"{server}_url"), scheme)) as store:
        stored = await store.upsert(Notification.new(me, "test", key="k"))
        async with locked(stored.id) as other:
            for call in (store.mark_read(me, stored.id, at=utc_now()), store.insert_many([stored])):
                task = asyncio.create_task(call)
                await waiting_for_a_lock(other)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                async with asyncio.timeout(5):
                    assert await store.count(me) == 1


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_a_call_given_up_while_the_pool_is_full_takes_nothing_from_it(
    server: str, scheme: str, me: Recipient, request: pytest.FixtureRequest
) -> None:
    async with opened(with_scheme(request.getfixturevalue(f"{server}_url"), scheme)) as store:
        bystander = TortoiseStore(get_connection("default"))
        async with in_transaction("default"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await bystander.count(me)
            assert await store.count(me) == 0
        assert await bystander.count(me) == 0


async def test_calls_cancelled_at_any_moment_leave_a_sqlite_file_usable(tmp_path: Path, me: Recipient) -> None:
    for ticks in range(12):
        async with open_store(f"sqlite://{tmp_path / f'{ticks}.db'}") as store:
            for _ in range(3):
                call = asyncio.create_task(store.upsert(Notification.new(me, "test", key="k")))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            async with asyncio.timeout(5):
                await store.count(me)
            with closing(sqlite3.connect(tmp_path / f"{ticks}.db", timeout=1)) as other:
                other.execute("BEGIN EXCLUSIVE")


@pytest.mark.parametrize(("server", "scheme"), [("sqlite", "sqlite"), *SERVERS])
async def test_rows_inserted_together_are_all_there_or_none_when_the_call_is_cancelled(
    server: str, scheme: str, tmp_path: Path, me: Recipient, request: pytest.FixtureRequest
) -> None:
    if server == "sqlite":
        url = f"sqlite://{tmp_path / 'x.db'}"
    else:
        url = with_scheme(request.getfixturevalue(f"{server}_url"), scheme)
    async with opened(url) as store:
        other = TortoiseStore("other")
        for ticks in range(0, 60, 4):
            mine = Recipient(f"{me.id}.{ticks}")
            rows = [Notification.new(mine, "test") for _ in range(100)]
            call = asyncio.create_task(store.insert_many(rows))
            for _ in range(ticks):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            async with asyncio.timeout(10):
                await store.insert(Notification.new(me, "test"))  # on the one connection there is
                assert await other.count(mine) in (0, 100)
                assert await other.count(me) == ticks // 4 + 1


async def test_a_lock_that_is_never_released_ends_in_store_error(tmp_path: Path, me: Recipient) -> None:
    async with open_store(f"sqlite://{tmp_path / 'x.db'}?busy_timeout=10") as store:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="database is locked"):
                await store.insert(Notification.new(me, "test"))
        await store.insert(Notification.new(me, "test"))


async def test_a_sqlite_file_that_cannot_be_opened_raises_store_error_every_time(tmp_path: Path, me: Recipient) -> None:
    folder = tmp_path / "later"
    async with tortoise(f"sqlite://{folder / 'x.db'}"):
        store = TortoiseStore()
        for _ in range(2):
            async with asyncio.timeout(5):
                with pytest.raises(StoreError, match="unable to open"):
                    await store.count(me)
        folder.mkdir()
        await store.create_schema()
        assert await store.count(me) == 0


@pytest.mark.parametrize("scheme", ["asyncpg", "mysql"])
async def test_a_server_that_is_not_there_raises_store_error_from_the_drivers_own(scheme: str, me: Recipient) -> None:
    async with tortoise(f"{scheme}://nobody@127.0.0.1:1/none"):
        with pytest.raises(StoreError) as raised:
            await TortoiseStore().insert(Notification.new(me, "test"))
        assert type(raised.value) is StoreError
        assert raised.value.__cause__ is not None


@pytest.mark.parametrize("scheme", ["asyncpg", "psycopg"])
async def test_serialisation_failures_are_tried_again(scheme: str, postgres_url: str, me: Recipient) -> None:
    async with tortoise(with_scheme(postgres_url, scheme)):
        store, client = TortoiseStore(), get_connection("default")
        await store.create_schema()
        [database] = await client.execute_query_dict("SELECT current_database() AS name")
        setting = f"ALTER DATABASE {database['name']} %s default_transaction_isolation"
        await client.execute_script(setting % "SET" + " = 'serializable'")
        try:
            await client.close()
            answers = await asyncio.gather(*(store.upsert(Notification.new(me, "test", key="k")) for _ in range(20)))
        finally:
            await client.execute_script(setting % "RESET")
        assert sorted(answer.version for answer in answers) == list(range(1, 21))


@pytest.mark.parametrize("scheme", ["sqlite", "asyncpg", "mysql"])
async def test_processes_that_write_the_same_rows_in_any_order_lose_nothing_and_see_no_error(
    scheme: str, me: Recipient, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if scheme == "sqlite":
        url = f"sqlite://{tmp_path / 'x.db'}"
    else:
        url = with_scheme(request.getfixturevalue("mariadb_url" if scheme == "mysql" else "postgres_url"), scheme)
    long_ago = datetime(1970, 2, 1, tzinfo=UTC)
    kept, gone, old = (
        [Notification.new(me, type) for _ in range(count)] for type, count in (("kept", 40), ("gone", 40), ("old", 40))
    )
    async with open_store(url) as store:
        await store.insert_many([*kept, *gone, *(replace(row, updated_at=long_ago) for row in old)])
        share = partial(_hammer, url, me, [row.id for row in kept], [row.id for row in gone])
        run = asyncio.get_running_loop().run_in_executor
        with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
            done = await asyncio.gather(*(run(processes, share, seed) for seed in range(3)))
        read, deleted, pruned = (sum(each) for each in zip(*done, strict=True))
        assert read == len(kept) - await store.unread_count(me, types=["kept"])
        assert (deleted, pruned) == (len(gone), len(old))
        assert [row.version for row in await store.page(me, types=["keyed"])] == [90]
        assert await store.count(me) == len(kept) + 1


def _hammer(url: str, me: Recipient, kept: list[str], gone: list[str], seed: int) -> tuple[int, int, int]:
    """One process's share: how many rows of `kept` it left read, and how many of the others it deleted and pruned."""
    chance = random.Random(seed)

    async def work() -> tuple[int, int, int]:
        async with open_store(url) as store:
            marks, unmarks, deletes, upserts, prunes = [], [], [], [], []
            for _ in range(30):
                some = chance.sample(kept, 25)
                marks += [
                    store.mark_read(me, *some, at=utc_now()),
                    store.mark_all_read(me, types=["kept"], at=utc_now()),
                ]
                unmarks.append(store.mark_unread(me, *reversed(some)))
                deletes.append(store.delete(me, *chance.sample(gone, len(gone))))
                upserts.append(store.upsert(Notification.new(me, "keyed", key="hot")))
                prunes.append(store.prune(older_than=datetime(1970, 3, 1, tzinfo=UTC), limit=5))
            groups = [asyncio.gather(*calls) for calls in (marks, unmarks, deletes, prunes, upserts)]
            read, unread, deleted, pruned = (sum(counts) for counts in (await asyncio.gather(*groups))[:4])
        return read - unread, deleted, pruned

    return asyncio.run(work())
