"""What holds for every call: it is whole, durable, can be cancelled, and fails with a StoreError."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from notistore.errors import DuplicateNotification, OutcomeUnknown, StoreError
from notistore.ids import new_id
from notistore.model import Notification

from ...registry import check
from ...running.exceptions import ContractViolation, NotOffered, NotRun, Waived
from ...running.factories import entered
from ..context import StoreContext


@check("calls/durable", "What a call has acknowledged is there for the next, through either client", "calls.durable")
async def durable(c: StoreContext) -> None:
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
async def two_clients(c: StoreContext) -> None:
    if c.implementation.peer is None:
        raise NotOffered("a second client on the same data (StoreImplementation.peer)")
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
async def cancel(c: StoreContext) -> None:
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
async def atomic(c: StoreContext) -> None:
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
async def errors(c: StoreContext) -> None:
    if c.implementation.outage is None and c.implementation.no_outage is None:
        raise NotRun(
            "nothing shows that an error of the database is a StoreError; yield a StoreImplementation with `outage`, "
            "or with `no_outage` and why there cannot be one"
        )
    if c.implementation.outage is None:
        raise Waived(f"outages waived: {c.implementation.no_outage}")
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
    many = [c.row(me), c.row(me)]
    if c.offers("insert_many"):
        calls.append(lambda: c.store.insert_many([c.row(me), c.row(me)]))
    if c.offers("unread_counts"):
        calls.append(lambda: c.store.unread_counts([me]))
    if c.offers("prune"):
        calls.append(lambda: c.store.prune(older_than=datetime(1850, 1, 1, tzinfo=UTC)))
    if c.offers("erase"):
        calls += [lambda: c.store.erase(me), lambda: c.store.erase_tenant(c.unique("tenant"))]
    if c.offers("schema"):
        calls.append(c.store.create_schema)
    async with entered(c.implementation.outage()):
        raised = [c.raises("calls.errors", StoreError, call()) for call in calls]
        # At once, for a pool may wait for a connection before it gives up.
        for error in await asyncio.gather(*raised, return_exceptions=True):
            if not isinstance(error, StoreError):
                raise error
            c.equal("calls.errors", "none" if error.__cause__ is None else "some", "some", "error it was raised from")
    await c.unchanged("calls.errors", row)
    if c.offers("insert_many"):
        await c.store.insert_many(many)
        await c.unchanged("calls.errors", *many)
    for call in calls[2:]:
        await call()


@check(
    "calls/lost-reply",
    "A write whose reply is lost has taken effect once or not at all, and says so",
    "calls.lost-reply",
    once=True,
)
async def lost_reply(c: StoreContext) -> None:
    if c.implementation.lose_reply is None:
        raise NotOffered("replies that are lost (StoreImplementation.lose_reply)")
    me, s = c.recipient(), c.store
    new, many, first = c.row(me), c.row(me), c.row(me, key="export:1")
    old, unread, gone = await s.upsert(c.row(me, key="export:2")), await c.stored(me), await c.stored(me)
    again = c.row(me, key="export:2")
    evolved = replace(again, version=2, created_at=old.created_at)
    read = replace(unread, read_at=c.at(1))
    alone = await c.stored(c.recipient())
    await _losing(c, new.id, lambda: s.insert(new), None, (None, new))
    if c.offers("insert_many"):
        await _losing(c, many.id, lambda: s.insert_many([c.row(me), many]), None, (None, many))
    await _losing(c, first.id, lambda: s.upsert(first), first, (None, first))
    await _losing(c, old.id, lambda: s.upsert(again), evolved, (old, evolved))
    await _losing(c, unread.id, lambda: s.mark_read(me, unread.id, at=c.at(1)), 1, (unread, read))
    await s.mark_read(me, unread.id, at=c.at(1))
    await _losing(c, unread.id, lambda: s.mark_unread(me, unread.id), 1, (read, unread))
    marked = (alone, replace(alone, read_at=c.at(2)))
    await _losing(c, alone.recipient.id, lambda: s.mark_all_read(alone.recipient, at=c.at(2)), 1, marked)
    await _losing(c, gone.id, lambda: s.delete(me, gone.id), 1, (gone, None))


def _require_async(c: StoreContext) -> None:
    if c.implementation.is_sync:
        raise NotOffered("cancelling (the store is synchronous)")


async def _seconds(call: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


async def _cancelled(c: StoreContext, call: Callable[[], Awaitable[object]], *, ticks: int, seconds: float) -> None:
    """Start a call and cancel it after some iterations of the event loop and a part of its usual time."""
    task = asyncio.ensure_future(call())
    for _ in range(ticks):
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    [answer] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(answer, BaseException) and not isinstance(answer, asyncio.CancelledError):
        raise answer


async def _losing(
    c: StoreContext,
    id: str,
    call: Callable[[], Awaitable[object]],
    expected: object,
    rows: tuple[Notification | None, Notification | None],
) -> None:
    """Lose the reply to a call; `rows` is what it changes, before and after."""
    assert c.implementation.lose_reply is not None
    async with entered(c.implementation.lose_reply(id)):
        [answer] = await asyncio.gather(call(), return_exceptions=True)
    before, after = rows
    known = before or after
    assert known is not None
    stored = await c.peer.get(known.recipient, known.id)
    match answer:
        case DuplicateNotification():
            wanted = "OutcomeUnknown, or None: no other call has stored that row"
            raise ContractViolation(c.explain(["calls.lost-reply"], wanted, c.log.show(answer)))
        case OutcomeUnknown():
            c.is_row("calls.lost-reply", stored, after if stored == after else before, "the row, once or not at all")
        case StoreError():
            c.is_row("calls.lost-reply", stored, before, "the row, for only OutcomeUnknown may have changed it")
        case BaseException():
            raise answer
        case _:
            c.equal("calls.lost-reply", answer, expected, "the answer")
            c.is_row("calls.lost-reply", stored, after, "the row")
