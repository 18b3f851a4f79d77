"""The table that every notistore SQL adapter shares (docs/schema.md), as a Django model."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.db import models

from notistore.sql.table import INDEXES, TABLE_NAME

from .fields import NameField, UtcTimeField


class Notification(models.Model):
    """One row of an inbox, for the admin and for your own queries; a tenant of "" means none.

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
        db_table = TABLE_NAME
        indexes = (
            models.Index(fields=[*INDEXES["inbox"]], name=f"{TABLE_NAME}_inbox"),
            models.Index(fields=[*INDEXES["unread"]], condition=models.Q(read_at=None), name=f"{TABLE_NAME}_unread"),
            models.Index(fields=[*INDEXES["age"]], name=f"{TABLE_NAME}_age"),
        )

    def __str__(self) -> str:
        return f"{self.type} for {self.recipient_type} {self.recipient_id}"

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        # W037 says that MySQL and MariaDB ignore an index's condition, which is as it should be: read_at is in it.
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]
