"""Optional: creating the table."""

from __future__ import annotations

from ...registry import check
from ..context import StoreContext


@check("schema/twice", "create_schema may be called again, and empties nothing", "schema.twice", part="schema")
async def twice(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    for _ in range(2):
        await c.store.create_schema()
        await c.unchanged("schema.twice", row)


@check("schema/concurrent", "create_schema may be called by many at once", "schema.twice", part="schema")
async def concurrent(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me)
    await c.together("schema.twice", (client.create_schema() for client in (c.store, c.peer) * 3))
    await c.unchanged("schema.twice", row)
