"""Optional: the right to be forgotten."""

from __future__ import annotations

from dataclasses import replace

from ...registry import check
from ..context import StoreContext
from ..neighbours import look_alikes


@check(
    "erase/recipient",
    "No row of the recipient is left, and every row of similar ones",
    "erase.recipient",
    part="erase",
)
async def recipient(c: StoreContext) -> None:
    me = c.known(replace(c.recipient(), id=c.unique("Zo\u00eb_1%")))
    rows = await c.stored_many(me, 3)
    await c.store.mark_read(me, rows[0].id, at=c.at(1))
    others = [replace(me, type="team"), replace(me, tenant=c.unique("tenant"))]
    others += [replace(me, id=id) for id in look_alikes(me.id)]
    others += [] if me.tenant is None else [replace(me, tenant=None)]
    kept = [await c.stored(c.known(other)) for other in others]
    c.equal("erase.recipient", await c.store.erase(me), 3)
    c.equal("erase.recipient", await c.store.count(me), 0)
    for row in rows:
        c.is_row("erase.recipient", await c.store.get(me, row.id), None)
    await c.unchanged("erase.recipient", *kept)
    c.equal("erase.recipient", await c.store.erase(me), 0, "a second time")


@check("erase/tenant", "No row of the tenant is left, and every row of similar ones", "erase.tenant", part="erase")
async def tenant(c: StoreContext) -> None:
    name = c.unique("Acm\u00e9_1%")
    me = c.known(replace(c.recipient(), tenant=name))
    team = c.known(replace(me, type="team"))
    rows = [await c.stored(me), await c.stored(c.known(replace(me, id=c.unique("user")))), await c.stored(team)]
    kept = [await c.stored(c.known(replace(me, tenant=other))) for other in [None, *look_alikes(name)]]
    c.equal("erase.tenant", await c.store.erase_tenant(name), 3)
    for row in rows:
        c.equal("erase.tenant", await c.store.count(row.recipient), 0)
    await c.unchanged("erase.tenant", *kept)
    c.equal("erase.tenant", await c.store.erase_tenant(name), 0, "a second time")
