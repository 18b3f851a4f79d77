"""MemoryStore: the reference implementation of the contract. The conformance kit compares other stores with it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from .errors import DuplicateNotification
from .model import Cursor, Notification, Recipient

__all__ = ["MemoryStore", "open_store"]


class MemoryStore:
    """A `NotificationStore` in a dict, for tests and examples. Its rows are lost when the process ends.

    No method awaits anything, so every call is atomic. The time of a read is proportional to the number of rows stored.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Notification] = {}

    async def insert(self, notification: Notification) -> None:
        await self.insert_many([notification])

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        new: dict[str, Notification] = {}
        for notification in notifications:
            if notification.id in self._rows or notification.id in new:
                raise DuplicateNotification(notification.id)
            new[notification.id] = _copy(notification)
        self._rows |= new

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        stored = replace(notification, version=1)
        if old := self._rows.get(notification.id):
            stored = replace(
                notification,
                key=old.key,
                version=old.version + 1,
                read_at=None if renotify else old.read_at,
                created_at=old.created_at,
            )
        self._rows[stored.id] = _copy(stored)
        return _copy(stored)

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        row = self._rows.get(id)
        return _copy(row) if row and row.recipient == recipient else None

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
        rows = sorted(
            self._select(recipient, types=types, unread_only=unread_only), key=lambda row: row.cursor, reverse=True
        )
        if before is not None:
            rows = [row for row in rows if row.cursor < before]
        return [_copy(row) for row in rows[offset : offset + limit]]

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return sum(1 for _ in self._select(recipient, types=types))

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        unread = sum(1 for _ in self._select(recipient, types=types, unread_only=True))
        return unread if at_most is None else min(unread, at_most)

    async def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        return {recipient: await self.unread_count(recipient, types=types, at_most=at_most) for recipient in recipients}

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return self._mark([row for row in self._named(recipient, ids) if row.read_at is None], at)

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return self._mark([row for row in self._named(recipient, ids) if row.read_at is not None], None)

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        unread = self._select(recipient, types=types, unread_only=True)
        return self._mark([row for row in unread if seen is None or row.updated_at <= seen], at)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        return self._remove(self._named(recipient, ids))

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        old = [
            row
            for row in self._rows.values()
            if row.updated_at < older_than and not (only_read and row.read_at is None)
        ]
        return self._remove(old[:limit])

    async def erase(self, recipient: Recipient) -> int:
        return self._remove(list(self._select(recipient)))

    async def erase_tenant(self, tenant: str) -> int:
        return self._remove([row for row in self._rows.values() if row.recipient.tenant == tenant])

    def _select(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, unread_only: bool = False
    ) -> Iterator[Notification]:
        for row in self._rows.values():
            if (
                row.recipient == recipient
                and (not types or row.type in types)
                and not (unread_only and row.read_at is not None)
            ):
                yield row

    def _named(self, recipient: Recipient, ids: Sequence[str]) -> list[Notification]:
        rows = (self._rows.get(id) for id in dict.fromkeys(ids))
        return [row for row in rows if row and row.recipient == recipient]

    def _mark(self, rows: Sequence[Notification], read_at: datetime | None) -> int:
        for row in rows:
            self._rows[row.id] = replace(row, read_at=read_at)
        return len(rows)

    def _remove(self, rows: Sequence[Notification]) -> int:
        for row in rows:
            del self._rows[row.id]
        return len(rows)


def _copy(row: Notification) -> Notification:
    return replace(row, data=copy.deepcopy(row.data))  # all else in it is immutable


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[MemoryStore]:
    """The entry point `memory` of the group `notistore.stores`; the URL is ignored."""
    yield MemoryStore()
