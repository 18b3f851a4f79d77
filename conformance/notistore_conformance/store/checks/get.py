"""One row by its id."""

from __future__ import annotations

from dataclasses import replace

from notistore.ids import keyed_id, new_id

from ...registry import check
from ..context import StoreContext


@check("get/returns", "A row is returned as it is now stored", "get.returns")
async def returns(c: StoreContext) -> None:
    me = c.recipient()
    row, other = await c.stored_many(me, 2)
    c.is_row("get.returns", await c.store.get(me, row.id), row)
    await c.store.mark_read(me, row.id, at=c.at(1))
    c.is_row("get.returns", await c.store.get(me, row.id), replace(row, read_at=c.at(1)), "after a mark")
    c.is_row("get.returns", await c.store.get(me, other.id), other)


@check("get/unknown", "An id that is not there, or another recipient's, is None", "get.unknown", "ids.not-yours")
async def unknown(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    row = await c.stored(me)
    c.is_row("get.unknown", await c.store.get(me, new_id()), None)
    c.is_row("get.unknown", await c.store.get(me, keyed_id(me, "export:1")), None)
    c.is_row("ids.not-yours", await c.store.get(other, row.id), None, "of another recipient")
    elsewhere = replace(me, tenant=c.unique("tenant"))
    c.is_row("ids.not-yours", await c.store.get(elsewhere, row.id), None, "of another tenant")
