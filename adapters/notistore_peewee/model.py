"""The table every notistore SQL adapter shares (docs/schema.md), as a Peewee model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, Literal

from peewee import (
    SQL,
    CharField,
    Field,
    IntegerField,
    Model,
    ModelIndex,
    MySQLDatabase,
    PostgresqlDatabase,
    Proxy,
    SqliteDatabase,
)

from notistore.columns import COLUMNS, driver_time, encoded, utc, values
from notistore.errors import InvalidArgument
from notistore.model import Notification

__all__ = ["is_mariadb", "kind", "notification_model", "to_row"]

Kind = Literal["sqlite", "postgresql", "mysql"]

_TIME: Final = {"sqlite": "BIGINT", "postgresql": "TIMESTAMP(3) WITH TIME ZONE", "mysql": "DATETIME(3)"}
_JSON: Final = {"sqlite": "TEXT", "postgresql": "JSONB", "mysql": "JSON"}


def kind(database: Any) -> Kind:
    """Which of the SQL dialects it speaks; an asynchronous database speaks its synchronous one's."""
    if isinstance(database, Proxy):
        database = database.obj
    if isinstance(database, SqliteDatabase):
        return "sqlite"
    if isinstance(database, PostgresqlDatabase):
        return "postgresql"
    if isinstance(database, MySQLDatabase):
        return "mysql"
    raise InvalidArgument(
        "database", f"expected a SqliteDatabase, PostgresqlDatabase or MySQLDatabase, initialized; got {database!r}"
    )


def is_mariadb(database: Any) -> bool:
    """Known once it has connected; MySQL never had a version 10."""
    return bool(database.mariadb) or (database.server_version or (0,)) >= (10,)


class NameField(CharField):
    """Text compared code point by code point, whatever the database's own collation makes of case, accents or spaces.

    On PostgreSQL "C" also keeps the indexes valid when the operating system's collations change.
    """

    def ddl_datatype(self, ctx: Any) -> SQL:
        database = self.model._meta.database
        exact = {"sqlite": "", "postgresql": ' COLLATE "C"', "mysql": " CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"}
        collation = exact[kind(database)]
        if kind(database) == "mysql" and is_mariadb(database):
            collation = " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        return SQL(f"VARCHAR({self.max_length}){collation}")


class UtcTimeField(Field):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite."""

    def ddl_datatype(self, ctx: Any) -> SQL:
        return SQL(_TIME[kind(self.model._meta.database)])

    def db_value(self, value: datetime | None) -> datetime | int | None:
        return None if value is None else driver_time(value.astimezone(UTC), kind(self.model._meta.database))

    def python_value(self, value: datetime | int | None) -> datetime | None:
        return None if value is None else utc(value)


class DataField(Field):
    """A JSON object: jsonb, json, or compact text in SQLite. Drivers give it back parsed, or not."""

    def ddl_datatype(self, ctx: Any) -> SQL:
        return SQL(_JSON[kind(self.model._meta.database)])

    def db_value(self, value: Any) -> str:
        return encoded(value)

    def python_value(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str | bytes) else value


def notification_model(database: Any, table_name: str = "notistore_notifications") -> type[Model]:
    """The table as a model of the application's own, for its migrations and queries.

    Args:
        database: what it is bound to, synchronous or not; a DatabaseProxy has to be initialized by now.
        table_name: its indexes are named after it.
    """
    dialect = kind(database)

    class Notification(database.Model):  # type: ignore[misc]
        id = NameField(36, primary_key=True)
        tenant = NameField(64, default="", constraints=[SQL("DEFAULT ''")])
        recipient_type = NameField(64)
        recipient_id = NameField(128)
        type = NameField(64)
        stable_key = NameField(255, null=True)
        data = DataField()
        actor_type = NameField(64, null=True)
        actor_id = NameField(64, null=True)
        trace_id = NameField(128, null=True)
        version = IntegerField()
        read_at = UtcTimeField(null=True)
        created_at = UtcTimeField()
        updated_at = UtcTimeField()

    row: Any = Notification
    row._meta.set_table_name(table_name)
    inbox = (row.tenant, row.recipient_type, row.recipient_id)
    order = (row.created_at, row.id)
    # MySQL has no partial indexes, so read_at is a column of this one; elsewhere it costs nothing, being NULL.
    unread = None if dialect == "mysql" else SQL("read_at IS NULL")
    row.add_index(ModelIndex(row, (*inbox, *order), name=f"{table_name}_inbox"))
    row.add_index(ModelIndex(row, (*inbox, row.read_at, *order), name=f"{table_name}_unread", where=unread))
    row.add_index(ModelIndex(row, (row.updated_at, row.id), name=f"{table_name}_age"))
    return Notification


def to_row(notification: Notification) -> dict[str, Any]:
    """What Peewee's inserts take."""
    return dict(zip(COLUMNS, values(notification), strict=True))
