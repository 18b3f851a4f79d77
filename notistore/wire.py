"""The JSON that clients receive: a notification as an `Item`, and the encoding of values (docs/wire.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypedDict

from .model import JsonValue, Notification

__all__ = ["ActorItem", "Item", "encode_json", "encode_time", "to_item"]


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # `json.dumps` would make a new one per call


class ActorItem(TypedDict):
    """An `Actor` on the wire."""

    id: str
    type: str


class Item(TypedDict):
    """A notification on the wire: camelCase, times as `encode_time` writes them."""

    id: str
    type: str
    notifiableType: str
    notifiableId: str
    tenantId: str | None
    key: str | None
    data: Mapping[str, JsonValue]
    actor: ActorItem | None
    traceId: str | None
    version: int
    readAt: str | None
    createdAt: str
    updatedAt: str


def encode_time(value: datetime) -> str:
    """ISO 8601 with milliseconds and offset: 2026-11-20T13:15:00.123+00:00."""
    return value.isoformat(timespec="milliseconds")


def encode_json(value: object) -> bytes:
    """Compact JSON in ASCII. It contains no line break, so it can be a `data:` line of an event stream."""
    return _ENCODER.encode(value).encode()


def to_item(notification: Notification, *, live: Mapping[str, JsonValue] | None = None) -> Item:
    """The notification as clients receive it, with `live`, if given, instead of its data."""
    recipient, actor = notification.recipient, notification.actor
    return {
        "id": notification.id,
        "type": notification.type,
        "notifiableType": recipient.type,
        "notifiableId": recipient.id,
        "tenantId": recipient.tenant,
        "key": notification.key,
        "data": notification.data if live is None else live,
        "actor": None if actor is None else {"id": actor.id, "type": actor.type},
        "traceId": notification.trace_id,
        "version": notification.version,
        "readAt": None if notification.read_at is None else encode_time(notification.read_at),
        "createdAt": encode_time(notification.created_at),
        "updatedAt": encode_time(notification.updated_at),
    }
