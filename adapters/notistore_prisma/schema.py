"""The model to paste into schema.prisma, and the migration that creates its table.

The table is the one every notistore SQL adapter shares (docs/schema.md).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final, Literal

from notistore.errors import InvalidArgument

__all__ = ["COLUMNS_OF", "Provider", "creation", "migration", "model"]

Provider = Literal["postgresql", "sqlite"]

COLUMNS_OF: Final = {
    "postgresql": (
        "SELECT attname::text AS name FROM pg_attribute "
        "WHERE attrelid = to_regclass('notistore_notifications') AND attnum > 0 AND NOT attisdropped"
    ),
    "sqlite": "SELECT name FROM pragma_table_info('notistore_notifications')",
}
"""SQL that selects the names of the table's columns; no rows if there is no table."""


def model(provider: Provider) -> str:
    """The model NotistoreNotification, to paste into schema.prisma.

    Args:
        provider: of the datasource, "postgresql" or "sqlite".
    """
    return _file(provider, "prisma")


def migration(provider: Provider) -> str:
    """SQL that creates the table and indexes that are missing: the migration.sql for the model.

    Args:
        provider: of the datasource, "postgresql" or "sqlite".
    """
    return _file(provider, "sql")


def creation(provider: Provider) -> list[str]:
    """The migration as statements for `execute_raw`, which takes one at a time."""
    sql = migration(provider)
    if provider == "postgresql":
        # In one transaction with a lock: concurrent CREATE TABLE IF NOT EXISTS statements can fail.
        lock = "PERFORM pg_advisory_xact_lock(hashtext('notistore_notifications'));"
        return [f"DO $$ BEGIN {lock} {sql} END $$"]
    return [statement for statement in sql.split(";") if statement.strip()]


def _file(provider: Provider, suffix: str) -> str:
    if provider not in COLUMNS_OF:
        raise InvalidArgument("provider", f'expected "postgresql" or "sqlite", got {provider!r}')
    return files(__package__).joinpath(f"{provider}.{suffix}").read_text(encoding="utf-8")
