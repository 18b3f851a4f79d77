"""PostgresBackplane.create_trigger: the database notifies of changed rows, whichever program changed them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

asyncpg = pytest.importorskip("asyncpg")
pytest.importorskip("sqlalchemy")

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: E402

from notistore import Inbox, Notification, Recipient, SseHub  # noqa: E402
from notistore.hub import Subscription  # noqa: E402
from notistore.hub.events import REFETCH, Event  # noqa: E402
from notistore.hub.message import Kind, Message  # noqa: E402
from notistore.hub.streams import key_of  # noqa: E402
from notistore.model import utc_now  # noqa: E402
from notistore_postgres import PostgresBackplane  # noqa: E402
from notistore_sqlalchemy import SQLAlchemyStore  # noqa: E402

from .conftest import prefix  # noqa: E402
from .kinds import SECRET  # noqa: E402
from .processes import process, store_and_be_killed  # noqa: E402
from .reading import DONE, until, until_done  # noqa: E402

USER = Recipient("42")
UNUSUAL_RECIPIENTS = [
    Recipient("42", tenant="acme"),
    Recipient("c", tenant="a:b"),
    Recipient("b:c", tenant="a"),
    Recipient("1", "5:tenant"),
    Recipient("\N{SNOWMAN}\\ '%$body$", "\U0001f514", tenant="\N{GREEK SMALL LETTER ALPHA}"),
    Recipient("\U0001f514" * 128, "\U0001f514" * 64, tenant="\U0001f514" * 64),
]
INSERT = """
    INSERT INTO notistore_notifications
        (id, tenant, recipient_type, recipient_id, type, data, version, created_at, updated_at)
    SELECT gen_random_uuid()::text, '', 'user', recipient, 'raw', '{}', 1, now(), now()
    FROM unnest($1::text[]) AS recipient
"""


class Database:
    """A database with the table and the trigger, and a connection that listens to what the trigger notifies."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url, self.prefix = url, prefix
        self.engine = create_async_engine(self.sqlalchemy_url)
        self.store = SQLAlchemyStore(self.engine)
        self.plane = PostgresBackplane(url, prefix=prefix)
        self._notified: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    @property
    def sqlalchemy_url(self) -> str:
        return self.url.replace("postgresql:", "postgresql+asyncpg:")

    async def watch(self, *recipients: Recipient) -> None:
        await self.plane.open(lambda key, message: self._notified.put_nowait((key, message)), lambda: None)
        await self.plane.subscribe(["mark", *map(key_of, recipients)])

    async def notified(self) -> list[str]:
        """The keys notified since the last call. Notifications arrive in the order of the commits."""
        await self.plane.publish([("mark", b"")])
        keys = []
        async with asyncio.timeout(60):
            while (got := await self._notified.get())[0] != "mark":
                assert Message.decode(*got).kind is Kind.REFETCH
                keys.append(got[0])
        return keys

    @asynccontextmanager
    async def stream(self, recipient: Recipient, **options: Any) -> AsyncIterator[tuple[SseHub, Subscription]]:
        """A stream as the web mounts open it, in a process that writes nothing."""
        async with (
            SseHub(PostgresBackplane(self.url, prefix=self.prefix), **options) as hub,
            hub.subscribe(recipient, counter=Inbox(self.store)) as stream,
        ):
            yield hub, stream


@pytest.fixture
async def database(empty_postgres_url: str) -> AsyncIterator[Database]:
    database = Database(empty_postgres_url, prefix())
    await database.store.create_schema()
    await database.plane.create_trigger()
    yield database
    await database.plane.close()
    await database.engine.dispose()


@pytest.fixture
async def raw(empty_postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_postgres_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("recipient", UNUSUAL_RECIPIENTS, ids=range(len(UNUSUAL_RECIPIENTS)))
async def test_the_database_encodes_every_recipient_as_the_hub_does(database: Database, recipient: Recipient) -> None:
    await database.watch(recipient)
    await database.store.insert(Notification.new(recipient, "a"))
    assert await database.notified() == [key_of(recipient)]


async def test_every_call_that_changes_rows_notifies(database: Database) -> None:
    store, old = database.store, utc_now() - timedelta(days=9)
    await database.watch(USER)
    row, keyed, many = Notification.new(USER, "a"), Notification.new(USER, "b", key="k"), Notification.new(USER, "c")
    calls: list[tuple[Awaitable[object], int]] = [
        (store.insert(row), 1),
        (store.upsert(keyed), 1),
        (store.upsert(keyed), 1),
        (store.insert_many([many, Notification.new(USER, "old", at=old)]), 1),
        (store.mark_read(USER, row.id, at=utc_now()), 1),
        (store.mark_read(USER, row.id, at=utc_now()), 0),
        (store.mark_unread(USER, row.id), 1),
        (store.mark_all_read(USER, at=utc_now()), 1),
        (store.mark_all_read(USER, at=utc_now()), 0),
        (store.delete(USER, row.id), 1),
        (store.delete(USER, row.id), 0),
        (store.prune(older_than=old + timedelta(days=1)), 1),
        (store.unread_count(USER), 0),
        (store.erase(USER), 1),
    ]
    notified = []
    for call, _ in calls:
        await call
        notified.append(len(await database.notified()))
    assert notified == [expected for _, expected in calls]


async def test_a_statement_notifies_once_per_recipient_however_many_rows(
    database: Database, raw: asyncpg.Connection
) -> None:
    other = Recipient("43")
    await database.watch(USER, other)
    await raw.execute(INSERT, ["42", "43"] * 2_000)
    assert sorted(await database.notified()) == [key_of(USER), key_of(other)]
    await raw.execute("UPDATE notistore_notifications SET read_at = now()")
    assert sorted(await database.notified()) == [key_of(USER), key_of(other)]
    await raw.execute("DELETE FROM notistore_notifications WHERE recipient_id = '43'")
    assert await database.notified() == [key_of(other)]


async def test_a_transaction_notifies_once_per_recipient_at_its_commit(
    database: Database, raw: asyncpg.Connection
) -> None:
    await database.watch(USER, Recipient("43"))
    async with raw.transaction():
        for _ in range(5):
            await raw.execute(INSERT, ["42"])
        await raw.execute("UPDATE notistore_notifications SET read_at = now()")
        savepoint = raw.transaction()
        await savepoint.start()
        await raw.execute(INSERT, ["43"])
        await savepoint.rollback()
        assert await database.notified() == []
    assert await database.notified() == [key_of(USER)]


async def test_a_transaction_that_is_rolled_back_notifies_of_nothing(
    database: Database, raw: asyncpg.Connection
) -> None:
    await database.watch(USER)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute(INSERT, ["42"])
    await transaction.rollback()
    assert await database.notified() == []


@pytest.mark.parametrize("secret", [None, SECRET], ids=["no secret", "secret"])
async def test_a_plain_insert_by_psql_gives_the_stream_a_fresh_count(database: Database, secret: str | None) -> None:
    sql = INSERT.replace("$1::text[]", "array['42', '42', '43']")
    async with database.stream(USER, secret=secret) as (hub, stream):
        psql = await asyncio.create_subprocess_exec("psql", "-qc", sql, database.url)
        assert await psql.wait() == 0
        assert await until(stream, REFETCH.encode()) == Event.count(2).encode() + REFETCH.encode()
        assert hub.stats().rejected == 0


async def test_a_host_transaction_needs_no_hook(database: Database) -> None:
    async with database.stream(USER) as (_, stream), AsyncSession(database.engine) as session:
        await SQLAlchemyStore(database.engine).bind(session).insert(Notification.new(USER, "a"))
        await session.commit()
        assert await until(stream, REFETCH.encode()) == Event.count(1).encode() + REFETCH.encode()


@pytest.mark.parametrize("has_trigger", [True, False])
async def test_a_sender_killed_between_commit_and_publish_loses_nothing(database: Database, has_trigger: bool) -> None:
    """Without the trigger the stream receives nothing, which shows that the process was killed before it published."""
    if not has_trigger:
        await database.plane.drop_trigger()
    async with database.stream(USER, secret=SECRET) as (_, stream):
        sender = (store_and_be_killed, "postgres", database.url, database.prefix, database.sqlalchemy_url, "42")
        async with process(*sender) as killed:
            assert await killed.wait() == -signal.SIGKILL
        assert await database.store.unread_count(USER) == 1
        if has_trigger:
            assert await until(stream, REFETCH.encode()) == Event.count(1).encode() + REFETCH.encode()
        async with SseHub(PostgresBackplane(database.url, prefix=database.prefix), secret=SECRET) as other:
            other.publish(USER, DONE)
            assert await until_done(stream) == []


async def test_a_role_that_may_only_insert_notifies_too(database: Database, raw: asyncpg.Connection) -> None:
    await database.watch(USER)
    role = f"role_{database.prefix}"[:60]
    await raw.execute(f"CREATE ROLE {role}; GRANT INSERT ON notistore_notifications TO {role}")
    try:
        async with raw.transaction():
            await raw.execute(f"SET LOCAL ROLE {role}")
            await raw.execute("CREATE TEMP TABLE changed (tenant text); SET LOCAL search_path = pg_temp, public")
            await raw.execute(INSERT, ["42"])
        assert await database.notified() == [key_of(USER)]
    finally:
        await raw.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_it_is_created_twice_and_dropped_twice(database: Database, raw: asyncpg.Connection) -> None:
    await database.watch(USER)
    await database.plane.create_trigger()
    await raw.execute(INSERT, ["42"])
    assert await database.notified() == [key_of(USER)]
    for _ in range(2):
        await database.plane.drop_trigger()
    await raw.execute(INSERT, ["42"])
    assert await database.notified() == []
    assert await raw.fetchval("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
    assert await raw.fetchval("SELECT count(*) FROM pg_proc WHERE proname LIKE $1", f"{database.prefix}%") == 0


async def test_a_table_of_another_name_in_another_schema(database: Database, raw: asyncpg.Connection) -> None:
    await database.watch(USER)
    await raw.execute('CREATE SCHEMA "My ""own"; ALTER TABLE notistore_notifications SET SCHEMA "My ""own"')
    await raw.execute('ALTER TABLE "My ""own".notistore_notifications RENAME TO "Inbox rows"')
    names = {"table": "Inbox rows", "schema": 'My "own'}
    await database.plane.drop_trigger(**names)
    await database.plane.create_trigger(**names)
    await raw.execute(INSERT.replace("notistore_notifications", '"My ""own"."Inbox rows"'), ["42"])
    assert await database.notified() == [key_of(USER)]
    await database.plane.drop_trigger(**names)


async def test_a_table_that_is_not_there_is_an_error_and_leaves_nothing(
    database: Database, raw: asyncpg.Connection
) -> None:
    other = PostgresBackplane(database.url, prefix=f"{database.prefix}other")
    with pytest.raises(asyncpg.UndefinedTableError):
        await other.create_trigger(table="none such")
    assert await raw.fetchval("SELECT count(*) FROM pg_proc WHERE proname LIKE $1", f"{database.prefix}other%") == 0
