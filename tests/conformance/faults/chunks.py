"""Work done in chunks that loses, repeats or stops: sizes just past the common ones."""

from __future__ import annotations

from dataclasses import replace

from notistore import MemoryStore

from .registry import breaks, register


def first_types(name, method, size):
    """A filter that uses only its first types."""
    original = getattr(MemoryStore, method)

    async def call(self, *args, types=None, **kwargs):
        return await original(self, *args, types=list(types)[:size] if types else None, **kwargs)

    register("filters.types", name, __name__, type(name, (MemoryStore,), {method: call}))


# Core passes on a hundred types at most.
first_types("PageFiltersBy50Types", "page", 50)
first_types("CountFiltersBy64Types", "count", 64)
first_types("BadgeFiltersBy99Types", "unread_count", 99)
first_types("MarkAllFiltersBy10Types", "mark_all_read", 10)
first_types("ManyBadgesFilterBy50Types", "unread_counts", 50)


def first_ids(name, method, size, promise):
    original = getattr(MemoryStore, method)

    async def call(self, recipient, *ids, **kwargs):
        return await original(self, recipient, *ids[:size], **kwargs)

    register(promise, name, __name__, type(name, (MemoryStore,), {method: call}))


first_ids("MarkUnreadStopsAt999", "mark_unread", 999, "mark-unread.marks")
first_ids("MarkUnreadStopsAt5000", "mark_unread", 5000, "mark-unread.marks")
first_ids("DeleteStopsAt2100", "delete", 2100, "delete.deletes")


@breaks("mark-read.marks")
class MarkLosesOneAtEachSeam(MemoryStore):
    """Chunks of 500 that overlap wrongly: the first id of each chunk but the first is lost."""

    async def mark_read(self, recipient, *ids, at):
        kept = [id for n, id in enumerate(ids) if n == 0 or n % 500 or n % 5000 == 0]
        return await super().mark_read(recipient, *kept, at=at)


@breaks("mark-read.marks")
class MarkCountsTheLastChunkOnly(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        marked = 0
        for start in range(0, len(ids), 1000):
            found = await super().mark_read(recipient, *ids[start : start + 1000], at=at)
            marked = found or marked
        return marked


@breaks("delete.deletes")
class DeleteLosesASingleRest(MemoryStore):
    """`n // size` chunks, and a last one only if more than one id is left."""

    async def delete(self, recipient, *ids):
        if len(ids) > 999 and len(ids) % 999 == 1:
            ids = ids[:-1]
        return await super().delete(recipient, *ids)


def insert_many_loses(name, size):
    class Loses(MemoryStore):
        async def insert_many(self, notifications):
            rows = list(notifications)
            if len(rows) > size and len(rows) % size == 1:
                rows.pop()
            await super().insert_many(rows)

    register("insert-many.stores", name, __name__, Loses)


for size in (100, 500, 999, 1000, 1024, 2000):
    insert_many_loses(f"InsertManyLosesOnePast{size}", size)


@breaks("unread-counts.equals-single")
class ManyBadgesForgetTheSecondChunk(MemoryStore):
    """Past 500 recipients only the first chunk's counts are kept."""

    async def unread_counts(self, recipients, *, types=None, at_most=None):
        asked = recipients if len(recipients) <= 500 or len(recipients) % 100 == 0 else recipients[:500]
        found = dict(await super().unread_counts(asked, types=types, at_most=at_most))
        return {recipient: found.get(recipient, 0) for recipient in recipients}


@breaks("unread-counts.equals-single")
class ManyBadgesStopAt2000(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        found = await super().unread_counts(recipients[:2000], types=types, at_most=at_most)
        return {recipient: found.get(recipient, 0) for recipient in recipients}


def page_stops(name, size):
    class Stops(MemoryStore):
        async def page(self, recipient, *, limit=50, **query):
            return await super().page(recipient, limit=min(limit, size), **query)

    register("page.limit", name, __name__, Stops)


page_stops("PageStopsAt100", 100)
page_stops("PageStopsAt500", 500)
page_stops("PageStopsAt1000", 1000)


@breaks("count.equals-page")
class CountStopsAt2000(MemoryStore):
    async def count(self, recipient, *, types=None):
        return min(2000, await super().count(recipient, types=types))


@breaks("mark-all-read.marks")
class MarkAllStopsAt1000(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = list(self._select(recipient, types=types, unread_only=True))
        return self._mark([row for row in unread if seen is None or row.updated_at <= seen][:1000], at)


@breaks("mark-all-read.marks")
class MarkAllAnswersOneChunk(MemoryStore):
    async def mark_all_read(self, recipient, **query):
        marked = await super().mark_all_read(recipient, **query)
        return marked % 1000 if marked > 1000 else marked


@breaks("erase.recipient")
class EraseStopsAt1000(MemoryStore):
    async def erase(self, recipient):
        return self._remove(list(self._select(recipient))[:1000])


@breaks("erase.tenant")
class EraseTenantStopsAt1000(MemoryStore):
    async def erase_tenant(self, tenant):
        return self._remove([row for row in self._rows.values() if row.recipient.tenant == tenant][:1000])


@breaks("erase.tenant")
class EraseTenantStopsAfter100Inboxes(MemoryStore):
    async def erase_tenant(self, tenant):
        whose = list(dict.fromkeys(r.recipient for r in self._rows.values() if r.recipient.tenant == tenant))[:100]
        return sum([await self.erase(recipient) for recipient in whose])


@breaks("prune.limit")
class PruneRoundsLimitsUp(MemoryStore):
    """Deletes whole batches."""

    async def prune(self, *, older_than, only_read=False, limit=None):
        if limit is not None and limit > 1000:
            limit = -(-limit // 1000) * 1000
        return await super().prune(older_than=older_than, only_read=only_read, limit=limit)


@breaks("prune.older-than")
class PruneStopsAt2048(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        return await super().prune(older_than=older_than, only_read=only_read, limit=min(2048, limit or 2048))


@breaks("prune.only-read")
class PruneStopsAtABatchOfUnread(MemoryStore):
    """Takes a batch of old rows, deletes the read ones, and ends when a batch had none."""

    async def prune(self, *, older_than, only_read=False, limit=None):
        if not only_read:
            return await super().prune(older_than=older_than, limit=limit)
        old = sorted((r for r in self._rows.values() if r.updated_at < older_than), key=lambda r: (r.updated_at, r.id))
        removed = 0
        for start in range(0, len(old), 1000):
            read = [row for row in old[start : start + 1000] if row.read_at is not None]
            if not read:
                break
            removed += self._remove(read[: None if limit is None else max(limit - removed, 0)])
        return removed


@breaks("page.offset")
class OffsetStopsAt1000(MemoryStore):
    async def page(self, recipient, *, offset=0, **query):
        return await super().page(recipient, offset=min(offset, 1000) if offset < 100_000 else offset, **query)


@breaks("upsert.version")
class VersionIsAByte(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        stored = await super().upsert(notification, renotify=renotify)
        if stored.version > 127:
            self._rows[stored.id] = replace(self._rows[stored.id], version=127)
            return replace(stored, version=127)
        return stored
