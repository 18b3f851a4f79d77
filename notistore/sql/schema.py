"""The call `create_schema`: it creates the table and the indexes that are missing."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from ..errors import StoreError
from .statements import Statement, Statements
from .table import COLUMNS, INDEXES, Table, create_index, create_table
from .work import Block, Steps

__all__ = ["check_columns", "create_schema"]

_COLUMNS: Final = frozenset(COLUMNS)
_EXISTING: Final = {  # the names of the table's columns and of its indexes
    "postgresql": (
        "SELECT attname AS name FROM pg_attribute "
        "WHERE attrelid = to_regclass(?::text) AND attnum > 0 AND NOT attisdropped",
        "SELECT relname AS name FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = to_regclass(?::text)",
    ),
    "mysql": (
        "SELECT column_name AS name FROM information_schema.columns WHERE table_name = ? AND table_schema = ",
        "SELECT DISTINCT index_name AS name FROM information_schema.statistics "
        "WHERE table_name = ? AND table_schema = ",
    ),
    "sqlite": (
        "SELECT name FROM pragma_table_info(?, COALESCE(?, 'main'))",
        "SELECT name FROM pragma_index_list(?, COALESCE(?, 'main'))",
    ),
}


def create_schema(statements: Statements) -> Steps[None]:
    """Create the table and indexes that are missing. Several processes may call it at once.

    Raises:
        StoreError: a table of that name has other columns; it is not changed.
    """
    table, dialect = statements.table, statements.dialect
    # On MySQL and MariaDB, DDL statements commit implicitly.
    if not dialect.is_mysql:
        yield Block.TRANSACTION
    columns = yield from _names(statements, 0)
    if columns:
        check_columns(table.name, columns)
        if _index_names(table) <= (yield from _names(statements, 1)):
            return
    if dialect.name == "postgresql":
        lock = dialect.render("SELECT pg_advisory_xact_lock(hashtext(?::text)) AS locked")
        yield Statement(lock, fetches=True), [table.quoted(dialect)]
        if columns := (yield from _names(statements, 0)):  # another process has created it meanwhile
            check_columns(table.name, columns)
    if not columns:
        yield from _create_unless_exists(statements, create_table(table, dialect), 0, _COLUMNS)
    indexes = yield from _names(statements, 1)
    for suffix in INDEXES:
        if table.index(suffix) not in indexes:
            sql = create_index(table, dialect, suffix)
            yield from _create_unless_exists(statements, sql, 1, {table.index(suffix)})


def check_columns(table: str, columns: Set[str], expected: Set[str] = _COLUMNS) -> None:
    """Raise StoreError unless these are the names of the table's columns."""
    if expected != columns:
        raise StoreError(
            f"the table {table} has other columns: missing {_listed(expected - columns)}, unexpected "
            f"{_listed(columns - expected)}; nothing was changed. Migrate it to the columns in docs/schema.md, or give "
            "the store a table of another name"
        )


def _names(statements: Statements, what: int) -> Steps[set[str]]:
    table, dialect = statements.table, statements.dialect
    sql = _EXISTING["mysql" if dialect.is_mysql else dialect.name][what]
    parameters: list[str | None]
    match dialect.name:
        case "postgresql":
            parameters = [table.quoted(dialect)]
        case "sqlite":
            parameters = [table.name, table.schema]
        case _:  # an expression for the schema, even a constant one, makes the server open all its tables
            sql += "DATABASE()" if table.schema is None else "?"
            parameters = [table.name] if table.schema is None else [table.name, table.schema]
    rows = yield Statement(dialect.render(sql), fetches=True), parameters
    return {name for (name,) in rows}


def _create_unless_exists(statements: Statements, sql: str, what: int, created: Set[str]) -> Steps[None]:
    """Execute a CREATE of these names. On MySQL and MariaDB, where there is no lock for this and IF NOT EXISTS warns,
    its error is ignored if another process has created the same table or index meanwhile."""
    try:
        yield Statement(statements.dialect.render(sql), fetches=False), []
    except Exception:
        if not statements.dialect.is_mysql:
            raise
        names = yield from _names(statements, what)
        if not created & names:
            raise
        if what == 0:
            check_columns(statements.table.name, names)


def _index_names(table: Table) -> set[str]:
    return {table.index(suffix) for suffix in INDEXES}


def _listed(names: Set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
