"""Calls that others see partially done, or that remain partially done when they are cancelled."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace

from notistore import DuplicateNotification, MemoryStore

from .registry import breaks


async def pause():
    await asyncio.sleep(0)


@breaks("calls.atomic")
class MarkAllGoesByHalves(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = self._select(recipient, types=types, unread_only=True)
        rows = [row for row in unread if seen is None or row.updated_at <= seen]
        marked = self._mark(rows[: len(rows) // 2], at)
        await pause()
        rest = [self._rows[row.id] for row in rows[len(rows) // 2 :] if row.id in self._rows]
        return marked + self._mark([row for row in rest if row.read_at is None], at)


@breaks("calls.atomic")
class DeletesOneByOne(MemoryStore):
    async def delete(self, recipient, *ids):
        deleted = 0
        for id in ids:
            deleted += await super().delete(recipient, id)
            if len(ids) < 1000:
                await pause()
        return deleted


@breaks("calls.atomic")
class UnmarksInChunks(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        marked = 0
        for start in range(0, len(ids), 10):
            marked += await super().mark_unread(recipient, *ids[start : start + 10])
            await pause()
        return marked


@breaks("calls.atomic")
class InsertManyCommitsEachChunk(MemoryStore):
    """Looks for duplicates first, then commits a hundred rows at a time."""

    async def insert_many(self, notifications):
        ids = {row.id for row in notifications}
        if len(ids) < len(notifications) or ids & self._rows.keys():
            raise DuplicateNotification(next(iter(ids & self._rows.keys()), notifications[0].id))
        for start in range(0, len(notifications), 100):
            await super().insert_many(notifications[start : start + 100])
            if len(notifications) > 100:
                await pause()


@breaks("insert-many.atomic")
class InsertManyTakesBackWhatItInserted(MemoryStore):
    """Inserts up to the duplicate, then deletes these rows: readers see them temporarily."""

    async def insert_many(self, notifications):
        done = []
        for row in notifications:
            if row.id in self._rows:
                await pause()
                for id in done:
                    del self._rows[id]
                raise DuplicateNotification(row.id)
            await super().insert_many([row])
            done.append(row.id)


@breaks("calls.atomic")
class EraseGoesByHalves(MemoryStore):
    async def erase(self, recipient):
        rows = list(self._select(recipient))
        erased = self._remove(rows[::2])
        await pause()
        return erased + self._remove([row for row in rows[1::2] if row.id in self._rows])


@breaks("calls.atomic")
class EraseTenantGoesInboxByInbox(MemoryStore):
    async def erase_tenant(self, tenant):
        erased = 0
        for who in list(dict.fromkeys(r.recipient for r in self._rows.values() if r.recipient.tenant == tenant)):
            erased += await self.erase(who)
            await pause()
        return erased


@breaks("calls.atomic")
class UpsertDeletesThenInserts(MemoryStore):
    """Deletes, then inserts: readers find no row in between, and a cancelled call leaves none."""

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.pop(notification.id, None)
        if old is not None:
            await pause()
            if notification.id not in self._rows:
                self._rows[notification.id] = old
        return await super().upsert(notification, renotify=renotify)


@breaks("calls.atomic")
class UpsertWritesTheVersionLater(MemoryStore):
    """The content first, then version and read_at in a statement of their own."""

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        if old is not None:
            self._rows[old.id] = replace(old, type=notification.type, data=copy.deepcopy(dict(notification.data)))
            await pause()
        return await super().upsert(notification, renotify=renotify)


@breaks("calls.atomic")
class UpsertRingsBeforeItWrites(MemoryStore):
    """Resets read_at first, then writes the content."""

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        if old is not None and renotify:
            self._rows[old.id] = replace(old, read_at=None)
            await pause()
        return await super().upsert(notification, renotify=renotify)


@breaks("calls.atomic")
class InsertWritesDataLater(MemoryStore):
    """A table for the rows and another one for their data."""

    async def insert(self, notification):
        await super().insert(replace(notification, data={}))
        await pause()
        if notification.id in self._rows:
            self._rows[notification.id] = replace(
                self._rows[notification.id], data=copy.deepcopy(dict(notification.data))
            )


@breaks("calls.atomic")
class MarkReadGoesOnAfterCancelling(MemoryStore):
    """The first half has been written when the call is cancelled."""

    async def mark_read(self, recipient, *ids, at):
        half = len(ids) // 2
        marked = await super().mark_read(recipient, *ids[:half], at=at)
        if half > 1:
            await asyncio.sleep(0.001)
        return marked + await super().mark_read(recipient, *ids[half:], at=at)


@breaks("prune.limit")
class PruneCountsWhatOthersDeleted(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        old = [r for r in self._rows.values() if r.updated_at < older_than and not (only_read and r.read_at is None)]
        chosen = old[:limit]
        await pause()
        self._remove([row for row in chosen if self._rows.get(row.id) == row])
        return len(chosen)
