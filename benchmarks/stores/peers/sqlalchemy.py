"""SQLAlchemy's Core, its statements made once: what a hot path is written in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from notistore import Recipient
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

from ..rows import REPLACED, TABLE, Row, as_dict, from_postgres, from_sqlite, millis, to_postgres, to_sqlite
from . import Case


class Statements:
    def __init__(self, dialect: str) -> None:
        self.sqlite = dialect == "sqlite"
        time: Any = BigInteger if self.sqlite else DateTime(timezone=True)
        table = Table(
            TABLE,
            MetaData(),
            Column("id", String, primary_key=True),
            *(Column(name, String) for name in ("tenant", "recipient_type", "recipient_id", "type", "stable_key")),
            Column("data", String if self.sqlite else JSON().with_variant(postgresql.JSONB(), "postgresql")),
            *(Column(name, String) for name in ("actor_type", "actor_id", "trace_id")),
            Column("version", Integer),
            *(Column(name, time) for name in ("read_at", "created_at", "updated_at")),
        )
        row = table.c
        inbox = (
            row.tenant == bindparam("in_tenant"),
            row.recipient_type == bindparam("in_type"),
            row.recipient_id == bindparam("in_id"),
        )
        new = (sqlite if self.sqlite else postgresql).insert(table)
        self.insert = new.on_conflict_do_nothing(index_elements=[row.id]).returning(row.id)
        replaced: dict[str, Any] = {name: new.excluded[name] for name in REPLACED}
        self.upsert = new.on_conflict_do_update(
            index_elements=[row.id], set_=replaced | {"version": row.version + 1, "read_at": null()}
        ).returning(*row)
        self.unread_count = select(func.count()).select_from(table).where(*inbox, row.read_at.is_(None))
        newest_first = (row.created_at.desc(), row.id.desc())
        self.page = select(*row).where(*inbox).order_by(*newest_first).limit(bindparam("at_most", type_=Integer))
        theirs = [*inbox, row.id.in_(bindparam("ids", expanding=True)), row.read_at.is_(None)]
        if not self.sqlite:
            locked = select(row.id).where(*theirs).order_by(row.id).with_for_update().correlate(None)
            theirs.append(row.id.in_(locked))
        self.mark_read = update(table).where(*theirs).values(read_at=bindparam("at"))

    def values(self, row: Row) -> dict[str, Any]:
        if self.sqlite:
            return as_dict(to_sqlite(row))
        return as_dict(to_postgres(row)) | {"data": row.data}  # SQLAlchemy encodes it

    def row(self, values: Any) -> Row:
        return from_sqlite(values) if self.sqlite else from_postgres(values)

    def marking(self, recipient: Recipient, id: str, at: datetime) -> dict[str, Any]:
        return inbox_of(recipient) | {"ids": [id], "at": millis(at) if self.sqlite else at}


def inbox_of(recipient: Recipient) -> dict[str, Any]:
    return {"in_tenant": recipient.tenant or "", "in_type": recipient.type, "in_id": recipient.id}


class Async:
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sql = Statements(engine.dialect.name)

    async def insert(self, row: Row) -> None:
        async with self.engine.connect() as connection:
            (await connection.execute(self.sql.insert, self.sql.values(row))).one()
            await connection.commit()

    async def upsert(self, row: Row) -> Row:
        async with self.engine.connect() as connection:
            stored = (await connection.execute(self.sql.upsert, self.sql.values(row))).one()
            await connection.commit()
        return self.sql.row(stored)

    async def unread_count(self, recipient: Recipient) -> int:
        async with self.engine.connect() as connection:
            return (await connection.execute(self.sql.unread_count, inbox_of(recipient))).scalar_one()

    async def page(self, recipient: Recipient) -> list[Row]:
        async with self.engine.connect() as connection:
            found = await connection.execute(self.sql.page, inbox_of(recipient) | {"at_most": 50})
            return [self.sql.row(values) for values in found.all()]

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> int:
        async with self.engine.connect() as connection:
            marked = await connection.execute(self.sql.mark_read, self.sql.marking(recipient, id, at))
            await connection.commit()
        return marked.rowcount


class Sync:
    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.sql = Statements(engine.dialect.name)

    def insert(self, row: Row) -> None:
        with self.engine.connect() as connection:
            connection.execute(self.sql.insert, self.sql.values(row)).one()
            connection.commit()

    def upsert(self, row: Row) -> Row:
        with self.engine.connect() as connection:
            stored = connection.execute(self.sql.upsert, self.sql.values(row)).one()
            connection.commit()
        return self.sql.row(stored)

    def unread_count(self, recipient: Recipient) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(self.sql.unread_count, inbox_of(recipient)).scalar_one()

    def page(self, recipient: Recipient) -> list[Row]:
        with self.engine.connect() as connection:
            found = connection.execute(self.sql.page, inbox_of(recipient) | {"at_most": 50})
            return [self.sql.row(values) for values in found.all()]

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        with self.engine.connect() as connection:
            marked = connection.execute(self.sql.mark_read, self.sql.marking(recipient, id, at))
            connection.commit()
        return marked.rowcount


def wal(connection: Any, record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[SQLAlchemyStore, Async]]:
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", wal)
    store = SQLAlchemyStore(engine)
    await store.create_schema()
    yield store, Async(engine)
    await engine.dispose()


@contextmanager
def open_sync(url: str) -> Iterator[tuple[SyncSQLAlchemyStore, Sync]]:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", wal)
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    yield store, Sync(engine)
    engine.dispose()


def driver(name: str, open_: Any) -> Any:
    return lambda url: open_(url.replace("://", f"+{name}://", 1))


CASES = [
    Case("SQLAlchemy", "aiosqlite", "SQLite", driver("aiosqlite", open_async)),
    Case("SQLAlchemy", "sqlite3", "SQLite", driver("pysqlite", open_sync)),
    Case("SQLAlchemy", "asyncpg", "PostgreSQL", driver("asyncpg", open_async)),
    Case("SQLAlchemy", "psycopg", "PostgreSQL", driver("psycopg", open_sync)),
]
