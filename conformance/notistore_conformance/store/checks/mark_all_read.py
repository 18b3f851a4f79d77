"""Marking a whole inbox read."""

from __future__ import annotations

from dataclasses import replace

from notistore.model import Notification

from ...registry import check
from ..context import StoreContext


@check("mark-all-read/marks", "Every unread row is marked, read ones keep their time", "mark-all-read.marks")
async def marks(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 4)
    await c.store.mark_read(me, rows[0].id, at=c.at(1))
    c.equal("mark-all-read.marks", await c.store.mark_all_read(me, at=c.at(2.5)), 3)
    await c.unchanged(
        "mark-all-read.marks", replace(rows[0], read_at=c.at(1)), *(replace(row, read_at=c.at(2.5)) for row in rows[1:])
    )
    c.equal("mark-all-read.marks", await c.store.unread_count(me), 0)
    c.equal("mark-all-read.marks", await c.store.mark_all_read(me, at=c.at(3)), 0, "a second time")
    await c.unchanged("mark-all-read.marks", replace(rows[1], read_at=c.at(2.5)))


@check(
    "mark-all-read/types", "With types only rows of those; none given means all", "mark-all-read.types", "filters.types"
)
async def types(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, type) for type in ("a", "A", "b", "c", "d")]
    c.equal("mark-all-read.types", await c.store.mark_all_read(me, types=["a", "b", "x"], at=c.at(1)), 2)
    read = [replace(row, read_at=c.at(1)) for row in (rows[0], rows[2])]
    await c.unchanged("mark-all-read.types", *read, rows[1], rows[3], rows[4])
    c.equal("mark-all-read.types", await c.store.mark_all_read(me, types=["x"], at=c.at(2)), 0, "of no known type")
    c.equal("filters.types", await c.store.mark_all_read(me, types=[], at=c.at(2)), 3, "with types=[]")


@check("mark-all-read/seen", "With seen, what changed after it stays unread, to the millisecond", "mark-all-read.seen")
async def seen(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, at=c.at(n / 1000)) for n in range(5)]
    c.equal("mark-all-read.seen", await c.store.mark_all_read(me, seen=c.at(-1), at=c.at(9)), 0, "before all rows")
    c.equal("mark-all-read.seen", await c.store.mark_all_read(me, seen=c.at(0.002), at=c.at(9)), 3)
    await c.unchanged("mark-all-read.seen", *(replace(row, read_at=c.at(9)) for row in rows[:3]), *rows[3:])
    c.equal("mark-all-read.seen", await c.store.mark_all_read(me, types=["x"], seen=c.at(9), at=c.at(9)), 0)
    c.equal("mark-all-read.seen", await c.store.mark_all_read(me, seen=c.at(9), at=c.at(10)), 2)


@check("mark-all-read/seen-updated", "seen is about updated_at, not created_at", "mark-all-read.seen")
async def seen_updated(c: StoreContext) -> None:
    me = c.recipient()
    await c.store.upsert(c.row(me, key="export:1", at=c.at(0)))
    updated = await c.store.upsert(c.row(me, key="export:1", at=c.at(2)))
    c.equal("mark-all-read.seen", await c.store.mark_all_read(me, seen=c.at(1), at=c.at(9)), 0)
    await c.unchanged("mark-all-read.seen", updated)


@check("mark-all-read/keeps-content", "Marking all leaves updated_at and version alone", "mark-all-read.keeps-content")
async def keeps_content(c: StoreContext) -> None:
    me = c.recipient()
    await c.store.insert(c.row(me, key="export:1"))
    row = await c.store.upsert(c.row(me, key="export:1"))
    await c.store.mark_all_read(me, at=c.at(1))
    await c.unchanged("mark-all-read.keeps-content", replace(row, read_at=c.at(1)))


@check("mark-all-read/concurrent", "Of many calls at once each row is counted by exactly one", "mark-all-read.marks")
async def concurrent(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 5)
    calls = (c.store.mark_all_read(me, at=c.at(n)) for n in range(c.profile.racers))
    c.equal("mark-all-read.marks", sum(await c.together("mark-all-read.marks", calls)), len(rows), "sum of the answers")


@check(
    "mark-all-read/while-inserting",
    "What lands after seen stays unread, even while it lands",
    "mark-all-read.seen",
    "insert.stores",
)
async def while_inserting(c: StoreContext) -> None:
    me = c.recipient()
    await c.stored_many(me, 3)
    late = [c.row(me, at=c.at(n + 1)) for n in range(c.profile.racers)]

    async def land(row: Notification) -> int:
        await c.store.insert(row)
        return await c.store.mark_all_read(me, seen=c.at(0), at=c.at(99))

    marked = await c.together("mark-all-read.seen", map(land, late))
    c.equal("mark-all-read.seen", sum(marked), 3, "rows marked in all")
    c.are_rows("insert.stores", await c.store.page(me, unread_only=True, limit=100), late[::-1])
