"""Optional: bulk fan-out."""

from __future__ import annotations

from dataclasses import replace

from notistore.errors import DuplicateNotification
from notistore.model import Actor, Notification

from ...registry import check
from ..context import StoreContext


@check(
    "insert-many/stores",
    "Rows of many recipients are all there; none is fine",
    "insert-many.stores",
    part="insert_many",
)
async def stores(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    elsewhere = c.known(replace(me, tenant=c.unique("tenant")))
    rows = [
        c.row(me, "a", {"n": None}, key="export:1", actor=Actor("7"), trace_id="trace"),
        c.row(other),
        c.row(me, "b"),
        c.row(elsewhere, key="export:1"),
    ]
    await c.store.insert_many([])
    await c.store.insert_many(rows)
    c.are_rows("insert-many.stores", await c.store.page(me), [rows[2], rows[0]])
    await c.unchanged("insert-many.stores", *rows)
    c.equal("insert-many.stores", await c.store.unread_count(other), 1)


@check(
    "insert-many/stored-already",
    "An id that is there already keeps all rows out",
    "insert-many.atomic",
    part="insert_many",
)
async def stored_already(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    stored = await c.stored(other)
    for place in (0, 2, 4):
        rows = [c.row(me) for _ in range(5)]
        rows[place] = replace(rows[place], id=stored.id)
        await _refused(c, rows)
    await c.unchanged("insert-many.atomic", stored)


@check(
    "insert-many/twice",
    "An id that is there twice in the argument keeps all rows out",
    "insert-many.atomic",
    part="insert_many",
)
async def twice(c: StoreContext) -> None:
    me = c.recipient()
    rows = [c.row(me) for _ in range(4)]
    await _refused(c, [*rows, replace(c.row(me), id=rows[1].id)])


@check(
    "insert-many/large",
    "3,000 rows go in as one, and with a duplicate at the end none",
    "insert-many.atomic",
    "insert-many.stores",
    part="insert_many",
    once=True,
)
async def large(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    stored = await c.stored(other)
    rows = [c.row(me) for _ in range(3_000)]
    await _refused(c, [*rows[:-1], replace(rows[-1], id=stored.id)])
    await c.store.insert_many(rows)
    c.equal("insert-many.stores", await c.store.unread_count(me), len(rows))


async def _refused(c: StoreContext, rows: list[Notification]) -> None:
    await c.raises("insert-many.atomic", DuplicateNotification, c.store.insert_many(rows))
    c.equal("insert-many.atomic", await c.store.count(rows[-2].recipient), 0, "rows stored")
