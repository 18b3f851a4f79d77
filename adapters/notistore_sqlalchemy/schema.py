"""The table of docs/schema.md as a SQLAlchemy `Table`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from notistore.sql.rows import decoded, encoded, time_encoder, utc
from notistore.sql.table import COLUMNS, INDEXES, LENGTHS, NULLABLE

__all__ = ["MYSQL", "notifications_table"]

MYSQL: Final = ("mysql", "mariadb")  # the dialect's name is that of the URL, even if the server is MariaDB


class Name(TypeDecorator[str]):
    """Text with a binary collation, so that case, accents and trailing spaces count.

    On PostgreSQL "C" also keeps the indexes valid when the operating system's collations change.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return postgresql.VARCHAR(self.length, collation="C")
        if dialect.name in MYSQL:
            collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
            return mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation)
        return sa.String(self.length)


class UtcTime(TypeDecorator[datetime]):
    """A UTC instant in whole milliseconds: timestamptz(3), datetime(3) in UTC, or milliseconds since 1970 in SQLite."""

    impl = (
        sa.BigInteger()  # the same as INTEGER to SQLite, but Prisma reads that as 32 bits
        .with_variant(postgresql.TIMESTAMP(timezone=True, precision=3), "postgresql")
        .with_variant(mysql.DATETIME(fsp=3), *MYSQL)
    )
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        return None if value is None else time_encoder(dialect.name)(value.astimezone(UTC))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else utc(value)


class Json(TypeDecorator[Any]):
    """A JSON document: jsonb, json, or compact text in SQLite."""

    impl = sa.JSON().with_variant(postgresql.JSONB(), "postgresql").with_variant(sa.Text(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return encoded(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return decoded(value) if dialect.name == "sqlite" else value


def notifications_table(metadata: sa.MetaData | None = None, name: str = "notistore_notifications") -> sa.Table:
    """The table, on the application's MetaData, so that its migrations include it; by default on a new MetaData."""
    table = sa.Table(
        name,
        sa.MetaData() if metadata is None else metadata,
        *map(_column, COLUMNS),
    )
    for suffix, columns in INDEXES.items():
        # MySQL has no partial indexes.
        where = table.c.read_at.is_(None) if suffix == "unread" else None
        sa.Index(f"{name}_{suffix}", *(table.c[each] for each in columns), postgresql_where=where, sqlite_where=where)
    return table


def _column(name: str) -> sa.Column[Any]:
    others = {"data": Json(), "version": sa.Integer()}
    kind = Name(LENGTHS[name]) if name in LENGTHS else others.get(name, UtcTime())
    default = sa.text("''") if name == "tenant" else None
    return sa.Column(name, kind, primary_key=name == "id", nullable=name in NULLABLE, server_default=default)
