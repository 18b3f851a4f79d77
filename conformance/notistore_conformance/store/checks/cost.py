"""Optional: for a store that declares it, the cost of a call does not grow with the inbox.

Times are compared within one run: the least of several rounds that take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from notistore.model import Recipient

from ...registry import check
from ...running.exceptions import ContractViolation, NotOffered
from ..context import StoreContext

FEW: Final = 100
MANY: Final = 2_000
ROUNDS: Final = 15
FACTOR: Final = 5


@check(
    "cost/constant",
    "A badge, a page and a mark cost the same however full the inbox",
    "unread-count.at-most",
    "unread-count.in-database",
    "page.in-database",
    "mark-read.marks",
    once=True,
)
async def constant(c: StoreContext) -> None:
    if not c.implementation.scales:
        raise NotOffered("a cost that does not grow with the inbox (StoreImplementation.scales)")
    few, many = await _filled(c, FEW), await _filled(c, MANY)
    named = {who: (await c.store.page(who, offset=FEW // 2, limit=1))[0].id for who in (few, many)}
    asks: dict[str, tuple[str, Callable[[Recipient], Awaitable[object]]]] = {
        "unread_count(at_most=10)": ("unread-count.in-database", lambda who: c.store.unread_count(who, at_most=10)),
        "page(limit=10)": ("page.in-database", lambda who: c.store.page(who, limit=10)),
        "page(unread_only=True, types=...)": (
            "page.in-database",
            lambda who: c.store.page(who, unread_only=True, types=["invoice.paid"], limit=10),
        ),
        "mark_read of one row": ("mark-read.marks", lambda who: c.store.mark_read(who, named[who], at=c.at(1))),
    }
    for what, (clause, ask) in asks.items():
        took: dict[Recipient, list[float]] = {who: [] for who in (few, many)}
        for _ in range(ROUNDS):
            for who, seconds in took.items():
                started = time.perf_counter()
                await ask(who)
                seconds.append(time.perf_counter() - started)
        small, large = (min(seconds) * 1000 for seconds in took.values())
        if large > FACTOR * small:
            raise ContractViolation(
                c.explain(
                    [clause],
                    f"{what} takes at most {FACTOR} times as long among {MANY} rows as among {FEW}",
                    f"{large / small:.0f} times: {large:.2f} ms against {small:.2f} ms",
                )
            )


async def _filled(c: StoreContext, size: int) -> Recipient:
    who = c.recipient()
    await c.insert_all([c.row(who) for _ in range(size)])
    return who
