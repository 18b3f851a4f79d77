"""Optional: the badges of many recipients at once."""

from __future__ import annotations

from dataclasses import replace

from notistore.model import Recipient

from ...registry import check
from ..context import StoreContext
from ..neighbours import look_alikes


@check(
    "unread-counts/equals-single",
    "Each recipient asked for has the count unread_count gives, 0 included",
    "unread-counts.equals-single",
    part="unread_counts",
)
async def equals_single(c: StoreContext) -> None:
    full, half, empty = c.recipient(), c.recipient(), c.recipient()
    await c.stored(full, "a"), await c.stored(full, "b"), await c.stored(full, "a")
    rows = await c.stored_many(half, 2, "a")
    await c.store.mark_read(half, rows[0].id, at=c.at(1))
    await c.stored(c.recipient(), "a")  # who is not asked for
    asked = [full, half, empty]
    for types, at_most, expected in (
        (None, None, [3, 1, 0]),
        ([], None, [3, 1, 0]),
        (["a"], None, [2, 1, 0]),
        (["x"], None, [0, 0, 0]),
        (None, 2, [2, 1, 0]),
        (["a", "b"], 1, [1, 1, 0]),
    ):
        got = dict(await c.store.unread_counts(asked, types=types, at_most=at_most))
        c.equal("unread-counts.equals-single", got, dict(zip(asked, expected, strict=True)), f"{types=}, {at_most=}")


@check(
    "unread-counts/none-asked",
    "Asked for no one, or for one twice, it answers so",
    "unread-counts.equals-single",
    part="unread_counts",
)
async def none_asked(c: StoreContext) -> None:
    me = c.recipient()
    await c.stored_many(me, 2)
    c.equal("unread-counts.equals-single", dict(await c.store.unread_counts([])), {})
    c.equal("unread-counts.equals-single", dict(await c.store.unread_counts([me, me])), {me: 2})


@check(
    "unread-counts/look-alikes",
    "Recipients and tenants that look alike are counted apart",
    "unread-counts.equals-single",
    "recipient.isolation",
    part="unread_counts",
)
async def look_alike_recipients(c: StoreContext) -> None:
    me = Recipient(c.unique("Zo\u00eb_1%"), tenant=c.unique("Acm\u00e9"))
    asked = [me, replace(me, tenant=None), replace(me, type="team")]
    asked += [replace(me, id=id) for id in look_alikes(me.id)]
    asked += [replace(me, tenant=tenant) for tenant in look_alikes(me.tenant or "")]
    for n, recipient in enumerate(asked):
        if n % 2 == 0:
            await c.stored(c.known(recipient))
    expected = {recipient: 1 - n % 2 for n, recipient in enumerate(asked)}
    c.equal("recipient.isolation", dict(await c.store.unread_counts(asked)), expected)
    got = {recipient: await c.store.unread_count(recipient) for recipient in asked}
    c.equal("unread-counts.equals-single", got, expected, "one by one")


@check(
    "unread-counts/many",
    "1,200 recipients are counted at once",
    "unread-counts.equals-single",
    part="unread_counts",
    once=True,
)
async def many(c: StoreContext) -> None:
    me = c.recipient()
    await c.stored(me)
    strangers = [Recipient(c.unique("stranger"), tenant=me.tenant) for _ in range(1_199)]
    got = dict(await c.store.unread_counts([*strangers, me]))
    c.equal(
        "unread-counts.equals-single",
        (len(got), sum(got.values()), got.get(me)),
        (1_200, 1, 1),
        "(recipients, sum, mine)",
    )
