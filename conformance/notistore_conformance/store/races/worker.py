"""One of several processes that race on the same rows: `python -m notistore_conformance.store.races.worker`.

The kit starts it, tells it on standard input what to do, one JSON line at a time, and reads a line of answer for each:
how to make the store, then to open it, then rounds of the race. At the end of its input it closes the store and ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TextIO

from notistore.ids import keyed_id
from notistore.model import Notification, Recipient, utc_now

from ..implementation import opened

__all__ = ["CallRecord", "Round", "race"]

_CALL_TIMEOUT: Final = 20.0  # seconds for one call


@dataclass(frozen=True, slots=True)
class Round:
    """What every worker does in one round, concurrently.

    Attributes:
        number: which round it is.
        begins: when, by the clock that all processes of a machine share, `time.monotonic`.
        tasks: how many tasks each process has.
        keyed: whose keys are upserted: id, type and tenant.
        keys: two keys, one that is new in this round and one of all rounds.
        listed: whose rows `marked` and `deleted` are.
        marked: the id of a row that every task marks.
        deleted: the id of a row that every task deletes.
        swept: into whose inbox each task inserts a row, to mark all that is in it.
        writers: the processes that write; the others only read the row of all rounds.
    """

    number: int
    begins: float
    tasks: int
    keyed: tuple[str, str, str | None]
    keys: tuple[str, str]
    listed: tuple[str, str, str | None]
    marked: str
    deleted: str
    swept: tuple[str, str, str | None]
    writers: Sequence[int]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of one worker.

    Attributes:
        who: the process and its task, such as "1.2".
        call: the method.
        row: the id of the row it is about; empty where it is about many.
        began: when it was called, in seconds of `time.monotonic`.
        ended: when it answered.
        value: the writer whose value an upsert wrote or a get found; the instant a mark gave.
        answer: the version of the row that was returned, or the number. None where there was none.
        error: what was raised, if anything was.
    """

    who: str
    call: str
    row: str
    began: float
    ended: float
    value: str
    answer: int | None
    error: str


async def race(store: Any, process: int, round: Round) -> list[CallRecord]:
    """Take part in one round."""
    records: list[CallRecord] = []
    await asyncio.sleep(round.begins - time.monotonic())
    tasks = [_Task(store, f"{process}.{task}", round, records) for task in range(round.tasks)]
    await asyncio.gather(*(task.write() if process in round.writers else task.read() for task in tasks))
    return records


class _Task:
    def __init__(self, store: Any, who: str, round: Round, records: list[CallRecord]) -> None:
        self.store, self.who, self.round, self.records = store, who, round, records
        self.keyed, self.listed, self.swept = (
            Recipient(id, type, tenant) for id, type, tenant in (round.keyed, round.listed, round.swept)
        )

    async def read(self) -> None:
        await self._get(keyed_id(self.keyed, self.round.keys[1]))

    async def write(self) -> None:
        fresh, hot = self.round.keys
        ids = await self._upsert(fresh), await self._upsert(hot)
        await self._mark()
        await self._insert_and_sweep()
        await self._upsert(hot)
        # In any order, as a deadlock needs it.
        some = random.Random(f"{self.who} {self.round.number}").sample(ids, 2)
        await self._call("mark_read", "", lambda: self.store.mark_read(self.keyed, *some, at=utc_now()))
        await self._call("mark_unread", "", lambda: self.store.mark_unread(self.keyed, *reversed(some)))
        await self._get(ids[1])
        await self._upsert(hot)
        await self._call("delete", self.round.deleted, lambda: self.store.delete(self.listed, self.round.deleted))
        await self._call("mark_all_read", "", lambda: self.store.mark_all_read(self.keyed, at=utc_now()))
        await self._get(ids[1])

    async def _upsert(self, key: str) -> str:
        writer = f"{self.who}/{self.round.number}/{len(self.records)}"  # process and task, round, and a number
        row = Notification.new(self.keyed, writer, {"writer": writer}, key=key)
        await self._call("upsert", row.id, lambda: self.store.upsert(row), value=writer)
        return row.id

    async def _get(self, id: str) -> None:
        await self._call("get", id, lambda: self.store.get(self.keyed, id))

    async def _mark(self) -> None:
        id, at = self.round.marked, utc_now()
        await self._call("mark_read", id, lambda: self.store.mark_read(self.listed, id, at=at), value=at.isoformat())

    async def _insert_and_sweep(self) -> None:
        row = Notification.new(self.swept, "swept")
        await self._call("insert", row.id, lambda: self.store.insert(row))
        await self._call("mark_all_read", "swept", lambda: self.store.mark_all_read(self.swept, at=utc_now()))

    async def _call(self, name: str, row: str, call: Callable[[], Awaitable[object]], value: str = "") -> None:
        answer: object = None
        error = ""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                answer = await call()
        except TimeoutError:
            error = f"no answer within {_CALL_TIMEOUT:.0f} s"
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        ended = time.monotonic()
        if isinstance(answer, Notification):
            value, answer = value or answer.type, answer.version
        number = answer if isinstance(answer, int) else None
        self.records.append(CallRecord(self.who, name, row, began, ended, value, number, error))


async def _serve(orders: TextIO, answers: TextIO) -> None:
    def answer(**values: object) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    async def order() -> dict[str, Any] | None:
        line = await asyncio.to_thread(orders.readline)
        return json.loads(line) if line else None

    try:
        make = await order()
        assert make is not None
        make_store = pickle.loads(base64.b64decode(make["make_store"]))
        answer(made=True)
        probe = await order()
        if probe is None:
            return
        async with opened(make_store) as implementation:
            found = await implementation.store.get(Recipient(*probe["recipient"]), probe["id"])
            answer(found=found is not None)
            while (sent := await order()) is not None:
                records = await race(implementation.store, make["process"], Round(**sent))
                answer(records=[asdict(record) for record in records])
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")


def main() -> None:
    # What the store prints goes to standard error, so that answers are all there is on standard output.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        asyncio.run(_serve(sys.stdin, answers))


if __name__ == "__main__":
    main()
