"""Counting: the number behind every badge."""

from __future__ import annotations

from ...registry import check
from ..context import StoreContext


@check("count/equals-page", "count is the number of rows page gives, with the same types", "count.equals-page")
async def equals_page(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, type) for type in ("a", "b", "a", "A")]
    await c.store.mark_read(me, rows[0].id, at=c.at(1))
    for types, expected in ((None, 4), ([], 4), (["a"], 2), (["b", "A"], 2), (["c"], 0), (["a", "a"], 2)):
        c.equal("count.equals-page", await c.store.count(me, types=types), expected, f"{types=}")
    await c.store.delete(me, rows[1].id)
    c.equal("count.equals-page", await c.store.count(me), 3, "after a delete")


@check("count/unread", "unread_count is the number of unread rows, with the same types", "unread-count.equals-page")
async def unread(c: StoreContext) -> None:
    me = c.recipient()
    c.equal("unread-count.equals-page", await c.store.unread_count(me), 0, "of an unknown recipient")
    rows = [await c.stored(me, type) for type in ("a", "b", "a", "A", "b")]
    await c.store.mark_read(me, rows[0].id, rows[1].id, at=c.at(1))
    for types, expected in ((None, 3), ([], 3), (["a"], 1), (["b", "A"], 2), (["c"], 0)):
        c.equal("unread-count.equals-page", await c.store.unread_count(me, types=types), expected, f"{types=}")
    await c.store.mark_unread(me, rows[0].id)
    await c.store.delete(me, rows[4].id)
    c.equal("unread-count.equals-page", await c.store.unread_count(me), 3, "after an unmark and a delete")


@check(
    "count/many",
    "More rows than a page holds are counted, all of them",
    "count.equals-page",
    "unread-count.equals-page",
    once=True,
)
async def many(c: StoreContext) -> None:
    me = c.recipient()
    rows = [c.row(me) for _ in range(1_100 if c.offers("insert_many") else 110)]
    await c.insert_all(rows)
    c.equal("count.equals-page", await c.store.count(me), len(rows), f"count of {len(rows)} rows")
    await c.store.mark_read(me, rows[0].id, at=c.at(1))
    c.equal("unread-count.equals-page", await c.store.unread_count(me), len(rows) - 1, f"of {len(rows)}, one is read")


@check(
    "count/at-most", "`at_most` is the most unread_count returns, within the types asked for", "unread-count.at-most"
)
async def at_most(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, type) for type in ("a", "b", "a", "b", "a")]
    await c.store.mark_read(me, rows[4].id, at=c.at(1))
    for at_most, expected in ((1, 1), (3, 3), (4, 4), (5, 4), (100, 4)):
        c.equal("unread-count.at-most", await c.store.unread_count(me, at_most=at_most), expected, f"{at_most=}")
    for types, at_most, expected in ((["a"], 1, 1), (["a"], 3, 2), (["b"], 2, 2), (["c"], 2, 0), ([], 3, 3)):
        got = await c.store.unread_count(me, types=types, at_most=at_most)
        c.equal("unread-count.at-most", got, expected, f"{types=}, {at_most=}")
