"""Marking rows read."""

from __future__ import annotations

from dataclasses import replace

from notistore.ids import new_id

from ...registry import check
from ..context import StoreContext


@check("mark-read/marks", "Unread rows get read_at and are counted once, even if named twice", "mark-read.marks")
async def marks(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 4)
    at = c.at(1.234)
    c.equal("mark-read.marks", await c.store.mark_read(me, rows[0].id, at=at), 1)
    c.equal("mark-read.marks", await c.store.mark_read(me, rows[1].id, rows[2].id, rows[1].id, at=at), 2)
    read = [replace(row, read_at=at) for row in rows[:3]]
    c.are_rows("mark-read.marks", await c.store.page(me), [rows[3], *read[::-1]])
    c.equal("mark-read.marks", await c.store.unread_count(me), 1)


@check("mark-read/first-wins", "A second mark changes nothing and counts nothing", "mark-read.first-wins")
async def first_wins(c: StoreContext) -> None:
    me = c.recipient()
    read, unread = await c.stored_many(me, 2)
    await c.store.mark_read(me, read.id, at=c.at(2))
    for at in (c.at(3), c.at(1)):
        c.equal("mark-read.first-wins", await c.store.mark_read(me, read.id, at=at), 0)
    c.equal("mark-read.first-wins", await c.store.mark_read(me, read.id, unread.id, at=c.at(4)), 1)
    await c.unchanged("mark-read.first-wins", replace(read, read_at=c.at(2)), replace(unread, read_at=c.at(4)))


@check(
    "mark-read/others-untouched",
    "Unknown, foreign and other tenants' ids are not counted, and nothing of theirs changes",
    "mark-read.others-untouched",
    "ids.not-yours",
)
async def others_untouched(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    mine, theirs = await c.stored(me), await c.stored(other)
    elsewhere = await c.stored(c.known(replace(me, tenant=c.unique("tenant"))))
    for id in (new_id(), theirs.id, elsewhere.id):
        c.equal("ids.not-yours", await c.store.mark_read(me, id, at=c.at(1)), 0)
    ids = [new_id(), theirs.id, mine.id, elsewhere.id]
    c.equal("mark-read.others-untouched", await c.store.mark_read(me, *ids, at=c.at(1)), 1)
    await c.unchanged("mark-read.others-untouched", theirs, elsewhere)


@check("mark-read/keeps-content", "Marking leaves updated_at and version alone", "mark-read.keeps-content")
async def keeps_content(c: StoreContext) -> None:
    me = c.recipient()
    await c.store.insert(c.row(me, key="export:1"))
    row = await c.store.upsert(c.row(me, key="export:1"))
    await c.store.mark_read(me, row.id, at=c.at(1))
    await c.unchanged("mark-read.keeps-content", replace(row, read_at=c.at(1)))


@check("mark-read/no-ids", "Without ids nothing is marked", "mark-read.no-ids")
async def no_ids(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    c.equal("mark-read.no-ids", await c.store.mark_read(me, at=c.at(1)), 0)
    await c.unchanged("mark-read.no-ids", row)


@check("mark-read/many-ids", "10,000 ids in one call, the most an Inbox passes on", "mark-read.marks", once=True)
async def many_ids(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 3)
    ids = [new_id() for _ in range(10_000)]
    ids[0], ids[5_000], ids[-1] = (row.id for row in rows)
    c.equal("mark-read.marks", await c.store.mark_read(me, *ids, at=c.at(1)), 3)
    await c.unchanged("mark-read.marks", *(replace(row, read_at=c.at(1)) for row in rows))


@check("mark-read/concurrent", "Of many marks of one row at once exactly one reports it", "mark-read.concurrent")
async def concurrent(c: StoreContext) -> None:
    me = c.recipient()
    for _ in range(c.profile.rounds):
        row = await c.stored(me)
        times = [c.at(n) for n in range(c.profile.racers)]
        marks = await c.together("mark-read.concurrent", (c.store.mark_read(me, row.id, at=at) for at in times))
        c.equal("mark-read.concurrent", sorted(marks), [0] * (len(times) - 1) + [1], "the answers")
        await c.unchanged("mark-read.concurrent", replace(row, read_at=times[marks.index(1)]))
