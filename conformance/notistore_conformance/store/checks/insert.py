"""Storing a new row."""

from __future__ import annotations

from dataclasses import replace

from notistore.errors import DuplicateNotification
from notistore.model import Actor, Notification

from ...registry import check
from ..context import StoreContext


@check(
    "insert/stores", "An inserted row is there, unread, for every way of reading", "insert.stores", "rows.round-trip"
)
async def stores(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me, "invoice.paid", key="invoice:7", actor=Actor("7", "staff"), trace_id="trace-1")
    c.is_row("rows.round-trip", await c.store.get(me, row.id), row)
    c.are_rows("insert.stores", await c.store.page(me), [row])
    c.equal("insert.stores", await c.store.count(me), 1)
    c.equal("insert.stores", await c.store.unread_count(me), 1)


@check(
    "insert/duplicate",
    "An id that is stored already is refused and its row stays as it is",
    "insert.duplicate",
    "insert.duplicate-unchanged",
)
async def duplicate(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    other = replace(c.row(me, "invoice.failed"), id=row.id)
    error = await c.raises("insert.duplicate", DuplicateNotification, c.store.insert(other))
    c.equal("insert.duplicate", getattr(error, "id", None), row.id, "the error's id")
    await c.unchanged("insert.duplicate-unchanged", row)
    c.equal("insert.duplicate-unchanged", await c.store.count(me), 1)


@check(
    "insert/duplicate-foreign",
    "The id of another recipient's row is refused too",
    "insert.duplicate",
    "insert.duplicate-unchanged",
)
async def duplicate_foreign(c: StoreContext) -> None:
    owner, intruder = c.recipient(), c.recipient()
    row = await c.stored(owner)
    await c.raises("insert.duplicate", DuplicateNotification, c.store.insert(replace(c.row(intruder), id=row.id)))
    await c.unchanged("insert.duplicate-unchanged", row)
    c.equal("insert.duplicate-unchanged", await c.store.count(intruder), 0)


@check("insert/concurrent", "Of many inserts of one id at once exactly one succeeds", "insert.duplicate")
async def concurrent(c: StoreContext) -> None:
    for _ in range(c.profile.rounds):
        me = c.recipient()
        first = c.row(me)
        rows = [replace(first, data={"writer": n}) for n in range(c.profile.racers)]

        async def won(row: Notification) -> bool:
            try:
                await c.store.insert(row)
            except DuplicateNotification:
                return False
            return True

        winners = [
            row for row, ok in zip(rows, await c.together("insert.duplicate", map(won, rows)), strict=True) if ok
        ]
        c.equal("insert.duplicate", len(winners), 1, "how many inserts succeeded")
        c.are_rows("insert.duplicate", await c.store.page(me), winners)


@check("insert/concurrent-rows", "Many different rows inserted at once are all there", "insert.stores")
async def concurrent_rows(c: StoreContext) -> None:
    me = c.recipient()
    rows = [c.row(me) for _ in range(c.profile.racers * 2)]
    await c.together("insert.stores", map(c.store.insert, rows))
    c.are_rows("insert.stores", await c.store.page(me, limit=100), rows[::-1])
    c.equal("insert.stores", await c.store.unread_count(me), len(rows))
