"""create_schema: what is missing of the table and its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from notistore.errors import StoreError

from .model import kind

__all__ = ["create_schema"]


def create_schema(model: Any) -> None:
    """Any number of processes may do so at once, those of notistore's other adapters too.

    Raises:
        StoreError: a table of that name has other columns; it stays as it is.
    """
    database, table = model._meta.database, model._meta.table_name
    with _alone(database, table):
        if database.table_exists(table):
            _check_columns(model, {column.name for column in database.get_columns(table)})
        else:
            model._schema.create_table(safe=False)
        there = _index_names(database, table)
        for index in model._meta.fields_to_index():
            if index._name not in there:
                database.execute(model._schema._create_index(index, safe=False))


@contextmanager
def _alone(database: Any, name: str) -> Iterator[None]:
    """Keep other processes from creating the same table meanwhile: each database's IF NOT EXISTS has its gaps."""
    match kind(database):
        case "sqlite":
            with database.atomic("IMMEDIATE"):
                yield
        case "postgresql":
            with database.atomic():
                database.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (name[-64:],))
                yield
        case "mysql":
            if database.execute_sql("SELECT GET_LOCK(%s, 60)", (name[-64:],)).fetchone()[0] != 1:
                raise StoreError(f"another process has been creating {name} for a minute; try again")
            try:
                yield
            finally:
                database.execute_sql("SELECT RELEASE_LOCK(%s)", (name[-64:],))


def _check_columns(model: Any, there: set[str]) -> None:
    wanted = {field.column_name for field in model._meta.sorted_fields}
    if wanted != there:
        raise StoreError(
            f"the table {model._meta.table_name} has other columns: it lacks {_listed(wanted - there)} and has "
            f"{_listed(there - wanted)} besides; nothing was changed. Migrate it to the columns in docs/schema.md, or "
            "give the store a table of another name: notification_model(database, table_name=...)"
        )


def _index_names(database: Any, table: str) -> set[str]:
    if kind(database) != "postgresql":
        return {index.name for index in database.get_indexes(table)}
    # Peewee's own query for PostgreSQL is one that asyncpg takes no parameters for.
    rows = database.execute_sql(
        "SELECT indexname FROM pg_indexes WHERE tablename = %s AND schemaname = current_schema()", (table,)
    )
    return {name for (name,) in rows.fetchall()}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
