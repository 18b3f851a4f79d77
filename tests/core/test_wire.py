"""An Item: the JSON of one notification."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore import Actor, Notification, Recipient
from notistore.wire import encode_json, encode_time, to_item


def test_an_item_shows_the_whole_notification(noon: datetime) -> None:
    row = Notification.new(
        Recipient("42", "team", "acme"), "t", {"n": 1}, key="k", actor=Actor("7", "bot"), trace_id="abc", at=noon
    )
    row = replace(row, version=3, read_at=noon + timedelta(hours=1), updated_at=noon + timedelta(minutes=1))
    assert to_item(row) == {
        "id": row.id,
        "type": "t",
        "notifiableType": "team",
        "notifiableId": "42",
        "tenantId": "acme",
        "key": "k",
        "data": {"n": 1},
        "actor": {"id": "7", "type": "bot"},
        "traceId": "abc",
        "version": 3,
        "readAt": "2026-11-20T13:00:00.123+00:00",
        "createdAt": "2026-11-20T12:00:00.123+00:00",
        "updatedAt": "2026-11-20T12:01:00.123+00:00",
    }


def test_what_a_notification_has_not_is_null_but_data_never_is(user: Recipient) -> None:
    item = to_item(Notification.new(user, "t"))
    assert {name for name, value in item.items() if value is None} == {"tenantId", "key", "actor", "traceId", "readAt"}
    assert item["data"] == {}


@pytest.mark.parametrize("live", [{"n": 2}, {}], ids=["with members", "empty"])
def test_live_takes_the_place_of_data(user: Recipient, live: dict[str, int]) -> None:
    assert to_item(Notification.new(user, "t", {"n": 1}), live=live)["data"] == live


def test_a_users_own_count_stays_below_data(user: Recipient) -> None:
    assert "count" not in to_item(Notification.new(user, "t", {"count": 5}))


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 11, 20, 12, tzinfo=UTC), "2026-11-20T12:00:00.000+00:00"),
        (datetime(1, 1, 1, 0, 0, 0, 1000, tzinfo=UTC), "0001-01-01T00:00:00.001+00:00"),
    ],
    ids=["whole seconds", "the year 1"],
)
def test_a_time_has_offset_and_milliseconds_always(time: datetime, text: str) -> None:
    assert encode_time(time) == text


@given(st.text())
def test_json_is_ascii_on_one_line_whatever_the_text(text: str) -> None:
    encoded = encode_json({text: [text]})
    assert json.loads(encoded) == {text: [text]}
    assert encoded.isascii()
    assert len(encoded.splitlines()) == 1


def test_json_is_compact() -> None:
    assert encode_json({"a": [1, {"b": None}]}) == b'{"a":[1,{"b":null}]}'


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_json({"a": float("nan")})
