"""A notification as a row of the model, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notistore.model import Notification, stored_actor, stored_notification, stored_recipient

from .models import Notification as Row

__all__ = ["Row", "from_values", "to_values"]


def to_values(notification: Notification) -> list[Any]:
    """The columns in the model's order."""
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


def from_values(values: Sequence[Any]) -> Notification:
    """Takes the columns in the model's order, as `values_list()` gives them."""
    id, tenant, recipient_type, recipient_id, type, key, data, *rest = values
    actor_type, actor_id, trace_id, version, read_at, created_at, updated_at = rest
    recipient = stored_recipient(recipient_id, recipient_type, tenant or None)
    actor = None if actor_id is None else stored_actor(actor_id, actor_type)
    return stored_notification(
        id, recipient, type, data, key, actor, trace_id, version, read_at, created_at, updated_at
    )
