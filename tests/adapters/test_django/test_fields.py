"""The columns: times are the same instants whatever USE_TZ is, and names are compared code point by code point."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db.models import Max
from django.test import override_settings

from notistore import Notification, Recipient
from notistore.errors import InvalidArgument
from notistore_django.models import Notification as Row
from notistore_django.store import SyncDjangoStore
from tests.django_project import databases

AUTUMN = [datetime(2026, 10, 25, hour, 30, 0, 123_000, tzinfo=UTC) for hour in (0, 1)]
"""Both are 02:30 in Berlin, an hour apart."""


@pytest.fixture(params=[True, False], ids=["USE_TZ", "local times"])
def berlin(request: pytest.FixtureRequest, entry: dict[str, Any]) -> Iterator[str]:
    """The alias of a database in a project whose TIME_ZONE is Europe/Berlin."""
    name = f"django_{uuid.uuid4().hex}"
    with override_settings(USE_TZ=request.param, TIME_ZONE="Europe/Berlin"), databases(**{name: entry}):
        SyncDjangoStore(name).create_schema()
        yield name


def test_instants_stay_what_they_are(berlin: str, user: Recipient) -> None:
    store = SyncDjangoStore(berlin)
    rows = [
        Notification.new(user, "t", at=at, key=at.isoformat()) for at in [*AUTUMN, datetime(1901, 1, 1, tzinfo=UTC)]
    ]
    store.insert_many(rows[:2])
    assert store.upsert(rows[2]) == rows[2]
    assert store.page(user) == [rows[1], rows[0], rows[2]]
    assert [row.created_at.utcoffset() for row in store.page(user)] == [timedelta(0)] * 3


def test_the_model_compares_instants(berlin: str, user: Recipient) -> None:
    SyncDjangoStore(berlin).insert_many([Notification.new(user, "t", at=at) for at in AUTUMN])
    rows = Row.objects.using(berlin).filter(recipient_id=user.id)
    berlin = timezone(timedelta(hours=2))
    assert rows.filter(created_at__lte=AUTUMN[0].astimezone(berlin)).count() == 1
    assert rows.aggregate(last=Max("updated_at")) == {"last": AUTUMN[1]}
    assert [*rows.order_by("created_at").values_list("created_at", flat=True)] == AUTUMN


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="created_at: expected an aware datetime"):
        Row.objects.filter(created_at__lt=datetime(2026, 1, 1))
    with pytest.raises(ValidationError, match="expected an ISO 8601 time"):
        Row.objects.filter(created_at__lt="yesterday")


@pytest.mark.parametrize("format", ["json", "xml"])
def test_rows_survive_dumpdata_and_loaddata(alias: str, user: Recipient, format: str) -> None:
    store = SyncDjangoStore(alias)
    row = Notification.new(user, "t", {"text": "ü", "none": None}, key="k", at=AUTUMN[0])
    store.insert(row)
    dumped = serializers.serialize(format, Row.objects.using(alias).filter(id=row.id))
    store.delete(user, row.id)
    for loaded in serializers.deserialize(format, dumped, using=alias):
        loaded.save(using=alias)
    assert store.page(user) == [row]


def test_names_that_a_collation_would_take_for_one_are_different(alias: str) -> None:
    store, suffix = SyncDjangoStore(alias), uuid.uuid4().hex
    users = [Recipient(f"{name}{suffix}{end}") for name in ("a", "A", "á", "🔔", "🔕") for end in ("", " ")]
    store.insert_many([Notification.new(user, "t") for user in users])
    assert store.unread_counts(users) == dict.fromkeys(users, 1)
