"""Where a check is run: alone, and again inside a tenant beside neighbours whose names are nearly the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from notistore.model import Notification

from .context import Broken, Context
from .rows import differences

__all__ = ["ALONE", "CROWDED", "Surroundings", "check_neighbours", "look_alikes", "settle_neighbours"]

_PROMISE: Final = "recipient.isolation"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A name for reports, the stems of ids and tenants, and whether there are neighbours."""

    name: str
    recipient_id: str
    tenant: str | None
    crowded: bool


ALONE: Final = Surroundings("alone", "user", None, crowded=False)
# Each character is there for a look-alike: a case, an accent in one code point, and both wildcards of LIKE.
CROWDED: Final = Surroundings("in a tenant, beside neighbours", "Zo\u00eb_100%", "Acm\u00e9", crowded=True)


def look_alikes(name: str) -> list[str]:
    """Other names that a careless comparison takes for this one, the likeliest first."""
    decomposed = unicodedata.normalize("NFD", name)
    candidates = [
        _swap_ascii(name),  # as much as SQLite's NOCASE folds
        name.swapcase(),
        name + " ",
        name[:-1],
        name + "0",
        decomposed,
        "".join(c for c in decomposed if not unicodedata.combining(c)),
        name.replace("_", "x"),
        name.replace("%", "xyz"),
    ]
    return [other for other in dict.fromkeys(candidates) if other != name]


def _swap_ascii(name: str) -> str:
    return "".join(c.swapcase() if c.isascii() else c for c in name)


async def settle_neighbours(context: Context) -> Sequence[Notification]:
    """Give each look-alike of the check's first recipient a row, and return these rows, as the store gives them."""
    first = context.recipient()
    context.recipients.clear()  # so that the check's first recipient is this one
    others = [replace(first, id=id) for id in look_alikes(first.id)[:5]]
    others += [replace(first, tenant=None), replace(first, tenant=_swap_ascii(first.tenant or ""))]
    others += [replace(first, type="User")]
    rows = [context.row(other) for other in others]
    store = context.subject.store
    for row in rows:
        await store.insert(row)
    return [await store.get(row.recipient, row.id) or row for row in rows]  # what inserting loses is told elsewhere


async def check_neighbours(context: Context, rows: Sequence[Notification]) -> None:
    """Whatever the check did, its neighbours' rows are as they were."""
    for row in rows:
        kept = await context.subject.store.get(row.recipient, row.id)
        if kept != row:
            changed = [] if kept is None else differences(kept, row)
            context.log.lines()  # so that rows are numbered in the order in which they were spoken of
            expected, got = (
                context.log.show(each if each is None else {name: getattr(each, name) for name in changed})
                for each in (row, kept)
            )
            what = f"of the neighbour's row {context.log.show(row)}, after all that"
            raise Broken(context.explain([_PROMISE], "it is there" if kept is None else expected, got, what))
