"""A call takes effect completely or not at all: for concurrent readers, after a cancellation, and after an error.

Each method that writes is given 40 rows. A reader that asks again and again finds all of them changed or none; so does
one that looks after a call that was cancelled part way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from notistore.errors import DuplicateNotification
from notistore.model import Notification, Recipient

from ...registry import check
from ...running.exceptions import NotOffered
from ..context import StoreContext
from .prune import alone

ROWS: Final = 40
CANCELLED: Final = 22  # calls of each method: more than a usual pool has connections


@dataclass(frozen=True, slots=True)
class Change:
    """A call on many rows, a function that reads its effect, and the values before and after it."""

    name: str
    call: Callable[[], Awaitable[Any]]
    seen: Callable[[], Awaitable[object]]
    before: object
    after: object


async def _changes(c: StoreContext) -> list[Change]:
    """Calls on separate rows, each to be made once."""
    s, reader = c.store, c.peer
    made: list[Change] = []

    def add(
        name: str, call: Callable[[], Awaitable[Any]], seen: Callable[[], Awaitable[object]], *states: object
    ) -> None:
        made.append(Change(name, call, seen, *states))

    for name in ("mark_read", "mark_all_read", "mark_unread", "delete", "erase"):
        if name == "erase" and not c.offers("erase"):
            continue
        me = c.recipient()
        ids = [row.id for row in await _filled(c, me)]
        if name == "mark_unread":
            await s.mark_all_read(me, at=c.at(1))
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "mark_read": lambda me=me, ids=ids: s.mark_read(me, *ids, at=c.at(1)),
            "mark_all_read": lambda me=me: s.mark_all_read(me, at=c.at(1)),
            "mark_unread": lambda me=me, ids=ids: s.mark_unread(me, *ids),
            "delete": lambda me=me, ids=ids: s.delete(me, *ids),
            "erase": lambda me=me: s.erase(me),
        }
        states = (0, ROWS) if name == "mark_unread" else (ROWS, 0)
        add(name, calls[name], lambda me=me: reader.unread_count(me), *states)  # type: ignore[misc]
    if c.offers("erase"):
        tenant = c.unique("tenant")
        who = c.known(replace(c.recipient(), tenant=tenant))
        await _filled(
            c, who
        )  # of many inboxes each is erased wholly, yet where they are on many servers not all at once
        add("erase_tenant", lambda: s.erase_tenant(tenant), lambda: reader.count(who), ROWS, 0)
    if c.offers("insert_many"):
        for size in (ROWS, 250):
            me = c.recipient()
            rows = [c.row(me) for _ in range(size)]
            add(
                f"insert_many of {size} rows",
                lambda rows=rows: s.insert_many(rows),  # type: ignore[misc]
                lambda me=me: reader.count(me),  # type: ignore[misc]
                0,
                size,
            )
        nobody = c.recipient()
        refused = [*(c.row(nobody) for _ in range(ROWS)), await c.stored(c.recipient())]
        add("insert_many of a duplicate", lambda: _refused(s.insert_many(refused)), lambda: reader.count(nobody), 0, 0)
    me = c.recipient()
    new = c.row(me, data={"padding": "x" * 500})
    add("insert", lambda: s.insert(new), lambda: reader.get(me, new.id), None, new)
    old = await s.upsert(c.row(me, key="export:1"))
    await s.mark_read(me, old.id, at=c.at(1))
    update = c.row(me, "export.done", {"padding": "y" * 500}, key="export:1")
    states_of_upsert = (
        replace(old, read_at=c.at(1)),
        replace(update, created_at=old.created_at, version=2),
    )
    add("upsert", lambda: s.upsert(update), lambda: reader.get(me, old.id), *states_of_upsert)
    return made


async def _filled(c: StoreContext, who: Recipient) -> list[Notification]:
    rows = [c.row(who) for _ in range(ROWS)]
    await c.insert_all(rows)
    return rows


async def _refused(call: Awaitable[Any]) -> None:
    try:
        await call
    except DuplicateNotification:
        return


@check(
    "whole/readers",
    "A concurrent reader sees all the rows that a call writes or none, for each method",
    "calls.atomic",
    "insert-many.atomic",
    once=True,
)
async def readers(c: StoreContext) -> None:
    for change in await _changes(c):
        clause = "insert-many.atomic" if change.name.startswith("insert_many") else "calls.atomic"
        c.equal(clause, await change.seen(), change.before, f"before {change.name}")
        call = asyncio.ensure_future(change.call())
        try:
            while not call.done():
                await asyncio.sleep(0)
                seen = await change.seen()
                if seen not in (change.before, change.after):
                    c.equal(clause, seen, change.after, f"while {change.name} was under way, or {change.before!r}")
        finally:
            await call
        c.equal(clause, await change.seen(), change.after, f"after {change.name}")


@check(
    "whole/cancelled",
    "A call on many rows that is cancelled part way has changed all of them or none, for each method",
    "calls.atomic",
    "calls.cancel",
    "unread-count.equals-page",
    once=True,
    seconds=60,
)
async def cancelled(c: StoreContext) -> None:
    _require_async(c)
    took = await _took(c)
    for n in range(8):
        before = len(c.recipients)
        for change in await _changes(c):
            await _cancel(change.call(), 1 + n % 5, took * n / 5 if n % 2 else 0)
            seen = await change.seen()
            if seen not in (change.before, change.after):
                c.equal("calls.atomic", seen, change.after, f"after a cancelled {change.name}, or {change.before!r}")
        for who in c.recipients[before:]:
            rows = await c.store.page(who, unread_only=True, limit=300)
            c.equal("unread-count.equals-page", await c.store.unread_count(who), len(rows), "after cancelled calls")


@check(
    "whole/cancelled-often",
    "Each method may be cancelled more often than a pool has connections, and the next calls are answered",
    "calls.cancel",
    once=True,
    seconds=60,
)
async def cancelled_often(c: StoreContext) -> None:
    _require_async(c)
    took = await _took(c)
    for name, call in _cheap(c).items():
        for n in range(CANCELLED + 6):
            await _cancel(call(), 1 + n % 3, took * n / CANCELLED if n >= CANCELLED else 0)
        async with asyncio.timeout(10):
            await call()
            me = c.recipient()
            row = await c.stored(me, key="export:1")
            await c.store.upsert(c.row(me, key="export:1"))
            c.equal("calls.cancel", await c.store.unread_count(me), 1, f"after {CANCELLED} cancelled calls of {name}")
            c.equal("calls.cancel", await c.store.delete(me, row.id), 1)


def _cheap(c: StoreContext) -> dict[str, Callable[[], Awaitable[Any]]]:
    s, me = c.store, c.recipient()
    row, keyed = c.row(me), c.row(me, key="export:1")
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "insert": lambda: s.insert(c.row(me)),
        "upsert": lambda: s.upsert(keyed),
        "get": lambda: s.get(me, keyed.id),
        "page": lambda: s.page(me),
        "count": lambda: s.count(me),
        "unread_count": lambda: s.unread_count(me),
        "mark_read": lambda: s.mark_read(me, keyed.id, at=c.at(1)),
        "mark_unread": lambda: s.mark_unread(me, keyed.id),
        "mark_all_read": lambda: s.mark_all_read(me, at=c.at(1)),
        "delete": lambda: s.delete(me, row.id),
    }
    if c.offers("insert_many"):
        calls["insert_many"] = lambda: s.insert_many([c.row(me), c.row(me)])
    if c.offers("unread_counts"):
        calls["unread_counts"] = lambda: s.unread_counts([me])
    if c.offers("erase"):
        calls["erase"] = lambda: s.erase(me)
    return calls


@check(
    "whole/cancelled-prunes",
    "Pruning may be cancelled more often than a pool has connections",
    "calls.cancel",
    once=True,
)
async def cancelled_prunes(c: StoreContext) -> None:
    _require_async(c)
    if not c.offers("prune"):
        raise NotOffered("prune")
    took = await _took(c)
    async with alone(c) as then:
        for n in range(CANCELLED):
            await _cancel(c.store.prune(older_than=then - timedelta(days=1)), 1 + n % 3, took if n % 4 == 3 else 0)
        async with asyncio.timeout(10):
            c.equal("calls.cancel", await c.store.unread_count(c.recipient()), 0, "afterwards")


@check(
    "whole/refused-often",
    "After many refused duplicates the row, its inbox and the store are free for every call",
    "insert.duplicate-unchanged",
    "calls.atomic",
    once=True,
)
async def refused_often(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me, key="export:1")
    for _ in range(CANCELLED):
        await c.raises("insert.duplicate-unchanged", DuplicateNotification, c.store.insert(row))
        if c.offers("insert_many"):
            many = [c.row(me), row]
            await c.raises("insert.duplicate-unchanged", DuplicateNotification, c.store.insert_many(many))
    async with asyncio.timeout(20):
        c.equal("insert.duplicate-unchanged", await c.peer.mark_read(me, row.id, at=c.at(1)), 1)
        c.equal("insert.duplicate-unchanged", await c.peer.mark_unread(me, row.id), 1)
        c.equal("insert.duplicate-unchanged", await c.peer.mark_all_read(me, at=c.at(1)), 1)
        stored = await c.peer.upsert(c.row(me, key="export:1"))
        c.equal("insert.duplicate-unchanged", stored.version, 2, "the version of the row that was there")
        await c.stored(me)
        c.equal("calls.atomic", await c.store.count(me), 2)
        c.equal("insert.duplicate-unchanged", await c.peer.delete(me, row.id), 1)


def _require_async(c: StoreContext) -> None:
    if c.implementation.is_sync:
        raise NotOffered("cancelling (the store is synchronous)")


async def _took(c: StoreContext) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    await c.store.unread_count(c.recipient())
    return time.perf_counter() - started


async def _cancel(call: Awaitable[Any], ticks: int, seconds: float) -> None:
    """Start a call and cancel it after some iterations of the event loop and this time."""
    task = asyncio.ensure_future(call)
    for _ in range(ticks):
        await asyncio.sleep(0)
    if seconds:
        await asyncio.wait([task], timeout=seconds)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
