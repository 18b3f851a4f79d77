"""Rows come back as they were stored: JSON of every shape, text, numbers, times; and no one shares them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from notistore.model import Actor, Notification, Recipient

from ...registry import check
from ..context import StoreContext

TEXTS: Final = {
    "empty": "",
    "spaces": "  leading, trailing \t\r\n ",
    "quotes": 'it\'s "quoted" \\ `back` $1 :name ? %s {x} ;--',
    "like": "100%_done\\_",
    "emoji": "\U0001f514 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7",
    "composed": "Zo\u00eb",
    "decomposed": "Zoe\u0308",
    "right-to-left": "\u0645\u0631\u062d\u0628\u0627 \u202eabc",
    "separators": "a\u2028b\u2029c\u0085d",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "edges": "\ufeff\ufffd\uffff\ud7ff\ue000\U00010000\U0010ffff",
    "escapes": "\\u0000 \\n &lt; </script> \\ud800",
    "looks-like": "null",
}


@check("values/shapes", "JSON of every shape comes back equal", "rows.round-trip", once=True)
async def shapes(c: StoreContext) -> None:
    await _round_trip(
        c,
        {},
        {"null": None, "true": True, "false": False, "zero": 0, "one": 1, "empty": [], "none": {}},
        {"array": [None, True, False, 0, 1, "1", [], {}, [[]], [{}], {"a": [{"b": [1]}]}]},
        {"": "empty key", " ": 1, "a.b": 2, "$set": 3, "__proto__": 4, "count": 5, "id": 6, "A": 7, "a": 8, "0": 9},
        {"key": "export:1", "type": "x", "data": {"data": {}}, "read_at": None, "version": 0},
        {"z": 1, "y": {"b": 1, "a": 2}, "x": [{"b": 1, "a": 2}]},
    )


@check("values/text", "Text comes back code point by code point", "rows.round-trip", once=True)
async def text(c: StoreContext) -> None:
    await _round_trip(c, TEXTS, {value: name for name, value in TEXTS.items()}, {"list": list(TEXTS.values())})


@check("values/numbers", "Numbers come back equal, and numbers", "rows.round-trip", once=True)
async def numbers(c: StoreContext) -> None:
    powers = [2**31, 2**32, 2**53, 2**63]
    whole = [sign * (power + step) for power in powers for step in (-2, -1, 0, 1) for sign in (1, -1)]
    floats = [0.1, 1.5, 0.1 + 0.2, 1e-7, 5e-324, 1.7976931348623157e-300, 123456789.123456789, 1e15, 9.2e18, 2.0**53]
    await _round_trip(
        c,
        {"whole": [n for n in whole if -(2**63) < n < 2**63]},
        {"floats": floats + [-n for n in floats]},
        {"mixed": [1, 1.0, True, "1", 0, 0.0, False, "0", None]},
    )


@check("values/deep", "30 levels of nesting come back, in arrays and in objects", "rows.round-trip", once=True)
async def deep(c: StoreContext) -> None:
    array: object = "bottom"
    thing: object = "bottom"
    for _ in range(29):
        array, thing = [array], {"a": thing}
    await _round_trip(c, {"a": array}, {"a": thing})


@check("values/large", "64 KiB of data come back", "rows.round-trip", once=True)
async def large(c: StoreContext) -> None:
    room = 64 * 1024 - len('{"a":""}')
    await _round_trip(c, {"a": "x" * room}, {"a": "\u00e9" * (room // 2)}, {"a": "\U0001f514" * (room // 4)})


@check("values/names", "Type, key, actor and trace id come back as they were", "rows.round-trip", once=True)
async def names(c: StoreContext) -> None:
    me = c.recipient()
    odd = "Zo\u00eb \U0001f514 'a' \"b\" %_\\ "
    rows = [
        c.row(me, odd, key=odd, actor=Actor(odd, odd), trace_id=odd),
        c.row(me, "T" * 64, key="K" * 255, actor=Actor("A" * 64, "B" * 64), trace_id="C" * 128),
        c.row(me, "\U0001f514" * 64, key="\U0001f514" * 255, actor=Actor("\U0001f514" * 64), trace_id="\u00e9" * 128),
        c.row(me, "0", key=" ", actor=Actor("0", " "), trace_id="0"),
        c.row(me, "null"),
    ]
    await _round_trip_all(c, me, rows)


@check(
    "values/times", "Times come back as UTC, to the millisecond, from before 1970 to 2100", "rows.round-trip", once=True
)
async def times(c: StoreContext) -> None:
    me = c.recipient()
    moments = [
        datetime(1965, 3, 1, 12, 30, 15, 1_000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
        datetime(2000, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),  # skipped and repeated hours of Europe's summer time
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, 10_000, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2039, 6, 1, 12, 0, 0, 100_000, tzinfo=UTC),
        datetime(2100, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ]
    rows = [c.row(me, at=moment) for moment in moments]
    await _round_trip_all(c, me, rows)
    c.are_rows("rows.round-trip", await c.store.page(me), rows[::-1], "in order of time")
    for row, moment in zip(rows, moments, strict=True):
        await c.store.mark_read(me, row.id, at=moment + timedelta(milliseconds=1))
        got = await c.store.get(me, row.id)
        c.equal("rows.round-trip", got and got.read_at, moment + timedelta(milliseconds=1), "read_at")


@check("values/upserted", "What an upsert stored comes back equal too", "rows.round-trip", once=True)
async def upserted(c: StoreContext) -> None:
    me = c.recipient()
    numbers = [2**53 + 1, 2**63 - 1, 0.1, 1e-7]
    documents: list[Mapping[str, object]] = [{"texts": TEXTS}, {"numbers": numbers, "null": None, "array": [{}]}]
    for n, data in enumerate(documents):
        first = c.row(me, key=f"export:{n}")
        await c.store.upsert(first)
        row = c.row(me, data=data, key=first.key, actor=Actor("7"), trace_id="trace")
        stored = await c.store.upsert(row)
        expected = replace(row, created_at=first.created_at, version=stored.version)
        c.is_row("rows.round-trip", stored, expected, "the answer")
        c.is_row("rows.round-trip", await c.store.get(me, row.id), expected)


@check("values/isolated-in", "Changing an object after it was stored changes no row", "rows.isolated")
async def isolated_in(c: StoreContext) -> None:
    me = c.recipient()
    for name, store in (("insert", c.store.insert), ("upsert", c.store.upsert)):
        row = c.row(me, data={"list": [1], "n": 1}, key=c.unique("key"))
        await store(row)
        _modify(row)
        got = await c.store.get(me, row.id)
        c.equal(
            "rows.isolated",
            got and dict(got.data),
            {"list": [1], "n": 1},
            f"the data stored, after the caller changed what it had given {name}",
        )


@check("values/isolated-out", "Changing an object that was handed out changes no row", "rows.isolated")
async def isolated_out(c: StoreContext) -> None:
    me = c.recipient()
    row = c.row(me, data={"list": [1], "n": 1}, key="export:1")
    handing_out: dict[str, Callable[[], Awaitable[Notification | None]]] = {
        "upsert": lambda: c.store.upsert(row),
        "get": lambda: c.store.get(me, row.id),
        "page": lambda: _first(c.store.page(me)),
    }
    for name, hand_out in handing_out.items():
        _modify(await hand_out())
        what = f"the data stored, after the caller changed the data of what {name} had returned; now from"
        got = await c.store.get(me, row.id)
        c.equal("rows.isolated", got and dict(got.data), {"list": [1], "n": 1}, f"{what} get")
        got = await _first(c.store.page(me))
        c.equal("rows.isolated", got and dict(got.data), {"list": [1], "n": 1}, f"{what} page")


async def _first(page: Awaitable[Sequence[Notification]]) -> Notification | None:
    return next(iter(await page), None)


def _modify(row: Notification | None) -> None:
    data: Any = row.data if row else {}
    try:
        data["n"] = 2
        data["list"].append(2)
    except (TypeError, AttributeError):
        return  # what cannot be changed is as good


async def _round_trip(c: StoreContext, *documents: Mapping[str, object]) -> None:
    me = c.recipient()
    await _round_trip_all(c, me, [c.row(me, data=data) for data in documents])


async def _round_trip_all(c: StoreContext, me: Recipient, rows: list[Notification]) -> None:
    for row in rows:
        await c.store.insert(row)
        c.is_row("rows.round-trip", await c.store.get(me, row.id), row, "from get")
    by_id = {row.id: row for row in await c.store.page(me, limit=100)}
    for row in rows:
        c.is_row("rows.round-trip", by_id.get(row.id), row, "from page")
