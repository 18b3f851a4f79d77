"""Values that drivers and serializers convert, in every method that writes, in any time zone."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from notistore.model import Actor, Notification, Recipient

from ...registry import check
from ...running.exceptions import NotOffered
from ..context import StoreContext
from .prune import MILLISECOND, alone
from .values import TEXTS

DOCUMENTS: Final[Mapping[str, Mapping[str, object]]] = {
    "dates": {
        "values": [
            "2024-02-29",
            "2024-02-30",
            "2024-02-29T12:30:00Z",
            "2024-02-29T12:30:00+02:00",
            "12:30",
            "20240229",
        ],
        "second": "2024-02-29T12:30:00.123456Z",
        "space": "2024-02-29 12:30:00",
        "day": "2024-02-29",
        "us": "02/29/2024",
        "duration": "PT1H",
        "2024-02-29": "as a name",
    },
    "digits": {
        "zip": "01234",
        "n": "42",
        "e": "1e5",
        "hex": "0x10",
        "many": "9007199254740993",
        "real": "1.50",
        "7": 7,
    },
    "words": {"values": ["true", "false", "null", "NaN", "Infinity", "yes", "no", "None", "undefined"], "t": "true"},
    "booleans": {"t": True, "f": False, "one": 1, "zero": 0, "list": [True, 1, False, 0, None]},
    "nulls": {"null": None, "in": {"null": None, "list": [None]}, "text": "", "empty": [], "none": {}},
    "numbers": {"big": 2**53 + 1, "most": 2**63 - 1, "least": -(2**63) + 1, "real": 0.1, "small": 1e-7, "whole": 3},
    "json": {"text": '{"a": [1]}', "list": "[1, 2]", "quoted": '"x"', "bytes": "aGVsbG8=", "hex": "\\x6869"},
    "uuid": {"id": "8B2D7C1E-0F3A-4D5B-9C6E-1A2B3C4D5E6F", "bare": "8b2d7c1e0f3a4d5b9c6e1a2b3c4d5e6f"},
    "texts": TEXTS,
    "large": {"a": "\u00e9" * (64 * 512 - 10)},
}

NAMES: Final[tuple[tuple[str, str, Actor | None, str | None], ...]] = (
    ("007", "007", Actor("007", "007"), "007"),
    (" paid ", " key ", Actor(" a ", " b "), " t "),
    ("2024-02-29", "2024-02-29", Actor("2024-02-29", "true"), "2024-02-29T12:30:00Z"),
    (
        "8B2D7C1E-0F3A-4D5B-9C6E-1A2B3C4D5E6F",
        "8B2D7C1E0F3A4D5B9C6E1A2B3C4D5E6F",
        Actor("8B2D7C1E-0F3A-4D5B-9C6E-1A2B3C4D5E6F", "staff"),
        "8B2D7C1E-0F3A-4D5B-9C6E-1A2B3C4D5E6F",
    ),
    ("\U0001f514" * 64, "\U0001f514" * 255, Actor("\U0001f514" * 64, "\u00e9" * 64), "\U0001f514" * 128),
    ("null", "null", Actor("null", "null"), "null"),
    ("plain", "plain", None, None),
)


@check(
    "writers/values",
    "Text that looks like a date, number, boolean or UUID comes back as it was, from every method that writes",
    "rows.round-trip",
    once=True,
)
async def values(c: StoreContext) -> None:
    for name, write in _writers(c).items():
        me = c.recipient()
        rows = [c.row(me, data=data, key=f"{stem}") for stem, data in DOCUMENTS.items()]
        rows += [
            c.row(me, type, {"n": n}, key=key, actor=actor, trace_id=trace)
            for n, (type, key, actor, trace) in enumerate(NAMES)
        ]
        rows += [
            c.row(me, f"at {n}", key=f"at {n}", at=c.at(n + ms / 1000))
            for n, ms in enumerate((0, 1, 499, 500, 501, 999))
        ]
        expected = await write(rows)
        for row in expected:
            c.is_row("rows.round-trip", await c.store.get(me, row.id), row, f"written by {name}, from get")
        by_id = {row.id: row for row in await c.store.page(me, limit=100)}
        for row in expected:
            c.is_row("rows.round-trip", by_id.get(row.id), row, f"written by {name}, from page")
        for row in expected[-6:]:
            at = row.created_at + timedelta(milliseconds=501)
            await c.store.mark_all_read(me, types=[row.type], seen=row.updated_at, at=at)
            got = await c.store.get(me, row.id)
            c.is_row("rows.round-trip", got, replace(row, read_at=at), f"written by {name} and marked")


def _writers(c: StoreContext) -> dict[str, Callable[[list[Notification]], Awaitable[list[Notification]]]]:
    """The methods that write rows; each answers with the rows that are then stored."""

    async def insert(rows: list[Notification]) -> list[Notification]:
        for row in rows:
            await c.store.insert(row)
        return rows

    async def insert_many(rows: list[Notification]) -> list[Notification]:
        await c.store.insert_many(rows)
        return rows

    async def upsert(rows: list[Notification]) -> list[Notification]:
        for row in rows:
            c.is_row("rows.round-trip", await c.store.upsert(row), row, "the answer of upsert")
        return rows

    async def upsert_again(rows: list[Notification]) -> list[Notification]:
        stored = []
        for row in rows:
            first = c.row(row.recipient, "first", {"first": 1}, key=row.key, actor=Actor("first"), trace_id="first")
            first = replace(first, created_at=row.created_at, updated_at=row.created_at - timedelta(seconds=1))
            await c.store.upsert(first)
            stored.append(replace(row, version=2))
            c.is_row("rows.round-trip", await c.store.upsert(row), stored[-1], "the answer of upsert")
        return stored

    writers: dict[str, Callable[[list[Notification]], Awaitable[list[Notification]]]] = {
        "insert": insert,
        "upsert": upsert,
        "a second upsert": upsert_again,
    }
    if c.offers("insert_many"):
        writers["insert_many"] = insert_many
    return writers


@check(
    "writers/isolated",
    "Changing an object after insert_many changes no row",
    "rows.isolated",
    part="insert_many",
)
async def isolated(c: StoreContext) -> None:
    me = c.recipient()
    rows = [c.row(me, data={"list": [1]}) for _ in range(3)]
    await c.store.insert_many(rows)
    for row in rows:
        data: Any = row.data
        data["list"].append(2)
        got = await c.store.get(me, row.id)
        c.equal("rows.isolated", got and dict(got.data), {"list": [1]}, "the data stored")


@check(
    "writers/time-zone",
    "Times are the same in a process whose time zone is not UTC",
    "rows.round-trip",
    "mark-read.marks",
    "mark-all-read.seen",
    "page.before",
    "prune.older-than",
    once=True,
)
async def time_zone(c: StoreContext) -> None:
    with _process_in("XXX-05:45"):
        me = c.recipient()
        for name, write in _writers(c).items():
            # Of these, hours that a zone with summer time skips or repeats.
            moments = [datetime(2025, 3, 30, 1, 30, tzinfo=UTC), datetime(2025, 10, 26, 0, 30, 0, 7_000, tzinfo=UTC)]
            for row in await write([c.row(me, key=f"{name} {at}", at=at) for at in moments]):
                c.is_row("rows.round-trip", await c.store.get(me, row.id), row, f"written by {name}")
        one, two = await _two(c, me)
        c.equal("mark-read.marks", await c.store.mark_read(me, one.id, at=c.at(1)), 1)
        await c.unchanged("mark-read.marks", replace(one, read_at=c.at(1)))
        c.are_rows("page.before", await c.store.page(me, before=two.cursor, limit=1), [replace(one, read_at=c.at(1))])
        await c.store.mark_unread(me, one.id)
        c.equal("mark-all-read.seen", await c.store.mark_all_read(me, types=["z"], seen=one.updated_at, at=c.at(1)), 1)
        await c.unchanged("mark-all-read.seen", replace(one, read_at=c.at(1)), two)
        if c.offers("prune"):
            async with alone(c) as then:
                old, kept = await c.stored(me, at=then - MILLISECOND), await c.stored(me, at=then)
                c.equal("prune.older-than", await c.store.prune(older_than=then), 1)
                await c.unchanged("prune.older-than", kept)
                c.is_row("prune.older-than", await c.store.get(me, old.id), None)


async def _two(c: StoreContext, me: Recipient) -> tuple[Notification, Notification]:
    return await c.stored(me, "z"), await c.stored(me, "z")


@contextmanager
def _process_in(zone: str) -> Iterator[None]:
    """Sets the time zone of the process inside the block, to detect the use of local time."""
    if not hasattr(time, "tzset"):
        raise NotOffered("another time zone (this system's processes have no time.tzset)")
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
