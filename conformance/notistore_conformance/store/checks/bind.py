"""Optional: a store inside the host application's own transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from notistore.errors import DuplicateNotification
from notistore.model import Notification
from notistore.store import Part, supports

from ...registry import check
from ...running.exceptions import NotOffered, NotRun
from ...running.factories import entered
from ..context import AnyBoundStore, StoreContext
from .prune import in_the_past


class RollBack(Exception):
    """Leaves a transaction so that it rolls back."""


@check(
    "bind/commit",
    "What a bound store wrote is there once the host commits",
    "bind.commit",
    "bind.never-commits",
    part="bind",
)
async def commit(c: StoreContext) -> None:
    me = c.recipient()
    gone, read = await c.stored_many(me, 2)
    rows = [c.row(me), c.row(me, key="export:1")]
    async with _transaction(c) as (bound, _):
        await bound.insert(rows[0])
        c.is_row("bind.commit", await bound.upsert(rows[1]), rows[1], "the answer")
        c.equal("bind.commit", await bound.mark_read(me, read.id, at=c.at(1)), 1)
        c.equal("bind.commit", await bound.delete(me, gone.id), 1)
        inside = [rows[1], rows[0], replace(read, read_at=c.at(1))]
        c.are_rows("bind.commit", await bound.page(me), inside, "inside the transaction")
    c.are_rows("bind.commit", await c.store.page(me), inside, "after the commit")


@check(
    "bind/rollback",
    "What a bound store wrote is gone once the host rolls back",
    "bind.rollback",
    "bind.never-commits",
    part="bind",
)
async def rollback(c: StoreContext) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 2)
    keyed = await c.store.upsert(c.row(me, key="export:1"))
    with suppress(RollBack):
        async with _transaction(c) as (bound, _):
            await bound.insert(c.row(me))
            await bound.upsert(c.row(me, key="export:1"))
            await bound.upsert(c.row(me, key="export:2"))
            await bound.mark_all_read(me, at=c.at(1))
            await bound.delete(me, rows[0].id)
            c.equal("bind.rollback", await bound.count(me), 4, "inside the transaction")
            raise RollBack
    c.are_rows("bind.rollback", await c.store.page(me), [keyed, rows[1], rows[0]], "after the rollback")


@check(
    "bind/duplicate",
    "A duplicate id spoils nothing else in the host's transaction",
    "bind.never-commits",
    "insert.duplicate",
    part="bind",
)
async def duplicate(c: StoreContext) -> None:
    me = c.recipient()
    stored = await c.stored(me)
    before, after = c.row(me), c.row(me)
    async with _transaction(c) as (bound, _):
        await bound.insert(before)
        await c.raises("insert.duplicate", DuplicateNotification, bound.insert(replace(c.row(me), id=stored.id)))
        await bound.insert(after)
    c.are_rows("bind.never-commits", await c.store.page(me), [after, before, stored])


@check(
    "bind/savepoint",
    "A rolled-back savepoint takes back what was written in it, and no more",
    "bind.rollback",
    part="bind",
)
async def savepoint(c: StoreContext) -> None:
    me = c.recipient()
    before, within, after = c.row(me), c.row(me), c.row(me)
    async with _transaction(c) as (bound, session):
        await bound.insert(before)
        with suppress(RollBack):
            async with _savepoint(c, session):
                await bound.insert(within)
                raise RollBack
        await bound.insert(after)
    c.are_rows("bind.rollback", await c.store.page(me), [after, before])


@check(
    "bind/after-commit",
    "after_commit calls back once the rows can be read by others",
    "bind.after-commit",
    "bind.unsupported",
    part="bind",
)
async def after_commit(c: StoreContext) -> None:
    me = c.recipient()
    row = c.row(me)
    reads: list[asyncio.Task[Notification | None]] = []
    loop = asyncio.get_running_loop()
    async with _transaction(c) as (bound, _):
        await bound.insert(row)
        bound.after_commit(lambda: reads.append(loop.create_task(c.store.get(me, row.id))))
        await bound.count(me)
        c.equal("bind.after-commit", len(reads), 0, "calls before the commit")
    c.equal("bind.after-commit", len(reads), 1, "calls after the commit")
    c.is_row("bind.after-commit", await reads[0], row, "read when called")


@check("bind/after-rollback", "after_commit never calls back after a rollback", "bind.after-commit", part="bind")
async def after_rollback(c: StoreContext) -> None:
    me = c.recipient()
    calls: list[str] = []
    with suppress(RollBack):
        async with _transaction(c) as (bound, _):
            await bound.insert(c.row(me))
            bound.after_commit(lambda: calls.append("rolled back"))
            raise RollBack
    async with _transaction(c) as (bound, _):
        await bound.insert(c.row(me))
        bound.after_commit(lambda: calls.append("committed"))
    c.equal("bind.after-commit", calls, ["committed"], "calls")


@check(
    "bind/after-savepoint",
    "after_commit waits for the outermost commit, and drops what a savepoint rolled back",
    "bind.after-commit",
    part="bind",
)
async def after_savepoint(c: StoreContext) -> None:
    me = c.recipient()
    calls: list[str] = []
    async with _transaction(c) as (bound, session):
        await bound.insert(c.row(me))
        bound.after_commit(lambda: calls.append("outer"))
        async with _savepoint(c, session):
            await bound.insert(c.row(me))
            bound.after_commit(lambda: calls.append("inner"))
        c.equal("bind.after-commit", calls, [], "calls before the outermost commit")
        with suppress(RollBack):
            async with _savepoint(c, session):
                await bound.insert(c.row(me))
                bound.after_commit(lambda: calls.append("rolled back"))
                raise RollBack
    c.equal("bind.after-commit", sorted(calls), ["inner", "outer"], "calls after the commit")


@check(
    "bind/every-call",
    "Every method works inside the host's transaction, sees what it wrote, and is gone with a rollback",
    "bind.rollback",
    "bind.never-commits",
    part="bind",
    once=True,
)
@in_the_past
async def every_call(c: StoreContext, then: datetime) -> None:
    clause = "bind.rollback"
    me, other = c.recipient(), c.known(replace(c.recipient(), tenant=c.unique("tenant")))
    rows = await c.stored_many(me, 4)
    theirs = await c.stored(other)
    old = await c.stored(me, at=then - timedelta(days=1))
    await c.store.mark_read(me, rows[3].id, at=c.at(1))
    before = list(await c.store.page(me))
    # One transaction for each, for what one did wrong is not to be undone by the next.
    asks: dict[str, Callable[[AnyBoundStore], Awaitable[object]]] = {
        "mark_read": lambda bound: bound.mark_read(me, rows[0].id, at=c.at(2)),
        "mark_unread": lambda bound: bound.mark_unread(me, rows[3].id),
        "mark_all_read": lambda bound: bound.mark_all_read(me, types=["invoice.paid"], at=c.at(2)),
        "delete": lambda bound: bound.delete(me, rows[1].id),
        "upsert": lambda bound: bound.upsert(c.row(me, key="export:1")),
        "insert": lambda bound: bound.insert(c.row(me)),
    }
    parts: dict[Part, dict[str, Callable[[AnyBoundStore], Awaitable[object]]]] = {
        "insert_many": {"insert_many": lambda bound: bound.insert_many([c.row(me), c.row(me)])},
        "prune": {"prune": lambda bound: bound.prune(older_than=then)},
        "erase": {
            "erase": lambda bound: bound.erase(me),
            "erase_tenant": lambda bound: bound.erase_tenant(other.tenant or ""),
        },
    }
    async with _transaction(c) as (bound, _):
        for part, more in parts.items():
            asks |= more if supports(bound, part) else {}
        counts_many = supports(bound, "unread_counts")
    for name, ask in asks.items():
        with suppress(RollBack):
            async with _transaction(c) as (bound, _):
                await ask(bound)
                seen = list(await bound.page(me))
                unread = sum(row.read_at is None for row in seen)
                c.equal("bind.never-commits", await bound.count(me), len(seen), f"count inside, after {name}")
                c.equal(
                    "bind.never-commits", await bound.unread_count(me), unread, f"unread_count inside, after {name}"
                )
                if counts_many:
                    counts = dict(await bound.unread_counts([me]))
                    c.equal("bind.never-commits", counts, {me: unread}, f"unread_counts inside, after {name}")
                for row in [*seen, *before]:
                    found = next((each for each in seen if each.id == row.id), None)
                    c.is_row("bind.never-commits", await bound.get(me, row.id), found, f"get inside, after {name}")
                raise RollBack
        c.are_rows(clause, await c.store.page(me), before, f"after {name} and a rollback")
        c.are_rows(clause, await c.store.page(other), [theirs], f"of a neighbour, after {name} and a rollback")
    c.equal(clause, await c.store.delete(me, old.id), 1)


@check(
    "bind/evolves",
    "A row that evolves inside a transaction that is rolled back is as it was",
    "bind.never-commits",
    part="bind",
)
async def evolves(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.store.upsert(c.row(me, key="export:1"))
    with suppress(RollBack):
        async with _transaction(c) as (bound, _):
            for version in (2, 3, 4):
                stored = await bound.upsert(c.row(me, key="export:1"), renotify=version % 2 == 0)
                c.equal("bind.never-commits", stored.version, version, "the version answered")
            raise RollBack
    await c.unchanged("bind.never-commits", row)


@check(
    "bind/duplicate-of-many",
    "A duplicate in insert_many spoils nothing else in the host's transaction",
    "bind.never-commits",
    "insert-many.atomic",
)
async def duplicate_of_many(c: StoreContext) -> None:
    if not c.offers("bind"):
        raise NotOffered("bind")
    me = c.recipient()
    stored = await c.stored(me)
    before, after = c.row(me), c.row(me)
    async with _transaction(c) as (bound, _):
        if not supports(bound, "insert_many"):
            raise NotOffered("insert_many of a bound store")
        await bound.insert(before)
        many = [c.row(me), replace(c.row(me), id=stored.id)]
        await c.raises("insert-many.atomic", DuplicateNotification, bound.insert_many(many))
        await bound.insert(after)
    c.are_rows("bind.never-commits", await c.store.page(me), [after, before, stored])


@check(
    "bind/nested-savepoints",
    "A savepoint inside a savepoint takes back its own, and goes with the outer one",
    "bind.rollback",
    part="bind",
)
async def nested_savepoints(c: StoreContext) -> None:
    me = c.recipient()
    first, outer, inner, released, last = (c.row(me) for _ in range(5))
    async with _transaction(c) as (bound, session):
        await bound.insert(first)
        async with _savepoint(c, session):
            await bound.insert(outer)
            with suppress(RollBack):
                async with _savepoint(c, session):
                    await bound.insert(inner)
                    raise RollBack
        with suppress(RollBack):
            async with _savepoint(c, session):
                async with _savepoint(c, session):
                    await bound.insert(released)
                raise RollBack
        await bound.insert(last)
    c.are_rows("bind.rollback", await c.store.page(me), [last, outer, first])


@check(
    "bind/after-nested-savepoints",
    "after_commit drops what an outer savepoint rolled back, though the inner one was released",
    "bind.after-commit",
    part="bind",
)
async def after_nested_savepoints(c: StoreContext) -> None:
    me = c.recipient()
    calls: list[str] = []
    async with _transaction(c) as (bound, session):
        await bound.insert(c.row(me))
        bound.after_commit(lambda: calls.append("first"))
        async with _savepoint(c, session):
            await bound.insert(c.row(me))
            bound.after_commit(lambda: calls.append("outer"))
            with suppress(RollBack):
                async with _savepoint(c, session):
                    await bound.insert(c.row(me))
                    bound.after_commit(lambda: calls.append("inner, rolled back"))
                    raise RollBack
        with suppress(RollBack):
            async with _savepoint(c, session):
                async with _savepoint(c, session):
                    await bound.insert(c.row(me))
                    bound.after_commit(lambda: calls.append("released, then rolled back"))
                raise RollBack
    c.equal("bind.after-commit", sorted(calls), ["first", "outer"], "calls after the commit")


@check("bind/callbacks", "Each callback is called once, however many there are", "bind.after-commit", part="bind")
async def callbacks(c: StoreContext) -> None:
    calls: list[int] = []
    async with _transaction(c) as (bound, _):
        await bound.insert(c.row(c.recipient()))
        for n in range(3):
            bound.after_commit(lambda n=n: calls.append(n))  # type: ignore[misc]
    c.equal("bind.after-commit", sorted(calls), [0, 1, 2], "calls")


@asynccontextmanager
async def _transaction(c: StoreContext) -> AsyncIterator[tuple[AnyBoundStore, object]]:
    if c.implementation.transaction is None:
        raise NotRun("the store offers bind; yield a StoreImplementation with `transaction` to have it checked")
    async with entered(c.implementation.transaction()) as session:
        yield c.bind(session), session


@asynccontextmanager
async def _savepoint(c: StoreContext, session: object) -> AsyncIterator[None]:
    if c.implementation.savepoint is None:
        raise NotOffered("savepoints (StoreImplementation.savepoint)")
    async with entered(c.implementation.savepoint(session)):
        yield
