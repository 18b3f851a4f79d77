"""Validation of data, times and lengths: what is refused, and that nothing is written then."""

from __future__ import annotations

import json
import math
from collections import ChainMap
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore import (
    Actor,
    Cursor,
    Inbox,
    InvalidArgument,
    InvalidNotification,
    MemoryStore,
    Notification,
    Recipient,
)
from notistore._validation import MAX_DATA_BYTES, check_data, check_types


def objects(levels: int) -> dict[str, Any]:
    return {"a": objects(levels - 1)} if levels > 1 else {}


def arrays(levels: int) -> list[Any]:
    return [arrays(levels - 1)] if levels > 1 else []


def endless() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["itself"] = data
    return data


REFUSED_IN_NAMES = {
    "NUL": "a\0",
    "line feed": "a\nb",
    "carriage return": "\ra",
    "tab": "a\tb",
    "delete": "a\x7f",
    "C1 control": "a\x85b",
    "U+2028": "a\u2028",
    "U+2029": "\u2029a",
    "lone surrogate": "a\ud800",
    "empty": "",
    "bytes": b"a",
    "number": 1,
}

NAMES = {"type": 64, "key": 255, "trace_id": 128}

BAD_DATA: dict[str, tuple[Any, str]] = {
    "a list": ([1], ""),
    "a string": ("text", ""),
    "a number as key": ({"a": {1: 2}}, ".a"),
    "None as key": ({None: 2}, ""),
    "NUL in a key": ({"a": {"b\0": math.nan}}, ".a"),
    "lone surrogate in a key": ({"b\ud800": math.nan}, ""),
    "NaN": ({"a": math.nan}, ".a"),
    "infinity": ({"a": [0, math.inf]}, ".a[1]"),
    "minus infinity": ({"a": {"b": [{"c": -math.inf}]}}, ".a.b[0].c"),
    "2**63": ({"a": 2**63}, ".a"),
    "-(2**63)": ({"a": -(2**63)}, ".a"),
    "2.0**63": ({"a": 2.0**63}, ".a"),
    "-(2.0**63)": ({"a": -(2.0**63)}, ".a"),
    "a number of 5000 digits": ({"a": 10**5000}, ".a"),
    "NUL": ({"a": "x\0"}, ".a"),
    "lone surrogate": ({"a": ["\udfff"]}, ".a[0]"),
    "a datetime": ({"a": datetime.now(UTC)}, ".a"),
    "bytes": ({"a": b""}, ".a"),
    "a set": ({"a": {1}}, ".a"),
    "31 levels of objects": (objects(31), ".a" * 30),
    "31 levels of arrays": ({"a": arrays(30)}, ".a" + "[0]" * 29),
    "itself": (endless(), ".itself" * 30),
    "too many bytes": ({"a": "x" * (MAX_DATA_BYTES - len('{"a":""}') + 1)}, ""),
    "too many bytes of UTF-8": ({"a": "\u00e9" * (MAX_DATA_BYTES // 2)}, ""),
}


async def refusal(recording, **arguments: Any) -> InvalidNotification:
    """The error of a send that must not have called the store."""
    arguments = {"recipient": Recipient("42"), "type": "t"} | arguments
    with pytest.raises(InvalidNotification) as refused:
        await Inbox(recording).send(**arguments)
    assert recording.calls == []
    return refused.value


@pytest.mark.parametrize("bad", REFUSED_IN_NAMES.values(), ids=REFUSED_IN_NAMES.keys())
@pytest.mark.parametrize("field", NAMES)
async def test_a_bad_name_is_refused_and_nothing_written(recording, field: str, bad: object) -> None:
    assert (await refusal(recording, **{field: bad})).field == field


@pytest.mark.parametrize(("field", "at_most"), NAMES.items())
async def test_a_name_may_be_as_long_as_its_column_and_no_longer(recording, field: str, at_most: int) -> None:
    error = await refusal(recording, **{field: "\U0001f514" * (at_most + 1)})
    assert error.field == field
    assert f"at most {at_most} characters, got {at_most + 1}" in str(error)
    arguments = {"type": "t"} | {field: "\U0001f514" * at_most}
    await Inbox(recording).send(Recipient("42"), **arguments)


PARTS = [
    ("recipient.id", 128, lambda text: Recipient(text)),
    ("recipient.type", 64, lambda text: Recipient("42", text)),
    ("recipient.tenant", 64, lambda text: Recipient("42", tenant=text)),
    ("actor.id", 64, lambda text: Actor(text)),
    ("actor.type", 64, lambda text: Actor("7", text)),
]


@pytest.mark.parametrize("bad", REFUSED_IN_NAMES.values(), ids=REFUSED_IN_NAMES.keys())
@pytest.mark.parametrize(("field", "at_most", "make"), PARTS, ids=[part[0] for part in PARTS])
def test_a_bad_part_of_recipient_or_actor_is_refused(field: str, at_most: int, make: Any, bad: object) -> None:
    with pytest.raises(InvalidNotification) as refused:
        make(bad)
    assert refused.value.field == field


@pytest.mark.parametrize(("field", "at_most", "make"), PARTS, ids=[part[0] for part in PARTS])
def test_a_part_may_be_as_long_as_its_column_and_no_longer(field: str, at_most: int, make: Any) -> None:
    make("x" * at_most)
    with pytest.raises(InvalidNotification, match=f"{field}: expected at most {at_most} characters"):
        make("x" * (at_most + 1))


@pytest.mark.parametrize(("bad", "place"), BAD_DATA.values(), ids=BAD_DATA.keys())
@pytest.mark.parametrize("field", ["data", "live"])
async def test_bad_data_is_refused_by_its_place_and_nothing_written(
    recording, field: str, bad: Any, place: str
) -> None:
    error = await refusal(recording, **{field: bad})
    assert error.field == field + place
    str(error).encode()  # fit for a log or an answer, whatever the value was


@pytest.mark.parametrize(
    "arguments",
    [{"recipient": "42"}, {"recipient": None}, {"actor": "7"}, {"actor": Recipient("7")}, {"type": None}],
    ids=str,
)
async def test_an_argument_of_another_type_is_refused_and_nothing_written(recording, arguments: dict[str, Any]) -> None:
    assert (await refusal(recording, **arguments)).field in arguments


async def test_a_refusal_says_what_was_given_and_what_was_expected(recording) -> None:
    error = await refusal(recording, data={"when": datetime(2026, 11, 20, tzinfo=UTC)})
    assert str(error).startswith("data.when: expected a JSON value")
    assert "datetime.datetime(2026, 11, 20" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        {"a": 2**63 - 1, "b": -(2**63) + 1},
        {"a": math.nextafter(2.0**63, 0), "b": 5e-324, "c": -0.0},
        {"a": "\u2028\u2029\x01\x1f\x7f\U0001f514", "": None, "b.c": True},
        {"a": "x" * (MAX_DATA_BYTES - len('{"a":""}'))},
        {"a": "\u00e9" * ((MAX_DATA_BYTES - len('{"a":""}')) // 2)},
        objects(30),
        {"a": arrays(29)},
    ],
    ids=["whole numbers", "numbers", "texts", "64 KiB", "64 KiB of UTF-8", "30 levels", "30 levels of arrays"],
)
def test_data_up_to_the_bounds_is_taken(data: dict[str, Any]) -> None:
    assert check_data(data) == data


async def test_the_bound_on_bytes_can_be_set(recording, user: Recipient) -> None:
    inbox = Inbox(recording, max_data_bytes=10)
    await inbox.send(user, "t", {"a": "12"})
    with pytest.raises(InvalidNotification, match="data: expected at most 10 bytes of JSON, got 11"):
        await inbox.send(user, "t", {"a": "123"})


class Level(IntEnum):
    HIGH = 3


class Kind(StrEnum):
    LOUD = "loud"


@pytest.mark.parametrize(
    "data",
    [
        {"a": (1, (2,))},
        {"a": MappingProxyType({"b": 1})},
        ChainMap({"a": 1}, {"b": 2}),
        {"a": Level.HIGH},
        {Kind.LOUD: Kind.LOUD},
    ],
    ids=["tuples", "mappings within", "another mapping", "members of an IntEnum", "members of a StrEnum"],
)
def test_what_can_stand_for_json_becomes_plain_json(data: Any) -> None:
    def is_plain(value: object) -> bool:
        match value:
            case dict():
                return type(value) is dict and all(type(key) is str and is_plain(item) for key, item in value.items())
            case list():
                return type(value) is list and all(map(is_plain, value))
            case _:
                return type(value) in (str, int, float, bool, type(None))

    assert is_plain(check_data(data))


characters = st.characters(exclude_categories=())
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text(characters, max_size=5)
    | st.sampled_from([2**63, -(2**63), 2.0**63, math.nan, math.inf, "\0", "\ud800", "\u2028", b"", 1j])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(characters, max_size=3) | st.integers(0, 1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_whatever_is_taken_equals_its_json_round_trip(data: dict[str, Any]) -> None:
    try:
        taken = check_data(data)
    except InvalidNotification:
        return
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    assert json.dumps(taken, ensure_ascii=False) == text
    assert json.loads(text.encode()) == taken


def scalars(value: Any) -> list[Any]:
    match value:
        case dict():
            return [*value, *(scalar for item in value.values() for scalar in scalars(item))]
        case list():
            return [scalar for item in value for scalar in scalars(item)]
    return [value]


@given(st.dictionaries(st.text(characters, max_size=3), values, max_size=4))
def test_whatever_is_taken_holds_only_what_every_database_can(data: dict[str, Any]) -> None:
    try:
        taken = check_data(data)
    except InvalidNotification:
        return
    for scalar in scalars(taken):
        if isinstance(scalar, str):
            assert "\0" not in scalar
            scalar.encode()
        elif scalar is not None:
            assert abs(scalar) < 2**63


NAIVE = datetime(2026, 11, 20)


def test_a_notification_at_a_naive_time_is_refused(user: Recipient) -> None:
    with pytest.raises(InvalidNotification, match="at: expected an aware datetime, got the naive 2026-11-20T00:00:00"):
        Notification.new(user, "t", at=NAIVE)


async def test_a_naive_clock_is_refused_and_nothing_written(recording, user: Recipient) -> None:
    inbox = Inbox(recording, clock=lambda: NAIVE)
    for call in (inbox.send(user, "t"), inbox.mark_read(user, ID), inbox.mark_all_read(user)):
        with pytest.raises(InvalidArgument, match="clock: expected an aware datetime"):
            await call
    assert recording.calls == []


BAD_TYPES = {
    "a string": "invoice.paid",
    "a number": 5,
    "a number within": ["t", 5],
    "a list within": [["t"]],
    "an empty name": ["t", ""],
    "a long name": ["t", "x" * 65],
    "a line break": ["t", "a\nb"],
    "101 names": [f"t{n}" for n in range(101)],
}


@pytest.mark.parametrize("types", BAD_TYPES.values(), ids=BAD_TYPES.keys())
@pytest.mark.parametrize("method", ["page", "count", "unread_count", "mark_all_read"])
async def test_bad_types_are_refused_before_any_store_is_called(
    recording, user: Recipient, method: str, types: Any
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await getattr(Inbox(recording), method)(user, types=types)
    assert refused.value.field in ("types", "types[0]", "types[1]")
    assert recording.calls == []


def test_a_refused_type_is_named_by_its_place_in_what_was_given() -> None:
    with pytest.raises(InvalidArgument, match=r"types\[2\]: expected 1 to 64 characters"):
        check_types(["a", "a", ""])


@pytest.mark.parametrize(
    ("types", "expected"),
    [(None, None), ([], None), ((), None), (["b", "a", "b"], ("b", "a")), (iter("ab"), ("a", "b"))],
)
def test_types_are_taken_once_each_and_none_at_all_filters_nothing(types: Any, expected: Any) -> None:
    assert check_types(types) == expected


ID = "019aa0a0-0000-7000-8000-000000000000"
BAD_QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "limit below 0": ("page", {"limit": -1}),
    "limit over 100": ("page", {"limit": 101}),
    "limit a fraction": ("page", {"limit": 5.0}),
    "limit a text": ("page", {"limit": "5"}),
    "limit True": ("page", {"limit": True}),
    "offset below 0": ("page", {"offset": -1}),
    "offset past 31 bits": ("page", {"offset": 2**31}),
    "offset None": ("page", {"offset": None}),
    "before a text": ("page", {"before": f"1.{ID}"}),
    "before a naive time": ("page", {"before": Cursor(NAIVE, ID)}),
    "before no id": ("page", {"before": Cursor(datetime.now(UTC), "latest")}),
    "before a plain tuple": ("page", {"before": (datetime.now(UTC), ID)}),
    "at_most 0": ("unread_count", {"at_most": 0}),
    "at_most a fraction": ("unread_count", {"at_most": 1.0}),
    "at_most past 31 bits": ("unread_count", {"at_most": 2**31}),
    "seen a naive time": ("mark_all_read", {"seen": NAIVE}),
    "seen a text": ("mark_all_read", {"seen": "2026-11-20"}),
    "get by an empty key": ("get", {"key": ""}),
    "mark_read by a long key": ("mark_read", {"key": "x" * 256}),
    "mark_unread by a lone surrogate": ("mark_unread", {"key": "\ud800"}),
    "delete by a number": ("delete", {"key": 5}),
}


@pytest.mark.parametrize(("method", "arguments"), BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
async def test_a_bad_argument_is_refused_by_name_before_any_store_is_called(
    recording, user: Recipient, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await getattr(Inbox(recording), method)(user, **arguments)
    assert [refused.value.field] == list(arguments)
    assert recording.calls == []


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": 100}, {"offset": 2**31 - 1}], ids=str)
async def test_a_page_may_ask_for_0_to_100_rows_from_any_offset(user: Recipient, arguments: dict[str, int]) -> None:
    assert await Inbox(MemoryStore()).page(user, **arguments) == []


async def test_the_most_rows_of_a_page_can_be_set(user: Recipient) -> None:
    inbox = Inbox(MemoryStore(), max_limit=1000)
    assert await inbox.page(user, limit=1000) == []
    with pytest.raises(InvalidArgument, match="limit: expected a whole number from 0 to 1000, got 1001"):
        await inbox.page(user, limit=1001)


METHODS = ["get", "page", "count", "unread_count", "mark_read", "mark_unread", "mark_all_read", "delete"]


@pytest.mark.parametrize("method", METHODS)
async def test_what_is_no_recipient_is_refused_before_any_store_is_called(recording, method: str) -> None:
    arguments = {"key": "k"} if method == "get" else {}
    with pytest.raises(InvalidArgument, match="recipient: expected a Recipient, got '42'"):
        await getattr(Inbox(recording), method)("42", **arguments)
    assert recording.calls == []


async def test_one_call_takes_at_most_10000_ids(recording, user: Recipient) -> None:
    with pytest.raises(InvalidArgument, match="ids: expected at most 10000 ids, got 10001"):
        await Inbox(recording).mark_read(user, *["x"] * 10_001)
    assert recording.calls == []
