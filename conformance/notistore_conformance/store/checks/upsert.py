"""A row that evolves in place."""

from __future__ import annotations

from dataclasses import replace

from notistore.errors import Unsupported
from notistore.model import Actor, Notification, Recipient

from ...registry import check
from ..context import StoreContext


@check(
    "upsert/inserts",
    "The first upsert of a key inserts its row, with version 1",
    "upsert.inserts",
    "upsert.unsupported",
)
async def inserts(c: StoreContext) -> None:
    me = c.recipient()
    row = c.row(me, "export.progress", {"progress": 1}, key="export:1", actor=Actor("7"), trace_id="trace-1")
    try:
        stored = await c.store.upsert(replace(row, version=9))
    except Unsupported:
        c.is_row("upsert.unsupported", await c.store.get(me, row.id), None)
        raise
    c.is_row("upsert.inserts", stored, row, "the answer")
    c.are_rows("upsert.inserts", await c.store.page(me), [row])
    c.equal("upsert.inserts", await c.store.unread_count(me), 1)


@check("upsert/replaces", "The next upsert replaces the content wholly, and merges nothing", "upsert.replaces")
async def replaces(c: StoreContext) -> None:
    me = c.recipient()
    first = c.row(me, "export.progress", {"progress": 1, "eta": 9}, key="export:1", actor=Actor("7"), trace_id="t-1")
    await c.store.upsert(first)
    for next in (
        c.row(me, "export.done", {"url": "/e/1"}, key="export:1", actor=Actor("8", "bot"), trace_id="t-2"),
        c.row(me, "export.gone", {}, key="export:1"),
    ):
        await c.store.upsert(next)
        got = await c.store.get(me, first.id)
        version = 0 if got is None else got.version
        c.is_row("upsert.replaces", got, replace(next, created_at=first.created_at, version=version))
    c.equal("upsert.replaces", await c.store.count(me), 1)


@check("upsert/version", "Each upsert raises the version by one, whatever the argument says", "upsert.version")
async def version(c: StoreContext) -> None:
    me = c.recipient()
    for expected, said in enumerate([1, 1, 40, 2], start=1):
        stored = await c.store.upsert(replace(c.row(me, key="export:1"), version=said))
        c.equal("upsert.version", stored.version, expected, "the version answered")
    got = await c.store.get(me, stored.id)
    c.equal("upsert.version", got and got.version, 4, "the version stored")


@check("upsert/keeps-created-at", "An updated row keeps created_at, key and place", "upsert.keeps-created-at")
async def keeps_created_at(c: StoreContext) -> None:
    me = c.recipient()
    older = await c.stored(me)
    first = await c.store.upsert(c.row(me, key="export:1"))
    newer = await c.stored(me)
    updated = await c.store.upsert(c.row(me, key="export:1"))
    c.equal("upsert.keeps-created-at", updated.created_at, first.created_at, "created_at")
    c.equal("upsert.keeps-created-at", updated.key, "export:1", "key")
    c.are_rows("upsert.keeps-created-at", await c.store.page(me), [newer, updated, older])


@check("upsert/renotify", "An updated row is unread again", "upsert.renotify")
async def renotify(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.store.upsert(c.row(me, key="export:1"))
    await c.store.mark_read(me, row.id, at=c.at(1))
    updated = await c.store.upsert(c.row(me, key="export:1"))
    c.equal("upsert.renotify", updated.read_at, None, "read_at")
    c.equal("upsert.renotify", await c.store.unread_count(me), 1)
    c.are_rows("upsert.renotify", await c.store.page(me, unread_only=True), [updated])


@check("upsert/renotify-false", "With renotify=False a read row stays read, an unread one unread", "upsert.renotify")
async def renotify_false(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.store.upsert(c.row(me, key="export:1"), renotify=False)
    c.equal("upsert.renotify", row.read_at, None, "read_at of a new row")
    row = await c.store.upsert(c.row(me, key="export:1"), renotify=False)
    c.equal("upsert.renotify", row.read_at, None, "read_at of an unread row")
    await c.store.mark_read(me, row.id, at=c.at(1))
    updated = await c.store.upsert(c.row(me, key="export:1"), renotify=False)
    c.equal("upsert.renotify", updated.read_at, c.at(1), "read_at of a read row")
    c.equal("upsert.renotify", updated.version, 3, "its version")
    c.equal("upsert.renotify", await c.store.unread_count(me), 0)


@check("upsert/returns-stored", "An upsert answers with what get returns", "upsert.returns-stored")
async def returns_stored(c: StoreContext) -> None:
    me = c.recipient()
    for renotify in (True, True, False):
        row = c.row(me, data={"text": "Zo\u00eb \U0001f514", "n": 1.5, "list": [None, True]}, key="export:1")
        stored = await c.store.upsert(row, renotify=renotify)
        c.is_row("upsert.returns-stored", stored, await c.store.get(me, row.id), "the answer")
        await c.store.mark_read(me, row.id, at=c.at(1))


@check(
    "upsert/inserted-row",
    "A row that insert stored is upserted like any other",
    "upsert.replaces",
    "upsert.version",
)
async def inserted_row(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.stored(me, key="export:1")
    update = c.row(me, "export.done", key="export:1")
    stored = await c.store.upsert(update)
    c.equal("upsert.version", stored.version, 2, "the version answered")
    c.is_row("upsert.replaces", await c.store.get(me, row.id), replace(update, created_at=row.created_at, version=2))


@check("upsert/after-delete", "After a delete the key begins anew, at version 1", "upsert.inserts", "delete.deletes")
async def after_delete(c: StoreContext) -> None:
    me = c.recipient()
    row = await c.store.upsert(c.row(me, key="export:1"))
    await c.store.upsert(c.row(me, key="export:1"))
    c.equal("delete.deletes", await c.store.delete(me, row.id), 1)
    again = c.row(me, key="export:1")
    c.is_row("upsert.inserts", await c.store.upsert(again), again, "the answer")


@check("upsert/key-per-recipient", "The same key in two inboxes is two rows", "recipient.isolation", "upsert.inserts")
async def key_per_recipient(c: StoreContext) -> None:
    me, other = c.recipient(), c.recipient()
    in_tenant = c.known(replace(me, tenant=c.unique("tenant")))
    rows = [c.row(whose, key="export:1") for whose in (me, other, in_tenant)]
    for row in rows:
        c.is_row("upsert.inserts", await c.store.upsert(row), row, "the answer")
    await c.unchanged("recipient.isolation", *rows)


@check(
    "upsert/concurrent",
    "N first upserts of one key at once leave one whole row at version N",
    "upsert.concurrent",
    "upsert.version",
)
async def concurrent(c: StoreContext) -> None:
    for _ in range(c.profile.rounds):
        me, key = c.recipient(), c.unique("export")
        await _race(c, [_write(c, me, key) for _ in range(c.profile.racers)], already=0)


@check(
    "upsert/concurrent-update",
    "N upserts of a stored key at once raise its version by N",
    "upsert.concurrent",
    "upsert.version",
)
async def concurrent_update(c: StoreContext) -> None:
    for _ in range(c.profile.rounds):
        me, key = c.recipient(), c.unique("export")
        await c.store.upsert(_write(c, me, key))
        await _race(c, [_write(c, me, key) for _ in range(c.profile.racers)], already=1)


@check(
    "upsert/concurrent-marks",
    "Upserts of one key race marks of its row without an error or a lost version",
    "upsert.concurrent",
)
async def concurrent_marks(c: StoreContext) -> None:
    me = c.recipient()
    first = await c.store.upsert(_write(c, me))

    async def both(row: Notification) -> None:
        await c.store.upsert(row)
        await c.store.mark_read(me, row.id, at=c.at(1))
        await c.store.mark_all_read(me, at=c.at(1))

    writes = [_write(c, me) for _ in range(c.profile.racers)]
    await c.together("upsert.concurrent", map(both, writes))
    left = await c.store.get(me, first.id)
    c.equal("upsert.concurrent", left and left.version, len(writes) + 1, "the version left")


def _write(c: StoreContext, recipient: Recipient, key: str = "export:1") -> Notification:
    """A row in which every part identifies its writer."""
    writer = c.unique("w")
    return c.row(
        recipient,
        type=writer,
        data={"writer": writer, "padding": writer * 20},
        actor=Actor(writer),
        trace_id=writer,
        key=key,
    )


async def _race(c: StoreContext, writes: list[Notification], *, already: int) -> None:
    answers = await c.together("upsert.concurrent", map(c.store.upsert, writes))
    versions = sorted(answer.version for answer in answers)
    expected = list(range(already + 1, already + len(writes) + 1))
    c.equal("upsert.version", versions, expected, "the versions answered")
    rows = await c.store.page(writes[0].recipient)
    c.equal("upsert.concurrent", len(rows), 1, "rows left")
    left = rows[0]
    c.equal("upsert.concurrent", left.version, expected[-1], "the version left")
    winner = next(row for row in writes if row.type == left.type)
    c.is_row(
        "upsert.concurrent",
        left,
        replace(winner, version=left.version, created_at=left.created_at),
        "one writer's whole value",
    )
