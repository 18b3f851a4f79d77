"""Peewee's query builder over a model of one's own, rows as tuples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from peewee import BigIntegerField, CharField, IntegerField, Model, SqliteDatabase, TextField
from playhouse.pool import PooledPostgresqlDatabase
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField
from playhouse.pwasyncio import AsyncPostgresqlDatabase, AsyncSqliteDatabase

from notistore import Recipient
from notistore_peewee import PeeweeStore, SyncPeeweeStore

from .. import rows
from ..rows import REPLACED, TABLE, Row
from . import Case

PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}


def model(database: Any, sqlite: bool) -> Any:
    time = BigIntegerField if sqlite else DateTimeTZField

    class HandWritten(Model):
        id = CharField(primary_key=True)
        tenant = CharField()
        recipient_type = CharField()
        recipient_id = CharField()
        type = CharField()
        stable_key = CharField(null=True)
        data = TextField() if sqlite else BinaryJSONField()
        actor_type = CharField(null=True)
        actor_id = CharField(null=True)
        trace_id = CharField(null=True)
        version = IntegerField()
        read_at = time(null=True)
        created_at = time()
        updated_at = time()

        class Meta:
            table_name = TABLE

    HandWritten._meta.set_database(database)
    return HandWritten


class Queries:
    def __init__(self, database: Any) -> None:
        self.sqlite = isinstance(database, SqliteDatabase)
        self.model = model(database, self.sqlite)
        self.row = rows.from_sqlite if self.sqlite else rows.from_postgres

    def values(self, row: Row) -> dict[str, Any]:
        if self.sqlite:
            return rows.as_dict(rows.to_sqlite(row))
        return rows.as_dict(rows.to_postgres(row)) | {"data": row.data}  # its field encodes it

    def insert(self, row: Row) -> Any:
        new = self.model.insert(self.values(row))
        return new.on_conflict(action="nothing", conflict_target=[self.model.id]).returning(self.model.id).tuples()

    def upsert(self, row: Row) -> Any:
        model = self.model
        new = model.insert(self.values(row)).on_conflict(
            conflict_target=[model.id],
            preserve=[getattr(model, name) for name in REPLACED],
            update={model.version: model.version + 1, model.read_at: None},
        )
        return new.returning(model).tuples()

    def unread(self, recipient: Recipient) -> Any:
        return self.model.select().where(*self.inbox(recipient), self.model.read_at.is_null())

    def page(self, recipient: Recipient) -> Any:
        model = self.model
        newest_first = (model.created_at.desc(), model.id.desc())
        return model.select().where(*self.inbox(recipient)).order_by(*newest_first).limit(50).tuples()

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        model = self.model
        theirs = (*self.inbox(recipient), model.id == id, model.read_at.is_null())
        return model.update(read_at=rows.millis(at) if self.sqlite else at).where(*theirs)

    def inbox(self, recipient: Recipient) -> tuple[Any, ...]:
        model = self.model
        return (
            model.tenant == (recipient.tenant or ""),
            model.recipient_type == recipient.type,
            model.recipient_id == recipient.id,
        )


class Sync:
    def __init__(self, database: Any) -> None:
        self.queries = Queries(database)

    def insert(self, row: Row) -> None:
        [_] = self.queries.insert(row)

    def upsert(self, row: Row) -> Row:
        [stored] = self.queries.upsert(row)
        return self.queries.row(stored)

    def unread_count(self, recipient: Recipient) -> Any:
        return self.queries.unread(recipient).count()

    def page(self, recipient: Recipient) -> list[Row]:
        return [self.queries.row(values) for values in self.queries.page(recipient)]

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return self.queries.mark_read(recipient, id, at).execute()


class Async:
    """Each call takes a connection and gives it back, as the store's do in a task that has none."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.queries = Queries(database)

    async def insert(self, row: Row) -> None:
        async with self.database:
            [_] = await self.database.list(self.queries.insert(row))

    async def upsert(self, row: Row) -> Row:
        async with self.database:
            [stored] = await self.database.list(self.queries.upsert(row))
        return self.queries.row(stored)

    async def unread_count(self, recipient: Recipient) -> Any:
        async with self.database:
            return await self.database.count(self.queries.unread(recipient))

    async def page(self, recipient: Recipient) -> list[Row]:
        async with self.database:
            found = await self.database.list(self.queries.page(recipient))
        return [self.queries.row(values) for values in found]

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        async with self.database:
            return await self.database.aexecute(self.queries.mark_read(recipient, id, at))


@contextmanager
def open_sync(url: str) -> Iterator[tuple[SyncPeeweeStore, Sync]]:
    sqlite = url.startswith("sqlite")
    database = (
        SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=PRAGMAS) if sqlite else PooledPostgresqlDatabase(url)
    )
    database.connect()
    store = SyncPeeweeStore(database)
    store.create_schema()
    yield store, Sync(database)
    database.close()
    if not sqlite:
        database.close_all()


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[PeeweeStore, Async]]:
    if url.startswith("sqlite"):
        database = AsyncSqliteDatabase(url.removeprefix("sqlite:///"), pragmas=PRAGMAS)
    else:
        database = AsyncPostgresqlDatabase(url)
    store = PeeweeStore(database)
    await store.create_schema()
    yield store, Async(database)
    await database.close_pool()


CASES = [
    Case("Peewee", "sqlite3", "SQLite", open_sync),
    Case("Peewee", "aiosqlite", "SQLite", open_async),
    Case("Peewee", "psycopg", "PostgreSQL", open_sync),
    Case("Peewee", "asyncpg", "PostgreSQL", open_async),
]
