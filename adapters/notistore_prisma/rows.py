"""Rows of the model NotistoreNotification to and from notifications.

On SQLite, Prisma 5.17 has no JSON and keeps no time zone: data is text there, times are milliseconds since 1970.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from notistore.model import (
    Notification,
    from_millis,
    stored_actor,
    stored_notification,
    stored_recipient,
    to_millis,
)

__all__ = ["moment", "replaced", "row", "stored"]


def row(notification: Notification, *, sqlite: bool) -> dict[str, Any]:
    """What `create` takes."""
    return {
        "id": notification.id,
        "tenant": notification.recipient.tenant or "",
        "recipient_type": notification.recipient.type,
        "recipient_id": notification.recipient.id,
        "stable_key": notification.key,
        "version": notification.version,
        "read_at": moment(notification.read_at, sqlite=sqlite),
        "created_at": moment(notification.created_at, sqlite=sqlite),
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
        "updated_at": moment(notification.updated_at, sqlite=sqlite),
    }


def moment(time: datetime | None, *, sqlite: bool) -> datetime | int | None:
    return time if time is None or not sqlite else to_millis(time)


def stored(record: Any) -> Notification:
    """The notification in one record of the model."""
    return stored_notification(
        record.id,
        stored_recipient(record.recipient_id, record.recipient_type, record.tenant or None),
        record.type,
        json.loads(record.data) if isinstance(record.data, str) else record.data,
        record.stable_key,
        stored_actor(record.actor_id, record.actor_type) if record.actor_id else None,
        record.trace_id,
        record.version,
        None if record.read_at is None else _utc(record.read_at),
        _utc(record.created_at),
        _utc(record.updated_at),
    )


def _utc(value: datetime | int) -> datetime:
    return from_millis(value) if isinstance(value, int) else value.astimezone(UTC)
