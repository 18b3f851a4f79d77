"""The table that every notistore SQL adapter shares (docs/schema.md), as a Django model."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.db import models

from .fields import NameField, UtcTimeField


class Notification(models.Model):
    """One row of an inbox, for the admin and for queries of your own; a tenant of "" is none.

    Write through a store or an `Inbox`: they keep the contract's promises, and tell the recipient's open streams.
    """

    id = NameField(max_length=36, primary_key=True)
    tenant = NameField(max_length=64, blank=True, default="", db_default="")
    recipient_type = NameField(max_length=64)
    recipient_id = NameField(max_length=128)
    type = NameField(max_length=64)
    stable_key = NameField(max_length=255, null=True, blank=True)
    data = models.JSONField()
    actor_type = NameField(max_length=64, null=True, blank=True)
    actor_id = NameField(max_length=64, null=True, blank=True)
    trace_id = NameField(max_length=128, null=True, blank=True)
    version: models.IntegerField[int, int] = models.IntegerField()
    read_at = UtcTimeField(null=True, blank=True)
    created_at = UtcTimeField()
    updated_at = UtcTimeField()

    class Meta:
        db_table = "notistore_notifications"
        indexes = (
            models.Index(
                fields=["tenant", "recipient_type", "recipient_id", "created_at", "id"],
                name="notistore_notifications_inbox",
            ),
            models.Index(
                fields=["tenant", "recipient_type", "recipient_id", "read_at", "created_at", "id"],
                condition=models.Q(read_at=None),
                name="notistore_notifications_unread",
            ),
            models.Index(fields=["updated_at", "id"], name="notistore_notifications_age"),
        )

    def __str__(self) -> str:
        return f"{self.type} for {self.recipient_type} {self.recipient_id}"

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        # W037 says that MySQL and MariaDB ignore an index's condition, which is as it should be: read_at is in it.
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]
