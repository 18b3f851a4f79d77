"""What holds for every call: it is whole, durable, can be cancelled, and fails with a StoreError."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from notistore.errors import StoreError
from notistore.ids import new_id

from ..context import Context, NotOffered
from ..registry import check
from ..subject import entered


@check("calls/durable", "What a call has acknowledged is there for the next, through either client", "calls.durable")
async def durable(c: Context) -> None:
    me = c.recipient()
    for writer, reader in ((c.store, c.peer), (c.peer, c.store)):
        row = c.row(me)
        await writer.insert(row)
        c.is_row("calls.durable", await reader.get(me, row.id), row, "an inserted row")
        c.equal("calls.durable", await reader.unread_count(me), 1)
        await writer.mark_read(me, row.id, at=c.at(1))
        c.is_row("calls.durable", await reader.get(me, row.id), replace(row, read_at=c.at(1)), "a marked row")
        c.equal("calls.durable", await reader.unread_count(me), 0)
        await writer.mark_unread(me, row.id)
        c.equal("calls.durable", await reader.mark_all_read(me, at=c.at(2)), 1, "marked by the other client")
        c.is_row("calls.durable", await writer.get(me, row.id), replace(row, read_at=c.at(2)))
        c.equal("calls.durable", await writer.delete(me, row.id), 1)
        c.are_rows("calls.durable", await reader.page(me), [])


@check(
    "calls/two-clients", "Two clients' upserts and marks of one row meet on it", "calls.durable", "upsert.concurrent"
)
async def two_clients(c: Context) -> None:
    if c.subject.peer is None:
        raise NotOffered("a second client on the same data (Subject.peer)")
    me = c.recipient()
    clients = [c.store, c.peer] * (c.profile.racers // 2)
    answers = await c.together("upsert.concurrent", (client.upsert(c.row(me, key="export:1")) for client in clients))
    versions = sorted(answer.version for answer in answers)
    c.equal("upsert.concurrent", versions, list(range(1, len(clients) + 1)), "the versions answered")
    marks = await c.together("calls.durable", (client.mark_read(me, answers[0].id, at=c.at(1)) for client in clients))
    c.equal("calls.durable", sum(marks), 1, "marks that report the row")


@check(
    "calls/cancel",
    "Calls cancelled part way leave the store usable, and every row whole",
    "calls.cancel",
    "calls.atomic",
)
async def cancel(c: Context) -> None:
    _require_async(c)
    me = c.recipient()
    stored, kept = await c.stored(me), await c.stored(me)
    tried = [c.row(me, key=f"export:{n}", data={"padding": "x" * 1000}) for n in range(12)]
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: c.store.page(me),
        lambda: c.store.mark_read(me, stored.id, at=c.at(1)),
        lambda: c.store.unread_count(me),
        lambda: c.store.mark_all_read(me, types=["x"], at=c.at(1)),
        lambda: c.store.delete(me, new_id()),
    ]
    for row in tried:
        calls += [lambda row=row: c.store.upsert(row)] * 2  # type: ignore[misc]
    took = await _seconds(lambda: c.store.upsert(c.row(me, key="export:took")))
    for n, call in enumerate(calls * 2):
        await _cancelled(c, call, ticks=n % 20, seconds=took * (n % 10) / 10 if n % 2 else 0)
    async with asyncio.timeout(20):
        await c.together("calls.cancel", (c.store.unread_count(me) for _ in range(24)))
        late = c.row(me)
        await c.store.insert(late)
        await c.unchanged("calls.cancel", late, kept)
    for row in tried:
        got = await c.store.get(me, row.id)
        if got is not None:
            c.is_row("calls.atomic", got, replace(row, version=got.version), "a row whose upsert was cancelled")


@check("calls/atomic", "A call on many rows that is cancelled changes all of them or none", "calls.atomic", once=True)
async def atomic(c: Context) -> None:
    _require_async(c)
    me = c.recipient()
    ids = [row.id for row in await c.stored_many(me, 50)]
    took = await _seconds(lambda: c.store.mark_unread(me, *ids))
    for n in range(16):
        await c.store.mark_unread(me, *ids)
        await _cancelled(
            c,
            lambda n=n: c.store.mark_read(me, *ids, at=c.at(n)),  # type: ignore[misc]
            ticks=n,
            seconds=took * n / 16 if n % 2 else 0,
        )
        unread = await c.store.unread_count(me)
        if unread != 0:
            c.equal("calls.atomic", unread, len(ids), "unread rows, if not 0")


@check(
    "calls/errors",
    "While the database cannot be reached calls raise StoreError, and work again afterwards",
    "calls.errors",
)
async def errors(c: Context) -> None:
    if c.subject.outage is None:
        raise NotOffered("a way to cut the store off from its database (Subject.outage)")
    me = c.recipient()
    row = await c.stored(me)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: c.store.insert(c.row(me)),
        lambda: c.store.upsert(c.row(me, key="export:1")),
        lambda: c.store.get(me, row.id),
        lambda: c.store.page(me),
        lambda: c.store.count(me),
        lambda: c.store.unread_count(me),
        lambda: c.store.mark_read(me, row.id, at=c.at(1)),
        lambda: c.store.mark_unread(me, row.id),
        lambda: c.store.mark_all_read(me, at=c.at(1)),
        lambda: c.store.delete(me, row.id),
    ]
    async with entered(c.subject.outage()):
        for call in calls:
            error = await c.raises("calls.errors", StoreError, call())
            c.equal("calls.errors", "none" if error.__cause__ is None else "some", "some", "error it was raised from")
    await c.unchanged("calls.errors", row)


def _require_async(c: Context) -> None:
    if c.subject.is_sync:
        raise NotOffered("cancelling (the store is synchronous)")


async def _seconds(call: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


async def _cancelled(c: Context, call: Callable[[], Awaitable[object]], *, ticks: int, seconds: float) -> None:
    """Start a call and cancel it after some turns of the event loop and a part of the time it takes."""
    task = asyncio.ensure_future(call())
    for _ in range(ticks):
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    [answer] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(answer, BaseException) and not isinstance(answer, asyncio.CancelledError):
        raise answer
