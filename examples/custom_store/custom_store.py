"""A store over the standard library's sqlite3, in a table of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from notistore import Actor, Cursor, DuplicateNotification, Notification, Recipient, StoreError
from notistore.model import from_millis, to_millis

T = TypeVar("T")

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS inbox (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, recipient_type TEXT NOT NULL, recipient_id TEXT NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, key TEXT, actor_type TEXT, actor_id TEXT, trace_id TEXT,
    version INTEGER NOT NULL, read_at INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS inbox_order ON inbox (tenant, recipient_type, recipient_id, created_at, id);
CREATE INDEX IF NOT EXISTS inbox_unread ON inbox (tenant, recipient_type, recipient_id) WHERE read_at IS NULL;
"""


def whose(recipient: Recipient) -> dict[str, Any]:
    """The columns that say whose row it is. No tenant is '', which no tenant is called."""
    return {"tenant": recipient.tenant or "", "recipient_type": recipient.type, "recipient_id": recipient.id}


def to_columns(row: Notification) -> dict[str, Any]:
    return whose(row.recipient) | {
        "id": row.id,
        "type": row.type,
        "data": json.dumps(row.data),
        "key": row.key,
        "actor_type": row.actor and row.actor.type,
        "actor_id": row.actor and row.actor.id,
        "trace_id": row.trace_id,
        "version": row.version,
        "read_at": row.read_at and to_millis(row.read_at),
        "created_at": to_millis(row.created_at),
        "updated_at": to_millis(row.updated_at),
    }


def to_notification(row: sqlite3.Row) -> Notification:
    return Notification(
        id=row["id"],
        recipient=Recipient(row["recipient_id"], row["recipient_type"], row["tenant"] or None),
        type=row["type"],
        data=json.loads(row["data"]),
        key=row["key"],
        actor=None if row["actor_id"] is None else Actor(row["actor_id"], row["actor_type"]),
        trace_id=row["trace_id"],
        version=row["version"],
        read_at=None if row["read_at"] is None else from_millis(row["read_at"]),
        created_at=from_millis(row["created_at"]),
        updated_at=from_millis(row["updated_at"]),
    )


@asynccontextmanager
async def open_store(path: str) -> AsyncIterator[Sqlite3Store]:
    """What the entry point names; the path is what follows the colon in `sqlite3:PATH`."""
    store = Sqlite3Store(path)
    try:
        yield store
    finally:
        await store.close()


OWN = "tenant = :tenant AND recipient_type = :recipient_type AND recipient_id = :recipient_id"
# One parameter each, however many ids and types there are.
NAMED = "id IN (SELECT value FROM json_each(:ids))"
OF_TYPES = "(:types = '[]' OR type IN (SELECT value FROM json_each(:types)))"


class Sqlite3Store:
    """One connection, used by one thread: calls never overlap, and each is a transaction."""

    def __init__(self, path: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(SCHEMA)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self._db.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_transaction, work)

    def _in_transaction(self, work: Callable[[], T]) -> T:
        try:
            with self._db:
                return work()
        except sqlite3.Error as error:
            raise StoreError(f"sqlite3: {error}") from error

    async def _rows(self, sql: str, values: dict[str, Any]) -> list[Notification]:
        return await self._run(lambda: [to_notification(row) for row in self._db.execute(sql, values)])

    async def _number(self, sql: str, values: dict[str, Any]) -> int:
        return await self._run(lambda: int(self._db.execute(sql, values).fetchone()[0]))

    async def _changed(self, sql: str, values: dict[str, Any]) -> int:
        return await self._run(lambda: self._db.execute(sql, values).rowcount)

    async def insert(self, notification: Notification) -> None:
        columns = to_columns(notification)
        places = ", ".join(f":{name}" for name in columns)
        sql = f"INSERT INTO inbox ({', '.join(columns)}) VALUES ({places}) ON CONFLICT (id) DO NOTHING"
        if not await self._changed(sql, columns):
            raise DuplicateNotification(notification.id)

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        columns = to_columns(notification) | {"version": 1, "read_at": None}
        replaced = ("type", "data", "actor_type", "actor_id", "trace_id", "updated_at")
        sql = f"""
            INSERT INTO inbox ({", ".join(columns)}) VALUES ({", ".join(f":{name}" for name in columns)})
            ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in replaced)},
                version = version + 1, read_at = CASE WHEN :renotify THEN NULL ELSE read_at END
            RETURNING *"""
        [stored] = await self._rows(sql, columns | {"renotify": renotify})
        return stored

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        found = await self._rows(f"SELECT * FROM inbox WHERE {OWN} AND id = :id", whose(recipient) | {"id": id})
        return found[0] if found else None

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        sql = f"""
            SELECT * FROM inbox WHERE {OWN} AND {OF_TYPES} AND NOT (:unread_only AND read_at IS NOT NULL)
            AND (created_at, id) < (:before, :before_id)
            ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :offset"""
        asked = {"types": json.dumps(types or []), "unread_only": unread_only, "limit": limit, "offset": offset}
        place = {"before": 2**62, "before_id": ""}  # later than any row
        if before is not None:
            place = {"before": to_millis(before.created_at), "before_id": before.id}
        return await self._rows(sql, whose(recipient) | asked | place)

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        sql = f"SELECT count(*) FROM inbox WHERE {OWN} AND {OF_TYPES}"
        return await self._number(sql, whose(recipient) | {"types": json.dumps(types or [])})

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        unread = f"SELECT 1 FROM inbox WHERE {OWN} AND {OF_TYPES} AND read_at IS NULL LIMIT :at_most"
        asked = {"types": json.dumps(types or []), "at_most": -1 if at_most is None else at_most}
        return await self._number(f"SELECT count(*) FROM ({unread})", whose(recipient) | asked)

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        sql = f"UPDATE inbox SET read_at = :at WHERE {OWN} AND {NAMED} AND read_at IS NULL"
        return await self._changed(sql, whose(recipient) | {"ids": json.dumps(ids), "at": to_millis(at)})

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        sql = f"UPDATE inbox SET read_at = NULL WHERE {OWN} AND {NAMED} AND read_at IS NOT NULL"
        return await self._changed(sql, whose(recipient) | {"ids": json.dumps(ids)})

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        sql = f"""
            UPDATE inbox SET read_at = :at WHERE {OWN} AND {OF_TYPES} AND read_at IS NULL
            AND (:seen IS NULL OR updated_at <= :seen)"""
        asked = {"types": json.dumps(types or []), "seen": seen and to_millis(seen), "at": to_millis(at)}
        return await self._changed(sql, whose(recipient) | asked)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        sql = f"DELETE FROM inbox WHERE {OWN} AND {NAMED}"
        return await self._changed(sql, whose(recipient) | {"ids": json.dumps(ids)})

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        sql = """
            DELETE FROM inbox WHERE id IN (
                SELECT id FROM inbox WHERE updated_at < :older_than AND NOT (:only_read AND read_at IS NULL)
                LIMIT :limit)"""
        asked = {"older_than": to_millis(older_than), "only_read": only_read, "limit": -1 if limit is None else limit}
        return await self._changed(sql, asked)
