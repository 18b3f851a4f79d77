"""Values that a driver or a serializer converts, in one of the methods that write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from notistore import MemoryStore
from notistore.model import Actor

from .identity import as_uuid
from .registry import breaks, register

WRITING = ("insert", "insert_many", "upsert")


def converting(*methods, change):
    """A MemoryStore in which these methods apply `change` to rows before writing them."""

    class Converting(MemoryStore):
        async def insert(self, notification):
            row = change(notification) if "insert" in methods else notification
            await MemoryStore.insert_many(self, [row])

        async def insert_many(self, notifications):
            rows = list(map(change, notifications)) if "insert_many" in methods else notifications
            await MemoryStore.insert_many(self, rows)

        async def upsert(self, notification, *, renotify=True):
            row = change(notification) if "upsert" in methods else notification
            return await MemoryStore.upsert(self, row, renotify=renotify)

    return Converting


def converts(name, *methods, change):
    register("rows.round-trip", name, __name__, converting(*methods, change=change))


def leaves(change):
    """Changes each leaf of a row's data."""

    def walk(value):
        if isinstance(value, Mapping):
            return {name: walk(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        return change(value)

    return lambda row: replace(row, data=walk(row.data))


def date_like(value):
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value):
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def day_like(value):
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return f"{value}T00:00:00"
    return value


def digits(value):
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value) else value


def words(value):
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def ones(value):
    return int(value) if isinstance(value, bool) else value


def floats(value):
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def without_nulls(row):
    return replace(row, data={name: value for name, value in row.data.items() if value is not None})


converts("InsertParsesDates", "insert", change=leaves(date_like))
converts("UpsertParsesDates", "upsert", change=leaves(date_like))
converts("InsertManyParsesDates", "insert_many", change=leaves(date_like))
converts("ParsesDays", *WRITING, change=leaves(day_like))
converts("InsertManyParsesDigits", "insert_many", change=leaves(digits))
converts("UpsertParsesWords", "upsert", change=leaves(words))
converts("InsertManyWritesBooleansAsNumbers", "insert_many", change=leaves(ones))
converts("UpsertWritesBooleansAsNumbers", "upsert", change=leaves(ones))
converts("InsertManyWritesIntegersAsFloats", "insert_many", change=leaves(floats))
converts("InsertManyDropsNulls", "insert_many", change=without_nulls)
converts("UpsertDropsNulls", "upsert", change=without_nulls)
converts("WritesEmptyTextAsNull", "insert_many", change=leaves(lambda value: None if value == "" else value))
converts(
    "UpsertNormalisesText",
    "upsert",
    change=leaves(lambda value: unicodedata.normalize("NFC", value) if isinstance(value, str) else value),
)
converts(
    "InsertManyLosesTheSupplementaryPlanes",
    "insert_many",
    change=leaves(lambda v: re.sub("[\U00010000-\U0010ffff]", "?", v) if isinstance(v, str) else v),
)
converts(
    "InsertManyCutsText",
    "insert_many",
    change=leaves(lambda value: value[:21_845] if isinstance(value, str) else value),
)
converts("InsertManyCutsKeys", "insert_many", change=lambda row: replace(row, key=row.key and row.key[:191]))
converts("InsertManyStripsTypes", "insert_many", change=lambda row: replace(row, type=row.type.strip() or row.type))
converts(
    "UpsertLosesLeadingZerosOfActors",
    "upsert",
    change=lambda row: replace(row, actor=row.actor and Actor(row.actor.id.lstrip("0") or "0", row.actor.type)),
)
converts(
    "TraceIdsAreUuids",
    *WRITING,
    change=lambda row: replace(
        row,
        trace_id=row.trace_id and as_uuid(row.trace_id),
    ),
)
converts(
    "InsertManyForgetsTheActorsType",
    "insert_many",
    change=lambda row: replace(row, actor=row.actor and Actor(row.actor.id)),
)
converts(
    "InsertManyRoundsTimesToSeconds",
    "insert_many",
    change=lambda row: replace(row, updated_at=row.updated_at.replace(microsecond=0)),
)


@breaks("upsert.replaces")
class UpsertRoundsUpdatedAt(MemoryStore):
    async def upsert(self, notification, *, renotify=True):
        at = notification.updated_at.replace(microsecond=0) + timedelta(seconds=notification.updated_at.microsecond > 0)
        return await super().upsert(replace(notification, updated_at=at), renotify=renotify)


@breaks("mark-all-read.marks")
class MarkAllRoundsReadAt(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        if types:
            at = at.replace(microsecond=0)
        return await super().mark_all_read(recipient, types=types, seen=seen, at=at)


def local(moment):
    """A time written as the process's local time and read as UTC."""
    return moment and moment.astimezone().replace(tzinfo=UTC)


@breaks("rows.round-trip")
class WritesLocalTime(MemoryStore):
    """Correct only if the process runs in UTC."""

    async def upsert(self, notification, *, renotify=True):
        row = replace(
            notification, created_at=local(notification.created_at), updated_at=local(notification.updated_at)
        )
        return await super().upsert(row, renotify=renotify)


@breaks("mark-read.marks")
class MarksInLocalTime(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        return await super().mark_read(recipient, *ids, at=local(at))


@breaks("prune.older-than")
class PrunesByLocalTime(MemoryStore):
    async def prune(self, *, older_than, only_read=False, limit=None):
        return await super().prune(older_than=local(older_than), only_read=only_read, limit=limit)


@breaks("mark-all-read.seen")
class ComparesSeenInLocalTime(MemoryStore):
    async def mark_all_read(self, recipient, *, types=None, seen=None, at):
        return await super().mark_all_read(recipient, types=types, seen=local(seen), at=at)


@breaks("rows.isolated")
class InsertManyKeepsTheCallersObjects(MemoryStore):
    async def insert_many(self, notifications):
        await super().insert_many(notifications)
        if len(notifications) > 1:
            self._rows |= {row.id: row for row in notifications}
