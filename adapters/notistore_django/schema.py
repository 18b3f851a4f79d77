"""create_schema: what is missing of the table and its indexes, as the migrations would make it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.columns import COLUMNS
from notistore.errors import StoreError

from .models import Notification as Row

__all__ = ["create_schema"]

_TABLE: Final = Row._meta.db_table


def create_schema(connection: BaseDatabaseWrapper) -> None:
    """Any number of processes may do so at once, those of notistore's other adapters too.

    Raises:
        StoreError: a table of that name has other columns; it stays as it is.
    """
    if _is_complete(connection):
        return  # nothing to change, which SQLite would refuse inside a transaction of the host's
    with _alone_in_mysql(connection), connection.schema_editor() as editor:
        if connection.vendor == "postgresql":
            editor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [_TABLE])
        if not _is_there(connection):
            editor.create_model(Row)
            return
        there = _index_names(connection)
        for index in Row._meta.indexes:
            if index.name not in there:
                editor.add_index(Row, index)


def _is_complete(connection: BaseDatabaseWrapper) -> bool:
    return _is_there(connection) and _index_names(connection) >= {index.name for index in Row._meta.indexes}


def _is_there(connection: BaseDatabaseWrapper) -> bool:
    """Whether the table is; StoreError when it has other columns."""
    with connection.cursor() as cursor:
        if _TABLE not in connection.introspection.table_names(cursor):
            return False
        there = {column.name for column in connection.introspection.get_table_description(cursor, _TABLE)}
    wanted = set(COLUMNS)
    if wanted != there:
        raise StoreError(
            f"the table {_TABLE} has other columns: it lacks {_listed(wanted - there)} and has "
            f"{_listed(there - wanted)} besides; nothing was changed. Migrate it to the columns in docs/schema.md"
        )
    return True


def _index_names(connection: BaseDatabaseWrapper) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, _TABLE))


@contextmanager
def _alone_in_mysql(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Keep other processes from creating the same table meanwhile, where no transaction does: MySQL and MariaDB commit
    each change of the schema. In SQLite whoever comes second finds the database busy, and is tried again."""
    if connection.vendor != "mysql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 60)", [_TABLE])
        if cursor.fetchone() != (1,):
            raise StoreError(f"another process has been creating {_TABLE} for a minute; try again")
        try:
            yield
        finally:
            cursor.execute("SELECT RELEASE_LOCK(%s)", [_TABLE])


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
