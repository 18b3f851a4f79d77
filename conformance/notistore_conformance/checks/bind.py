"""Optional: a store inside the host application's own transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from notistore.errors import DuplicateNotification
from notistore.model import Notification

from ..context import AnyBoundStore, Context, NotOffered, NotRun
from ..registry import check
from ..subject import entered


class RollBack(Exception):
    """Leaves a transaction so that it rolls back."""


@check(
    "bind/commit",
    "What a bound store wrote is there once the host commits",
    "bind.commit",
    "bind.never-commits",
    part="bind",
)
async def commit(c: Context) -> None:
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
async def rollback(c: Context) -> None:
    me = c.recipient()
    rows = await c.stored_many(me, 2)
    keyed = await c.store.upsert(c.row(me, key="export:1"))
    try:
        async with _transaction(c) as (bound, _):
            await bound.insert(c.row(me))
            await bound.upsert(c.row(me, key="export:1"))
            await bound.upsert(c.row(me, key="export:2"))
            await bound.mark_all_read(me, at=c.at(1))
            await bound.delete(me, rows[0].id)
            c.equal("bind.rollback", await bound.count(me), 4, "inside the transaction")
            raise RollBack
    except RollBack:
        pass
    c.are_rows("bind.rollback", await c.store.page(me), [keyed, rows[1], rows[0]], "after the rollback")


@check(
    "bind/duplicate",
    "A duplicate id spoils nothing else in the host's transaction",
    "bind.never-commits",
    "insert.duplicate",
    part="bind",
)
async def duplicate(c: Context) -> None:
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
async def savepoint(c: Context) -> None:
    me = c.recipient()
    before, within, after = c.row(me), c.row(me), c.row(me)
    async with _transaction(c) as (bound, session):
        await bound.insert(before)
        try:
            async with _savepoint(c, session):
                await bound.insert(within)
                raise RollBack
        except RollBack:
            pass
        await bound.insert(after)
    c.are_rows("bind.rollback", await c.store.page(me), [after, before])


@check(
    "bind/after-commit",
    "after_commit calls back once the rows can be read by others",
    "bind.after-commit",
    "bind.unsupported",
    part="bind",
)
async def after_commit(c: Context) -> None:
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
async def after_rollback(c: Context) -> None:
    me = c.recipient()
    calls: list[str] = []
    try:
        async with _transaction(c) as (bound, _):
            await bound.insert(c.row(me))
            bound.after_commit(lambda: calls.append("rolled back"))
            raise RollBack
    except RollBack:
        pass
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
async def after_savepoint(c: Context) -> None:
    me = c.recipient()
    calls: list[str] = []
    async with _transaction(c) as (bound, session):
        await bound.insert(c.row(me))
        bound.after_commit(lambda: calls.append("outer"))
        async with _savepoint(c, session):
            await bound.insert(c.row(me))
            bound.after_commit(lambda: calls.append("inner"))
        c.equal("bind.after-commit", calls, [], "calls before the outermost commit")
        try:
            async with _savepoint(c, session):
                await bound.insert(c.row(me))
                bound.after_commit(lambda: calls.append("rolled back"))
                raise RollBack
        except RollBack:
            pass
    c.equal("bind.after-commit", sorted(calls), ["inner", "outer"], "calls after the commit")


@asynccontextmanager
async def _transaction(c: Context) -> AsyncIterator[tuple[AnyBoundStore, object]]:
    if c.subject.transaction is None:
        raise NotRun("the store offers bind; yield a Subject with `transaction` to have it checked")
    async with entered(c.subject.transaction()) as session:
        yield c.bind(session), session


@asynccontextmanager
async def _savepoint(c: Context, session: object) -> AsyncIterator[None]:
    if c.subject.savepoint is None:
        raise NotOffered("savepoints (Subject.savepoint)")
    async with entered(c.subject.savepoint(session)):
        yield
