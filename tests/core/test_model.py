"""The model: recipients, notifications, cursors and times."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore import Actor, Cursor, InvalidArgument, Notification, Recipient, keyed_id
from notistore.model import from_millis, to_millis, utc_now

times = st.datetimes(timezones=st.just(UTC)).map(lambda time: from_millis(to_millis(time)))
ids = st.uuids(version=4).map(lambda id: str(id)[:14] + "7" + str(id)[15:])


class Kind(StrEnum):
    USER = "user"


def test_a_recipient_is_a_user_without_tenant_by_default() -> None:
    assert Recipient("42") == Recipient("42", "user", None)


def test_id_type_and_tenant_identify_a_recipient() -> None:
    recipients = {Recipient("1"), Recipient("2"), Recipient("1", "team"), Recipient("1", tenant="acme")}
    assert len(recipients) == 4


def test_texts_that_only_look_alike_are_other_recipients() -> None:
    assert len({Recipient("e\u0301"), Recipient("\u00e9"), Recipient("E\u0301"), Recipient("e\u0301 ")}) == 4


def test_the_member_of_an_enum_becomes_the_plain_string_it_is() -> None:
    recipient, actor = Recipient(Kind.USER, Kind.USER, Kind.USER), Actor(Kind.USER, Kind.USER)
    for text in (recipient.id, recipient.type, recipient.tenant, actor.id, actor.type):
        assert type(text) is str
        assert text == "user"


def test_recipients_and_notifications_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Recipient("42").id = "43"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Notification.new(Recipient("42"), "t").read_at = utc_now()  # type: ignore[misc]


def test_a_new_notification_is_unread_at_version_1_with_both_times_the_same(user: Recipient, noon: datetime) -> None:
    row = Notification.new(user, "invoice.paid", {"n": 7}, actor=Actor("7"), trace_id="abc", at=noon)
    assert row == Notification(
        row.id, user, "invoice.paid", {"n": 7}, None, Actor("7"), "abc", 1, None, created_at=noon, updated_at=noon
    )


def test_without_data_a_notification_has_an_empty_object(user: Recipient) -> None:
    assert Notification.new(user, "t").data == {}


def test_without_a_key_each_notification_has_an_id_of_its_own_greater_than_the_last(user: Recipient) -> None:
    assert Notification.new(user, "t").id < Notification.new(user, "t").id


def test_with_a_key_the_id_is_made_from_recipient_and_key(user: Recipient) -> None:
    row = Notification.new(user, "t", key="export:9")
    assert (row.id, row.key) == (keyed_id(user, "export:9"), "export:9")


def test_a_notification_copies_its_data(user: Recipient) -> None:
    data: dict[str, object] = {"items": [1]}
    row = Notification.new(user, "t", data)
    data["items"] = [2]
    assert row.data == {"items": [1]}


def test_a_time_is_turned_to_utc_and_truncated_to_the_millisecond(user: Recipient) -> None:
    at = datetime(2026, 11, 20, 13, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=1)))
    row = Notification.new(user, "t", at=at)
    assert row.created_at == row.updated_at == datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC)
    assert row.created_at.tzinfo is UTC


def test_utc_now_is_utc_in_whole_milliseconds() -> None:
    now = utc_now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=10)


@given(times)
def test_milliseconds_and_back_is_the_same_time(time: datetime) -> None:
    assert from_millis(to_millis(time)) == time


def test_milliseconds_round_down_before_1970_too() -> None:
    assert to_millis(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@given(times, ids)
def test_a_cursor_survives_its_text(time: datetime, id: str) -> None:
    cursor = Cursor(time, id)
    assert Cursor.parse(str(cursor)) == cursor


@given(times, ids)
def test_the_text_of_a_cursor_needs_no_escaping_in_a_url(time: datetime, id: str) -> None:
    assert set(str(Cursor(time, id))) <= set("0123456789abcdef-.")


@given(st.text())
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Cursor.parse(text)
    assert refused.value.field == "before"


ID = "019aa0a0-0000-7000-8000-000000000000"


RESEMBLING = {
    "no time": f".{ID}",
    "no dot": ID,
    "no id": "1.",
    "a fraction": f"1.5.{ID}",
    "two signs": f"--1.{ID}",
    "plus": f"+1.{ID}",
    "a space before": f" 1.{ID}",
    "a space after": f"1.{ID} ",
    "a line end": f"1\n.{ID}",
    "an underscore": f"1_0.{ID}",
    "other digits": f"\u0661.{ID}",
    "a time past all calendars": f"{10**20}.{ID}",
    "5000 digits": f"{'9' * 5000}.{ID}",
    "upper case": f"1.{ID.upper()}",
}


@pytest.mark.parametrize("text", RESEMBLING.values(), ids=RESEMBLING.keys())
def test_what_only_resembles_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="expected a cursor from an earlier page"):
        Cursor.parse(text)


@given(st.lists(st.tuples(st.sampled_from([from_millis(0), from_millis(1)]), ids), min_size=2))
def test_cursors_order_by_time_and_then_by_id(places: list[tuple[datetime, str]]) -> None:
    assert sorted(Cursor(*place) for place in places) == sorted(places)


def test_the_cursor_of_a_notification_is_its_place_in_the_order(user: Recipient, noon: datetime) -> None:
    row = Notification.new(user, "t", at=noon)
    assert row.cursor == Cursor(noon, row.id)
