"""The row as an application that had no notistore would keep it: a plain dataclass, and the values it is stored as."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from notistore import Actor, Notification, Recipient

DATA = {"title": "Invoice 2026-117 was paid", "invoice_id": 7117, "amount": "1250.00", "url": "/invoices/7117"}
TYPES = ("invoice.paid", "export.progress", "comment.added")
TABLE = "notistore_notifications"


@dataclass(slots=True)
class Row:
    id: str
    tenant: str
    recipient_type: str
    recipient_id: str
    type: str
    stable_key: str | None
    data: dict[str, Any]
    actor_type: str | None
    actor_id: str | None
    trace_id: str | None
    version: int
    read_at: datetime | None
    created_at: datetime
    updated_at: datetime


COLUMNS = tuple(field.name for field in fields(Row))


def example(recipient: Recipient, n: int = 0, **more: Any) -> Notification:
    """A notification like most: with an actor and a trace."""
    return Notification.new(recipient, TYPES[n % 3], DATA, actor=Actor("ada"), trace_id=f"{n:032x}", **more)


def row_of(notification: Notification) -> Row:
    recipient, actor = notification.recipient, notification.actor
    return Row(
        notification.id,
        recipient.tenant or "",
        recipient.type,
        recipient.id,
        notification.type,
        notification.key,
        dict(notification.data),
        actor and actor.type,
        actor and actor.id,
        notification.trace_id,
        notification.version,
        notification.read_at,
        notification.created_at,
        notification.updated_at,
    )


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def from_millis(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def to_json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def to_sqlite(row: Row) -> list[Any]:
    """The values of its columns, in their order."""
    values = list(_values(row))
    values[6] = to_json(row.data)
    values[11] = None if row.read_at is None else millis(row.read_at)
    values[12] = millis(row.created_at)
    values[13] = millis(row.updated_at)
    return values


def to_postgres(row: Row) -> list[Any]:
    """The same where the driver takes times as they are, and JSON as text."""
    values = list(_values(row))
    values[6] = to_json(row.data)
    return values


def from_values(values: Iterable[Any]) -> Row:
    """Where the driver gives JSON as text or parsed, and times as milliseconds or as they are."""
    row = Row(*values)
    if isinstance(row.data, str):
        row.data = json.loads(row.data)
    if isinstance(row.created_at, int):
        row.created_at, row.updated_at = from_millis(row.created_at), from_millis(row.updated_at)
    if isinstance(row.read_at, int):
        row.read_at = from_millis(row.read_at)
    return row


def _values(row: Row) -> tuple[Any, ...]:
    return (
        row.id,
        row.tenant,
        row.recipient_type,
        row.recipient_id,
        row.type,
        row.stable_key,
        row.data,
        row.actor_type,
        row.actor_id,
        row.trace_id,
        row.version,
        row.read_at,
        row.created_at,
        row.updated_at,
    )


def as_dict(values: list[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, values, strict=True))
