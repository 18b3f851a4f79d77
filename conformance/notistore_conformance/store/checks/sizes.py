"""Sizes just past those at which stores split their work: many ids, types, rows, recipients and versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from notistore.ids import new_id

from ...registry import check
from ..context import StoreContext
from .prune import in_the_past

SIZES: Final = (100, 256, 500, 512, 999, 1000, 1024, 2000, 2048, 2100, 5000, 9999)


@check(
    "sizes/ids",
    "Among many ids none is lost, repeated or miscounted at the seams of a store's chunks",
    "mark-read.marks",
    "mark-unread.marks",
    "delete.deletes",
    once=True,
)
async def ids(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, len(SIZES))
    unknown = [new_id() for _ in range(10_000)]
    for row, size in zip(rows, SIZES, strict=True):
        named = [*unknown[:size], row.id]  # the last one is alone in its chunk
        c.equal("mark-read.marks", await c.store.mark_read(me, *named, at=c.at(1)), 1, f"{size} unknown ids and one")
        c.equal("mark-unread.marks", await c.store.mark_unread(me, *named), 1, f"{size} unknown ids and one")
    spread = list(unknown)
    for row, size in zip(rows, SIZES, strict=True):
        spread[size] = row.id  # the first of a chunk
    c.equal("mark-read.marks", await c.store.mark_read(me, *spread, at=c.at(1)), len(rows), "spread over 10,000")
    c.equal("mark-unread.marks", await c.store.mark_unread(me, *spread), len(rows), "spread over 10,000")
    for row, size in zip(rows[::2], SIZES[::2], strict=True):
        deleted = await c.store.delete(me, *unknown[:size], row.id)
        c.equal("delete.deletes", deleted, 1, f"{size} unknown ids and one")
    c.equal("delete.deletes", await c.store.delete(me, *spread), len(rows[1::2]), "spread over 10,000")
    c.equal("delete.deletes", await c.store.count(me), 0)


@check(
    "sizes/types",
    "A hundred types, the most an Inbox passes on, are filtered by in every method",
    "filters.types",
    "mark-all-read.types",
    once=True,
)
async def types(c: StoreContext) -> None:
    me = c.recipient()
    names = [f"type {n}" for n in range(100)]
    rows = [await c.stored(me, names[n]) for n in (0, 10, 50, 64, 98, 99)]
    c.are_rows("filters.types", await c.store.page(me, types=names), rows[::-1])
    c.equal("filters.types", await c.store.count(me, types=names), len(rows), "count")
    c.equal("filters.types", await c.store.unread_count(me, types=names), len(rows), "unread_count")
    c.equal("filters.types", await c.store.unread_count(me, types=names, at_most=5), 5, "unread_count(at_most=5)")
    if c.offers("unread_counts"):
        c.equal("filters.types", dict(await c.store.unread_counts([me], types=names)), {me: len(rows)})
    c.equal("mark-all-read.types", await c.store.mark_all_read(me, types=names, at=c.at(1)), len(rows))


@check(
    "sizes/rows",
    "As many rows as were inserted at once are there, on one page, counted, marked and erased",
    "insert-many.stores",
    "page.limit",
    "page.offset",
    "count.equals-page",
    "unread-count.equals-page",
    "mark-all-read.marks",
    "mark-unread.marks",
    part="insert_many",
    once=True,
    seconds=60,
)
async def rows(c: StoreContext) -> None:
    for size in (101, 257, 501, 1000, 1001, 1025):
        who = c.recipient()
        await c.store.insert_many([c.row(who) for _ in range(size)])
        c.equal("insert-many.stores", await c.store.count(who), size, f"of {size} rows")
    me = c.recipient()
    made = [c.row(me) for _ in range(2_101)]
    await c.store.insert_many(made[:100])
    await c.store.insert_many(made[100:])  # 2,001
    newest = made[::-1]
    c.equal("count.equals-page", await c.store.count(me), len(made))
    c.equal("unread-count.equals-page", await c.store.unread_count(me), len(made))
    c.are_rows("page.limit", await c.store.page(me, limit=len(made)), newest)
    c.are_rows("page.offset", await c.store.page(me, offset=1_500, limit=3), newest[1_500:1_503])
    c.equal("mark-all-read.marks", await c.store.mark_all_read(me, at=c.at(1)), len(made))
    c.equal("unread-count.equals-page", await c.store.unread_count(me), 0)
    ids = [row.id for row in made]
    c.equal("mark-unread.marks", await c.store.mark_unread(me, *ids), len(made))
    c.equal("unread-count.equals-page", await c.store.unread_count(me), len(made))
    c.equal("insert-many.stores", await c.store.delete(me, *ids), len(made), "a delete of them all")


@check(
    "sizes/erase",
    "Erasing goes to the end of large inboxes, and of tenants of many",
    "erase.recipient",
    "erase.tenant",
    part="erase",
    once=True,
    seconds=60,
)
async def erase(c: StoreContext) -> None:
    large = 1_025 if c.offers("insert_many") else 130
    me = c.recipient()
    await c.insert_all([c.row(me) for _ in range(large)])
    c.equal("erase.recipient", await c.store.erase(me), large)
    c.equal("erase.recipient", await c.store.count(me), 0)
    tenant = c.unique("tenant")
    whos = [c.known(replace(c.recipient(), tenant=tenant)) for _ in range(min(large, 510))]
    await c.insert_all([c.row(who) for who in whos + whos[:1] * large])
    c.equal("erase.tenant", await c.store.erase_tenant(tenant), large + len(whos))
    left = [who for who in (whos[0], whos[100], whos[-1]) if await c.store.count(who)]
    c.equal("erase.tenant", left, [], "inboxes that are left")


@check(
    "sizes/recipients",
    "Counts of many recipients at once are each their own",
    "unread-counts.equals-single",
    part="unread_counts",
    once=True,
)
async def recipients(c: StoreContext) -> None:
    first = c.recipient()
    everyone = [replace(first, id=f"{n} {first.id}") for n in range(2_101)]
    places = [0, 99, 100, 499, 500, 511, 998, 999, 1000, 1023, 1024, 1999, 2000, 2047, 2048, 2099, 2100]
    for place in places:
        await c.stored(c.known(everyone[place]))
    for size in (101, 501, 1001, 1025, 2001, 2101):
        counts = dict(await c.store.unread_counts(everyone[:size]))
        c.equal("unread-counts.equals-single", len(counts), size, f"how many of {size} recipients have a count")
        found = [place for place, who in enumerate(everyone[:size]) if counts.get(who) == 1]
        c.equal("unread-counts.equals-single", found, [place for place in places if place < size], f"of {size}")


@check(
    "sizes/prune",
    "Pruning goes past rows it has to keep, and never past its limit",
    "prune.limit",
    "prune.only-read",
    part="prune",
    once=True,
    seconds=60,
)
@in_the_past
async def prune(c: StoreContext, then: datetime) -> None:
    me, size = c.recipient(), 2_101 if c.offers("insert_many") else 210
    made = [c.row(me, at=then - timedelta(days=1) + timedelta(seconds=n)) for n in range(size)]
    await c.insert_all(made)
    newest = [row.id for row in made[-30:]]
    await c.store.mark_read(me, *newest, at=c.at(1))
    pruned = await c.store.prune(older_than=then, only_read=True)
    c.equal("prune.only-read", pruned, 30, f"read rows, behind {size - 30} older ones that are unread")
    limit = size // 2 + 1
    c.equal("prune.limit", await c.store.prune(older_than=then, limit=limit), limit, f"{limit=}")
    c.equal("prune.limit", await c.store.count(me), size - 30 - limit, "rows left")
    c.equal("prune.limit", await c.store.prune(older_than=then), size - 30 - limit, "the rest, without a limit")


@check("sizes/versions", "A row that evolves often has a version that says how often", "upsert.version", once=True)
async def versions(c: StoreContext) -> None:
    me = c.recipient()
    for expected in range(1, 141):
        stored = await c.store.upsert(c.row(me, key="export:1"), renotify=expected % 2 == 0)
        c.equal("upsert.version", stored.version, expected, "the version answered")
