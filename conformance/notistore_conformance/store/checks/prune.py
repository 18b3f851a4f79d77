"""Optional: retention. It affects every recipient's rows, so these checks use dates before 1900, unused elsewhere.

Two runs on one database take turns here: what one has stored to prune, the other's prune would delete.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Final

from notistore.errors import DuplicateNotification
from notistore.model import Notification, Recipient

from ...registry import check
from ..context import StoreContext

MILLISECOND = timedelta(milliseconds=1)

_TURN: Final = Recipient("conformance", "notistore")
_WAITING: Final = 20.0  # seconds until a run stops waiting for its turn
_TURN_TIMEOUT: Final = timedelta(seconds=60)  # a run that ended without giving its turn back had it longer


@asynccontextmanager
async def alone(c: StoreContext) -> AsyncIterator[datetime]:
    """While no other run prunes: an instant before 1900, with no row before it."""
    store = c.implementation.store
    turn = Notification.new(_TURN, "turn", key="prune")
    until = time.monotonic() + _WAITING
    mine = False
    while not mine and time.monotonic() < until:
        try:
            await store.insert(turn)
        except DuplicateNotification:
            held = await store.get(_TURN, turn.id)
            if held is not None and held.created_at < turn.created_at - _TURN_TIMEOUT:
                await store.delete(_TURN, turn.id)
            await asyncio.sleep(0.05)
        else:
            mine = True
    try:
        then = datetime(1850, 1, 1, tzinfo=UTC) + random.randrange(40 * 365 * 86_400_000) * MILLISECOND
        await c.store.prune(older_than=then)
        yield then
    finally:
        if mine:
            await store.delete(_TURN, turn.id)


def in_the_past(body: Callable[[StoreContext, datetime], Awaitable[None]]) -> Callable[[StoreContext], Awaitable[None]]:
    """Run a check inside `alone`."""

    @wraps(body)
    async def run(c: StoreContext) -> None:
        async with alone(c) as then:
            await body(c, then)

    return run


@check(
    "prune/older-than",
    "Rows updated strictly before older_than are deleted, of every recipient",
    "prune.older-than",
    part="prune",
)
@in_the_past
async def older_than(c: StoreContext, then: datetime) -> None:
    me, other = c.recipient(), c.recipient()
    old = [await c.stored(me, at=then - MILLISECOND), await c.stored(other, at=then - timedelta(days=30))]
    kept = [await c.stored(me, at=then), await c.stored(other, at=then + MILLISECOND), await c.stored(me)]
    await c.store.mark_read(me, old[0].id, at=c.at(1))
    c.equal("prune.older-than", await c.store.prune(older_than=then), 2)
    for row in old:
        c.is_row("prune.older-than", await c.store.get(row.recipient, row.id), None)
    await c.unchanged("prune.older-than", *kept)
    c.equal("prune.older-than", await c.store.prune(older_than=then), 0, "a second time")


@check("prune/updated-at", "Age counts from updated_at, not created_at", "prune.older-than", part="prune")
@in_the_past
async def updated_at(c: StoreContext, then: datetime) -> None:
    me = c.recipient()
    first = c.row(me, key="export:1", at=then - timedelta(days=2))
    await c.store.insert(first)
    updated = await c.store.upsert(c.row(me, key="export:1", at=then + MILLISECOND))
    c.equal("prune.older-than", await c.store.prune(older_than=then), 0)
    await c.unchanged("prune.older-than", updated)


@check("prune/only-read", "With only_read unread rows stay", "prune.only-read", part="prune")
@in_the_past
async def only_read(c: StoreContext, then: datetime) -> None:
    me = c.recipient()
    read, unread = await _old_rows(c, me, then, 2)
    recent = await c.stored(me)
    await c.store.mark_read(me, read.id, recent.id, at=c.at(1))
    c.equal("prune.only-read", await c.store.prune(older_than=then, only_read=True), 1)
    c.is_row("prune.only-read", await c.store.get(me, read.id), None)
    await c.unchanged("prune.only-read", unread)
    c.equal("prune.only-read", await c.store.count(me), 2)


@check("prune/limit", "At most `limit` rows go at a time", "prune.limit", part="prune")
@in_the_past
async def limit(c: StoreContext, then: datetime) -> None:
    me = c.recipient()
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
@in_the_past
async def many(c: StoreContext, then: datetime) -> None:
    me = c.recipient()
    rows = [c.row(me, at=then - timedelta(seconds=n + 1)) for n in range(2_500)]
    if not c.offers("insert_many"):
        rows = rows[:300]
    await c.insert_all(rows)
    c.equal("prune.older-than", await c.store.prune(older_than=then, limit=len(rows) - 50), len(rows) - 50)
    c.equal("prune.older-than", await c.store.prune(older_than=then), 50)
    c.equal("prune.older-than", await c.store.count(me), 0)


@check("prune/concurrent", "Two prunes at once delete each row once", "prune.older-than", part="prune")
@in_the_past
async def concurrent(c: StoreContext, then: datetime) -> None:
    me = c.recipient()
    await _old_rows(c, me, then, 20)
    calls = (c.store.prune(older_than=then) for _ in range(2))
    c.equal("prune.older-than", sum(await c.together("prune.older-than", calls)), 20, "the sum of the answers")
    c.equal("prune.older-than", await c.store.count(me), 0)


async def _old_rows(c: StoreContext, recipient: Recipient, then: datetime, n: int) -> list[Notification]:
    return [await c.stored(recipient, at=then - timedelta(minutes=n - i)) for i in range(n)]
