"""Stores that each break one promise, with the check that has to catch it; in most cases no other check may.

Most are a MemoryStore with one method changed, the way such methods go wrong: a read, an await, and a write of what was
read; a filter applied after the limit; an id compared as the database's collation likes.
"""

from __future__ import annotations

import asyncio
import copy
import runpy
import struct
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from notistore import DuplicateNotification, MemoryStore, OutcomeUnknown, StoreError
from notistore.model import to_millis
from notistore_conformance import StoreImplementation

CAUGHT: dict[str, tuple[str, Callable[[], Any]]] = {}
"""Name to the check that catches it, and the factory."""

ONLY: set[str] = set()
"""Those that no other check catches: the state machine and the reruns aside."""


def caught_by(check: str):
    def register(broken):
        CAUGHT[broken.__name__] = check, broken.subject if hasattr(broken, "subject") else broken
        return broken

    return register


def only_caught_by(check: str):
    def register(broken):
        ONLY.add(broken.__name__)
        return caught_by(check)(broken)

    return register


EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_store" / "custom_store.py"
# A store whose cost is constant: a MemoryStore goes through all its rows for everything.
example = runpy.run_path(str(EXAMPLE))
Sqlite3Store, to_columns, to_notification, whose = map(
    example.get, ("Sqlite3Store", "to_columns", "to_notification", "whose")
)


async def pause():
    """Yield to other tasks, where a driver would wait for its database."""
    await asyncio.sleep(0)


def without_tenant(rows, ids):
    return [row for id in dict.fromkeys(ids) if (row := rows.get(id))]


# insert


@caught_by("insert/stores")
class ForgetsTheActor(MemoryStore):
    async def insert(self, notification):
        await super().insert(replace(notification, actor=None))


@only_caught_by("insert/duplicate")
class NamesNoDuplicate(MemoryStore):
    async def insert(self, notification):
        try:
            await super().insert(notification)
        except DuplicateNotification:
            raise DuplicateNotification("") from None


@caught_by("insert/duplicate")
class SwallowsDuplicates(MemoryStore):
    async def insert(self, notification):
        try:
            await super().insert(notification)
        except DuplicateNotification:
            return


@only_caught_by("insert/duplicate-foreign")
class KnowsDuplicatesOfOneRecipientOnly(MemoryStore):
    async def insert(self, notification):
        old = self._rows.get(notification.id)
        if old and old.recipient != notification.recipient:
            del self._rows[notification.id]
        await super().insert(notification)


@only_caught_by("insert/stores")
class CountsKeyedRowsOnceTheyAreUpserted(MemoryStore):
    def __init__(self):
        super().__init__()
        self.inserted = set()

    async def insert(self, notification):
        await super().insert(notification)
        if notification.key:
            self.inserted.add(notification.id)

    async def upsert(self, notification, *, renotify=True):
        self.inserted.discard(notification.id)
        return await super().upsert(notification, renotify=renotify)

    async def unread_count(self, recipient, *, types=None, at_most=None):
        unread = self._select(recipient, types=types, unread_only=True)
        return (
            sum(1 for row in unread if row.id not in self.inserted)
            if at_most is None
            else (await super().unread_count(recipient, types=types, at_most=at_most))
        )


@only_caught_by("insert/concurrent")
class LooksThenInserts(MemoryStore):
    async def insert(self, notification):
        if notification.id in self._rows:
            raise DuplicateNotification(notification.id)
        await pause()
        self._rows[notification.id] = copy.deepcopy(notification)


@caught_by("insert/concurrent-rows")
class WritesTheWholeTable(MemoryStore):
    async def insert(self, notification):
        rows = dict(self._rows)
        await pause()
        if notification.id in self._rows:
            raise DuplicateNotification(notification.id)
        self._rows = rows | {notification.id: copy.deepcopy(notification)}


@only_caught_by("insert/concurrent-rows")
class RefusesWhenThePoolIsBusy(MemoryStore):
    busy = 0

    async def insert(self, notification):
        self.busy += 1
        try:
            await pause()
            if self.busy > 20:
                raise StoreError("no connection is free")
            await super().insert(notification)
        finally:
            self.busy -= 1


# upsert


class UpsertStore(MemoryStore):
    """A correct store; subclasses override a step of the upsert."""

    def merged(self, old, new, renotify):
        return replace(
            new,
            version=old.version + 1,
            created_at=old.created_at,
            key=old.key,
            read_at=None if renotify else old.read_at,
        )

    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        stored = self.merged(old, notification, renotify) if old else replace(notification, version=1)
        self._rows[stored.id] = copy.deepcopy(stored)
        return copy.deepcopy(stored)


@only_caught_by("upsert/inserts")
class TrustsTheFirstVersion(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        if notification.id not in self._rows:
            await self.insert(notification)
            return notification
        return await super().upsert(notification, renotify=renotify)


@caught_by("upsert/replaces")
class MergesData(UpsertStore):
    def merged(self, old, new, renotify):
        return replace(super().merged(old, new, renotify), data={**old.data, **new.data})


@only_caught_by("upsert/replaces")
class KeepsTheActorWhereNoneIsGiven(UpsertStore):
    def merged(self, old, new, renotify):
        return replace(super().merged(old, new, renotify), actor=new.actor or old.actor)


@only_caught_by("upsert/version")
class TrustsTheVersion(UpsertStore):
    def merged(self, old, new, renotify):
        return replace(super().merged(old, new, renotify), version=max(old.version + 1, new.version))


@caught_by("upsert/version")
class NeverRaisesTheVersion(UpsertStore):
    def merged(self, old, new, renotify):
        return replace(super().merged(old, new, renotify), version=old.version)


@caught_by("upsert/keeps-created-at")
class ResetsCreatedAt(UpsertStore):
    def merged(self, old, new, renotify):
        return replace(super().merged(old, new, renotify), created_at=new.created_at)


@only_caught_by("upsert/keeps-created-at")
class MovesUpdatedRowsUp(MemoryStore):
    async def page(self, recipient, **query):
        if query.get("before") or query.get("offset"):
            return await super().page(recipient, **query)
        rows = await super().page(recipient, **query)
        return sorted(rows, key=lambda row: (row.updated_at, row.id), reverse=True)


@only_caught_by("upsert/renotify")
class NeverRenotifies(UpsertStore):
    def merged(self, old, new, renotify):
        return super().merged(old, new, False)


@only_caught_by("upsert/renotify-false")
class AlwaysRenotifies(UpsertStore):
    def merged(self, old, new, renotify):
        return super().merged(old, new, True)


@caught_by("upsert/returns-stored")
class AnswersWithTheOldTime(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        stored = await super().upsert(notification, renotify=renotify)
        return replace(stored, updated_at=old.updated_at) if old else stored


@only_caught_by("upsert/returns-stored")
class AnswersWithOneForTrue(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        def ones(value):
            return [ones(item) for item in value] if isinstance(value, list) else 1 if value is True else value

        stored = await super().upsert(notification, renotify=renotify)
        return replace(stored, data={name: ones(value) for name, value in stored.data.items()})


@only_caught_by("upsert/inserted-row")
class CountsVersionsOfItsOwnUpserts(UpsertStore):
    def __init__(self):
        super().__init__()
        self.upserted = set()

    def merged(self, old, new, renotify):
        merged = super().merged(old, new, renotify)
        return merged if old.id in self.upserted else replace(merged, version=1)

    async def upsert(self, notification, *, renotify=True):
        stored = await super().upsert(notification, renotify=renotify)
        self.upserted.add(stored.id)
        return stored


@only_caught_by("upsert/after-delete")
class RemembersVersionsOfTheDead(MemoryStore):
    def __init__(self):
        super().__init__()
        self.versions = {}

    async def upsert(self, notification, *, renotify=True):
        stored = await super().upsert(notification, renotify=renotify)
        version = self.versions[stored.id] = self.versions.get(stored.id, stored.version - 1) + 1
        self._rows[stored.id] = replace(self._rows[stored.id], version=version)
        return replace(stored, version=version)


@only_caught_by("upsert/key-per-recipient")
class KeysAreGlobal(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        ids = [row.id for row in self._rows.values() if row.key == notification.key]
        return await super().upsert(replace(notification, id=ids[0] if ids else notification.id), renotify=renotify)


@only_caught_by("upsert/concurrent")
class RacesOnTheFirstWrite(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        if notification.id not in self._rows:
            await pause()
            stored = self._rows[notification.id] = replace(copy.deepcopy(notification), version=1)
            return copy.deepcopy(stored)
        return await super().upsert(notification, renotify=renotify)


@caught_by("upsert/concurrent")
class ReadsThenWrites(UpsertStore):
    async def upsert(self, notification, *, renotify=True):
        old = self._rows.get(notification.id)
        await pause()
        stored = self.merged(old, notification, renotify) if old else replace(notification, version=1)
        self._rows[stored.id] = copy.deepcopy(stored)
        return stored


@only_caught_by("upsert/concurrent-update")
class ReadsBackWhatItUpdated(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        is_new = notification.id not in self._rows
        await pause()
        stored = await super().upsert(notification, renotify=renotify)
        await pause()
        return stored if is_new else copy.deepcopy(self._rows.get(stored.id, stored))


@only_caught_by("upsert/concurrent-marks")
class MarksWithAStaleRow(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        stale = self._named(recipient, ids)
        await pause()
        unread = [row for row in stale if row.id in self._rows and self._rows[row.id].read_at is None]
        return self._mark(unread, at)


# get and page


@only_caught_by("get/returns")
class KeepsItsCacheOnAMark(MemoryStore):
    def __init__(self):
        super().__init__()
        self.cache = {}

    async def get(self, recipient, id):
        if (recipient, id) not in self.cache and (row := await super().get(recipient, id)):
            self.cache[recipient, id] = row
        return copy.deepcopy(self.cache.get((recipient, id)))

    def __getattribute__(self, name):
        if name in ("upsert", "page", "unread_count", "mark_unread", "mark_all_read", "delete", "prune", "erase"):
            self.cache.clear()
        return super().__getattribute__(name)


@only_caught_by("get/unknown")
class RaisesForUnknownIds(MemoryStore):
    def __init__(self):
        super().__init__()
        self.seen = set()

    async def insert_many(self, notifications):
        await super().insert_many(notifications)
        self.seen |= self._rows.keys()

    async def upsert(self, notification, *, renotify=True):
        self.seen.add(notification.id)
        return await super().upsert(notification, renotify=renotify)

    async def get(self, recipient, id):
        if id not in self.seen:
            raise StoreError(f"no row {id}")
        return await super().get(recipient, id)


class PageStore(MemoryStore):
    """A correct store; subclasses override a step of the page."""

    def chosen(self, recipient, types, unread_only):
        return list(self._select(recipient, types=types, unread_only=unread_only))

    def place(self, row):
        return row.cursor

    def is_before(self, row, cursor):
        return row.cursor < cursor

    def part(self, rows, offset, limit, before):
        return rows[offset : offset + limit]

    async def page(self, recipient, *, unread_only=False, types=None, before=None, offset=0, limit=50):
        rows = sorted(self.chosen(recipient, types, unread_only), key=self.place, reverse=True)
        if before is not None:
            rows = [row for row in rows if self.is_before(row, before)]
        return copy.deepcopy(self.part(rows, offset, limit, before))


@only_caught_by("page/order")
class OrdersBySeconds(PageStore):
    def place(self, row):
        return row.created_at.replace(microsecond=0), row.id


@only_caught_by("page/equal-times")
class BreaksTiesByInsertion(PageStore):
    def place(self, row):
        return row.created_at, list(self._rows).index(row.id)


@only_caught_by("page/limit")
class TakesLimitZeroForNone(PageStore):
    def part(self, rows, offset, limit, before):
        return super().part(rows, offset, limit or 1000, before)


@only_caught_by("page/empty")
class NeedsARowToComeBefore(PageStore):
    def part(self, rows, offset, limit, before):
        if before and offset and not self._rows:
            raise StoreError("no current row")
        return super().part(rows, offset, limit, before)


@only_caught_by("page/offset")
class OverflowsOffsets(PageStore):
    def part(self, rows, offset, limit, before):
        if offset + limit > 2**31 - 1:
            raise StoreError("integer out of range")
        return super().part(rows, offset, limit, before)


@caught_by("page/offset")
class ClampsTheOffset(PageStore):
    def part(self, rows, offset, limit, before):
        return super().part(rows, min(offset, max(len(rows) - limit, 0)), limit, before)


def passing(rows, types, unread_only):
    return [row for row in rows if (not types or row.type in types) and not (unread_only and row.read_at is not None)]


@only_caught_by("page/offset-filtered")
class OffsetsBeforeFiltering(MemoryStore):
    async def page(self, recipient, *, unread_only=False, types=None, before=None, offset=0, limit=50):
        asked = {"unread_only": unread_only, "types": types}
        if before is not None:
            return await super().page(recipient, **asked, before=before, offset=offset, limit=limit)
        return passing(await super().page(recipient, offset=offset, limit=1000), types, unread_only)[:limit]


@only_caught_by("page/unread-only")
class LimitsBeforeFilteringUnread(MemoryStore):
    async def page(self, recipient, *, unread_only=False, before=None, offset=0, **query):
        if before or offset or not unread_only:
            return await super().page(recipient, unread_only=unread_only, before=before, offset=offset, **query)
        return passing(await super().page(recipient, **query), None, True)


@caught_by("page/before")
class IncludesTheCursor(PageStore):
    def is_before(self, row, cursor):
        return row.cursor <= cursor


@only_caught_by("page/before")
class IgnoresTheOffsetOfACursor(PageStore):
    def part(self, rows, offset, limit, before):
        return super().part(rows, 0 if before and limit < 3 else offset, limit, before)


@only_caught_by("page/before-equal-times")
class ComparesOnlyTimesOfRows(PageStore):
    def is_before(self, row, cursor):
        return row.created_at < cursor.created_at if cursor.id in self._rows else row.cursor < cursor


@only_caught_by("page/before-anywhere")
class ComparesOnlyTimesOfCursors(PageStore):
    def is_before(self, row, cursor):
        return row.cursor < cursor if cursor.id in self._rows else row.created_at < cursor.created_at


@only_caught_by("page/before-deleted")
class LooksTheCursorUp(MemoryStore):
    def __init__(self):
        super().__init__()
        self.buried = set()

    async def delete(self, recipient, *ids):
        self.buried |= set(ids)
        return await super().delete(recipient, *ids)

    async def page(self, recipient, *, before=None, **query):
        if before is not None and before.id in self.buried:
            return []
        return await super().page(recipient, before=before, **query)


class RemembersPlaces(MemoryStore):
    """Turns a cursor into the offset at which its row was last returned."""

    unread_only = False

    def __init__(self):
        super().__init__()
        self.places = {}

    async def page(self, recipient, *, unread_only=False, types=None, before=None, offset=0, limit=50):
        asked = {"unread_only": unread_only, "types": types}
        if unread_only is not self.unread_only or types:
            return await super().page(recipient, **asked, before=before, offset=offset, limit=limit)
        if before is not None and before.id in self.places:
            offset, before = offset + self.places[before.id] + 1, None
        rows = await super().page(recipient, **asked, before=before, offset=offset, limit=limit)
        if before is None:
            self.places |= {row.id: offset + n for n, row in enumerate(rows)}
        return rows


@only_caught_by("page/walk-while-inserting")
class RepeatsRowsWhenOthersLand(RemembersPlaces):
    pass


@only_caught_by("page/walk-while-reading")
class SkipsRowsWhenOthersAreRead(RemembersPlaces):
    unread_only = True


@only_caught_by("page/types")
class FoldsTheCaseOfTypes(PageStore):
    def chosen(self, recipient, types, unread_only):
        wanted = {type.lower() for type in types or ()}
        rows = super().chosen(recipient, None, unread_only)
        return [row for row in rows if not wanted or row.type.lower() in wanted]


@only_caught_by("page/types")
class TakesNoTypesForNothing(PageStore):
    def chosen(self, recipient, types, unread_only):
        return [] if types == [] else super().chosen(recipient, types, unread_only)


@only_caught_by("page/everything-at-once")
class LimitsBeforeFilteringTypes(MemoryStore):
    async def page(self, recipient, *, types=None, offset=0, limit=50, **query):
        rows = await super().page(recipient, offset=0, limit=offset + limit, **query)
        return [row for row in rows if not types or row.type in types][offset:]


# counting


@only_caught_by("count/equals-page")
class CountsTypesLikeIts(MemoryStore):
    async def count(self, recipient, *, types=None):
        wanted = {type.lower() for type in types or ()}
        return sum(1 for row in self._select(recipient) if not wanted or row.type.lower() in wanted)


@only_caught_by("count/unread")
class CountsUnreadTypesLikeIts(MemoryStore):
    async def unread_count(self, recipient, *, types=None, at_most=None):
        wanted = [row.type for row in self._rows.values() if row.type.lower() in [type.lower() for type in types or ()]]
        return await super().unread_count(recipient, types=[*(types or ()), *wanted], at_most=at_most)


@only_caught_by("count/many")
class CountsAPage(MemoryStore):
    async def count(self, recipient, *, types=None):
        return len(await self.page(recipient, types=types, limit=1000))


@only_caught_by("count/at-most")
class IgnoresAtMost(MemoryStore):
    unread_counts = None

    async def unread_count(self, recipient, *, types=None, at_most=None):
        return await super().unread_count(recipient, types=types)


# marking and deleting


@only_caught_by("mark-read/marks")
class CountsAnIdTwice(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        unread = {row.id for row in self._named(recipient, ids) if row.read_at is None}
        await super().mark_read(recipient, *ids, at=at)
        return sum(id in unread for id in ids)


@only_caught_by("mark-read/first-wins")
class TheEarliestMarkWins(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        self._mark([row for row in self._named(recipient, ids) if row.read_at and row.read_at > at], at)
        return await super().mark_read(recipient, *ids, at=at)


@caught_by("mark-read/first-wins")
class TheLastMarkWins(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        marked = await super().mark_read(recipient, *ids, at=at)
        self._mark(self._named(recipient, ids), at)
        return marked


@only_caught_by("mark-read/others-untouched")
class MarksAllThatWereNamedWithAnOwn(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        rows = without_tenant(self._rows, ids) if self._named(recipient, ids) else []
        return self._mark([row for row in rows if row.read_at is None], at)


@caught_by("mark-read/others-untouched")
class MarksAnyonesRow(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        return self._mark([row for row in without_tenant(self._rows, ids) if row.read_at is None], at)


@only_caught_by("mark-read/keeps-content")
class MarkingLosesUpdatedAt(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        for row in self._named(recipient, ids):
            self._rows[row.id] = replace(row, updated_at=row.created_at)
        return await super().mark_read(recipient, *ids, at=at)


@only_caught_by("mark-read/no-ids")
class NoIdsMarkAll(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        return await (super().mark_read(recipient, *ids, at=at) if ids else self.mark_all_read(recipient, at=at))


@only_caught_by("mark-read/many-ids")
class TakesAThousandIds(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        if len(ids) > 1000:
            raise StoreError("too many SQL variables")
        return await super().mark_read(recipient, *ids, at=at)


@only_caught_by("mark-read/concurrent")
class LooksThenMarks(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        unread = [row.id for row in self._named(recipient, ids) if row.read_at is None]
        await pause()
        rows = self._named(recipient, unread)
        self._mark([row for row in rows if row.read_at is None], at)
        return len(rows)


@only_caught_by("mark-unread/marks")
class CountsAnUnmarkTwice(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        read = {row.id for row in self._named(recipient, ids) if row.read_at is not None}
        await super().mark_unread(recipient, *ids)
        return sum(id in read for id in ids)


@only_caught_by("mark-unread/others-untouched")
class UnmarksAllThatWereNamedWithAnOwn(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        rows = without_tenant(self._rows, ids) if self._named(recipient, ids) else []
        return self._mark([row for row in rows if row.read_at is not None], None)


@caught_by("mark-unread/others-untouched")
class UnmarksAnyonesRow(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        return self._mark([row for row in without_tenant(self._rows, ids) if row.read_at is not None], None)


@only_caught_by("mark-unread/keeps-content")
class UnmarkingResetsTheVersion(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        for row in self._named(recipient, ids):
            self._rows[row.id] = replace(row, version=1)
        return await super().mark_unread(recipient, *ids)


@only_caught_by("mark-unread/concurrent")
class LooksThenUnmarks(MemoryStore):
    async def mark_unread(self, recipient, *ids):
        read = [row.id for row in self._named(recipient, ids) if row.read_at is not None]
        await pause()
        return self._mark(self._named(recipient, read), None)


@only_caught_by("mark-all-read/marks")
class MarksAllAgain(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        if not types and not seen:
            self._mark(list(self._select(recipient)), at)
        return marked


@caught_by("isolation/tenants")
class MarksAllTenants(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        for row in list(self._rows.values()):
            if row.recipient.id == recipient.id:
                await super().mark_all_read(row.recipient, types=types, seen=seen, at=at)
        return marked


@only_caught_by("mark-all-read/types")
class MarksNoTypesForNothing(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        return 0 if types == [] else await super().mark_all_read(recipient, types=types, seen=seen, at=at)


@only_caught_by("mark-all-read/seen")
class MarksOnlyBeforeSeen(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        kept = [row for row in self._select(recipient) if row.updated_at == seen and not row.read_at]
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        return marked - self._mark(kept, None)


@caught_by("mark-all-read/seen")
class IgnoresSeen(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        return await super().mark_all_read(recipient, types=types, at=at)


@only_caught_by("mark-all-read/seen-updated")
class ComparesSeenWithCreatedAt(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = self._select(recipient, types=types, unread_only=True)
        return self._mark([row for row in unread if seen is None or row.created_at <= seen], at)


@only_caught_by("mark-all-read/keeps-content")
class MarkingAllLosesUpdatedAt(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = {row.id for row in self._select(recipient, unread_only=True)}
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        for row in [row for row in self._select(recipient) if row.read_at and row.id in unread]:
            self._rows[row.id] = replace(row, updated_at=row.created_at)
        return marked


@only_caught_by("mark-all-read/concurrent")
class CountsThenMarksAll(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        unread = await self.unread_count(recipient, types=types)
        await pause()
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        return marked if seen or types else unread


@only_caught_by("mark-all-read/while-inserting")
class SparesOnlyWhatWasThereAfterSeen(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        later = {row.id for row in self._select(recipient) if seen is not None and row.updated_at > seen}
        await pause()
        unread = self._select(recipient, types=types, unread_only=True)
        return self._mark([row for row in unread if row.id not in later], at)


@only_caught_by("delete/deletes")
class BuriesIds(MemoryStore):
    def __init__(self):
        super().__init__()
        self.buried = set()

    async def insert(self, notification):
        if notification.id in self.buried:
            raise DuplicateNotification(notification.id)
        await super().insert(notification)

    async def delete(self, recipient, *ids):
        self.buried |= {row.id for row in self._named(recipient, ids)}
        return await super().delete(recipient, *ids)


@only_caught_by("delete/others-untouched")
class DeletesAllThatWereNamedWithAnOwn(MemoryStore):
    async def delete(self, recipient, *ids):
        return self._remove(without_tenant(self._rows, ids) if self._named(recipient, ids) else [])


@only_caught_by("delete/many-ids")
class DeletesAThousandIds(MemoryStore):
    async def delete(self, recipient, *ids):
        if len(ids) > 1000:
            raise StoreError("ORA-01795: maximum number of expressions in a list is 1000")
        return await super().delete(recipient, *ids)


@caught_by("delete/others-untouched")
class DeletesAcrossTenants(MemoryStore):
    async def delete(self, recipient, *ids):
        rows = without_tenant(self._rows, ids)
        return self._remove([row for row in rows if replace(row.recipient, tenant=recipient.tenant) == recipient])


@only_caught_by("delete/no-ids")
class NoIdsDeleteAll(MemoryStore):
    async def delete(self, recipient, *ids):
        return await (super().delete(recipient, *ids) if ids else self.erase(recipient))


@only_caught_by("delete/concurrent")
class LooksThenDeletes(MemoryStore):
    async def delete(self, recipient, *ids):
        found = self._named(recipient, ids)
        await pause()
        self._remove([row for row in found if row.id in self._rows])
        return len(found)


# whose inbox


class ComparesLoosely(PageStore):
    """Compares the results of `compared_as` instead of the recipients in `page`."""

    def compared_as(self, recipient):
        return recipient

    def chosen(self, recipient, types, unread_only):
        rows = [row for row in self._rows.values() if self.compared_as(row.recipient) == self.compared_as(recipient)]
        return [
            row for row in rows if (not types or row.type in types) and not (unread_only and row.read_at is not None)
        ]


@only_caught_by("isolation/ids")
class FoldsIds(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, id=recipient.id.lower())


@only_caught_by("isolation/ids")
class PadsIds(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, id=recipient.id.rstrip(" ") or "x")


@only_caught_by("isolation/ids")
class NormalisesIds(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, id=unicodedata.normalize("NFC", recipient.id))


@only_caught_by("isolation/types")
class FoldsRecipientTypes(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, type=recipient.type.lower())


@caught_by("isolation/tenants")
class FoldsTenants(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, tenant=recipient.tenant and recipient.tenant.lower())


@only_caught_by("isolation/tenants")
class NormalisesTenants(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, tenant=recipient.tenant and unicodedata.normalize("NFC", recipient.tenant))


@only_caught_by("isolation/no-tenant")
class WritesNoTenantAsNone(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, tenant=str(recipient.tenant))


@only_caught_by("isolation/joined-parts")
class JoinsParts(ComparesLoosely):
    def compared_as(self, recipient):
        return ":".join(part for part in (recipient.tenant, recipient.type, recipient.id) if part)


@only_caught_by("isolation/long-names")
class CutsIds(ComparesLoosely):
    def compared_as(self, recipient):
        return replace(recipient, id=recipient.id[:100])


@only_caught_by("isolation/foreign-ids")
class MarksWhateverTheType(MemoryStore):
    def _named(self, recipient, ids):
        rows = without_tenant(self._rows, ids)
        return [row for row in rows if replace(row.recipient, type=recipient.type) == recipient]


@caught_by("isolation/foreign-ids")
class TakesNoTenantForAny(MemoryStore):
    async def get(self, recipient, id):
        row = self._rows.get(id)
        if row and row.recipient.tenant is None:
            recipient = replace(recipient, tenant=None)
        found = await super().get(recipient, id)
        return found if found is None or found.recipient.type == recipient.type else None


# values


class ValueStore(MemoryStore):
    """A correct store; subclasses change rows before they are inserted."""

    def written(self, row):
        return row

    async def insert(self, notification):
        await super().insert(self.written(notification))


@only_caught_by("values/shapes")
class LosesEmptyArrays(ValueStore):
    def written(self, row):
        return replace(row, data={key: value for key, value in row.data.items() if value != []})


@only_caught_by("values/text")
class StripsText(ValueStore):
    def written(self, row):
        return replace(row, data={k: v.strip() if isinstance(v, str) else v for k, v in row.data.items()})


@only_caught_by("values/numbers")
class KeepsNumbersAsFloats(ValueStore):
    def written(self, row):
        def floats(values):
            return [struct.unpack("d", struct.pack("d", v))[0] if isinstance(v, int | float) else v for v in values]

        data = {k: floats(v) if isinstance(v, list) and k == "whole" else v for k, v in row.data.items()}
        return replace(row, data=data)


@only_caught_by("values/deep")
class CutsDepth(ValueStore):
    def written(self, row):
        def cut(value, depth):
            if isinstance(value, list):
                return [cut(item, depth + 1) for item in value] if depth < 20 else None
            return {k: cut(v, depth + 1) for k, v in value.items()} if isinstance(value, dict) else value

        return replace(row, data=cut(row.data, 1))


@only_caught_by("values/large")
class CutsText(ValueStore):
    def written(self, row):
        return replace(row, data={k: v[:16_000] if isinstance(v, str) else v for k, v in row.data.items()})


@only_caught_by("values/names")
class StripsKeys(ValueStore):
    def written(self, row):
        return replace(row, key=row.key and row.key.strip())


@caught_by("values/names")
class CutsNames(ValueStore):
    def written(self, row):
        return replace(row, trace_id=row.trace_id and row.trace_id[:100], type=row.type.strip())


@only_caught_by("values/times")
class KnowsNoTimeAfter2038(ValueStore):
    def written(self, row):
        last = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)
        return replace(row, created_at=min(row.created_at, last), updated_at=min(row.updated_at, last))


@caught_by("values/times")
class LosesMilliseconds(ValueStore):
    def written(self, row):
        return replace(row, created_at=row.created_at.replace(microsecond=0))


@caught_by("values/times")
class LosesTheTimeZone(MemoryStore):
    async def get(self, recipient, id):
        row = await super().get(recipient, id)
        return row and replace(row, created_at=row.created_at.replace(tzinfo=None))


@only_caught_by("values/upserted")
class LosesAccentsInUpserts(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        texts = notification.data.get("texts")
        if isinstance(texts, dict):
            texts = {k: unicodedata.normalize("NFC", v) for k, v in texts.items()}
            notification = replace(notification, data={**notification.data, "texts": texts})
        return await super().upsert(notification, renotify=renotify)


@only_caught_by("values/isolated-in")
class KeepsTheCallersObject(MemoryStore):
    async def insert(self, notification):
        await super().insert(notification)
        self._rows[notification.id] = notification


@only_caught_by("values/isolated-out")
class HandsOutItsOwnObject(MemoryStore):
    async def get(self, recipient, id):
        row = self._rows.get(id)
        return row if row and row.recipient == recipient else None


# calls


@only_caught_by("calls/durable")
@asynccontextmanager
async def caches_rows():
    class CachesRows(MemoryStore):
        """Its own writes clear its cache; other clients' writes do not."""

        def __init__(self, rows):
            self._rows = rows
            self.cache = {}

        async def get(self, recipient, id):
            if (recipient, id) not in self.cache:
                self.cache[recipient, id] = await super().get(recipient, id)
            return copy.deepcopy(self.cache[recipient, id])

        async def insert_many(self, notifications):
            self.cache.clear()
            await super().insert_many(notifications)

        async def upsert(self, notification, *, renotify=True):
            self.cache.clear()
            return await super().upsert(notification, renotify=renotify)

        def _mark(self, rows, read_at):
            self.cache.clear()
            return super()._mark(rows, read_at)

        def _remove(self, rows):
            self.cache.clear()
            return super()._remove(rows)

    rows = {}
    yield StoreImplementation(CachesRows(rows), peer=CachesRows(rows))


@only_caught_by("calls/two-clients")
@asynccontextmanager
async def locks_in_the_process():
    class LocksInTheProcess(UpsertStore):
        def __init__(self, rows):
            self._rows = rows
            self.lock = asyncio.Lock()

        async def upsert(self, notification, *, renotify=True):
            async with self.lock:
                old = self._rows.get(notification.id)
                await pause()
                stored = self.merged(old, notification, renotify) if old else replace(notification, version=1)
                self._rows[stored.id] = copy.deepcopy(stored)
                return copy.deepcopy(stored)

    rows = {}
    yield StoreImplementation(LocksInTheProcess(rows), peer=LocksInTheProcess(rows))


@only_caught_by("calls/cancel")
class LeaksConnections(MemoryStore):
    def __init__(self):
        super().__init__()
        self.pool = asyncio.Semaphore(5)

    async def upsert(self, notification, *, renotify=True):
        try:
            async with asyncio.timeout(0.1):
                await self.pool.acquire()
        except TimeoutError:
            raise StoreError("no connection is free") from None
        for _ in range(10):
            await pause()
        stored = await super().upsert(notification, renotify=renotify)
        self.pool.release()
        return stored

    async def unread_count(self, recipient, **query):
        if self.pool.locked():
            raise StoreError("no connection is free")
        return await super().unread_count(recipient, **query)


@only_caught_by("calls/atomic")
class MarksOneByOne(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        marked = 0
        for id in dict.fromkeys(ids):
            marked += await super().mark_read(recipient, id, at=at)
            if len(ids) < 1000:
                await pause()
        return marked


@only_caught_by("calls/errors")
@asynccontextmanager
async def lets_drivers_errors_out():
    class LetsDriversErrorsOut(MemoryStore):
        down = False

        async def count(self, recipient, *, types=None):
            if self.down:
                raise ConnectionRefusedError("no server")
            return await super().count(recipient, types=types)

        def __getattribute__(self, name):
            found = super().__getattribute__(name)
            if name in ("count", "down") or not callable(found) or not super().__getattribute__("down"):
                return found

            async def refused(*args, **kwargs):
                raise StoreError("no server") from ConnectionRefusedError()

            return refused

    store = LetsDriversErrorsOut()

    @contextmanager
    def outage():
        store.down = True
        yield
        store.down = False

    yield StoreImplementation(store, outage=outage)


class Remote(MemoryStore):
    """A store whose database is remote: the reply to a write can be lost, and the error says so."""

    lost = False

    @contextmanager
    def lose_reply(self, id):
        self.lost = True
        yield
        assert not self.lost, "no reply was lost"

    async def write(self, name, *args, **kwargs):
        """One write that reaches the database, and its reply, unless the reply is lost."""
        if name == "insert":  # a MemoryStore's is one of many
            name, args = "insert_many", (args,)
        answer = await getattr(MemoryStore, name)(self, *args, **kwargs)
        if self.lost:
            self.lost = False
            raise ConnectionResetError("the connection was lost")
        return answer

    async def call(self, name, *args, **kwargs):
        try:
            return await self.write(name, *args, **kwargs)
        except ConnectionResetError as error:
            raise OutcomeUnknown("the reply was lost") from error

    @classmethod
    @asynccontextmanager
    async def subject(cls):
        store = cls()
        yield StoreImplementation(store, lose_reply=store.lose_reply)


def remote(name):
    async def method(self, *args, **kwargs):
        return await self.call(name, *args, **kwargs)

    return method


WRITES = ("insert", "insert_many", "upsert", "mark_read", "mark_unread", "mark_all_read", "delete")
for _name in WRITES:
    setattr(Remote, _name, remote(_name))


class RollsBack(Remote):
    """The reply to a statement is lost before the COMMIT, so nothing has changed."""

    async def call(self, name, *args, **kwargs):
        if self.lost:
            self.lost = False
            raise StoreError("nothing was changed") from ConnectionResetError("the connection was lost")
        return await super().call(name, *args, **kwargs)


class Repeats(Remote):
    """Repeats a call once, and returns the second result."""

    repeated: tuple[str, ...] = ()

    async def call(self, name, *args, **kwargs):
        if name not in self.repeated:
            return await super().call(name, *args, **kwargs)
        try:
            return await self.write(name, *args, **kwargs)
        except ConnectionResetError:
            return await self.write(name, *args, **kwargs)


@only_caught_by("calls/lost-reply")
class IsADuplicateOfItself(Repeats):
    repeated = ("insert",)


@only_caught_by("calls/lost-reply")
class ManyAreDuplicatesOfThemselves(Repeats):
    repeated = ("insert_many",)


@only_caught_by("calls/lost-reply")
class UpsertsTwice(Repeats):
    repeated = ("upsert",)


@only_caught_by("calls/lost-reply")
class CountsOnlyWhatTheSecondMarkChanged(Repeats):
    repeated = ("mark_read", "mark_unread", "mark_all_read")


@only_caught_by("calls/lost-reply")
class CountsOnlyWhatTheSecondDeleteFound(Repeats):
    repeated = ("delete",)


@only_caught_by("calls/lost-reply")
class SaysThatNothingChanged(Remote):
    async def call(self, name, *args, **kwargs):
        try:
            return await super().call(name, *args, **kwargs)
        except OutcomeUnknown as error:
            raise StoreError("nothing was changed") from error.__cause__


@only_caught_by("calls/lost-reply")
class DeclaresLostWritesDone(Remote):
    """It treats a broken connection as a slow one, and its write as done; the server has rolled it back."""

    async def call(self, name, *args, **kwargs):
        if self.lost and name == "insert":
            self.lost = False
            return None
        return await super().call(name, *args, **kwargs)


@only_caught_by("cost/constant")
@asynccontextmanager
async def fetches_rows_to_count_them():
    class FetchesRowsToCountThem(Sqlite3Store):
        async def unread_count(self, recipient, *, types=None, at_most=None):
            unread = await self.page(recipient, unread_only=True, types=types, limit=1_000_000)
            return len(unread[:at_most])

    store = FetchesRowsToCountThem(":memory:")
    try:
        yield StoreImplementation(store, scales=True)
    finally:
        await store.close()


# the optional parts


@only_caught_by("insert-many/stores")
class CannotInsertNone(MemoryStore):
    async def insert_many(self, notifications):
        if not notifications:
            raise StoreError("syntax error at end of input")
        await super().insert_many(notifications)


@only_caught_by("insert-many/stored-already")
class InsertsUntilADuplicate(MemoryStore):
    async def insert_many(self, notifications):
        if len({row.id for row in notifications}) < len(notifications):
            raise DuplicateNotification(notifications[0].id)
        if len(notifications) > 1000:
            await super().insert_many(notifications)
            return
        for notification in notifications:
            await super().insert_many([notification])


@only_caught_by("insert-many/twice")
class TakesTheLastOfTwo(MemoryStore):
    async def insert_many(self, notifications):
        await super().insert_many(list({row.id: row for row in notifications}.values()))

    async def insert(self, notification):
        await super().insert_many([notification])


@only_caught_by("insert-many/large")
class InsertsInBatches(MemoryStore):
    async def insert_many(self, notifications):
        for start in range(0, len(notifications), 1000):
            await super().insert_many(notifications[start : start + 1000])


@only_caught_by("unread-counts/equals-single")
class CountsManyWithoutBound(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        return await super().unread_counts(recipients, types=types)


@only_caught_by("unread-counts/none-asked")
class CannotCountForNoOne(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        if not recipients:
            raise StoreError("syntax error at or near )")
        return await super().unread_counts(recipients, types=types, at_most=at_most)


@only_caught_by("unread-counts/look-alikes")
class CountsByIdAlone(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        ids = {
            recipient.id: await self.unread_count(recipient, types=types, at_most=at_most) for recipient in recipients
        }
        return {recipient: ids[recipient.id] for recipient in recipients}


@only_caught_by("unread-counts/many")
class CountsForAThousand(MemoryStore):
    async def unread_counts(self, recipients, *, types=None, at_most=None):
        if len(recipients) > 1000:
            raise StoreError("Expression tree is too large (maximum depth 1000)")
        return await super().unread_counts(recipients, types=types, at_most=at_most)


class PruneStore(MemoryStore):
    """A correct store; subclasses change which rows are old."""

    def is_old(self, row, older_than, only_read):
        return row.updated_at < older_than and not (only_read and row.read_at is None)

    async def prune(self, *, older_than, only_read=False, limit=None):
        old = [row for row in self._rows.values() if self.is_old(row, older_than, only_read)]
        return self._remove(old[:limit])


@only_caught_by("prune/older-than")
class PrunesTheBoundary(PruneStore):
    def is_old(self, row, older_than, only_read):
        return row.updated_at <= older_than and not (only_read and row.read_at is None)


@only_caught_by("prune/updated-at")
class PrunesByCreatedAt(PruneStore):
    def is_old(self, row, older_than, only_read):
        return super().is_old(replace(row, updated_at=row.created_at), older_than, only_read)


@only_caught_by("prune/only-read")
class PrunesUnreadWithoutLimit(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        return await super().prune(older_than=older_than, only_read=only_read and limit is not None, limit=limit)


@only_caught_by("prune/limit")
class LimitsBeforeOnlyRead(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        old = [row for row in self._rows.values() if row.updated_at < older_than][:limit]
        return self._remove([row for row in old if not (only_read and row.read_at is None)])


@only_caught_by("prune/many")
class PrunesOneBatch(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        return await super().prune(older_than=older_than, only_read=only_read, limit=min(limit or 1000, 1000))


@only_caught_by("prune/concurrent")
class LooksThenPrunes(PruneStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        old = [row for row in self._rows.values() if self.is_old(row, older_than, only_read)][:limit]
        await pause()
        self._remove([row for row in old if row.id in self._rows])
        return len(old)


@only_caught_by("erase/recipient")
class ErasesEveryType(MemoryStore):
    async def erase(self, recipient):
        for row in list(self._rows.values()):
            if row.recipient.type != recipient.type and replace(row.recipient, type=recipient.type) == recipient:
                del self._rows[row.id]
        return await super().erase(recipient)


@only_caught_by("erase/recipient")
class ErasesEveryTenant(MemoryStore):
    async def erase(self, recipient):
        if recipient.tenant is None:
            rows = [row for row in self._rows.values() if row.recipient.id == recipient.id]
            self._remove([row for row in rows if row.recipient.tenant])
        return await super().erase(recipient)


@only_caught_by("erase/tenant")
class ErasesTenantsByPrefix(MemoryStore):
    async def erase_tenant(self, tenant):
        return self._remove([row for row in self._rows.values() if (row.recipient.tenant or "").startswith(tenant)])


@caught_by("schema/twice")
class StartsAfresh(MemoryStore):
    async def create_schema(self):
        self._rows.clear()


@only_caught_by("schema/twice")
class MakesItAgainOnceItIsThere(MemoryStore):
    created = False

    async def create_schema(self):
        if self.created:
            self._rows.clear()
        await pause()
        self.created = True


@only_caught_by("schema/concurrent")
class CreatesOnlyAlone(MemoryStore):
    creating = False

    async def create_schema(self):
        if self.creating:
            raise StoreError("relation already exists")
        self.creating = True
        await pause()
        self.creating = False


# bind


class Session:
    """A host's transaction on a MemoryStore: works on a copy of the rows, which replaces them at the commit."""

    def __init__(self, rows):
        self.rows = dict(rows)
        self.callbacks = []


class BoundMemoryStore(MemoryStore):
    def __init__(self, session):
        self._rows = session.rows
        self.after_commit = session.callbacks.append


class TransactionalStore(MemoryStore):
    """A MemoryStore with a correct `bind`."""

    bound = BoundMemoryStore

    def bind(self, session):
        return self.bound(session)

    @contextmanager
    def transaction(self):
        session = Session(self._rows)
        yield session
        self.commit(session)

    def commit(self, session):
        self._rows = session.rows
        for callback in session.callbacks:
            callback()

    @contextmanager
    def savepoint(self, session):
        rows, callbacks = dict(session.rows), len(session.callbacks)
        try:
            yield
        except BaseException:
            session.rows.clear()
            session.rows.update(rows)
            self.forget(session, callbacks)
            raise

    def forget(self, session, callbacks):
        del session.callbacks[callbacks:]

    @classmethod
    @asynccontextmanager
    async def subject(cls):
        store = cls()
        yield StoreImplementation(store, transaction=store.transaction, savepoint=store.savepoint)


@caught_by("bind/commit")
class ForgetsWhatWasBound(TransactionalStore):
    def commit(self, session):
        session.rows = {id: row for id, row in session.rows.items() if id in self._rows or row.version > 1}
        super().commit(session)


@only_caught_by("bind/commit")
class ForgetsDeletesThatWereBound(TransactionalStore):
    def commit(self, session):
        session.rows = self._rows | session.rows
        super().commit(session)


@only_caught_by("bind/rollback")
class WritesAtOnce(TransactionalStore):
    def bind(self, session):
        session.rows = self._rows
        return super().bind(session)


@only_caught_by("bind/duplicate")
class SpoiltByDuplicates(TransactionalStore):
    class bound(BoundMemoryStore):  # noqa: N801
        async def insert(self, notification):
            try:
                await super().insert(notification)
            except DuplicateNotification:
                self._rows.clear()
                raise


@only_caught_by("bind/savepoint")
class KnowsNoSavepoints(TransactionalStore):
    @contextmanager
    def savepoint(self, session):
        callbacks = len(session.callbacks)
        try:
            yield
        except BaseException:
            self.forget(session, callbacks)
            raise


@caught_by("bind/after-commit")
class CallsBackBeforeTheCommit(TransactionalStore):
    class bound(BoundMemoryStore):  # noqa: N801
        def __init__(self, session):
            super().__init__(session)
            self.after_commit = lambda callback: callback()


@only_caught_by("bind/after-commit")
class CallsBackAtTheNextRead(TransactionalStore):
    class bound(BoundMemoryStore):  # noqa: N801
        def __init__(self, session):
            super().__init__(session)
            self.session = session

        async def count(self, recipient, *, types=None):
            for callback in self.session.callbacks:
                callback()
            self.session.callbacks.clear()
            return await super().count(recipient, types=types)


@only_caught_by("bind/after-rollback")
class CallsBackAfterARollback(TransactionalStore):
    @contextmanager
    def transaction(self):
        session = Session(self._rows)
        try:
            yield session
        except BaseException:
            for callback in session.callbacks:
                callback()
            raise
        self.commit(session)


@only_caught_by("bind/after-savepoint")
class CallsBackForSavepointsRolledBack(TransactionalStore):
    def forget(self, session, callbacks):
        return


# processes


class InAFile:
    """A factory of stores on one file. Unpickled in another process, it opens the same file."""

    def __init__(self, store):
        self.store = store
        self.path = None

    @asynccontextmanager
    async def __call__(self):
        with tempfile.TemporaryDirectory() if self.path is None else nullcontext() as folder:
            self.path = self.path or f"{folder}/rows.db"
            store = self.store(self.path)
            try:
                yield StoreImplementation(store, processes=True)
            finally:
                await store.close()
                self.path = None if folder else self.path


class FileStore(Sqlite3Store):
    """Uses a lock instead of a single statement, which does not exclude other processes."""

    lock = threading.Lock()

    def __init_subclass__(cls):
        cls.subject = InAFile(cls)

    async def alone(self, work):
        def locked():
            with self.lock:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, locked)

    def ids(self, where, recipient, ids):
        """The ids of this recipient's rows among these."""
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT id FROM inbox WHERE {where} AND id IN ({marks}) AND {' AND '.join(f'{n} = ?' for n in WHOSE)}"
        named = [row["id"] for row in self._db.execute(sql, [*ids, *map(whose(recipient).get, WHOSE)])]
        time.sleep(0.001)  # the way to a server and back
        return [(id,) for id in named]

    def change(self, sql, rows):
        with self._db:
            self._db.executemany(sql, rows)
        return len(rows)


WHOSE = ("tenant", "recipient_type", "recipient_id")


@only_caught_by("processes/race")
class UpsertsUnderALock(FileStore):
    async def upsert(self, notification, *, renotify=True):
        def work():
            old = self._db.execute("SELECT * FROM inbox WHERE id = ?", [notification.id]).fetchone()
            time.sleep(0.001)
            stored = replace(notification, version=1, read_at=None)
            if old is not None:
                old = to_notification(old)
                read_at = None if renotify else old.read_at
                stored = replace(stored, version=old.version + 1, created_at=old.created_at, read_at=read_at)
            columns = to_columns(stored)
            with self._db:
                names, marks = ", ".join(columns), ", ".join("?" * len(columns))
                self._db.execute(f"INSERT OR REPLACE INTO inbox ({names}) VALUES ({marks})", list(columns.values()))
            return copy.deepcopy(stored)

        return await self.alone(work)


@caught_by("processes/race")
class MarksUnderALock(FileStore):
    async def mark_read(self, recipient, *ids, at):
        def work():
            unread = self.ids("read_at IS NULL", recipient, ids)
            return self.change(f"UPDATE inbox SET read_at = {to_millis(at)} WHERE id = ?", unread)

        return await self.alone(work) if len(ids) < 100 else await super().mark_read(recipient, *ids, at=at)


@caught_by("processes/race")
class DeletesUnderALock(FileStore):
    async def delete(self, recipient, *ids):
        def work():
            return self.change("DELETE FROM inbox WHERE id = ?", self.ids("true", recipient, ids))

        return await self.alone(work) if len(ids) < 100 else await super().delete(recipient, *ids)


@only_caught_by("processes/race")
class CachesWhatItsProcessWrote(FileStore):
    """Correct in a single process: each of its own writes clears the cache."""

    def __init__(self, path):
        super().__init__(path)
        self.cache = {}

    async def get(self, recipient, id):
        if (recipient, id) not in self.cache:
            self.cache[recipient, id] = await super().get(recipient, id)
        return copy.deepcopy(self.cache[recipient, id])

    async def _changed(self, sql, values):
        try:
            return await super()._changed(sql, values)
        finally:
            self.cache.clear()

    async def upsert(self, notification, *, renotify=True):
        try:
            return await super().upsert(notification, renotify=renotify)
        finally:
            self.cache.clear()
