"""The same store with four typical mistakes, for what the kit says about each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from custom_store import OWN, Sqlite3Store, whose

from notistore import Cursor, Notification, Recipient
from notistore.model import to_millis


class BrokenStore(Sqlite3Store):
    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        old = await self.get(notification.recipient, notification.id)
        if old is None:  # mistake: another writer may insert the row between the question and the answer
            await self.insert(notification)
            return notification
        return await super().upsert(notification, renotify=renotify)

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
        rows = await super().page(recipient, types=types, before=before, offset=offset, limit=limit)
        return [row for row in rows if not unread_only or row.read_at is None]  # mistake: a filter after the limit

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        unread = f"SELECT count(*) FROM inbox WHERE {OWN} AND read_at IS NULL"  # mistake: types are forgotten
        return min(await self._number(unread, whose(recipient)), 2**31 if at_most is None else at_most)

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        sql = "UPDATE inbox SET read_at = :at WHERE id IN (SELECT value FROM json_each(:ids))"  # mistake: whose?
        return await self._changed(sql, {"ids": json.dumps(ids), "at": to_millis(at)})


@asynccontextmanager
async def make_store() -> AsyncIterator[BrokenStore]:
    store = BrokenStore(":memory:")
    try:
        yield store
    finally:
        await store.close()
