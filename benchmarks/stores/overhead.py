"""Each store's calls against hand-written code for the same statements, in CPU time of the client's process.

Blocks of ten to a hundred calls alternate, store and peer, each going first in turn, so that whatever else the machine
does meets both alike. A round's figure is the ratio of two neighbouring blocks; what is reported is the median of all
rounds, and between which two values half of them lay. CPU time is all of the process's threads: aiosqlite's, and SQLite
itself.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import process_time
from typing import Any

from notistore import Recipient
from notistore.model import utc_now

from .peers import Case
from .rows import Row, example, row_of
from .servers import Servers

Say = Callable[[str], None]

FEWEST, MOST = 10, 100  # calls in a block
BLOCK = 0.005  # seconds that a block of the shortest call should take, so that the clock and its like do not count
GOAL, GOAL_OF_SHORT, SHORT = 1.10, 1.30, 20.0  # the last in microseconds
OPERATIONS = ("insert", "upsert", "unread_count", "page", "mark_read")


@dataclass(frozen=True)
class Figure:
    """Of one operation: microseconds of CPU a call, and the store's over the peer's."""

    store: float
    peer: float
    ratio: float
    low: float
    high: float


class Side:
    """One of the two, with an inbox of its own to write to."""

    def __init__(self, calls: Any, loop: asyncio.Runner | None, name: str) -> None:
        self.calls = calls
        self.loop = loop
        self.writes = Recipient(f"writes-{name}")
        self.upserts = example(self.writes, key="export:9")

    def run(self, call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> tuple[float, list[Any]]:
        """The CPU seconds of calls one after the other, and what they returned."""
        if self.loop is not None:
            return self.loop.run(_timed_async(call, arguments))
        began = process_time()
        results = [call(*each) for each in arguments]
        return process_time() - began, results


async def _timed_async(call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> tuple[float, list[Any]]:
    began = process_time()
    results = [await call(*each) for each in arguments]
    return process_time() - began, results


@contextmanager
def opened(case: Case, url: str) -> Iterator[tuple[Any, Any, asyncio.Runner | None]]:
    """The store, its peer, and the loop to run them on, if they are async."""
    context: Any = case.open(url)
    if not hasattr(context, "__aenter__"):
        with context as (store, peer):
            yield store, peer, None
        return
    with asyncio.Runner() as loop:
        store, peer = loop.run(context.__aenter__())
        try:
            yield store, peer, loop
        finally:
            loop.run(context.__aexit__(None, None, None))


def measure(case: Case, url: str, rounds: int) -> dict[str, Figure]:
    with opened(case, url) as (store, peer, loop):
        sides = Side(StoreCalls(store), loop, "store"), Side(peer, loop, "peer")
        reader = Recipient("reads", tenant="acme")
        fill(sides[0], store, reader)
        check(*sides, reader)
        blocks: dict[str, list[tuple[float, float]]] = {name: [] for name in OPERATIONS}
        calls = FEWEST
        gc.collect()
        gc.freeze()  # what is there by now is no part of a call
        for number in range(-2, rounds):  # the first two are to warm up
            taken: dict[str, list[float]] = {name: [0.0, 0.0] for name in OPERATIONS}
            new = [[(_given(side, example(side.writes, n)),) for n in range(calls)] for side in sides]
            at = utc_now()
            for name in OPERATIONS:
                for which in (0, 1) if number % 2 else (1, 0):
                    side = sides[which]
                    arguments: list[tuple[Any, ...]] = {
                        "insert": new[which],
                        "upsert": [(_given(side, side.upserts),)] * calls,
                        "mark_read": [(side.writes, row.id, at) for (row,) in new[which]],
                    }.get(name, [(reader,)] * calls)
                    taken[name][which], results = side.run(getattr(side.calls, name), arguments)
                    assert name != "mark_read" or results == [1] * calls, results
            if number >= 0:
                for name, (ours, theirs) in taken.items():
                    blocks[name].append((ours / calls, theirs / calls))
            else:
                shortest = max(min(sum(both) for both in taken.values()) / 2 / calls, 1e-6)
                calls = round(max(FEWEST, min(MOST, BLOCK / shortest)))
        gc.unfreeze()
    return {name: _figure(pairs) for name, pairs in blocks.items()}


class StoreCalls:
    """The store's own methods under the peer's signatures, with nothing between where they agree."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.insert = store.insert
        self.upsert = store.upsert
        self.unread_count = store.unread_count
        self.page = store.page

    def mark_read(self, recipient: Recipient, id: str, at: Any) -> Any:
        return self.store.mark_read(recipient, id, at=at)


def fill(side: Side, store: Any, recipient: Recipient) -> None:
    """An inbox of 200, a fifth of it unread."""
    rows = [example(recipient, n) for n in range(200)]
    side.run(store.insert_many, [(rows,)])
    read = [row.id for n, row in enumerate(rows) if n % 5]
    side.run(lambda: store.mark_read(recipient, *read, at=utc_now()), [()])


def check(store: Side, peer: Side, reader: Recipient) -> None:
    """That the two do the same, or the comparison would be of something else."""
    for name in ("unread_count", "page"):
        (_, [ours]), (_, [theirs]) = (side.run(getattr(side.calls, name), [(reader,)]) for side in (store, peer))
        if name == "page":
            ours = [row_of(notification) for notification in ours]
            assert len(ours) == 50
        assert ours == theirs, (name, ours, theirs)
    for side in (store, peer):
        for version in (1, 2):
            _, [stored] = side.run(side.calls.upsert, [(_given(side, side.upserts),)])
            row = stored if isinstance(stored, Row) else row_of(stored)
            wanted = row_of(side.upserts)
            wanted.version = version
            assert row == wanted, (row, wanted)
        mine = example(side.writes)
        side.run(side.calls.insert, [(_given(side, mine),)])
        _, [found] = store.run(store.calls.store.get, [(side.writes, mine.id)])
        assert found == mine, (found, mine)


def _given(side: Side, notification: Any) -> Any:
    return notification if isinstance(side.calls, StoreCalls) else row_of(notification)


def _figure(blocks: Sequence[tuple[float, float]]) -> Figure:
    ratios = [ours / theirs for ours, theirs in blocks]
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    ours, theirs = (median(block) * 1e6 for block in zip(*blocks, strict=True))
    return Figure(ours, theirs, median(ratios), low, high)


def run(cases: Sequence[Case], servers: Servers, rounds: int, say: Say) -> dict[Case, dict[str, Figure]]:
    """Measure them, saying a line of the table after each, and at the end what is over the goal."""
    say(f"| store, driver | database | {' | '.join(OPERATIONS)} |\n|---|---|{'---|' * len(OPERATIONS)}")
    figures = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notistore-benchmark-")))
        for case in cases:
            if case.database == "SQLite":
                url = f"sqlite:///{folder / f'{len(os.listdir(folder))}.db'}"
            else:
                url = stack.enter_context(servers.database(case.database))
            figures[case] = measured = measure(case, url, rounds)
            cells = (f"{each.ratio:.2f} ({each.low:.2f}-{each.high:.2f})" for each in measured.values())
            say(f"| {case.name} | {case.database} | {' | '.join(cells)} |")
    over = [
        f"{case.name} ({case.database}), {name}: {each.ratio:.2f}, {each.store:.0f} against {each.peer:.0f} µs"
        for case, measured in figures.items()
        for name, each in measured.items()
        if each.ratio > (GOAL_OF_SHORT if each.peer < SHORT else GOAL) + 0.005
    ]
    count = sum(map(len, figures.values()))
    say(f"\n{count - len(over)} of {count} are within the goal." + ("" if not over else " Over it:\n"))
    for each in over:
        say(f"- {each}")
    return figures
