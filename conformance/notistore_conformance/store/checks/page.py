"""Reading an inbox, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notistore.ids import new_id
from notistore.model import Cursor, Notification, Recipient

from ...registry import check
from ..context import StoreContext


@check("page/order", "Newest first, whatever the order of inserting", "page.order")
async def order(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, at=c.at(n / 1000)) for n in (3, 0, 7, 1, 6, 2, 5, 4)]  # milliseconds apart
    c.are_rows("page.order", await c.store.page(me), _newest_first(rows))


@check("page/equal-times", "Rows of one instant are ordered by id, whichever kind of id", "page.order")
async def equal_times(c: StoreContext) -> None:
    me = c.recipient()
    rows = [c.row(me, at=c.at(0), key=None if n % 2 else f"key:{n}") for n in range(12)]
    for row in sorted(rows, key=lambda row: row.id[::-1]):
        await c.store.insert(row)
    c.are_rows("page.order", await c.store.page(me), _newest_first(rows))


@check("page/limit", "At most `limit` rows, the newest; none for 0", "page.limit")
async def limit(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 51))[::-1]
    for limit in (0, 1, 50, 51, 52, 100):
        c.are_rows("page.limit", await c.store.page(me, limit=limit), rows[:limit], f"{limit=}")
    c.are_rows("page.limit", await c.store.page(me), rows[:50], "without a limit, which is 50")


@check("page/empty", "An unknown recipient's inbox is empty", "page.limit", "count.equals-page")
async def empty(c: StoreContext) -> None:
    me = c.recipient()
    c.are_rows("page.limit", await c.store.page(me), [])
    c.are_rows("page.limit", await c.store.page(me, offset=3, before=Cursor(c.at(0), new_id())), [])
    c.equal("count.equals-page", await c.store.count(me), 0)


@check("page/offset", "`offset` rows are passed over first, more than there are as well", "page.offset")
async def offset(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 5))[::-1]
    for offset in (0, 1, 4, 5, 9, 2**31 - 1):
        c.are_rows("page.offset", await c.store.page(me, offset=offset, limit=2), rows[offset : offset + 2])


@check("page/offset-filtered", "`offset` counts only rows that pass the filters", "page.offset", "filters.types")
async def offset_filtered(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, type) for type in ("a", "b") * 5][::-1]
    chosen = [row for row in rows if row.type == "a"]
    c.are_rows("page.offset", await c.store.page(me, types=["a"], offset=2), chosen[2:])
    await c.store.mark_read(me, *(row.id for row in rows[:4]), at=c.at(1))
    c.are_rows("page.offset", await c.store.page(me, unread_only=True, offset=1, limit=2), rows[5:7])


@check("page/before", "Before a cursor come the rows older than it, and never its own", "page.before")
async def before(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 5))[::-1]
    for n, row in enumerate(rows):
        c.are_rows("page.before", await c.store.page(me, before=row.cursor), rows[n + 1 :])
    c.are_rows("page.before", await c.store.page(me, before=rows[0].cursor, limit=2), rows[1:3])
    c.are_rows("page.before", await c.store.page(me, before=rows[0].cursor, offset=1, limit=2), rows[2:4])


@check("page/before-equal-times", "Cursors walk through rows of one instant, each row once", "page.before")
async def before_equal_times(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, at=c.at(n // 5)) for n in range(11)]
    for limit in (1, 2, 4):
        c.are_rows("page.before", await _walk(c, me, limit=limit), _newest_first(rows), f"limit {limit}")


@check("page/before-deleted", "A cursor outlives its row", "page.before")
async def before_deleted(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 4))[::-1]
    await c.store.delete(me, rows[1].id)
    c.are_rows("page.before", await c.store.page(me, before=rows[1].cursor), rows[2:])


@check("page/before-anywhere", "A cursor need not be a row's at all", "page.before")
async def before_anywhere(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, at=c.at(n)) for n in range(3)][::-1]
    for at, expected in ((c.at(9), rows), (c.at(1.5), rows[1:]), (c.at(1.001), rows[1:]), (c.at(-9), [])):
        c.are_rows("page.before", await c.store.page(me, before=Cursor(at, new_id())), expected, f"before {at}")
    lowest, highest = "00000000-0000-7000-8000-000000000000", "ffffffff-ffff-8fff-bfff-ffffffffffff"
    c.are_rows("page.before", await c.store.page(me, before=Cursor(c.at(1), lowest)), rows[2:], "the lowest id")
    c.are_rows("page.before", await c.store.page(me, before=Cursor(c.at(1), highest)), rows[1:], "the highest id")


@check("page/walk-while-inserting", "Rows that land during a walk neither repeat nor hide older ones", "page.before")
async def walk_while_inserting(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 7))[::-1]
    seen: list[Notification] = []
    cursor = None
    while page := await c.store.page(me, before=cursor, limit=2):
        seen += page
        cursor = page[-1].cursor
        if len(seen) > len(rows):
            break  # a store that repeats rows would never end
        await c.together("page.before", (c.store.insert(c.row(me)) for _ in range(3)))
    c.are_rows("page.before", seen, rows)


@check(
    "page/walk-while-reading",
    "Unread pages read while they are walked show every row once",
    "page.before",
    "page.unread-only",
)
async def walk_while_reading(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 7))[::-1]
    seen: list[Notification] = []
    cursor = None
    while page := await c.store.page(me, unread_only=True, before=cursor, limit=2):
        seen += page
        cursor = page[-1].cursor
        await c.store.mark_read(me, *(row.id for row in page), at=c.at(1))
    c.are_rows("page.before", seen, rows)
    c.are_rows("page.unread-only", await c.store.page(me, unread_only=True), [])


@check("page/unread-only", "Only unread rows, in the same order", "page.unread-only")
async def unread_only(c: StoreContext) -> None:
    me = c.recipient()
    rows = (await c.stored_many(me, 5))[::-1]
    await c.store.mark_read(me, rows[0].id, rows[3].id, at=c.at(1))
    unread = [rows[1], rows[2], rows[4]]
    c.are_rows("page.unread-only", await c.store.page(me, unread_only=True), unread)
    c.are_rows("page.unread-only", await c.store.page(me, unread_only=True, limit=2), unread[:2])
    c.equal("page.unread-only", len(await c.store.page(me)), 5, "rows without the filter")


@check("page/types", "Only rows of the types asked for, compared exactly; none given filters nothing", "filters.types")
async def types(c: StoreContext) -> None:
    me = c.recipient()
    names = ["invoice.paid", "Invoice.paid", "invoice.paid ", "invoice", "invoice_paid", "invoice%"]
    rows = [await c.stored(me, name) for name in names][::-1]
    for wanted in ([], None, *([name] for name in names), names[:3], ["unknown"], ["unknown", "invoice"], names * 3):
        expected = [row for row in rows if not wanted or row.type in wanted]
        c.are_rows("filters.types", await c.store.page(me, types=wanted), expected, f"types={wanted}")


@check(
    "page/everything-at-once",
    "Filters, cursor, offset and limit work together",
    "page.before",
    "page.offset",
    "page.unread-only",
    "filters.types",
)
async def everything_at_once(c: StoreContext) -> None:
    me = c.recipient()
    rows = [await c.stored(me, "abc"[n % 3]) for n in range(18)][::-1]
    await c.store.mark_read(me, *(row.id for row in rows[::4]), at=c.at(1))
    wanted = [row for n, row in enumerate(rows) if n > 2 and n % 4 and row.type in ("a", "c")]
    asked: dict[str, Any] = {"unread_only": True, "types": ("a", "c"), "before": rows[2].cursor}
    c.are_rows("filters.types", await c.store.page(me, **asked), wanted)
    c.are_rows("page.offset", await c.store.page(me, **asked, offset=3, limit=4), wanted[3:7])


def _newest_first(rows: Sequence[Notification]) -> list[Notification]:
    return sorted(rows, key=lambda row: row.cursor, reverse=True)


async def _walk(c: StoreContext, recipient: Recipient, *, limit: int) -> list[Notification]:
    seen: list[Notification] = []
    cursor = None
    while page := await c.store.page(recipient, before=cursor, limit=limit):
        seen += page
        cursor = page[-1].cursor
        if len(seen) > 100:
            break  # a store that repeats rows would never end
    return seen
