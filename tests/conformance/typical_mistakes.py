"""Twelve stores, each with one common mistake, for which the kit's messages have to be sufficient.

All but one are the store of docs/write-your-own-store.md with a method or a query changed.
"""

from __future__ import annotations

import re
import runpy
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from notistore import MemoryStore, Notification, Recipient

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "custom_store" / "custom_store.py"))
Sqlite3Store, NAMED, OWN, to_columns, whose = map(EXAMPLE.get, ("Sqlite3Store", "NAMED", "OWN", "to_columns", "whose"))

MISTAKES = {}
"""Name to factory."""


class Store(Sqlite3Store):
    def __init_subclass__(cls):
        @asynccontextmanager
        async def make_store():
            store = cls(":memory:")
            try:
                yield store
            finally:
                await store.close()

        MISTAKES[cls.__name__] = make_store

    def changed_sql(self, sql):
        return sql

    async def _rows(self, sql, values):
        return await super()._rows(self.changed_sql(sql), values)

    async def _number(self, sql, values):
        return await super()._number(self.changed_sql(sql), values)

    async def _changed(self, sql, values):
        return await super()._changed(self.changed_sql(sql), values)


class ForgetsTheTenant(Store):
    """WHERE recipient_id = ? without the tenant."""

    def changed_sql(self, sql):
        return sql.replace("tenant = :tenant AND ", "")


class CountsOnePage(Store):
    """Counts the rows of a page instead of running a query."""

    async def count(self, recipient, *, types=None):
        return len(await self.page(recipient, types=types))


class ComparesIdsLikeMySQL(Store):
    """The default collation, which ignores case."""

    def changed_sql(self, sql):
        return sql.replace("recipient_id = :recipient_id", "recipient_id = :recipient_id COLLATE NOCASE")


class PagesAfterATime(Store):
    """Uses WHERE created_at < ? as a cursor."""

    def changed_sql(self, sql):
        return sql.replace("(created_at, id) < (:before, :before_id)", "created_at < :before")


class MarkingIsAnUpdate(Store):
    """The ORM's updated_at has auto_now."""

    def changed_sql(self, sql):
        return re.sub("SET read_at = :at", "SET read_at = :at, updated_at = :at", sql)


class StoresNaiveTimes(Store):
    """A column of TIMESTAMP without a time zone."""

    async def _rows(self, sql, values):
        def naive(time):
            return time and time.replace(tzinfo=None)

        rows = await super()._rows(sql, values)
        return [
            replace(
                row,
                created_at=naive(row.created_at),
                updated_at=naive(row.updated_at),
                read_at=naive(row.read_at),
            )
            for row in rows
        ]


class AsksThenInserts(Store):
    """get_or_create."""

    async def upsert(self, notification, *, renotify=True):
        if await self.get(notification.recipient, notification.id) is None:
            stored = replace(notification, version=1, read_at=None)
            await self.insert(stored)
            return stored
        return await super().upsert(notification, renotify=renotify)


class CountsWhatWasNamed(Store):
    """UPDATE ... WHERE id IN (...) and its rowcount."""

    def changed_sql(self, sql):
        if sql.startswith("UPDATE inbox SET read_at = :at") and NAMED in sql:
            return sql.replace(" AND read_at IS NULL", "")
        return sql


class IgnoresDuplicates(Store):
    """INSERT OR IGNORE."""

    async def insert(self, notification):
        columns = to_columns(notification)
        places = ", ".join(f":{name}" for name in columns)
        await self._changed(f"INSERT OR IGNORE INTO inbox ({', '.join(columns)}) VALUES ({places})", columns)


class LetsTheDriverSpeak(Store):
    """Does not wrap the driver's errors."""

    async def insert(self, notification):
        columns = to_columns(notification)
        places = ", ".join(f":{name}" for name in columns)
        await self._changed(f"INSERT INTO inbox ({', '.join(columns)}) VALUES ({places})", columns)

    def _in_transaction(self, work):
        with self._db:
            return work()


class KeepsItsOwnClock(Store):
    """created_at DEFAULT CURRENT_TIMESTAMP: the whole seconds of the database's clock."""

    async def insert(self, notification):
        now = datetime.now(UTC).replace(microsecond=0)
        await super().insert(replace(notification, created_at=now, updated_at=now))


class SharesItsRows(MemoryStore):
    """Returns its stored objects without copying them."""

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        row = self._rows.get(id)
        return row if row is not None and row.recipient == recipient else None


MISTAKES["SharesItsRows"] = SharesItsRows
