"""Identity: recipients whose ids, types or tenants are nearly the same are different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from notistore.model import Recipient

from ...registry import check
from ..context import StoreContext
from ..neighbours import look_alikes


@check("isolation/ids", "Recipients whose ids look alike have inboxes of their own", "recipient.isolation", once=True)
async def ids(c: StoreContext) -> None:
    me = replace(c.recipient(), id=c.unique("Zo\u00eb_100%"))
    await _each_sees_its_own(c, [me, *(replace(me, id=id) for id in look_alikes(me.id))])


@check(
    "isolation/types", "Recipients whose types look alike have inboxes of their own", "recipient.isolation", once=True
)
async def types(c: StoreContext) -> None:
    me = replace(c.recipient(), type="T\u00ebam_1%")
    await _each_sees_its_own(c, [me, *(replace(me, type=type) for type in look_alikes(me.type))])


@check("isolation/tenants", "Tenants whose names look alike are tenants of their own", "recipient.isolation", once=True)
async def tenants(c: StoreContext) -> None:
    me = c.recipient()
    tenant = c.unique("Acm\u00e9_1%")
    names = [tenant, *look_alikes(tenant)]
    await _each_sees_its_own(c, [replace(me, tenant=name) for name in names])


@check(
    "isolation/no-tenant", "No tenant is an inbox of its own and stands for no other", "recipient.isolation", once=True
)
async def no_tenant(c: StoreContext) -> None:
    me = Recipient(c.unique("user"))
    names = [None, "None", "null", "NULL", "-", "0", " ", "*", "%"]
    await _each_sees_its_own(c, [replace(me, tenant=name) for name in names])


@check(
    "isolation/joined-parts",
    "Parts that read the same when joined are not the same recipient",
    "recipient.isolation",
    once=True,
)
async def joined_parts(c: StoreContext) -> None:
    a, b = c.unique("a"), "b"
    recipients = []
    for mark in ":/ ":
        recipients += [
            Recipient(f"{b}{mark}c", tenant=a),
            Recipient("c", tenant=f"{a}{mark}{b}"),
            Recipient("c", type=b, tenant=a),
            Recipient("c", type=f"{a}{mark}{b}"),
            Recipient(f"{a}{mark}{b}{mark}c"),
        ]
    await _each_sees_its_own(c, list(dict.fromkeys(recipients)))


@check("isolation/long-names", "The longest names are kept whole", "recipient.isolation", "rows.round-trip", once=True)
async def long_names(c: StoreContext) -> None:
    def widen(stem: str, length: int) -> str:
        return stem + "\U0001f514" * (length - len(stem) - 1)

    token = c.unique("")
    id, type, tenant = widen(token, 128), widen("team", 64), widen(token, 64)
    recipients = [Recipient(id + i, type + t, tenant + n) for i, t, n in ("aaa", "baa", "aba", "aab")]
    await _each_sees_its_own(c, recipients)
    row = await c.stored(recipients[0], "t" * 64, key="\u00e9" * 255, trace_id="\u00e9" * 128)
    c.is_row("rows.round-trip", await c.store.get(row.recipient, row.id), row)


@check(
    "isolation/foreign-ids",
    "With another's id every method does what it does with an unknown one",
    "ids.not-yours",
    "recipient.isolation",
)
async def foreign_ids(c: StoreContext) -> None:
    owner = c.known(replace(c.recipient(), id=c.unique("owner")))
    row = await c.stored(owner, key="export:1")
    strangers = [
        c.recipient(),
        replace(owner, type="team"),
        replace(owner, tenant=c.unique("tenant")),
        *([] if owner.tenant is None else [replace(owner, tenant=None)]),
    ]
    for stranger in strangers:
        c.is_row("ids.not-yours", await c.store.get(stranger, row.id), None)
        c.equal("ids.not-yours", await c.store.mark_read(stranger, row.id, at=c.at(1)), 0)
        c.equal("ids.not-yours", await c.store.delete(stranger, row.id), 0)
        c.equal("ids.not-yours", await c.store.mark_all_read(stranger, at=c.at(1)), 0)
    await c.unchanged("recipient.isolation", row)
    await c.store.mark_read(owner, row.id, at=c.at(1))
    for stranger in strangers:
        c.equal("ids.not-yours", await c.store.mark_unread(stranger, row.id), 0)
    await c.unchanged("recipient.isolation", replace(row, read_at=c.at(1)))


async def _each_sees_its_own(c: StoreContext, recipients: Sequence[Recipient]) -> None:
    clause = "recipient.isolation"
    rows = [await c.stored(c.known(recipient)) for recipient in recipients]
    for row in rows:
        c.are_rows(clause, await c.store.page(row.recipient), [row])
    for row in rows[:3]:
        c.equal(clause, await c.store.count(row.recipient), 1)
        c.equal(clause, await c.store.unread_count(row.recipient), 1)
        c.equal(clause, await c.store.mark_all_read(row.recipient, at=c.at(1)), 1)
    await c.unchanged(clause, *(replace(row, read_at=c.at(1)) for row in rows[:3]), *rows[3:])
