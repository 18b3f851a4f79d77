"""Everything that was read before a write is read again after it, to find stale caches and wrong counters."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from notistore.memory import MemoryStore
from notistore.model import Notification, Recipient

from ...registry import check
from ..context import StoreContext
from .prune import alone

AT_FIRST = "invoice.paid"


class Witness:
    """Makes each call on the store and on a MemoryStore, and compares all their reads afterwards."""

    def __init__(self, c: StoreContext, recipients: Sequence[Recipient]) -> None:
        self.c = c
        self.model = MemoryStore()
        self.recipients = recipients
        self.rows: dict[str, Recipient] = {}
        self.looks = 0

    async def then(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Write on both, and read everything again."""
        for row in _rows(args):
            self.rows[row.id] = row.recipient
            await self._same(self.c.store, f"before {name}", "get", row.recipient, row.id)
        answer = await getattr(self.c.store, name)(*args, **kwargs)
        expected = await getattr(self.model, name)(*args, **kwargs)
        if isinstance(expected, Notification):
            self.c.is_row("calls.durable", answer, expected, f"the answer of {name}")
        else:
            self.c.equal("calls.durable", answer, expected, f"the answer of {name}")
        await self.look(f"after {name}")

    async def look(self, when: str) -> None:
        self.looks += 1
        # The second client now and then: it was asked before, too.
        for store in (
            (self.c.store, self.c.peer) if self.looks % 4 == 1 and self.c.peer is not self.c.store else (self.c.store,)
        ):
            for who in self.recipients:
                for what in self._asked(who):
                    name, kwargs = what
                    await self._same(store, when, name, who, **kwargs)
            for id, owner in self.rows.items():
                await self._same(store, when, "get", owner, id)
            if self.c.offers("unread_counts"):
                for types in (None, [AT_FIRST]):
                    await self._same(store, when, "unread_counts", list(self.recipients), types=types)

    @staticmethod
    def _asked(who: Recipient) -> list[tuple[str, dict[str, Any]]]:
        return [
            ("page", {}),
            ("page", {"unread_only": True}),
            ("page", {"types": [AT_FIRST], "limit": 2}),
            ("page", {"offset": 1, "limit": 1}),
            ("count", {}),
            ("count", {"types": [AT_FIRST]}),
            ("unread_count", {}),
            ("unread_count", {"types": [AT_FIRST]}),
            ("unread_count", {"at_most": 1}),
        ]

    async def _same(self, store: Any, when: str, name: str, *args: Any, **kwargs: Any) -> None:
        call: Awaitable[Any] = getattr(store, name)(*args, **kwargs)
        got, expected = await call, await getattr(self.model, name)(*args, **kwargs)
        what = f"{name} {when}"
        match expected:
            case int():
                self.c.equal("calls.durable", got, expected, what)
            case Mapping():
                self.c.equal("calls.durable", dict(got), dict(expected), what)
            case list():
                self.c.are_rows("calls.durable", got, expected, what)
            case _:
                self.c.is_row("calls.durable", got, expected, what)


def _rows(args: Sequence[Any]) -> list[Notification]:
    flat = [row for arg in args for row in (arg if isinstance(arg, list) else [arg])]
    return [row for row in flat if isinstance(row, Notification)]


@check(
    "rereads/after-each-write",
    "After each kind of write every page, count and badge that was read before is read as it is now",
    "calls.durable",
    once=True,
)
async def after_each_write(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    w = Witness(c, [me, other])
    rows = [c.row(me, "invoice.paid" if n % 2 else "b") for n in range(4)]
    await w.look("before anything was written")
    for row in [*rows, c.row(other)]:
        await w.then("insert", row)
    await w.then("mark_read", me, rows[0].id, at=c.at(1))
    await w.then("mark_read", me, rows[1].id, rows[2].id, at=c.at(2))
    await w.then("mark_unread", me, rows[0].id)
    await w.then("mark_unread", me, rows[1].id, rows[2].id)
    for _ in range(3):  # made, ringing while it is unread, and again
        await w.then("upsert", c.row(me, key="export:1"))
    export = c.row(me, key="export:1").id
    await w.then("upsert", c.row(me, "b", key="export:1"), renotify=False)
    await w.then("mark_read", me, export, at=c.at(3))
    await w.then("upsert", c.row(me, key="export:1"), renotify=False)
    await w.then("upsert", c.row(me, "b", key="export:1"), renotify=False)
    await w.then("upsert", c.row(me, key="export:1"))
    await w.then("mark_read", me, export, at=c.at(3))
    await w.then("upsert", c.row(me, "b", key="export:1"))
    await w.then("mark_all_read", me, seen=rows[1].updated_at, at=c.at(4))
    await w.then("mark_all_read", me, types=["b"], at=c.at(5))
    await w.then("mark_unread", me, rows[0].id, rows[2].id, export)
    await w.then("mark_all_read", me, at=c.at(6))
    await w.then("mark_unread", me, rows[0].id, rows[1].id, rows[2].id)
    await w.then("delete", me, rows[0].id)
    await w.then("delete", me, rows[1].id, rows[2].id, export)
    await w.then("upsert", c.row(me, key="export:1"))
    if c.offers("insert_many"):
        await w.then("insert_many", [c.row(me), c.row(other), c.row(me, "b"), c.row(other, key="export:1")])
        await w.then("insert_many", [c.row(other)])
    if c.offers("erase"):
        await w.then("erase", other)
        await w.then("insert", c.row(other))
        await _erased_tenant(c)


async def _erased_tenant(c: StoreContext) -> None:
    here, there = c.recipient(), c.recipient()
    tenant = c.unique("tenant")
    w = Witness(c, [c.known(replace(who, tenant=tenant)) for who in (here, there)])
    for who in w.recipients:
        await w.then("upsert", c.row(who, key="export:1"))
        await w.then("insert", c.row(who))
    await w.then("erase_tenant", tenant)
    await w.then("upsert", c.row(w.recipients[0], key="export:1"))


@check(
    "rereads/after-pruning",
    "After pruning every page, count and badge that was read before is read as it is now",
    "calls.durable",
    part="prune",
    once=True,
)
async def after_pruning(c: StoreContext) -> None:
    async with alone(c) as then:
        me, other = c.recipient(), c.recipient()
        w = Witness(c, [me, other])
        read = [c.row(who, at=then - timedelta(hours=2)) for who in w.recipients]
        unread = [c.row(who, at=then - timedelta(hours=1)) for who in w.recipients]
        for row in [*read, *unread, c.row(me), c.row(other)]:
            await w.then("insert", row)
        for row in read:
            await w.then("mark_read", row.recipient, row.id, at=c.at(1))
        await w.then("prune", older_than=then, only_read=True)
        await w.then("prune", older_than=then)
