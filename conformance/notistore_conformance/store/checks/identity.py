"""Names that are nearly the same, in every method: recipients, types, keys and ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from notistore.errors import DuplicateNotification
from notistore.model import Notification

from ...registry import check
from .. import hostile
from ..context import StoreContext


@check(
    "identity/recipients",
    "Recipients that a column, collation or joined key may take for one have inboxes of their own in every method",
    "recipient.isolation",
    "ids.not-yours",
    "rows.round-trip",
    once=True,
)
async def recipients(c: StoreContext) -> None:
    clause = "recipient.isolation"
    rows = [await c.stored(c.known(who)) for who in hostile.recipients(c.unique("n"))]
    ids = [row.id for row in rows]
    for row in rows:
        who = row.recipient
        c.is_row("rows.round-trip", await c.store.get(who, row.id), row)
        c.are_rows(clause, await c.store.page(who), [row])
        c.equal(clause, await c.store.count(who), 1)
        c.equal(clause, await c.store.unread_count(who), 1)
    for before, after in pairwise(rows):
        c.is_row("ids.not-yours", await c.store.get(before.recipient, after.id), None)
        c.is_row("ids.not-yours", await c.store.get(after.recipient, before.id), None)
    for row in rows[::2]:  # so that of two that are nearly the same one has 0
        c.equal(clause, await c.store.mark_read(row.recipient, *_near(ids, row), at=c.at(1)), 1)
    await _badges(c, rows, lambda n: n % 2)
    for row in rows[1::2]:
        c.equal(clause, await c.store.mark_read(row.recipient, *_near(ids, row), at=c.at(1)), 1)
    for row in rows:
        c.equal(clause, await c.store.mark_unread(row.recipient, *_near(ids, row)), 1)
    for row in rows:
        c.equal(clause, await c.store.mark_all_read(row.recipient, at=c.at(1)), 1)
    await _badges(c, rows, lambda n: 0)
    for n, row in enumerate(rows):
        if n % 2 and c.offers("erase"):
            c.equal(clause, await c.store.erase(row.recipient), 1)
        else:
            c.equal(clause, await c.store.delete(row.recipient, *_near(ids, row)), 1)


async def _badges(c: StoreContext, rows: Sequence[Notification], unread: Callable[[int], int]) -> None:
    if c.offers("unread_counts"):
        asked = [row.recipient for row in rows]
        counts = dict(await c.store.unread_counts(asked))
        wrong = {who: counts.get(who) for n, who in enumerate(asked) if counts.get(who) != unread(n)}
        c.equal("recipient.isolation", wrong, {}, "counts of unread_counts that are not those recipients' own")


def _near(ids: list[str], row: Notification) -> list[str]:
    """The ids of the rows of recipients whose names are nearly the same."""
    at = ids.index(row.id)
    return ids[max(0, at - 6) : at + 7]


@check(
    "identity/erase",
    "Erasing a recipient or a tenant reaches none that is nearly the same",
    "erase.recipient",
    "erase.tenant",
    part="erase",
    once=True,
)
async def erase(c: StoreContext) -> None:
    first = c.recipient()
    names = [name for group in hostile.groups(c.unique("n")) for name in group]
    tenants = [await c.stored(c.known(replace(first, tenant=name))) for name in names]
    tenants.append(await c.stored(c.known(replace(first, tenant=None))))
    for row in tenants[:-1]:
        c.equal("erase.tenant", await c.store.erase_tenant(row.recipient.tenant or ""), 1)
    await c.unchanged("erase.tenant", tenants[-1])
    rows = [await c.stored(c.known(who)) for who in hostile.recipients(c.unique("n"))]
    for row in rows:
        c.equal("erase.recipient", await c.store.erase(row.recipient), 1)


@check(
    "identity/types",
    "A filter by type takes each of many types that are nearly the same for itself, in every method",
    "filters.types",
    "mark-all-read.types",
    once=True,
)
async def types(c: StoreContext) -> None:
    me, names = c.recipient(), hostile.types()
    rows = [await c.stored(me, name) for name in names]
    for row in rows:
        chosen = [row.type]
        c.are_rows("filters.types", await c.store.page(me, types=chosen), [row], f"types={chosen}")
        c.equal("filters.types", await c.store.count(me, types=chosen), 1, f"count of {chosen}")
        c.equal("filters.types", await c.store.unread_count(me, types=chosen), 1, f"unread_count of {chosen}")
        if c.offers("unread_counts"):
            found = dict(await c.store.unread_counts([me], types=chosen))
            c.equal("filters.types", found, {me: 1}, f"unread_counts of {chosen}")
    for n, row in enumerate(rows):
        c.equal(
            "mark-all-read.types", await c.store.mark_all_read(me, types=[row.type], at=c.at(n)), 1, f"{row.type!r}"
        )


@check(
    "identity/keys",
    "Keys that are nearly the same have rows of their own, in every inbox",
    "upsert.inserts",
    "upsert.version",
    "insert.stores",
    once=True,
)
async def keys(c: StoreContext) -> None:
    me, names = c.recipient(), hostile.keys(c.unique("k"))
    for version in (1, 2):
        for name in names:
            stored = await c.store.upsert(c.row(me, key=name))
            c.equal("upsert.version", (stored.key, stored.version), (name, version), "(key, version)")
    c.equal("upsert.inserts", await c.store.count(me), len(names))
    for who in (replace(me, tenant=c.unique("tenant")), replace(me, type="team"), c.recipient()):
        row = await c.stored(c.known(who), key=names[0])
        await c.unchanged("insert.stores", row)


@check(
    "identity/ids",
    "An id that is stored is refused, whatever else the other row says",
    "insert.duplicate",
    "insert.duplicate-unchanged",
)
async def ids(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me, at=c.at(1))
    later = c.at(86_400)
    others = [
        replace(row, created_at=later, updated_at=later),
        replace(row, type="other"),
        replace(row, key="export:1"),
        replace(row, read_at=later, version=9),
        replace(row, recipient=replace(me, type="team")),
        replace(row, recipient=c.known(replace(me, tenant=c.unique("tenant")))),
        replace(row, recipient=c.recipient()),
        row,
    ]
    for other in others:
        await c.raises("insert.duplicate", DuplicateNotification, c.store.insert(other))
        if c.offers("insert_many"):
            many = [c.row(me, at=c.at(2) + timedelta(seconds=1)), other]
            await c.raises("insert.duplicate", DuplicateNotification, c.store.insert_many(many))
    await c.unchanged("insert.duplicate-unchanged", row)
    c.equal("insert.duplicate-unchanged", await c.store.count(me), 1)
