"""The table that all SQL stores use: its columns, its indexes and the statements that create it (docs/schema.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .dialect import Dialect

__all__ = [
    "COLUMNS",
    "INDEXES",
    "LENGTHS",
    "NULLABLE",
    "REPLACED",
    "TABLE_NAME",
    "Table",
    "column_type",
    "create_index",
    "create_table",
]

TABLE_NAME: Final = "notistore_notifications"

COLUMNS: Final = (
    "id",
    "tenant",
    "recipient_type",
    "recipient_id",
    "type",
    "stable_key",
    "data",
    "actor_type",
    "actor_id",
    "trace_id",
    "version",
    "read_at",
    "created_at",
    "updated_at",
)
"""The table's columns, in the order in which rows are read and written."""

REPLACED: Final = ("type", "data", "actor_type", "actor_id", "trace_id", "updated_at")
"""The columns that an upsert replaces."""

INDEXES: Final[Mapping[str, tuple[str, ...]]] = {
    "inbox": ("tenant", "recipient_type", "recipient_id", "created_at", "id"),
    "unread": ("tenant", "recipient_type", "recipient_id", "read_at", "created_at", "id"),
    "age": ("updated_at", "id"),
}
"""The columns of each index, by the suffix of its name. "unread" is partial (`WHERE read_at IS NULL`) except on MySQL
and MariaDB, which have no partial indexes."""

LENGTHS: Final[Mapping[str, int]] = {
    "id": 36,
    "tenant": 64,
    "recipient_type": 64,
    "recipient_id": 128,
    "type": 64,
    "stable_key": 255,
    "actor_type": 64,
    "actor_id": 64,
    "trace_id": 128,
}
"""The maximum length of each text column."""

NULLABLE: Final = frozenset({"stable_key", "actor_type", "actor_id", "trace_id", "read_at"})


@dataclass(frozen=True, slots=True)
class Table:
    """The table that a store uses.

    Attributes:
        name: as the database spells it.
        schema: PostgreSQL's schema, MySQL's database or SQLite's attached database; None is the connection's default.
    """

    name: str = TABLE_NAME
    schema: str | None = None

    def quoted(self, dialect: Dialect) -> str:
        """The quoted, qualified name for a statement."""
        name = dialect.quote(self.name)
        return name if self.schema is None else f"{dialect.quote(self.schema)}.{name}"

    def index(self, suffix: str) -> str:
        """The name of one of its indexes."""
        return f"{self.name}_{suffix}"


def create_table(table: Table, dialect: Dialect) -> str:
    """The statement that creates the table; on MySQL and MariaDB it creates the indexes too."""
    parts = [f"{name} {_definition(name, dialect)}" for name in COLUMNS]
    if dialect.is_mysql:
        parts += [f"INDEX {dialect.quote(table.index(each))} ({', '.join(INDEXES[each])})" for each in INDEXES]
        return f"CREATE TABLE {table.quoted(dialect)} ({', '.join(parts)})"
    return f"CREATE TABLE IF NOT EXISTS {table.quoted(dialect)} ({', '.join(parts)})"


def create_index(table: Table, dialect: Dialect, suffix: str) -> str:
    """The statement that creates one of the indexes."""
    name, on, columns = dialect.quote(table.index(suffix)), table.quoted(dialect), ", ".join(INDEXES[suffix])
    if dialect.is_mysql:
        return f"CREATE INDEX {name} ON {on} ({columns})"
    if dialect.name == "sqlite" and table.schema is not None:  # SQLite qualifies the index, not the table
        name, on = f"{dialect.quote(table.schema)}.{name}", dialect.quote(table.name)
    where = " WHERE read_at IS NULL" if suffix == "unread" else ""
    return f"CREATE INDEX IF NOT EXISTS {name} ON {on} ({columns}){where}"


def _definition(column: str, dialect: Dialect) -> str:
    words = [column_type(column, dialect)]
    if column not in NULLABLE:
        words.append("NOT NULL")
    if column == "tenant":
        words.append("DEFAULT ''")
    if column == "id":
        words.append("PRIMARY KEY")
    return " ".join(words)


def column_type(column: str, dialect: Dialect) -> str:
    """A column's type in CREATE TABLE.

    Text that identifies rows has a binary collation, so that case, accents and trailing spaces count."""
    if column in LENGTHS:
        text = f"varchar({LENGTHS[column]})"
        match dialect.name:
            case "postgresql":
                return f'{text} COLLATE "C"'
            case "mariadb":
                return f"{text} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
            case "mysql":
                return f"{text} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
            case _:
                return text
    if column == "version":
        return "integer"
    names = {"postgresql": ("jsonb", "timestamptz(3)"), "sqlite": ("text", "bigint")}
    data, time = names.get(dialect.name, ("json", "datetime(3)"))
    return data if column == "data" else time
