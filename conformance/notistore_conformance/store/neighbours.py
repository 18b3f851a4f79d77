"""Each check runs twice: alone, and in a tenant with neighbours whose names are nearly the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from notistore.model import Notification

from ..running.exceptions import ContractViolation
from .context import StoreContext
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
# Each character is for a similar name: a case, an accent in one code point, and both wildcards of LIKE.
CROWDED: Final = Surroundings("in a tenant, beside neighbours", "Zo\u00eb_100%", "Acm\u00e9", crowded=True)


def look_alikes(name: str) -> list[str]:
    """Other names that a wrong comparison considers equal to this one, the likeliest first."""
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


async def settle_neighbours(context: StoreContext) -> Sequence[Notification]:
    """Insert a row for each neighbour of the check's first recipient. Returns them as the store does."""
    first = context.recipient()
    context.recipients.clear()  # so that the check's first recipient is this one
    others = [replace(first, id=id) for id in look_alikes(first.id)[:5]]
    others += [replace(first, tenant=None), replace(first, tenant=_swap_ascii(first.tenant or ""))]
    others += [replace(first, type="User")]
    rows = [context.row(other) for other in others]
    store = context.implementation.store
    for row in rows:
        await store.insert(row)
    return [await store.get(row.recipient, row.id) or row for row in rows]  # other checks report what inserting loses


async def check_neighbours(context: StoreContext, rows: Sequence[Notification]) -> None:
    """The check has not changed its neighbours' rows."""
    for row in rows:
        kept = await context.implementation.store.get(
            row.recipient, str(row.id)
        )  # as it was given, though it came back as another type
        if kept != row:
            changed = [] if kept is None else differences(kept, row)
            context.log.lines()  # so that rows are numbered in the order in which they were spoken of
            expected, got = (
                context.log.show(each if each is None else {name: getattr(each, name) for name in changed})
                for each in (row, kept)
            )
            what = f"of the neighbour's row {context.log.show(row)}, after all that"
            raise ContractViolation(context.explain([_PROMISE], "it is there" if kept is None else expected, got, what))
