"""The table of docs/schema.md as a SQLAlchemy `Table`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from notistore.model import to_millis
from notistore.sql.rows import decoded, encoded, utc
from notistore.sql.table import INDEXES

__all__ = ["MYSQL", "notifications_table"]

MYSQL: Final = ("mysql", "mariadb")  # the dialect's name is that of the URL, even if the server is MariaDB


class Name(TypeDecorator[str]):
    """Text with a binary collation, so that case, accents and trailing spaces count.

    On PostgreSQL "C" also keeps the indexes valid when the operating system's collations change.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return postgresql.VARCHAR(self.length, collation="C")
        if dialect.name in MYSQL:
            collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
            return mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation)
        return String(self.length)


class UtcTime(TypeDecorator[datetime]):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":  # not through dialect.type_descriptor(), which loses the precision
            return postgresql.TIMESTAMP(timezone=True, precision=3)
        if dialect.name in MYSQL:
            return mysql.DATETIME(fsp=3)
        return BigInteger()  # the same to SQLite; Prisma reads INTEGER as 32 bits

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name in MYSQL else to_millis(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else utc(value)


class Json(TypeDecorator[Any]):
    """A JSON document: jsonb, json, or compact text in SQLite."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return postgresql.JSONB()
        return Text() if dialect.name == "sqlite" else JSON()

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return encoded(value) if dialect.name == "sqlite" else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return decoded if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def notifications_table(metadata: MetaData | None = None, name: str = "notistore_notifications") -> Table:
    """The table, on the application's MetaData, so that its migrations include it; by default on a new MetaData."""
    table = Table(
        name,
        MetaData() if metadata is None else metadata,
        Column("id", Name(36), primary_key=True),
        Column("tenant", Name(64), nullable=False, server_default=text("''")),
        Column("recipient_type", Name(64), nullable=False),
        Column("recipient_id", Name(128), nullable=False),
        Column("type", Name(64), nullable=False),
        Column("stable_key", Name(255)),
        Column("data", Json, nullable=False),
        Column("actor_type", Name(64)),
        Column("actor_id", Name(64)),
        Column("trace_id", Name(128)),
        Column("version", Integer, nullable=False),
        Column("read_at", UtcTime),
        Column("created_at", UtcTime, nullable=False),
        Column("updated_at", UtcTime, nullable=False),
    )
    for suffix, columns in INDEXES.items():
        # MySQL has no partial indexes.
        partial = table.c.read_at.is_(None) if suffix == "unread" else None
        Index(f"{name}_{suffix}", *(table.c[each] for each in columns), postgresql_where=partial, sqlite_where=partial)
    return table
