"""The table every notistore SQL adapter shares (docs/schema.md), as a Peewee model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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

from notistore.errors import InvalidArgument
from notistore.sql import Dialect
from notistore.sql.rows import decoded, encoded, time_encoder, utc
from notistore.sql.table import INDEXES, column_type

__all__ = ["dialect_of", "is_async", "notification_model"]


def dialect_of(database: Any) -> Dialect:
    """The SQL dialect of a database. MariaDB is distinguished from MySQL once it has connected."""
    if isinstance(database, Proxy):
        database = database.obj
    if isinstance(database, SqliteDatabase):
        return Dialect("sqlite")
    if isinstance(database, PostgresqlDatabase):
        # psycopg would convert times to the session's zone; asyncpg, below the asynchronous database, does not.
        return Dialect("postgresql", "%s", times_as_milliseconds=not is_async(database))
    if isinstance(database, MySQLDatabase):
        # MySQL never had a version 10.
        mariadb = database.mariadb or (database.server_version or (0,)) >= (10,)
        return Dialect("mariadb" if mariadb else "mysql", "%s")
    raise InvalidArgument(
        "database", f"expected a SqliteDatabase, PostgresqlDatabase or MySQLDatabase, initialized; got {database!r}"
    )


def is_async(database: Any) -> bool:
    # Not by its class: importing that needs greenlet, which synchronous applications do without.
    return hasattr(database, "aexecute_sql")


class _SharedType(Field):
    """A field of the type that the column has in every adapter's table."""

    def ddl_datatype(self, ctx: Any) -> SQL:
        return SQL(column_type(self.column_name, dialect_of(self.model._meta.database)))


class NameField(_SharedType, CharField):
    """Text compared code point by code point."""


class UtcTimeField(_SharedType):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite."""

    def db_value(self, value: datetime | None) -> datetime | int | None:
        to_column = time_encoder(dialect_of(self.model._meta.database).name)
        return None if value is None else to_column(value.astimezone(UTC))

    def python_value(self, value: datetime | int | None) -> datetime | None:
        return None if value is None else utc(value)


class DataField(_SharedType):
    """A JSON object: jsonb, json, or compact text in SQLite. Drivers give it back parsed, or not."""

    def db_value(self, value: Any) -> str:
        return encoded(value)

    def python_value(self, value: Any) -> Any:
        return decoded(value)


def notification_model(database: Any, table_name: str = "notistore_notifications") -> type[Model]:
    """The table as a model, for the application's migrations and queries.

    Args:
        database: the database of the model, synchronous or not; a DatabaseProxy must be initialized.
        table_name: its indexes are named after it.
    """
    partial = not dialect_of(database).is_mysql

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
    for suffix, columns in INDEXES.items():
        where = SQL("read_at IS NULL") if partial and suffix == "unread" else None
        fields = [getattr(row, name) for name in columns]
        row.add_index(ModelIndex(row, fields, name=f"{table_name}_{suffix}", where=where))
    return Notification
