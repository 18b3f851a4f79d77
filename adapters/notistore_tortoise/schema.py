"""create_schema: what is missing of the table and its indexes, as the migrations would make it."""

from __future__ import annotations

from typing import Final

from tortoise.backends.base.client import BaseDBAsyncClient

from notistore.errors import StoreError

from .errors import cause_of
from .models import Notification, UnreadIndex

__all__ = ["create_schema"]

_TABLE: Final = Notification._meta.db_table
_COLUMNS_OF: Final = {
    "postgres": "SELECT attname AS name FROM pg_attribute "
    f"WHERE attrelid = to_regclass('{_TABLE}') AND attnum > 0 AND NOT attisdropped",
    "mysql": "SELECT column_name AS name FROM information_schema.columns "
    f"WHERE table_schema = DATABASE() AND table_name = '{_TABLE}'",
    "sqlite": f"SELECT name FROM pragma_table_info('{_TABLE}')",
}
_THERE_IN_MYSQL: Final = (1050, 1061)  # a table, and an index, of that name


async def create_schema(client: BaseDBAsyncClient) -> None:
    """Any number of processes may do so at once, those of notistore's other adapters too.

    Raises:
        StoreError: a table of that name has other columns; it stays as it is.
    """
    dialect = client.capabilities.dialect
    _check({row["name"] for row in await client.execute_query_dict(_COLUMNS_OF[dialect])})
    if dialect == "postgres":
        # One script is one transaction, and IF NOT EXISTS alone does not keep two from creating the same.
        lock = f"SELECT pg_advisory_xact_lock(hashtext('{_TABLE}'))"
        await client.execute_script("; ".join([lock, *_creation(dialect)]))
        return
    for statement in _creation(dialect):
        try:
            await client.execute_query(statement)
        except Exception as error:
            if dialect != "mysql" or cause_of(error).args[0] not in _THERE_IN_MYSQL:
                raise


def _creation(dialect: str) -> list[str]:
    columns = []
    for name, field in Notification._meta.fields_map.items():
        parts = [name, field.get_for_dialect(dialect, "SQL_TYPE"), "" if field.null else "NOT NULL"]
        parts += ["PRIMARY KEY" if field.pk else "", "DEFAULT ''" if field.has_db_default() else ""]
        columns.append(" ".join(filter(None, parts)))
    # MariaDB has no IF NOT EXISTS that does not warn when it applies.
    unless = "" if dialect == "mysql" else "IF NOT EXISTS "
    statements = [f"CREATE TABLE {unless}{_TABLE} ({', '.join(columns)})"]
    for index in Notification._meta.indexes:
        assert not isinstance(index, tuple)
        some = index.extra if isinstance(index, UnreadIndex) and dialect != "mysql" else ""
        statements.append(f"CREATE INDEX {unless}{index.name} ON {_TABLE} ({', '.join(index.fields)}){some}")
    return statements


def _check(there: set[str]) -> None:
    wanted = set(Notification._meta.fields_map)
    if there and wanted != there:
        raise StoreError(
            f"the table {_TABLE} has other columns: it lacks {_listed(wanted - there)} and has "
            f"{_listed(there - wanted)} besides; nothing was changed. Migrate it to the columns in docs/schema.md"
        )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
