"""Races across methods: a select and a write with room between them, and counters that drift."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from notistore import DuplicateNotification, MemoryStore, StoreError

from .registry import breaks


async def pause():
    """Yield to other tasks, where a driver would wait for its database."""
    for _ in range(3):
        await asyncio.sleep(0)


@breaks("mark-all-read.seen")
class MarksSelectedIdsAll(MemoryStore):
    """Selects the ids seen, then marks by id: a row that an upsert made unread in between is marked."""

    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = self._select(recipient, types=types, unread_only=True)
        ids = [row.id for row in unread if seen is None or row.updated_at <= seen]
        await pause()
        return await self.mark_read(recipient, *ids, at=at)


@breaks("upsert.concurrent")
class MarkAllSavesStaleRows(MemoryStore):
    """Loads the rows, sets read_at and saves whole rows."""

    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = self._select(recipient, types=types, unread_only=True)
        rows = [row for row in unread if seen is None or row.updated_at <= seen]
        await pause()
        still = [row for row in rows if row.id in self._rows and self._rows[row.id].read_at is None]
        return self._mark(still, at)


@breaks("mark-unread.keeps-content")
class MarkUnreadSavesStaleRows(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        rows = [row for row in self._named(recipient, ids) if row.read_at is not None]
        await pause()
        return self._mark(
            [row for row in rows if row.id in self._rows and self._rows[row.id].read_at is not None], None
        )


@breaks("delete.concurrent")
class MarkRevivesDeletedRows(MemoryStore):
    """Saves a row that was deleted meanwhile, which inserts it."""

    async def mark_read(self, recipient, *ids, at):
        rows = [row for row in self._named(recipient, ids) if row.read_at is None]
        if not rows:
            return 0
        await pause()
        return self._mark([row for row in rows if row.id not in self._rows or self._rows[row.id] == row], at)


@breaks("upsert.renotify")
class QuietUpsertSavesStaleReadAt(MemoryStore):
    """Reads read_at, then writes it back: a mark in between is lost."""

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        if renotify or old is None:
            return await super().upsert(notification, renotify=renotify)
        await pause()
        if notification.id not in self._rows:
            return await super().upsert(notification)
        stored = await super().upsert(notification, renotify=False)
        self._rows[stored.id] = replace(self._rows[stored.id], read_at=old.read_at)
        return replace(stored, read_at=old.read_at)


@breaks("prune.older-than")
class PrunesSelectedIds(MemoryStore):
    """Selects old ids, then deletes by id: a row made new in between is lost."""

    async def prune(self, *, older_than, only_read=False, limit=None):
        old = [r for r in self._rows.values() if r.updated_at < older_than and not (only_read and r.read_at is None)]
        ids = [row.id for row in old[:limit]]
        await pause()
        return self._remove([self._rows[id] for id in ids if id in self._rows])


@breaks("prune.only-read")
class PrunesWhatWasReadWhenSelected(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        if not only_read:
            return await super().prune(older_than=older_than, limit=limit)
        ids = [row.id for row in self._rows.values() if row.updated_at < older_than and row.read_at is not None][:limit]
        await pause()
        rows = [self._rows[id] for id in ids if id in self._rows]
        return self._remove([row for row in rows if row.updated_at < older_than])


@breaks("upsert.inserts")
class UpdatesADeletedRow(MemoryStore):
    """Sees the row and updates it; deleted in between, nothing is stored, and the answer says it was."""

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        if old is None:
            return await super().upsert(notification)
        await pause()
        if notification.id not in self._rows:
            return replace(notification, version=old.version + 1, created_at=old.created_at, read_at=None)
        return await super().upsert(notification, renotify=renotify)


@breaks("upsert.concurrent")
class UpsertRaisesWhenDeletedMeanwhile(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        was_there = notification.id in self._rows
        await pause()
        if was_there and notification.id not in self._rows:
            raise StoreError("the row to update is gone")
        return await super().upsert(notification, renotify=renotify)


@breaks("upsert.concurrent")
class UpsertRaisesWhenInsertedMeanwhile(MemoryStore):
    """A lock serializes its upserts, but not an insert of the same id."""

    def __init__(self):
        super().__init__()
        self.turn = asyncio.Lock()

    async def upsert(self, notification, *, renotify=True):
        async with self.turn:
            was_there = notification.id in self._rows
            await pause()
            if not was_there and notification.id in self._rows:
                raise DuplicateNotification(notification.id)
            return await super().upsert(notification, renotify=renotify)


@breaks("insert-many.atomic")
class InsertManyLooksThenInserts(MemoryStore):
    async def insert(self, notification):
        await super().insert_many([notification])

    async def insert_many(self, notifications):
        ids = [row.id for row in notifications]
        for id in ids:
            if id in self._rows or (ids.count(id) > 1 and len(ids) < 100):
                raise DuplicateNotification(id)
        if len(set(ids)) < len(ids):
            raise DuplicateNotification(ids[-1])
        await pause()
        for row in notifications:
            self._rows[row.id] = replace(row, data=dict(row.data))


@breaks("delete.concurrent")
class DeleteCountsWhatItSelected(MemoryStore):
    """With a concurrent erase, both count the row."""

    async def erase(self, recipient):
        rows = list(self._select(recipient))
        await pause()
        self._remove([row for row in rows if row.id in self._rows])
        return len(rows)


@breaks("mark-unread.marks")
class MarkUnreadWinsOverMarks(MemoryStore):
    """Counts what it selected: with concurrent mark_all_read and delete the sum of results is wrong."""

    async def mark_unread(self, recipient, *ids):
        rows = [row for row in self._named(recipient, ids) if row.read_at is not None]
        await asyncio.sleep(0)
        for row in rows:
            if row.id in self._rows:
                self._rows[row.id] = replace(self._rows[row.id], read_at=None)
        return len(rows)


@breaks("page.order")
class PageReadsIdsThenRows(MemoryStore):
    """A row deleted in between comes back as None."""

    async def page(self, recipient, **query):
        ids = [row.id for row in await super().page(recipient, **query)]
        await pause()
        return [await self.get(recipient, id) for id in ids]


@breaks("page.unread-only")
class UnreadPageReadsIdsThenRows(MemoryStore):
    """A row marked in between is on the unread page, with a read_at."""

    async def page(self, recipient, **query):
        rows = await super().page(recipient, **query)
        await pause()
        return [found for row in rows if (found := await self.get(recipient, row.id))]


class Counting(MemoryStore):
    """Keeps a counter of unread rows per recipient; correct unless a subclass overrides a step."""

    def __init__(self):
        super().__init__()
        self.unread = {}

    def add(self, recipient, n):
        self.unread[recipient] = self.unread.get(recipient, 0) + n

    async def unread_count(self, recipient, *, types=None, at_most=None):
        if types:
            return await super().unread_count(recipient, types=types, at_most=at_most)
        unread = self.unread.get(recipient, 0)
        return unread if at_most is None else min(unread, at_most)

    async def insert_many(self, notifications):
        await super().insert_many(notifications)
        for row in notifications:
            self.add(row.recipient, row.read_at is None)

    def rang(self, old, stored):
        return (stored.read_at is None) - (old is not None and old.read_at is None)

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        stored = await super().upsert(notification, renotify=renotify)
        self.add(stored.recipient, self.rang(old, stored))
        return stored

    def _mark(self, rows, read_at):
        for row in rows:
            self.add(row.recipient, (read_at is None) - (row.read_at is None))
        return super()._mark(rows, read_at)

    def _remove(self, rows):
        for row in rows:
            self.add(row.recipient, -(row.read_at is None))
        return super()._remove(rows)


@breaks("unread-count.equals-page")
class CountsEachUpsert(Counting):
    def rang(self, old, stored):
        return 1 if stored.version > 2 else super().rang(old, stored)


@breaks("unread-count.equals-page")
class CountsQuietUpsertsOfReadRows(Counting):
    def rang(self, old, stored):
        return 1 if old is not None and old.read_at is not None else super().rang(old, stored)


@breaks("unread-count.equals-page")
class CounterIsZeroAfterMarkAll(Counting):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        if seen is not None and marked:
            self.unread[recipient] = 0
        return marked


@breaks("unread-count.equals-page")
class CounterOutlivesErase(Counting):
    async def erase(self, recipient):
        return MemoryStore._remove(self, list(self._select(recipient)))


@breaks("unread-count.equals-page")
class CounterOutlivesPrune(Counting):
    async def prune(self, **query):
        kept = dict(self.unread)
        pruned = await super().prune(**query)
        self.unread = kept
        return pruned


@breaks("unread-count.equals-page")
class CounterDriftsInRaces(Counting):
    """Reads the counter, waits, and writes it back."""

    async def mark_read(self, recipient, *ids, at):
        before = self.unread.get(recipient, 0)
        marked = await super().mark_read(recipient, *ids, at=at)
        await pause()
        if marked:
            self.unread[recipient] = before - marked
        return marked


@breaks("unread-count.equals-page")
class CounterDriftsWhenCancelled(Counting):
    """The row and the counter are written one after the other."""

    async def delete(self, recipient, *ids):
        rows = self._named(recipient, ids)
        deleted = MemoryStore._remove(self, rows)
        await pause()
        for row in rows:
            self.add(row.recipient, -(row.read_at is None))
        return deleted
