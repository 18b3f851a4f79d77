"""Taking a mark back."""

from __future__ import annotations

from dataclasses import replace

from notistore.ids import new_id

from ...registry import check
from ..context import StoreContext


@check("mark-unread/marks", "Read rows become unread and are counted once, even if named twice", "mark-unread.marks")
async def marks(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 3)
    ids = [row.id for row in rows]
    await c.store.mark_read(me, *ids, at=c.at(1))
    c.equal("mark-unread.marks", await c.store.mark_unread(me, ids[0], ids[1], ids[0]), 2)
    await c.unchanged("mark-unread.marks", rows[0], rows[1], replace(rows[2], read_at=c.at(1)))
    c.equal("mark-unread.marks", await c.store.unread_count(me), 2)
    c.equal("mark-unread.marks", await c.store.mark_read(me, ids[0], at=c.at(2)), 1, "a mark after that")
    await c.unchanged("mark-unread.marks", replace(rows[0], read_at=c.at(2)))


@check(
    "mark-unread/others-untouched",
    "Unread, unknown and foreign rows are neither counted nor changed; nor is anything without ids",
    "mark-unread.others-untouched",
    "ids.not-yours",
)
async def others_untouched(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    unread, read = await c.stored_many(me, 2)
    theirs = await c.stored(other)
    elsewhere = await c.stored(c.known(replace(me, tenant=c.unique("tenant"))))
    for row in (read, theirs, elsewhere):
        await c.store.mark_read(row.recipient, row.id, at=c.at(1))
    for id in (theirs.id, elsewhere.id):
        c.equal("ids.not-yours", await c.store.mark_unread(me, id), 0)
    answer = await c.store.mark_unread(me, unread.id, new_id(), theirs.id, elsewhere.id)
    c.equal("mark-unread.others-untouched", answer, 0)
    c.equal("mark-unread.others-untouched", await c.store.mark_unread(me), 0, "without ids")
    kept = [replace(row, read_at=c.at(1)) for row in (read, theirs, elsewhere)]
    await c.unchanged("mark-unread.others-untouched", unread, *kept)


@check(
    "mark-unread/keeps-content", "Taking a mark back leaves updated_at and version alone", "mark-unread.keeps-content"
)
async def keeps_content(c: StoreContext) -> None:
    me = c.recipient()
    await c.store.insert(c.row(me, key="export:1"))
    row = await c.store.upsert(c.row(me, key="export:1"))
    await c.store.mark_read(me, row.id, at=c.at(1))
    [marked] = await c.store.page(me)
    await c.store.mark_unread(me, row.id)
    await c.unchanged("mark-unread.keeps-content", replace(marked, read_at=None))


@check("mark-unread/concurrent", "Of many calls for one read row at once exactly one reports it", "mark-unread.marks")
async def concurrent(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    await c.store.mark_read(me, row.id, at=c.at(1))
    calls = (c.store.mark_unread(me, row.id) for _ in range(c.profile.racers))
    c.equal("mark-unread.marks", sum(await c.together("mark-unread.marks", calls)), 1, "the sum of the answers")
