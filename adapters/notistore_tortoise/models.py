"""The table that every notistore SQL adapter shares (docs/schema.md), as a Tortoise model."""

from __future__ import annotations

from typing import Any

from tortoise.backends.base.schema_generator import BaseSchemaGenerator
from tortoise.fields import IntField
from tortoise.indexes import Index
from tortoise.models import Model

from notistore.sql.table import INDEXES, TABLE_NAME

from .fields import DataField, NameField, UtcTimeField

__all__ = ["Notification", "UnreadIndex"]


class UnreadIndex(Index):
    """Of the unread rows alone, where the database has partial indexes. MariaDB has none, so `read_at` is in it."""

    def __init__(self, *, fields: tuple[str, ...] | list[str], name: str) -> None:
        super().__init__(fields=fields, name=name)
        self.extra = " WHERE read_at IS NULL"

    def get_sql(self, schema_generator: BaseSchemaGenerator, model: type[Model], safe: bool) -> str:
        if schema_generator.DIALECT != "mysql":
            return super().get_sql(schema_generator, model, safe)
        return Index(fields=self.fields, name=self.name).get_sql(schema_generator, model, safe)


class Notification(Model):
    """One row of an inbox, for queries of your own.

    A tenant of "" is none. Write through a store or an `Inbox`: they keep the contract's promises, and tell the
    recipient's open streams.
    """

    id = NameField(max_length=36, primary_key=True)
    tenant = NameField(max_length=64, default="", db_default="")
    recipient_type = NameField(max_length=64)
    recipient_id = NameField(max_length=128)
    type = NameField(max_length=64)
    stable_key = NameField(max_length=255, null=True)
    data = DataField()
    actor_type = NameField(max_length=64, null=True)
    actor_id = NameField(max_length=64, null=True)
    trace_id = NameField(max_length=128, null=True)
    version = IntField()
    read_at = UtcTimeField(null=True)
    created_at = UtcTimeField()
    updated_at = UtcTimeField()

    class Meta:
        table = TABLE_NAME
        indexes: Any = (
            Index(fields=INDEXES["inbox"], name=f"{TABLE_NAME}_inbox"),
            Index(fields=INDEXES["age"], name=f"{TABLE_NAME}_age"),
            # Last: the migration adds it by itself, since with the table Tortoise would make it partial on MariaDB too.
            UnreadIndex(fields=INDEXES["unread"], name=f"{TABLE_NAME}_unread"),
        )
