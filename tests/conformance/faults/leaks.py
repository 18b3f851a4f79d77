"""Connections and locks that one method keeps when it is cancelled or fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from notistore import DuplicateNotification, MemoryStore, StoreError

from ..methods import METHODS
from .registry import breaks, register


class Pooled(MemoryStore):
    """Each call takes a connection from a pool and waits for a reply; `leaks` decides when it is not released."""

    size = 10

    def __init__(self):
        super().__init__()
        self.pool = asyncio.Semaphore(self.size)
        self.inside = False

    @asynccontextmanager
    async def connection(self, name):
        try:
            async with asyncio.timeout(0.5):
                await self.pool.acquire()
        except TimeoutError:
            raise StoreError("no connection is free") from None
        try:
            for _ in range(4):
                await asyncio.sleep(0)
            yield
        except BaseException as error:
            if not self.leaks(name, error):
                self.pool.release()
            raise
        else:
            self.pool.release()

    def leaks(self, name, error):
        return False


def pooled(name):
    original = getattr(MemoryStore, name)

    async def call(self, *args, **kwargs):
        if name == "insert_many" and self.inside:
            return await original(self, *args, **kwargs)
        async with self.connection(name):
            self.inside = True
            try:  # nothing below waits
                return await original(self, *args, **kwargs)
            finally:
                self.inside = False

    return call


for _name in METHODS:
    if _name not in ("unread_counts", "erase_tenant"):  # unread_counts calls unread_count, which takes a connection
        setattr(Pooled, _name, pooled(_name))


def leaking(name, method, size, kind=asyncio.CancelledError, promise="calls.cancel"):
    def leaks(self, called, error):
        return called == method and isinstance(error, kind)

    register(promise, name, __name__, type(name, (Pooled,), {"size": size, "leaks": leaks}))


leaking("PageLeaksWhenCancelled", "page", 5)
leaking("GetLeaksWhenCancelled", "get", 5)
leaking("CountLeaksWhenCancelled", "count", 5)
leaking("InsertLeaksWhenCancelled", "insert", 10)
leaking("InsertManyLeaksWhenCancelled", "insert_many", 10)
leaking("MarkReadLeaksFromALargerPool", "mark_read", 20)
leaking("MarkUnreadLeaksWhenCancelled", "mark_unread", 5)
leaking("MarkAllLeaksFromALargerPool", "mark_all_read", 20)
leaking("DeleteLeaksFromALargerPool", "delete", 20)
leaking("PruneLeaksWhenCancelled", "prune", 5)
leaking("EraseLeaksWhenCancelled", "erase", 5)
leaking("InsertLeaksOnADuplicate", "insert", 10, DuplicateNotification, "insert.duplicate")
leaking("InsertManyLeaksOnADuplicate", "insert_many", 10, DuplicateNotification, "insert-many.atomic")


@breaks("insert.duplicate-unchanged")
class ADuplicateLocksItsRow(MemoryStore):
    """The failed insert's transaction stays open, and with it the lock on the row that was there."""

    def __init__(self):
        super().__init__()
        self.locked = set()

    async def insert(self, notification):
        try:
            await super().insert(notification)
        except DuplicateNotification:
            self.locked.add(notification.id)
            raise

    async def upsert(self, notification, *, renotify=True):
        if notification.id in self.locked:
            await asyncio.sleep(0.2)
            raise StoreError("lock wait timeout exceeded")
        return await super().upsert(notification, renotify=renotify)


@breaks("insert.duplicate-unchanged")
class ADuplicateOfManyLocksTheInbox(MemoryStore):
    def __init__(self):
        super().__init__()
        self.locked = set()

    async def insert_many(self, notifications):
        try:
            await super().insert_many(notifications)
        except DuplicateNotification:
            self.locked |= {row.recipient for row in notifications}
            raise

    async def mark_all_read(self, recipient, **query):
        if recipient in self.locked:
            raise StoreError("lock wait timeout exceeded")
        return await super().mark_all_read(recipient, **query)


@breaks("calls.cancel")
class ACancelledUpsertKeepsItsLock(MemoryStore):
    def __init__(self):
        super().__init__()
        self.locks = {}

    async def upsert(self, notification, *, renotify=True):
        lock = self.locks.setdefault(notification.id, asyncio.Lock())
        try:
            async with asyncio.timeout(0.5):
                await lock.acquire()
        except TimeoutError:
            raise StoreError("lock wait timeout exceeded") from None
        for _ in range(4):
            await asyncio.sleep(0)
        try:
            return await super().upsert(notification, renotify=renotify)
        finally:
            lock.release()
