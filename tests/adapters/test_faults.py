"""The same faults for every store of faults.py: servers that die, connections that break or are refused, replies
that are lost, calls that are cancelled at any await, and transactions that conflict."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import types
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notistore import DuplicateNotification, Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from tools.proxy import behind_proxy
from tools.servers import Server

from ..sql.hosts import connect
from .faults import FAULTY, Faulty

CALL_TIMEOUT = 30.0  # seconds after which a call counts as hanging
TABLE = "notistore_notifications"


def on_stores(
    *servers: str, asynchronous: bool = False, autocommit: bool = False, interrupts: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a test on the stores of these servers, restricted to those with these properties."""
    chosen = [
        faulty
        for faulty in FAULTY
        if faulty.server in servers
        and not (asynchronous and faulty.is_sync)
        and (faulty.autocommit or not autocommit)
        and (faulty.interrupts or not interrupts)
    ]
    return pytest.mark.parametrize("faulty", chosen, ids=lambda faulty: faulty.name)


@pytest.fixture
def me() -> Recipient:
    return Recipient(uuid.uuid4().hex)


@pytest.fixture
def url(faulty: Faulty, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if faulty.server == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    found: str = request.getfixturevalue(f"{faulty.server}_url")
    return found


@asynccontextmanager
async def opened(faulty: Faulty, url: str, connections: int = 1) -> AsyncIterator[Any]:
    async with faulty.open(url, connections) as store:
        await store.create_schema()
        yield store


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
async def test_every_call_fails_while_the_server_is_down_and_works_once_it_is_back(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """All stores in one test, because restarting the server takes long."""
    server: Server = request.getfixturevalue(f"own_{kind}")
    async with AsyncExitStack() as stack:
        stores = {}
        for faulty in FAULTY:
            if faulty.server == kind:
                stores[faulty.name] = await stack.enter_async_context(opened(faulty, server.url))
        rows = {name: Notification.new(Recipient(uuid.uuid4().hex), "t", key="k") for name in stores}
        for name, store in stores.items():
            await store.insert(rows[name])
        await asyncio.to_thread(server.kill)
        try:
            errors = await asyncio.gather(*(failures(store, rows[name]) for name, store in stores.items()))
        finally:
            await asyncio.to_thread(server.restart)
        for name, (*writes, read) in zip(stores, errors, strict=True):
            assert all(error.__cause__ is not None for error in (*writes, read)), name
            assert type(read) is StoreError, name
        for name, store in stores.items():
            row = rows[name]
            assert await once_connected(partial(store.page, row.recipient)) == [row], name
            assert (await store.upsert(row)).version == 2, name


async def failures(store: Any, row: Notification) -> Sequence[StoreError]:
    """The errors of calls of each kind; the last is of a read."""
    me = row.recipient
    calls = (
        store.page(me),
        store.insert(Notification.new(me, "t")),
        store.upsert(row),
        store.mark_read(me, row.id, at=utc_now()),
        store.insert_many([Notification.new(me, "t") for _ in range(3)]),
        store.unread_counts([me]),
    )
    return await asyncio.gather(*(failure(call) for call in calls))


@on_stores("postgres", "mariadb")
async def test_a_refused_connection_is_never_an_unknown_outcome(faulty: Faulty, me: Recipient) -> None:
    scheme = {"postgres": "postgresql", "mariadb": "mysql"}[faulty.server]
    async with faulty.open(f"{scheme}://nobody@127.0.0.1:1/none", 2) as store:
        for error in await asyncio.gather(failure(store.insert(Notification.new(me, "t"))), failure(store.count(me))):
            assert type(error) is StoreError
            assert error.__cause__ is not None


@on_stores("postgres", "mariadb", autocommit=True)
async def test_a_lost_reply_to_a_lone_statement_leaves_the_outcome_unknown(
    faulty: Faulty, url: str, me: Recipient
) -> None:
    with behind_proxy(url) as (through, proxy):
        assert proxy is not None
        async with opened(faulty, through) as store:
            row = Notification.new(me, "t", key="k")
            first = await store.upsert(row)
            proxy.lose_reply_to(row.id.encode())
            error = await failure(store.upsert(row))
            assert proxy.lost_all
            assert isinstance(error, OutcomeUnknown)
            proxy.lose_reply_to(row.id.encode())
            error = await failure(once_connected(lambda: store.get(me, row.id)))
            assert type(error) is StoreError, "a call that reads has no outcome"
            assert (await once_connected(lambda: store.upsert(row))).version in (first.version + 1, first.version + 2)


@on_stores("postgres", "mariadb")
async def test_a_lost_reply_to_a_commit_leaves_the_outcome_unknown(faulty: Faulty, url: str, me: Recipient) -> None:
    with behind_proxy(url) as (through, proxy):
        assert proxy is not None
        async with opened(faulty, through) as store:
            rows = [Notification.new(me, "t") for _ in range(1001)]  # more than one statement, on every database
            proxy.lose_reply_to(b"COMMIT" if faulty.server == "postgres" else b"\x03COMMIT")  # not SET AUTOCOMMIT
            assert isinstance(await failure(store.insert_many(rows)), OutcomeUnknown)
            assert proxy.lost_all
            assert await once_connected(lambda: store.count(me)) in (0, len(rows))


@on_stores("postgres", "mariadb")
async def test_a_connection_that_the_server_ends_breaks_one_call_only(faulty: Faulty, url: str, me: Recipient) -> None:
    async with opened(faulty, url) as store:
        stored = await store.upsert(Notification.new(me, "t", key="k"))
        async with locked(url, stored.id):
            call = asyncio.ensure_future(store.upsert(stored))
            await asyncio.to_thread(end_the_connection, url, await waiting_for_a_lock(url))
            assert (await failure(call)).__cause__ is not None
        assert (await once_connected(lambda: store.upsert(stored))).version == stored.version + 1


@on_stores("postgres", "mariadb", asynchronous=True, interrupts=True)
async def test_a_call_cancelled_while_it_waits_for_a_lock_changes_nothing_and_gives_its_connection_back(
    faulty: Faulty, url: str, me: Recipient
) -> None:
    async with opened(faulty, url) as store:
        stored = await store.upsert(Notification.new(me, "t", key="k"))
        rows = [stored, *(Notification.new(me, "t") for _ in range(3))]
        async with locked(url, stored.id):
            for make in (lambda: store.mark_read(me, stored.id, at=utc_now()), lambda: store.delete(me, *ids(rows))):
                call = asyncio.ensure_future(make())
                await waiting_for_a_lock(url)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert await within_timeout(store.count(me)) == 1
        assert await within_timeout(store.get(me, stored.id)) == stored


@on_stores("postgres", "mariadb", asynchronous=True, interrupts=True)
async def test_a_call_cancelled_while_it_waits_for_a_connection_takes_none(
    faulty: Faulty, url: str, me: Recipient
) -> None:
    async with opened(faulty, url) as store:
        stored = await store.upsert(Notification.new(me, "t", key="k"))
        async with locked(url, stored.id):
            first = asyncio.ensure_future(store.mark_read(me, stored.id, at=utc_now()))
            await waiting_for_a_lock(url)
            waiting = [asyncio.ensure_future(store.count(me)) for _ in range(3)]
            await asyncio.sleep(0)
            for call in waiting:
                call.cancel()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
        assert await within_timeout(first) == 1
        assert await within_timeout(store.count(me)) == 1


@on_stores("sqlite", "postgres", "mariadb", asynchronous=True)
async def test_a_call_may_be_cancelled_at_each_of_its_awaits(faulty: Faulty, url: str, me: Recipient) -> None:
    async with opened(faulty, url) as store:
        await store.insert(Notification.new(me, "t", key="kept"))
        for number, make in enumerate((insert_one, partial(insert_more, faulty), upsert, mark, page)):
            mine = Recipient(f"{me.id}.{number}")
            at = 0
            finished = False
            while not finished:
                at += 1
                call, check = await make(store, mine)
                finished = await cancelled_at(at, call)
                await within_timeout(check())
                assert await within_timeout(store.count(me)) == 1
                if faulty.server == "sqlite":
                    execute(url, "BEGIN IMMEDIATE")  # fails where a lock is left
            assert at < 500


async def insert_one(store: Any, me: Recipient) -> tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]:
    row = Notification.new(me, "t")

    async def check() -> None:
        assert await store.get(me, row.id) in (None, row)

    return store.insert(row), check


async def insert_more(
    faulty: Faulty, store: Any, me: Recipient
) -> tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]:
    """Insert several rows: two statements, the second as slow as the first."""
    await store.erase(me)
    rows = [Notification.new(me, "t") for _ in range(2000 if faulty.server == "postgres" else 200)]

    async def check() -> None:
        assert await store.count(me) in (0, len(rows))

    return store.insert_many(rows), check


async def upsert(store: Any, me: Recipient) -> tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]:
    row = Notification.new(me, "t", key="k")
    before = await store.upsert(row)

    async def check() -> None:
        assert (await store.get(me, row.id)).version in (before.version, before.version + 1)

    return store.upsert(row), check


async def mark(store: Any, me: Recipient) -> tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]:
    rows = [Notification.new(me, "t", key=str(n)) for n in range(20)]
    for row in rows:
        await store.upsert(row)

    async def check() -> None:
        assert await store.unread_count(me) in (0, len(rows))

    return store.mark_read(me, *ids(rows), at=utc_now()), check


async def page(store: Any, me: Recipient) -> tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]:
    async def check() -> None:
        assert await store.page(me) == []

    return store.page(me), check


@on_stores("sqlite", asynchronous=True, interrupts=True)
async def test_a_write_cancelled_while_it_waits_for_a_file_is_not_done_later(
    faulty: Faulty, url: str, me: Recipient
) -> None:
    path = url.removeprefix("sqlite:///")
    async with opened(faulty, url) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            call = asyncio.ensure_future(store.upsert(Notification.new(me, "t", key="k")))
            await asyncio.wait([call], timeout=0.1)  # it waits for the lock, except on an overloaded machine
            call.cancel()
            # Kept to the end of the test: the frames of its traceback must not keep cursors, and so locks, alive.
            [answer] = await asyncio.gather(call, return_exceptions=True)
            assert isinstance(answer, asyncio.CancelledError)
            other.execute("ROLLBACK")
        await within_timeout(store.count(me))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=CALL_TIMEOUT)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert other.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)


@on_stores("sqlite")
async def test_a_lock_that_is_never_released_ends_in_store_error(faulty: Faulty, url: str, me: Recipient) -> None:
    async with opened(faulty, url) as store:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            error = await failure(store.insert(Notification.new(me, "t")))
            assert "database is locked" in str(error)
            assert type(error) is StoreError
        await store.insert(Notification.new(me, "t"))


@on_stores("postgres")
async def test_serialization_failures_are_retried(faulty: Faulty, empty_postgres_url: str, me: Recipient) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")  # type: ignore[arg-type]
    async with opened(faulty, empty_postgres_url, 5) as store:
        answers = await asyncio.gather(*(store.upsert(Notification.new(me, "t", key="k")) for _ in range(20)))
        assert sorted(answer.version for answer in answers) == list(range(1, 21))


@on_stores("sqlite", "postgres", "mariadb")
async def test_calls_on_the_same_rows_in_any_order_end_without_an_error(
    faulty: Faulty, url: str, me: Recipient
) -> None:
    async with opened(faulty, url, 5) as store:
        rows = [Notification.new(me, "t") for _ in range(60)]
        await store.insert_many(rows)
        chance = random.Random(7)
        marked, unmarked = [], []
        for _ in range(15):
            some = chance.sample(ids(rows), 40)
            marked += [store.mark_read(me, *some, at=utc_now()), store.mark_all_read(me, at=utc_now())]
            unmarked.append(store.mark_unread(me, *reversed(some)))
        counts = await asyncio.gather(*marked, *unmarked)
        read = sum(counts[: len(marked)]) - sum(counts[len(marked) :])
        assert await store.unread_count(me) == len(rows) - read
        deleted = await asyncio.gather(*(store.delete(me, *chance.sample(ids(rows), 60)) for _ in range(5)))
        assert sum(deleted) == len(rows)


@on_stores("sqlite", "postgres", "mariadb")
async def test_only_the_primary_key_makes_a_duplicate(
    faulty: Faulty, me: Recipient, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A violation of a unique index that the application added is another error."""
    if faulty.server == "sqlite":
        url = f"sqlite:///{tmp_path / 'own.db'}"
    else:
        url = request.getfixturevalue(f"empty_{faulty.server}_url")
    async with opened(faulty, url) as store:
        await asyncio.to_thread(execute, url, f"CREATE UNIQUE INDEX own ON {TABLE} (trace_id)")
        first, second, other = (Notification.new(me, "t", trace_id=trace) for trace in ("same", "same", "other"))
        await store.insert(first)
        assert type(await failure(store.insert_many([other, second]))) is StoreError
        if faulty.server != "sqlite":  # whose error says which column it was, and the contract's does not need it
            assert type(await failure(store.insert(second))) is StoreError
        for again in (store.insert(first), store.insert_many([other, first])):
            error = await failure(again)
            assert isinstance(error, DuplicateNotification)
            assert error.id == first.id
        assert await store.page(me) == [first]


@types.coroutine
def cancel_at_await(call: Coroutine[Any, Any, Any], at: int, reached: list[bool]) -> Generator[Any, Any, Any]:
    """Run `call`, and cancel it at its `at`-th await."""
    awaits, error = 0, None
    while True:
        try:
            future = call.send(None) if error is None else call.throw(error)
        except StopIteration as end:
            return end.value
        awaits += 1
        if awaits == at:
            reached.append(True)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield future
            error = None
        except BaseException as raised:
            error = raised


async def cancelled_at(at: int, call: Coroutine[Any, Any, Any]) -> bool:
    """Cancel a call at its `at`-th await. Returns whether it ended before that."""

    async def run() -> Any:
        return await cancel_at_await(call, at, reached)

    reached: list[bool] = []
    [answer] = await asyncio.gather(asyncio.ensure_future(run()), return_exceptions=True)
    if isinstance(answer, BaseException) and not isinstance(answer, asyncio.CancelledError):
        raise answer
    return not reached


async def failure(call: Awaitable[Any]) -> StoreError:
    with pytest.raises(StoreError) as raised:
        await within_timeout(call)
    return raised.value


async def within_timeout(call: Awaitable[Any]) -> Any:
    async with asyncio.timeout(CALL_TIMEOUT):
        return await call


async def once_connected(call: Callable[[], Awaitable[Any]]) -> Any:
    """The result of a call after an outage, retried: some pools detect broken connections one by one, and reconnect on
    a schedule of their own."""
    async with asyncio.timeout(CALL_TIMEOUT):
        while True:
            try:
                return await call()
            except StoreError as error:
                if "PoolTimeout" not in str(error):
                    raise


def ids(rows: list[Notification]) -> list[str]:
    return [row.id for row in rows]


@asynccontextmanager
async def locked(url: str, id: str) -> AsyncIterator[None]:
    """Lock the row in another transaction, for the block."""
    hold = f"UPDATE {TABLE} SET version = version WHERE id = %s"
    if url.startswith("postgresql"):
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(hold, [id])
            yield
            await connection.rollback()
        return
    connection = connect(url)
    with closing(connection), connection.cursor() as cursor:
        connection.begin()
        cursor.execute(hold, [id])
        yield
        connection.rollback()


async def waiting_for_a_lock(url: str) -> int:
    """Wait for a connection that waits for a lock in this database, and return its id."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        if url.startswith("postgresql")
        else "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx JOIN information_schema.processlist AS own "
        "ON own.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND own.db = DATABASE()"
    )
    async with asyncio.timeout(CALL_TIMEOUT):
        while not (found := await asyncio.to_thread(execute, url, query)):  # noqa: ASYNC110
            await asyncio.sleep(0.11)  # InnoDB refreshes this information every 0.1 s only
    number: int = found[0][0]
    return number


def end_the_connection(url: str, number: int) -> None:
    execute(url, f"SELECT pg_terminate_backend({number}, 5000)" if url.startswith("postgresql") else f"KILL {number}")


def execute(url: str, statement: str) -> list[Any]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return file.execute(statement).fetchall()
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []
    with closing(connect(url)) as other, other.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
