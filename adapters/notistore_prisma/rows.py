"""Conversion of notifications to records of the model NotistoreNotification, and back.

On SQLite, Prisma 5.17 has no JSON and keeps no time zone: data is text there, times are milliseconds since 1970.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

from notistore.model import Notification, Recipient, to_millis
from notistore.sql.rows import COLUMNS, from_values

__all__ = ["replaced", "row", "stored", "time_value"]

_values: Final = attrgetter(*COLUMNS)


def row(notification: Notification, *, sqlite: bool) -> dict[str, Any]:
    """The argument of `create`."""
    return {
        "id": notification.id,
        "tenant": notification.recipient.tenant or "",
        "recipient_type": notification.recipient.type,
        "recipient_id": notification.recipient.id,
        "stable_key": notification.key,
        "version": notification.version,
        "read_at": time_value(notification.read_at, sqlite=sqlite),
        "created_at": time_value(notification.created_at, sqlite=sqlite),
        **replaced(notification, sqlite=sqlite),
    }


def replaced(notification: Notification, *, sqlite: bool) -> dict[str, Any]:
    """The columns that an upsert replaces.

    JSON goes as a string, which is what the client would make of its `Json(...)` too, but in ASCII: the client breaks
    strings with U+2028, U+2029 or U+0085 apart, inside `Json(...)` too.
    """
    actor = notification.actor
    return {
        "type": notification.type,
        "data": json.dumps(notification.data, separators=(",", ":")),
        "actor_type": actor.type if actor else None,
        "actor_id": actor.id if actor else None,
        "trace_id": notification.trace_id,
        "updated_at": time_value(notification.updated_at, sqlite=sqlite),
    }


def time_value(time: datetime | None, *, sqlite: bool) -> datetime | int | None:
    return time if time is None or not sqlite else to_millis(time)


def stored(record: Any, recipient: Recipient) -> Notification:
    """The notification in one record of the model, in this recipient's inbox."""
    *values, read_at, created_at, updated_at = _values(record)
    if not isinstance(created_at, int):
        read_at, created_at, updated_at = read_at and _utc(read_at), _utc(created_at), _utc(updated_at)
    return from_values((*values, read_at, created_at, updated_at), recipient)


def _utc(time: datetime) -> datetime:
    """The engine's times are in UTC, but in a zone of pydantic's, which is slow to compare and to convert."""
    return datetime.combine(time, time.time(), UTC)
