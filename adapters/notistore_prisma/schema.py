"""The model to paste into schema.prisma, the migration that makes its table, and what checks that it is there.

The table is the one every notistore SQL adapter shares (docs/schema.md).
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final, Literal

from notistore.errors import InvalidArgument, StoreError

__all__ = ["COLUMNS_OF", "Provider", "check_columns", "creation", "migration", "model"]

Provider = Literal["postgresql", "sqlite"]

COLUMNS_OF: Final = {
    "postgresql": (
        "SELECT attname::text AS name FROM pg_attribute "
        "WHERE attrelid = to_regclass('notistore_notifications') AND attnum > 0 AND NOT attisdropped"
    ),
    "sqlite": "SELECT name FROM pragma_table_info('notistore_notifications')",
}
"""SQL that gives the names of the table's columns, none where there is no table."""


def model(provider: Provider) -> str:
    """The model NotistoreNotification, to paste into schema.prisma.

    Args:
        provider: of the datasource, "postgresql" or "sqlite".
    """
    return _file(provider, "prisma")


def migration(provider: Provider) -> str:
    """SQL that creates what is missing of the table and its indexes: the migration.sql that goes with the model.

    Args:
        provider: of the datasource, "postgresql" or "sqlite".
    """
    return _file(provider, "sql")


def creation(provider: Provider) -> list[str]:
    """The migration as statements for `execute_raw`, which takes one at a time."""
    sql = migration(provider)
    if provider == "postgresql":
        # In one transaction, and alone: two CREATE TABLE IF NOT EXISTS at once can collide.
        lock = "PERFORM pg_advisory_xact_lock(hashtext('notistore_notifications'));"
        return [f"DO $$ BEGIN {lock} {sql} END $$"]
    return [statement for statement in sql.split(";") if statement.strip()]


def check_columns(names: set[str]) -> None:
    """Raise StoreError where a table is there and its columns are not the model's."""
    wanted = set(re.findall(r"^ {2}(\w+) ", model("sqlite"), re.MULTILINE))
    if names and names != wanted:
        raise StoreError(
            f"the table notistore_notifications has other columns: it lacks {_listed(wanted - names)} and has "
            f"{_listed(names - wanted)} besides; nothing was changed. Migrate it to the columns in docs/schema.md"
        )


def _file(provider: Provider, suffix: str) -> str:
    if provider not in COLUMNS_OF:
        raise InvalidArgument("provider", f'expected "postgresql" or "sqlite", got {provider!r}')
    return files(__package__).joinpath(f"{provider}.{suffix}").read_text(encoding="utf-8")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
