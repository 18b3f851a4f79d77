"""Optional: retention. It works on every recipient's rows, so these rows are of the 1970s, where nobody else's are."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from notistore.model import Notification, Recipient

from ..context import Context
from ..registry import check

MILLISECOND = timedelta(milliseconds=1)


@check(
    "prune/older-than",
    "Rows updated strictly before older_than go, whoever's they are",
    "prune.older-than",
    part="prune",
)
async def older_than(c: Context) -> None:
    me, other, then = c.recipient(), c.recipient(), await _long_ago(c)
    old = [await c.stored(me, at=then - MILLISECOND), await c.stored(other, at=then - timedelta(days=30))]
    kept = [await c.stored(me, at=then), await c.stored(other, at=then + MILLISECOND), await c.stored(me)]
    await c.store.mark_read(me, old[0].id, at=c.at(1))
    c.equal("prune.older-than", await c.store.prune(older_than=then), 2)
    for row in old:
        c.is_row("prune.older-than", await c.store.get(row.recipient, row.id), None)
    await c.unchanged("prune.older-than", *kept)
    c.equal("prune.older-than", await c.store.prune(older_than=then), 0, "a second time")


@check("prune/updated-at", "Age counts from updated_at, not created_at", "prune.older-than", part="prune")
async def updated_at(c: Context) -> None:
    me, then = c.recipient(), await _long_ago(c)
    first = c.row(me, key="export:1", at=then - timedelta(days=2))
    await c.store.insert(first)
    updated = await c.store.upsert(c.row(me, key="export:1", at=then + MILLISECOND))
    c.equal("prune.older-than", await c.store.prune(older_than=then), 0)
    await c.unchanged("prune.older-than", updated)


@check("prune/only-read", "With only_read unread rows stay", "prune.only-read", part="prune")
async def only_read(c: Context) -> None:
    me, then = c.recipient(), await _long_ago(c)
    read, unread = await _old_rows(c, me, then, 2)
    recent = await c.stored(me)
    await c.store.mark_read(me, read.id, recent.id, at=c.at(1))
    c.equal("prune.only-read", await c.store.prune(older_than=then, only_read=True), 1)
    c.is_row("prune.only-read", await c.store.get(me, read.id), None)
    await c.unchanged("prune.only-read", unread)
    c.equal("prune.only-read", await c.store.count(me), 2)


@check("prune/limit", "At most `limit` rows go at a time", "prune.limit", part="prune")
async def limit(c: Context) -> None:
    me, then = c.recipient(), await _long_ago(c)
    await _old_rows(c, me, then, 5)
    for expected in (2, 2, 1, 0):
        c.equal("prune.limit", await c.store.prune(older_than=then, limit=2), expected)
    rows = await _old_rows(c, me, then, 3)
    await c.store.mark_read(me, rows[2].id, at=c.at(1))
    c.equal("prune.limit", await c.store.prune(older_than=then, only_read=True, limit=2), 1, "with only_read")
    c.are_rows("prune.limit", await c.store.page(me), rows[1::-1])


@check(
    "prune/many",
    "More rows than any batch holds are all gone, and counted",
    "prune.older-than",
    part="prune",
    once=True,
)
async def many(c: Context) -> None:
    me, then = c.recipient(), await _long_ago(c)
    rows = [c.row(me, at=then - timedelta(seconds=n + 1)) for n in range(2_500)]
    if not c.offers("insert_many"):
        rows = rows[:300]
        for row in rows:
            await c.store.insert(row)
    else:
        await c.store.insert_many(rows)
    c.equal("prune.older-than", await c.store.prune(older_than=then, limit=len(rows) - 50), len(rows) - 50)
    c.equal("prune.older-than", await c.store.prune(older_than=then), 50)
    c.equal("prune.older-than", await c.store.count(me), 0)


@check("prune/concurrent", "Two prunes at once delete each row once", "prune.older-than", part="prune")
async def concurrent(c: Context) -> None:
    me, then = c.recipient(), await _long_ago(c)
    await _old_rows(c, me, then, 20)
    calls = (c.store.prune(older_than=then) for _ in range(2))
    c.equal("prune.older-than", sum(await c.together("prune.older-than", calls)), 20, "the sum of the answers")
    c.equal("prune.older-than", await c.store.count(me), 0)


async def _long_ago(c: Context) -> datetime:
    """An instant of the 1970s before which there is nothing left."""
    then = datetime(1972, 1, 1, tzinfo=UTC) + random.randrange(5 * 365 * 86_400_000) * MILLISECOND
    await c.store.prune(older_than=then)
    return then


async def _old_rows(c: Context, recipient: Recipient, then: datetime, n: int) -> list[Notification]:
    return [await c.stored(recipient, at=then - timedelta(minutes=n - i)) for i in range(n)]
