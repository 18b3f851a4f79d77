"""Conversion of notifications to rows of the table, and back.

`values` is for ORMs whose fields convert values, `row_encoder` for drivers; `from_values` reads the rows of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from ..model import (
    Notification,
    Recipient,
    from_millis,
    stored_actor,
    stored_notification,
    stored_recipient,
    to_millis,
)
from .table import COLUMNS

__all__ = [
    "COLUMNS",
    "decoded",
    "encoded",
    "from_values",
    "row_encoder",
    "time_encoder",
    "utc",
    "values",
]

Time: TypeAlias = datetime | int

# Made once: `json.dumps` with options makes a new encoder for every call.
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode: Final = json.JSONDecoder().raw_decode  # twice as fast as `json.loads`, which looks for white space


def values(notification: Notification) -> list[Any]:
    """The columns' values as Python objects: `data` a mapping, times aware and in UTC, no tenant as ""."""
    recipient, actor = notification.recipient, notification.actor
    return [
        notification.id,
        recipient.tenant or "",
        recipient.type,
        recipient.id,
        notification.type,
        notification.key,
        notification.data,
        None if actor is None else actor.type,
        None if actor is None else actor.id,
        notification.trace_id,
        notification.version,
        notification.read_at,
        notification.created_at,
        notification.updated_at,
    ]


def row_encoder(dialect: str) -> Callable[[Notification], list[Any]]:
    """A function from a notification to the columns' values for a driver: JSON as text, times by `time_encoder`.

    Args:
        dialect: the name of a `Dialect`.
    """
    time = time_encoder(dialect)

    def encode(notification: Notification) -> list[Any]:
        recipient, actor = notification.recipient, notification.actor
        read_at, created, updated = notification.read_at, notification.created_at, notification.updated_at
        created_at = time(created)
        return [
            notification.id,
            recipient.tenant or "",
            recipient.type,
            recipient.id,
            notification.type,
            notification.key,
            _encode(notification.data),
            None if actor is None else actor.type,
            None if actor is None else actor.id,
            notification.trace_id,
            notification.version,
            None if read_at is None else time(read_at),
            created_at,
            created_at if updated is created else time(updated),
        ]

    return encode


def time_encoder(dialect: str) -> Callable[[datetime], Time]:
    """A function from a time in UTC to the value for a driver: milliseconds since 1970 ("sqlite"), a naive datetime in
    UTC ("mysql", "mariadb"), or the aware datetime (any other)."""
    if dialect == "sqlite":
        return to_millis
    return _naive if dialect in ("mysql", "mariadb") else _aware


def encoded(data: Mapping[str, Any]) -> str:
    """`data` as compact JSON."""
    return _encode(data)


def decoded(data: Any) -> Any:
    """`data` parsed, from a driver that returns JSON as text, as bytes or parsed."""
    if isinstance(data, str):
        return _decode(data.lstrip())[0]
    return json.loads(data) if isinstance(data, bytes) else data


def from_values(row: Iterable[Any], recipient: Recipient | None = None) -> Notification:
    """The notification of a row. Its JSON may be text or parsed, and its times in any form that a column returns.

    Args:
        row: the columns' values.
        recipient: the row's recipient, if the caller has the object already.
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
    """The aware datetime of a column's value: milliseconds since 1970, an aware datetime, or a naive one in UTC."""
    if isinstance(value, int):
        return from_millis(value)
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        return datetime.combine(value, value.time(), UTC)  # replace() takes several times as long
    return value.astimezone(UTC)


def _naive(at: datetime) -> datetime:
    return datetime.combine(at, at.time()) if at.tzinfo is UTC else at.astimezone(UTC).replace(tzinfo=None)


def _aware(at: datetime) -> datetime:
    return at
