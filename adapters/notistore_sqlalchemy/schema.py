"""The table every notistore SQL adapter shares (docs/schema.md), and how it is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from notistore.columns import decoded, encoded, utc
from notistore.errors import StoreError
from notistore.model import to_millis

__all__ = ["create_schema", "notifications_table"]

MYSQL: Final = ("mysql", "mariadb")  # the dialect is named after the URL, whichever server answers


class Name(TypeDecorator[str]):
    """Text compared code point by code point, whatever the database's own collation makes of case, accents or spaces.

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
    """The table, on the application's own MetaData (so that its migrations see it) or on one of its own."""
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
    inbox = (table.c.tenant, table.c.recipient_type, table.c.recipient_id)
    order = (table.c.created_at, table.c.id)
    unread = table.c.read_at.is_(None)
    Index(f"{name}_inbox", *inbox, *order)
    # MySQL has no partial indexes, so read_at is a column of this one; elsewhere it costs nothing, being NULL.
    Index(f"{name}_unread", *inbox, table.c.read_at, *order, postgresql_where=unread, sqlite_where=unread)
    Index(f"{name}_age", table.c.updated_at, table.c.id)
    return table


def create_schema(connection: Connection, table: Table) -> None:
    """Create what is missing of the table and its indexes; any number of processes may do so at once.

    Raises:
        StoreError: a table of that name has other columns; it stays as it is.
    """
    with _alone(connection, table.fullname):
        inspector = inspect(connection)
        if inspector.has_table(table.name, schema=table.schema):
            _check_columns(table, {column["name"] for column in inspector.get_columns(table.name, table.schema)})
        table.create(connection, checkfirst=True)
        for index in table.indexes:
            index.create(connection, checkfirst=True)


@contextmanager
def _alone(connection: Connection, name: str) -> Iterator[None]:
    """Keep other processes from creating the same table meanwhile: each database's IF NOT EXISTS has its gaps."""
    dialect, name = connection.dialect.name, name[-64:]
    if dialect == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
    elif dialect in MYSQL:
        if connection.scalar(text("SELECT GET_LOCK(:name, 60)"), {"name": name}) != 1:
            raise StoreError(f"another process has been creating {name} for a minute; try again")
    else:
        begin_in_sqlite(connection)
    yield
    if dialect in MYSQL:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def begin_in_sqlite(connection: Connection) -> None:
    """Begin the transaction that Python's sqlite3 puts off until the first write: releasing a savepoint, it commits."""
    if not connection.in_transaction():
        connection.begin()  # the engine's own event may have sqlite3 begin here
    if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_columns(table: Table, there: set[str]) -> None:
    wanted = set(table.columns.keys())
    if wanted != there:
        raise StoreError(
            f"the table {table.fullname} has other columns: it lacks {_listed(wanted - there)} and has "
            f"{_listed(there - wanted)} besides; nothing was changed. Migrate it to the columns in docs/schema.md, or "
            "give the store a table of another name: notifications_table(name=...)"
        )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
