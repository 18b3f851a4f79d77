"""A notification as the columns of the one table that every SQL adapter shares (docs/schema.md), and back.

For adapters. An ORM whose fields convert for themselves takes `values`; a driver takes `driver_values`. What either
gives back, `from_values` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from .model import Notification, Recipient, from_millis, stored_actor, stored_notification, stored_recipient, to_millis

__all__ = ["COLUMNS", "REPLACED", "decoded", "driver_time", "driver_values", "encoded", "from_values", "utc", "values"]

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
"""The table's columns, in the order that everything here gives and takes their values in."""

REPLACED: Final = ("type", "data", "actor_type", "actor_id", "trace_id", "updated_at")
"""The columns that an upsert takes from the new row."""

Time: TypeAlias = datetime | int

# Made once: `json.dumps` with options makes an encoder of its own for every call.
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode: Final = json.JSONDecoder().raw_decode  # half the time of `json.loads`, which looks for white space


def values(notification: Notification) -> list[Any]:
    """The columns' values in Python's own terms: `data` a mapping, times aware and in UTC, no tenant as ""."""
    recipient, actor = notification.recipient, notification.actor
    return [
        notification.id,
        recipient.tenant or "",
        recipient.type,
        recipient.id,
        notification.type,
        notification.key,
        notification.data,
        actor and actor.type,
        actor and actor.id,
        notification.trace_id,
        notification.version,
        notification.read_at,
        notification.created_at,
        notification.updated_at,
    ]


def driver_values(notification: Notification, dialect: str) -> list[Any]:
    """The columns' values as a driver takes them: JSON as text, times as the column keeps them.

    Args:
        dialect: "sqlite" (milliseconds since 1970), "mysql" (UTC without its zone), or any other (aware).
    """
    row = values(notification)
    row[6] = encoded(notification.data)
    if dialect in ("sqlite", "mysql"):
        row[11:] = [None if at is None else driver_time(at, dialect) for at in row[11:]]
    return row


def driver_time(at: datetime, dialect: str) -> Time:
    """A time in UTC as `driver_values` has it."""
    if dialect == "sqlite":
        return to_millis(at)
    return datetime.combine(at, at.time()) if dialect == "mysql" else at


def encoded(data: Mapping[str, Any]) -> str:
    """`data` as compact JSON."""
    return _encode(data)


def decoded(data: Any) -> Any:
    """`data` as a driver gave it: JSON as text, or parsed already."""
    if isinstance(data, str):
        return _decode(data.lstrip())[0]
    return json.loads(data) if isinstance(data, bytes) else data


def from_values(row: Iterable[Any], recipient: Recipient | None = None) -> Notification:
    """The notification in one row. JSON may be text or parsed already, and times in any form that a column has.

    Args:
        row: the columns' values.
        recipient: whose row it is, where the caller knows: it is not made anew.
    """
    (
        id,
        tenant,
        recipient_type,
        recipient_id,
        type,
        key,
        data,
        actor_type,
        actor_id,
        trace_id,
        version,
        read_at,
        created_at,
        updated_at,
    ) = row
    created = utc(created_at)
    return stored_notification(
        id,
        recipient or stored_recipient(recipient_id, recipient_type, tenant or None),
        type,
        decoded(data),
        key,
        None if actor_id is None else stored_actor(actor_id, actor_type),
        trace_id,
        version,
        None if read_at is None else utc(read_at),
        created,
        created if updated_at == created_at else utc(updated_at),
    )


def utc(value: Time) -> datetime:
    """A time that a driver or a field gave: milliseconds since 1970, or a datetime, where naive one in UTC."""
    if isinstance(value, int):
        return from_millis(value)
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        return datetime.combine(value, value.time(), UTC)  # replace() takes several times as long
    return value.astimezone(UTC)
