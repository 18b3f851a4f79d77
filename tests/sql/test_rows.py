"""What the SQL adapters share: the columns of the one table, read in whatever form a driver gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from notistore import Actor, Notification, Recipient
from notistore.model import from_millis
from notistore.sql.rows import COLUMNS, decoded, from_values, row_encoder, time_encoder, utc, values

ROW = Notification.new(
    Recipient("42", tenant="acme"),
    "invoice.paid",
    {"title": "bezahlt \u2028 \U0001f600", "amount": 2**53 + 1, "lines": [], "note": None},
    actor=Actor("ada"),
    at=datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
)


@pytest.mark.parametrize("given", ['{"a":[1]}', ' \n{"a": [1]}\n', b'{"a":[1]}', {"a": [1]}])
def test_data_is_read_as_text_as_bytes_or_parsed(given: Any) -> None:
    assert decoded(given) == {"a": [1]}


@pytest.mark.parametrize("dialect", ["sqlite", "mysql", "mariadb", "postgresql"])
def test_a_row_is_equal_after_a_round_trip_through_driver_values(dialect: str) -> None:
    row = row_encoder(dialect)(ROW)
    assert len(row) == len(COLUMNS)
    assert from_values(row) == ROW
    assert from_values(row, ROW.recipient) == ROW


def test_times_of_any_zone_come_back_in_utc() -> None:
    row = values(ROW)
    row[COLUMNS.index("read_at")] = from_millis(7).astimezone(timezone(timedelta(hours=5)))
    read_at = from_values(row).read_at
    assert read_at == from_millis(7)
    assert read_at is not None
    assert read_at.tzinfo is UTC


@pytest.mark.parametrize("dialect", ["sqlite", "mysql", "mariadb", "postgresql"])
def test_a_time_of_another_zone_is_the_same_instant_as_a_parameter(dialect: str) -> None:
    encode = time_encoder(dialect)
    assert utc(encode(from_millis(7).astimezone(timezone(timedelta(hours=-6))))) == from_millis(7)
