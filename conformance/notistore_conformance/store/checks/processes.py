"""Several concurrent processes, for which locks and caches inside one process are not enough."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NoReturn

from notistore.errors import Unsupported
from notistore.ids import is_id
from notistore.model import Notification, Recipient

from ...registry import check
from ...running.exceptions import ContractViolation, NotOffered
from ..context import StoreContext
from ..races.worker import CallRecord, Round, race
from ..races.workers import CannotOpen, Workers, hand_over, workers

_TASKS: Final = 3  # of each process
_ROUNDS: Final = 4  # for each round of the profile's other races
_START_DELAY: Final = 0.003  # seconds in which every process learns of a round before it begins
_LINES: Final = 16
_PART: Final = "other processes with the same data (StoreImplementation.processes)"
_CLAUSES: Final = {
    "upsert": "upsert.concurrent",
    "insert": "insert.stores",
    "get": "calls.durable",
    "mark_read": "mark-read.concurrent",
    "mark_unread": "mark-unread.marks",
    "mark_all_read": "mark-all-read.marks",
    "delete": "delete.concurrent",
}
"""The promise that an error breaks."""


@check(
    "processes/race",
    "Several processes race on the same rows, and every promise holds between them",
    *_CLAUSES.values(),
    "unread-count.equals-page",
    "count.equals-page",
    once=True,
    seconds=300,
)
async def processes(c: StoreContext) -> None:
    if c.make_store is None or c.implementation.processes is False:
        raise NotOffered(_PART)
    probe = await c.stored(c.recipient())
    try:
        made = hand_over(c.make_store)
    except CannotOpen as error:
        _not_shared(c, str(error))
    async with workers(made, c.profile.processes) as others:
        await _open(c, others, probe)
        await _Race(c, others).run()


async def _open(c: StoreContext, others: Workers, probe: Notification) -> None:
    """Open the store in every process."""
    try:
        found = await others.open(probe)
    except CannotOpen as error:
        _not_shared(c, str(error))
    if not found:
        _not_shared(c, "a store that another process made by make_store does not find a row inserted here")
    if await c.implementation.store.get(probe.recipient, probe.id) is None:
        _not_shared(c, "once another process has called make_store, a row inserted here before is gone")


def _not_shared(c: StoreContext, reason: str) -> NoReturn:
    """Raise a failure only if the implementation promises that other processes have the same data."""
    if c.implementation.processes:
        raise ContractViolation(c.explain(["calls.durable"], "every process finds the row that was inserted", reason))
    raise NotOffered(f"{_PART}: {reason}")


class _Race:
    """This process and the others, with the same store, on the same few rows."""

    def __init__(self, c: StoreContext, others: Workers) -> None:
        self.c, self.others = c, others
        self.keyed, self.listed, self.swept = c.recipient(), c.recipient(), c.recipient()
        self.hot = c.unique("export")
        self.records: list[CallRecord] = []

    async def run(self) -> None:
        rounds = _ROUNDS * self.c.profile.rounds
        ids = [row.id for row in await self.c.stored_many(self.listed, 2 * rounds)]
        to_mark, to_delete = ids[:rounds], ids[rounds:]
        everyone = tuple(range(self.c.profile.processes + 1))
        keyed, listed, swept = ((who.id, who.type, who.tenant) for who in (self.keyed, self.listed, self.swept))
        for n, (marked, deleted) in enumerate(zip(to_mark, to_delete, strict=True)):
            keys = (self.c.unique("export"), self.hot)
            round = Round(n, 0, _TASKS, keyed, keys, listed, marked, deleted, swept, everyone)
            await self._round(round)
        for writers in ((), (0,), ()):  # what all have read, one changes, and all read again
            await self._round(replace(round, tasks=1, number=round.number + 1, writers=writers))
        await self._judge(to_mark, to_delete)

    async def _round(self, round: Round) -> None:
        try:
            round = replace(round, begins=time.monotonic() + _START_DELAY)
            results = await asyncio.gather(self.others.race(round), race(self.c.implementation.store, 0, round))
        except CannotOpen as error:
            raise ContractViolation(
                self.c.explain(["upsert.concurrent"], "every process ends the round", str(error))
            ) from None
        new = [record for records in results for record in records]
        self.records += new
        for record in new:
            if record.error.startswith(f"{Unsupported.__name__}:"):
                raise Unsupported(record.error.partition(": ")[2])
            if record.error:
                self._broken(
                    _CLAUSES[record.call], "no error from any call", record.error, [record], self._of(record.row)
                )

    async def _judge(self, to_mark: Sequence[str], to_delete: Sequence[str]) -> None:
        kept = {row.id: row for row in await self._all(self.keyed)}
        for id in dict.fromkeys(record.row for record in self.records if record.call == "upsert"):
            self._versions(id, kept.get(id))
            self._reads(id)
        marked = {row.id: row for row in await self._all(self.listed)}
        for id in to_mark:
            self._one(id, "mark_read")
            self._mark_kept(id, marked.get(id))
        for id in to_delete:
            self._one(id, "delete")
            if id in marked:
                self._broken("delete.concurrent", "the row is gone", "it is there", self._of(id), self._of(id))
        await self._sweeps()
        for who in (self.keyed, self.listed, self.swept):
            await self._counts(who)

    def _versions(self, id: str, left: Notification | None) -> None:
        upserts = [record for record in self._of(id) if record.call == "upsert"]
        expected, answers = list(range(1, len(upserts) + 1)), Counter(record.answer for record in upserts)
        twice = [version for version, times in answers.items() if times > 1]
        if sorted(answers, key=str) != sorted(expected, key=str):
            at_odds = [record for record in upserts if record.answer in twice[:1]] or upserts[:1]
            missing = [version for version in expected if version not in answers]
            self._broken(
                "upsert.concurrent",
                f"the versions 1 to {len(upserts)}, each answered to one caller",
                f"answered more than once: {_some(twice)}; never: {_some(missing)}",
                at_odds,
                upserts,
            )
        last = next(record for record in upserts if record.answer == len(upserts))
        if left is None or (left.version, left.type, left.data) != (len(upserts), last.value, {"writer": last.value}):
            self._broken(
                "upsert.concurrent",
                f"the row left is what the last writer wrote: version {len(upserts)} of {last.value!r}",
                "no row" if left is None else f"version {left.version} of {left.type!r}, data {left.data}",
                [last],
                upserts,
            )

    def _reads(self, id: str) -> None:
        """A read that starts after an upsert has returned finds that version or a later one."""
        upserts = [record for record in self._of(id) if record.call == "upsert"]
        for read in (record for record in self._of(id) if record.call == "get"):
            before = [record for record in upserts if record.ended < read.began]
            newest = max(before, key=lambda record: record.answer or 0, default=None)
            if newest is not None and (read.answer or 0) < (newest.answer or 0):
                self._broken(
                    "calls.durable",
                    f"version {newest.answer} or later, which had been acknowledged before",
                    "no row" if read.answer is None else f"version {read.answer}",
                    [newest, read],
                    [record for record in self._of(id) if record.call in ("upsert", "get")],
                )

    def _one(self, id: str, call: str) -> None:
        records = [record for record in self._of(id) if record.call == call]
        answers = sorted(record.answer or 0 for record in records)
        if answers != [0] * (len(records) - 1) + [1]:
            done = [record for record in records if record.answer]
            self._broken(
                _CLAUSES[call],
                f"of {len(records)} calls one answers 1 and the others 0",
                f"{len(done)} returned 1",
                done,
                records,
            )

    def _mark_kept(self, id: str, left: Notification | None) -> None:
        marks = [record for record in self._of(id) if record.call == "mark_read"]
        won = next(record for record in marks if record.answer == 1)
        read_at = None if left is None or left.read_at is None else left.read_at.isoformat()
        if read_at != won.value:
            self._broken(
                "mark-read.concurrent", f"read_at {won.value}, of the call that answered 1", f"{read_at}", [won], marks
            )

    async def _sweeps(self) -> None:
        inserted = sum(record.call == "insert" for record in self.records)
        sweeps = self._of("swept")
        counted, unread = sum(record.answer or 0 for record in sweeps), await self.c.store.unread_count(self.swept)
        if counted + unread != inserted:
            self._broken(
                "mark-all-read.marks",
                f"{inserted} rows were inserted, each of which one mark_all_read counts, or none if it is left unread",
                f"{counted} were counted, and {unread} are left",
                [],
                sweeps,
            )

    async def _counts(self, who: Recipient) -> None:
        rows = await self._all(who)
        self.c.equal("count.equals-page", await self.c.store.count(who), len(rows), "rows, after the race")
        unread = sum(row.read_at is None for row in rows)
        self.c.equal("unread-count.equals-page", await self.c.store.unread_count(who), unread, "unread, after the race")

    async def _all(self, who: Recipient) -> list[Notification]:
        return list(await self.c.store.page(who, limit=10_000))

    def _of(self, id: str) -> list[CallRecord]:
        return [record for record in self.records if id and record.row == id]

    def _broken(
        self, clause: str, expected: str, got: str, at_odds: Sequence[CallRecord], among: Sequence[CallRecord]
    ) -> NoReturn:
        raise ContractViolation(self.c.explain([clause], expected, got, done=self._interleaving(at_odds, among)))

    def _interleaving(self, at_odds: Sequence[CallRecord], among: Iterable[CallRecord]) -> list[str]:
        """The contradicting calls, marked, and their neighbours, with their start and end times."""
        calls = sorted(dict.fromkeys((*among, *at_odds)), key=lambda record: record.began)
        if at_odds:
            first = min(map(calls.index, at_odds))
            start = max(0, min(first - 4, len(calls) - _LINES))
            # Those at odds are shown however far apart they are.
            shown = [each for n, each in enumerate(calls) if start <= n < start + _LINES or each in at_odds]
        else:
            shown = calls[-_LINES:]
        zero = shown[0].began if shown else 0
        lines = [f"{1 + self.c.profile.processes} processes with {_TASKS} tasks each called the store at once:"]
        for each in shown:
            began, ended = ((when - zero) * 1000 for when in (each.began, each.ended))
            mark = ">" if each in at_odds else " "
            lines.append(f"{mark} {began:7.1f} to {ended:7.1f} ms  process {each.who}: {self._describe(each)}")
        return lines

    def _describe(self, each: CallRecord) -> str:
        arguments = [self.c.log.show(each.row)] if is_id(each.row) else []
        arguments += [each.value] if each.value and each.call != "get" else []
        answer = "None" if each.answer is None else f"{each.answer}"
        if each.call in ("upsert", "get") and each.answer is not None:
            answer = f"version {answer}"
        return f"{each.call}({', '.join(arguments)}) {f'raised {each.error}' if each.error else f'-> {answer}'}"


def _some(numbers: Sequence[int | None]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "") if numbers else "none"
