"""A notification as a row of the table, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from notistore.model import Notification, stored_actor, stored_notification, stored_recipient

from .fields import from_column, to_column

__all__ = ["COLUMNS", "from_row", "to_row"]

COLUMNS: Final = (
    "id",
    "tenant",
    "recipient_type",
    "recipient_id",
    "type",
    "stable_key",
    "data",
    "actor_type",
    "actor_id",
    "trace_id",
    "version",
    "read_at",
    "created_at",
    "updated_at",
)


def to_row(notification: Notification, dialect: str) -> list[Any]:
    """Its values, in the order of COLUMNS."""
    recipient, actor, read_at = notification.recipient, notification.actor, notification.read_at
    return [
        notification.id,
        recipient.tenant or "",
        recipient.type,
        recipient.id,
        notification.type,
        notification.key,
        json.dumps(notification.data, ensure_ascii=False, separators=(",", ":")),
        actor and actor.type,
        actor and actor.id,
        notification.trace_id,
        notification.version,
        None if read_at is None else to_column(read_at, dialect),
        to_column(notification.created_at, dialect),
        to_column(notification.updated_at, dialect),
    ]


def from_row(row: Mapping[str, Any]) -> Notification:
    """Takes a row whose columns are COLUMNS, in that order."""
    id, tenant, recipient_type, recipient_id, type, key, data, *rest = row.values()
    actor_type, actor_id, trace_id, version, read_at, created_at, updated_at = rest
    return stored_notification(
        id,
        stored_recipient(recipient_id, recipient_type, tenant or None),
        type,
        json.loads(data) if isinstance(data, str) else data,  # psycopg has decoded it
        key,
        None if actor_id is None else stored_actor(actor_id, actor_type),
        trace_id,
        version,
        None if read_at is None else from_column(read_at),
        from_column(created_at),
        from_column(updated_at),
    )
