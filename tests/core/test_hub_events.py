"""Frames, each read back by a parser of event streams that knows nothing of notistore."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notistore import InvalidArgument, Notification, Recipient
from notistore.hub.events import HEARTBEAT, REFETCH, Event
from notistore.wire import to_item

from .eventstream import Frame, parse

ID = "019aa0a0-0000-7000-8000-000000000000"

texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n\u2028\u2029\x85\x0b:"))
lines = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0") | st.sampled_from(": \u2028"))
data = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@given(name=lines, data=data, id=st.none() | lines, retry=st.none() | st.integers(0, 60_000))
@example(name="notification", data="a\r\n\r\nevent: read\ndata: 1\n\n", id=None, retry=None)
@example(name="notification", data={"\u2028data: 1\r": "\n\nid: 7\n\n"}, id=" 7", retry=0)
def test_an_event_arrives_unchanged_as_one_frame(name: str, data: Any, id: str | None, retry: int) -> None:
    [frame] = parse(Event(name, data, id=id, retry=retry).encode())
    assert frame == Frame(name or "message", json.dumps(data, separators=(",", ":")), id or "", retry)
    assert frame.json == data


@given(st.lists(st.builds(Event, lines, texts), max_size=5))
def test_frames_that_are_joined_stay_apart(events: list[Event]) -> None:
    frames = parse(b"".join(event.encode() for event in events))
    assert [(frame.name, frame.json) for frame in frames] == [(e.name or "message", e.data) for e in events]


@given(st.builds(Event, lines, data, lines, st.none() | st.integers(0, 60_000)))
def test_only_line_feeds_end_lines(event: Event) -> None:
    encoded = event.encode()
    assert encoded.endswith(b"\n\n")
    assert encoded.count(b"\n\n") == 1
    assert b"\r" not in encoded


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\0"], ids=repr)
@pytest.mark.parametrize("field", ["name", "id"])
def test_a_line_break_in_name_or_id_is_refused(field: str, end: str) -> None:
    arguments = {"name": "notification"} | {field: f"a{end}data: smuggled"}
    with pytest.raises(InvalidArgument) as refused:
        Event(**arguments)
    assert refused.value.field == f"event.{field}"


@pytest.mark.parametrize("retry", ["1\ndata: smuggled", -1, 1.5])
def test_a_retry_that_is_no_number_of_milliseconds_is_refused(retry: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"event\.retry: expected a whole number"):
        Event("notification", retry=retry)


def test_a_notification_is_exactly_its_item(user: Recipient) -> None:
    row = Notification.new(user, "t", {"count": 99, "text": "a\u2028b"})
    [frame] = parse(Event.notification(row).encode())
    assert (frame.name, frame.json) == ("notification", to_item(row))


def test_a_notification_may_carry_live_in_place_of_data(user: Recipient) -> None:
    row = Notification.new(user, "t", {"large": 1})
    [frame] = parse(Event.notification(row, live={"small": 1}).encode())
    assert frame.json == to_item(row) | {"data": {"small": 1}}


def test_marks_name_the_notification(noon: datetime) -> None:
    frames = parse(Event.read(ID, noon).encode() + Event.unread(ID).encode() + Event.deleted(ID).encode())
    assert [(frame.name, frame.json) for frame in frames] == [
        ("read", {"notificationId": ID, "readAt": "2026-11-20T12:00:00.123+00:00"}),
        ("unread", {"notificationId": ID}),
        ("delete", {"notificationId": ID}),
    ]


def test_a_count_sets_last_event_id_and_retry() -> None:
    assert parse(Event.count(3, id="17", retry=2000).encode()) == [Frame("notification", '{"count":3}', "17", 2000)]


def test_an_event_without_id_and_retry_leaves_the_last_ones_standing() -> None:
    frames = parse(b"".join(e.encode() for e in (Event("a", 1, id="7", retry=5), Event("b", 1), Event("c", 1, id=""))))
    assert [(frame.last_id, frame.retry) for frame in frames] == [("7", 5), ("7", 5), ("", 5)]


def test_something_changed_is_a_notification_with_an_empty_data_line() -> None:
    assert REFETCH.encode() == b"event: notification\ndata:\n\n"


def test_a_heartbeat_is_a_comment_that_no_page_sees(user: Recipient) -> None:
    item = Event.notification(Notification.new(user, "t")).encode()
    assert HEARTBEAT.startswith(b":")
    assert parse(HEARTBEAT + item + HEARTBEAT) == parse(item)
