"""Deleting rows."""

from __future__ import annotations

from dataclasses import replace

from notistore.ids import new_id

from ...registry import check
from ..context import StoreContext


@check("delete/deletes", "Deleted rows are gone for every method, and counted once", "delete.deletes")
async def deletes(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 4)
    ids = [row.id for row in rows]
    await c.store.mark_read(me, ids[1], at=c.at(1))
    c.equal("delete.deletes", await c.store.delete(me, ids[0], ids[1], ids[0]), 2, "one unread, one read")
    c.equal("delete.deletes", await c.store.delete(me, ids[0]), 0, "a second time")
    c.is_row("delete.deletes", await c.store.get(me, ids[0]), None)
    c.are_rows("delete.deletes", await c.store.page(me), [rows[3], rows[2]])
    c.equal("delete.deletes", await c.store.count(me), 2)
    c.equal("delete.deletes", await c.store.unread_count(me), 2)
    c.equal("delete.deletes", await c.store.mark_read(me, *ids, at=c.at(2)), 2, "a mark of all four")
    c.equal("delete.deletes", await c.store.mark_unread(me, *ids[:2]), 0, "a mark taken back")
    await c.store.insert(rows[0])
    await c.unchanged("delete.deletes", rows[0])


@check(
    "delete/others-untouched",
    "Unknown, foreign and other tenants' ids are not counted, and nothing of theirs changes",
    "delete.others-untouched",
    "ids.not-yours",
)
async def others_untouched(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    mine, theirs = await c.stored(me), await c.stored(other)
    elsewhere = await c.stored(c.known(replace(me, tenant=c.unique("tenant"))))
    for id in (new_id(), theirs.id, elsewhere.id):
        c.equal("ids.not-yours", await c.store.delete(me, id), 0)
    answer = await c.store.delete(me, new_id(), theirs.id, elsewhere.id, mine.id)
    c.equal("delete.others-untouched", answer, 1)
    await c.unchanged("delete.others-untouched", theirs, elsewhere)


@check("delete/no-ids", "Without ids nothing is deleted", "delete.no-ids")
async def no_ids(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    c.equal("delete.no-ids", await c.store.delete(me), 0)
    await c.unchanged("delete.no-ids", row)


@check("delete/many-ids", "10,000 ids in one call, the most an Inbox passes on", "delete.deletes", once=True)
async def many_ids(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 3)
    ids = [new_id() for _ in range(10_000)]
    ids[0], ids[5_000], ids[-1] = (row.id for row in rows)
    c.equal("delete.deletes", await c.store.delete(me, *ids), 3)
    c.equal("delete.deletes", await c.store.count(me), 0)


@check("delete/concurrent", "Of many deletes of one row at once exactly one reports it", "delete.concurrent")
async def concurrent(c: StoreContext) -> None:
    me = c.recipient()
    for _ in range(c.profile.rounds):
        row = await c.stored(me)
        calls = (c.store.delete(me, row.id) for _ in range(c.profile.racers))
        answers = await c.together("delete.concurrent", calls)
        c.equal("delete.concurrent", sorted(answers), [0] * (c.profile.racers - 1) + [1], "the answers")
        c.is_row("delete.concurrent", await c.store.get(me, row.id), None)
