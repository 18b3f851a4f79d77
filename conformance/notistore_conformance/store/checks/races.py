"""Two different calls on the same rows at once: whichever comes first, the outcome is that of one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from notistore.errors import DuplicateNotification, NotistoreError, Unsupported
from notistore.model import Recipient

from ...registry import check
from ..context import StoreContext
from .prune import MILLISECOND, in_the_past

_HEAD_STARTS: Final = (1, 2, 0.25, 0.6, 3)  # turns of the event loop, or a part of the time the first call takes

_Call: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class _Order:
    """Which of two calls begins, and its head start: turns of the event loop (an integer), or seconds."""

    head_start: float
    swapped: bool = False

    async def race(self, one: _Call, other: _Call) -> list[Any]:
        """Make both calls at once, `one` first unless swapped; what each returned or raised, `one` first always."""
        first, second = (other, one) if self.swapped else (one, other)
        task = asyncio.ensure_future(first())
        if isinstance(self.head_start, int):
            for _ in range(self.head_start):
                await asyncio.sleep(0)
        else:
            await asyncio.wait([task], timeout=self.head_start)
        answers: list[Any] = list(await asyncio.gather(task, second(), return_exceptions=True))
        for answer in answers:
            if isinstance(answer, Unsupported) or (
                isinstance(answer, BaseException) and not isinstance(answer, NotistoreError)
            ):
                raise answer
        return answers[::-1] if self.swapped else answers


async def _orders(c: StoreContext) -> list[_Order]:
    """Each head start, with either call first."""
    return [_Order(start, swapped) for start in await _head_starts(c) for swapped in (False, True)]


async def _head_starts(c: StoreContext) -> list[float]:
    """Turns of the event loop, and seconds: parts of the time that a call takes."""
    started = time.perf_counter()
    await c.store.unread_count(c.recipient())
    took = time.perf_counter() - started
    starts = [start if isinstance(start, int) else start * took for start in _HEAD_STARTS]
    return starts if c.profile.name == "quick" else starts * 4


async def _agree(c: StoreContext, clause: str, who: Recipient) -> None:
    """The counts agree with the rows."""
    rows = await c.store.page(who, limit=100)
    unread = sum(row.read_at is None for row in rows)
    c.equal(clause, await c.store.unread_count(who), unread, "unread_count, and the unread rows of page")
    c.equal(clause, await c.store.count(who), len(rows), "count, and the rows of page")
    if c.offers("unread_counts"):
        c.equal(clause, dict(await c.store.unread_counts([who])), {who: unread}, "unread_counts")


def _succeeded(c: StoreContext, clause: str, answers: list[Any], *allowed: type[BaseException]) -> None:
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, allowed):
            c.equal(clause, answer, "no error", "of two calls at once")


COUNTED: Final = "unread-count.equals-page"


@check(
    "races/marks-and-upserts",
    "A mark and an upsert of one row at once lose neither the content nor the mark",
    "mark-all-read.seen",
    "mark-all-read.keeps-content",
    "mark-read.keeps-content",
    "mark-unread.keeps-content",
    "upsert.concurrent",
    "upsert.renotify",
    COUNTED,
    once=True,
)
async def marks_and_upserts(c: StoreContext) -> None:
    for order in await _orders(c):
        for kind in ("seen", "all", "one", "unread", "quiet", "quiet all"):
            await _mark_and_upsert(c, order, kind)


async def _mark_and_upsert(c: StoreContext, order: _Order, kind: str) -> None:
    me, s = c.recipient(), c.store
    old = await s.upsert(c.row(me, key="export:1"))
    new, quiet = c.row(me, "export.done", key="export:1"), kind in ("unread", "quiet", "quiet all")
    marks: dict[str, tuple[str, _Call]] = {
        "seen": ("mark-all-read.seen", lambda: s.mark_all_read(me, seen=old.updated_at, at=c.at(1))),
        "all": ("mark-all-read.keeps-content", lambda: s.mark_all_read(me, at=c.at(1))),
        "one": ("mark-read.keeps-content", lambda: s.mark_read(me, old.id, at=c.at(1))),
        "unread": ("mark-unread.keeps-content", lambda: s.mark_unread(me, old.id)),
        "quiet": ("upsert.renotify", lambda: s.mark_read(me, old.id, at=c.at(1))),
        "quiet all": ("upsert.renotify", lambda: s.mark_all_read(me, at=c.at(1))),
    }
    clause, mark = marks[kind]
    if kind == "unread":
        await s.mark_read(me, old.id, at=c.at(0.5))
    answers = await order.race(mark, lambda: s.upsert(new, renotify=not quiet))
    _succeeded(c, "upsert.concurrent", answers)
    got = await s.get(me, old.id)
    read_at = got.read_at if got else None
    if kind in ("seen", "unread"):  # the update is later than what was seen, whichever came first
        read_at = None
    elif quiet:
        read_at = c.at(1)
    c.is_row(clause, got, replace(new, created_at=old.created_at, version=2, read_at=read_at), "afterwards")
    await _agree(c, COUNTED, me)


@check(
    "races/deletes",
    "A deleted row stays deleted, and what an upsert says of it is so",
    "delete.deletes",
    "delete.concurrent",
    "upsert.inserts",
    "upsert.concurrent",
    COUNTED,
    once=True,
)
async def deletes(c: StoreContext) -> None:
    for order in await _orders(c):
        for kind in ("read", "unread", "all"):
            await _mark_and_delete(c, order, kind)
        await _upsert_and_delete(c, order)
        await _delete_and_erase(c, order)


async def _mark_and_delete(c: StoreContext, order: _Order, kind: str) -> None:
    me, s = c.recipient(), c.store
    row = await c.stored(me)
    marks: dict[str, _Call] = {
        "read": lambda: s.mark_read(me, row.id, at=c.at(1)),
        "unread": lambda: s.mark_unread(me, row.id),
        "all": lambda: s.mark_all_read(me, at=c.at(1)),
    }
    if kind == "unread":
        await s.mark_read(me, row.id, at=c.at(1))
    _succeeded(c, "delete.concurrent", await order.race(marks[kind], lambda: s.delete(me, row.id)))
    c.is_row("delete.deletes", await s.get(me, row.id), None, "after a delete and a mark at once")
    await _agree(c, COUNTED, me)


async def _upsert_and_delete(c: StoreContext, order: _Order) -> None:
    me, s = c.recipient(), c.store
    old = await s.upsert(c.row(me, key="export:1"))
    new = c.row(me, "export.done", key="export:1")
    stored, deleted = await order.race(lambda: s.upsert(new), lambda: s.delete(me, old.id))
    _succeeded(c, "upsert.concurrent", [stored, deleted])
    c.equal("delete.concurrent", deleted, 1, "the answer of the delete")
    # Deleted first, the row begins anew at version 1; upserted first, it is at version 2 and then gone.
    expected = new if stored.version == 1 else None
    c.is_row("upsert.inserts", await s.get(me, old.id), expected, f"after an upsert answered version {stored.version}")
    await _agree(c, COUNTED, me)


async def _delete_and_erase(c: StoreContext, order: _Order) -> None:
    if not c.offers("erase"):
        return
    me, s = c.recipient(), c.store
    row = await c.stored(me)
    answers = await order.race(lambda: s.delete(me, row.id), lambda: s.erase(me))
    _succeeded(c, "delete.concurrent", answers)
    c.equal("delete.concurrent", sum(answers), 1, "the sum of a delete's answer and an erase's")


@check(
    "races/inserts",
    "An insert, a bulk insert and an upsert of one id at once agree on who came first",
    "upsert.concurrent",
    "insert.duplicate",
    COUNTED,
    once=True,
)
async def inserts(c: StoreContext) -> None:
    for order in await _orders(c):
        await _upsert_and_insert(c, order)
        if c.offers("insert_many"):
            await _insert_and_insert_many(c, order)


async def _upsert_and_insert(c: StoreContext, order: _Order) -> None:
    me, s = c.recipient(), c.store
    one, other = c.row(me, key="export:1"), c.row(me, "other", key="export:1")
    stored, inserted = await order.race(lambda: s.upsert(other), lambda: s.insert(one))
    _succeeded(c, "upsert.concurrent", [stored])
    _succeeded(c, "insert.duplicate", [inserted], DuplicateNotification)
    version = 1 if isinstance(inserted, DuplicateNotification) else 2
    c.equal("upsert.concurrent", stored.version, version, f"the version, where the insert answered {inserted!r}")
    await _agree(c, COUNTED, me)


async def _insert_and_insert_many(c: StoreContext, order: _Order) -> None:
    me, s = c.recipient(), c.store
    row, beside = c.row(me), c.row(me)
    other = replace(c.row(me, "other"), id=row.id)
    one, many = await order.race(lambda: s.insert(other), lambda: s.insert_many([beside, row]))
    _succeeded(c, "insert.duplicate", [one, many], DuplicateNotification)
    failed = sum(isinstance(answer, DuplicateNotification) for answer in (one, many))
    c.equal("insert.duplicate", failed, 1, "how many of an insert and a bulk insert of one id were refused")
    c.equal("insert.duplicate", await s.count(me), 2 if many is None else 1, "rows stored")
    await _agree(c, COUNTED, me)


@check(
    "races/reads",
    "A page that is read while rows are deleted and marked holds whole rows, and of unread ones no read row",
    "page.order",
    "page.unread-only",
    once=True,
)
async def reads(c: StoreContext) -> None:
    for start in await _head_starts(c):
        for unread_only in (False, True):
            await _page_and_change(c, _Order(start), unread_only)


async def _page_and_change(c: StoreContext, order: _Order, unread_only: bool) -> None:
    me, s = c.recipient(), c.store
    rows = await c.stored_many(me, 3)
    id = rows[1].id
    page, changed = await order.race(
        lambda: s.page(me, unread_only=unread_only),
        (lambda: s.mark_read(me, id, at=c.at(1))) if unread_only else (lambda: s.delete(me, id)),
    )
    clause = "page.unread-only" if unread_only else "page.order"
    _succeeded(c, clause, [page, changed])
    wanted = [[rows[2], rows[0]], rows[::-1]]
    if [row and row.id for row in page] not in [[row.id for row in some] for some in wanted]:
        c.equal(clause, page, wanted, "one of these pages")
    for row in page:
        c.is_row(clause, row, next(each for each in rows if each.id == row.id), "on that page")


@check(
    "races/counters",
    "Whatever is written at once, the counts afterwards are those of the rows",
    COUNTED,
    "count.equals-page",
    once=True,
)
async def counters(c: StoreContext) -> None:
    for start in await _head_starts(c):
        await _many_writes(c, start)


async def _many_writes(c: StoreContext, start: float) -> None:
    me, s = c.recipient(), c.store
    rows = await c.stored_many(me, 8)
    ids = [row.id for row in rows]
    await s.mark_read(me, ids[6], ids[7], at=c.at(1))
    keyed = await s.upsert(c.row(me, key="export:1"))

    def calls() -> Iterator[Awaitable[Any]]:
        yield s.mark_read(me, ids[0], at=c.at(1))
        yield s.mark_read(me, ids[1], at=c.at(1))
        yield s.mark_unread(me, ids[6])
        yield s.delete(me, ids[2])
        yield s.delete(me, ids[7])
        yield s.insert(c.row(me))
        yield s.upsert(keyed)
        yield s.upsert(keyed, renotify=False)
        yield s.mark_read(me, ids[0], at=c.at(2))

    await c.together(COUNTED, calls())
    await _agree(c, COUNTED, me)
    marking = asyncio.ensure_future(s.mark_all_read(me, seen=rows[4].updated_at, at=c.at(3)))
    await asyncio.sleep(0 if isinstance(start, int) else start)
    await c.together(COUNTED, [marking, s.insert(c.row(me)), s.mark_unread(me, ids[1], ids[3])])
    await _agree(c, "count.equals-page", me)


@check(
    "races/prune",
    "A row that is made new, unread or deleted while old rows are pruned is not lost, nor counted twice",
    "prune.older-than",
    "prune.only-read",
    COUNTED,
    part="prune",
    once=True,
)
@in_the_past
async def prune(c: StoreContext, then: datetime) -> None:
    for order in await _orders(c):
        await _prune_and_upsert(c, order, then)
        await _prune_and_mark_unread(c, order, then)
        await _prune_and_delete(c, order, then)


async def _prune_and_upsert(c: StoreContext, order: _Order, then: datetime) -> None:
    me, s = c.recipient(), c.store
    old = c.row(me, key="export:1", at=then - timedelta(hours=1))
    new = c.row(me, key="export:1", at=then + MILLISECOND)
    await s.insert(old)
    pruned, stored = await order.race(lambda: s.prune(older_than=then), lambda: s.upsert(new))
    _succeeded(c, "prune.older-than", [pruned, stored])
    c.equal("prune.older-than", pruned, 2 - stored.version, f"pruned, of a row now at version {stored.version}")
    c.is_row("prune.older-than", await s.get(me, old.id), stored, "the row made new meanwhile")
    await s.delete(me, old.id)
    await _agree(c, COUNTED, me)


async def _prune_and_mark_unread(c: StoreContext, order: _Order, then: datetime) -> None:
    me, s = c.recipient(), c.store
    row = await c.stored(me, at=then - timedelta(hours=1))
    await s.mark_read(me, row.id, at=c.at(1))
    pruned, unmarked = await order.race(
        lambda: s.prune(older_than=then, only_read=True), lambda: s.mark_unread(me, row.id)
    )
    _succeeded(c, "prune.only-read", [pruned, unmarked])
    c.equal("prune.only-read", pruned + unmarked, 1, "of a prune of read rows and a mark_unread at once")
    expected = replace(row, read_at=None) if unmarked else None
    c.is_row("prune.only-read", await s.get(me, row.id), expected, f"where mark_unread answered {unmarked}")
    await s.delete(me, row.id)
    await _agree(c, COUNTED, me)


async def _prune_and_delete(c: StoreContext, order: _Order, then: datetime) -> None:
    me, s = c.recipient(), c.store
    row = await c.stored(me, at=then - timedelta(hours=1))
    answers = await order.race(lambda: s.prune(older_than=then), lambda: s.delete(me, row.id))
    _succeeded(c, "prune.older-than", answers)
    c.equal("prune.older-than", sum(answers), 1, "the sum of a prune's answer and a delete's")
    await _agree(c, COUNTED, me)
