"""The statements Django cannot write: an insert that skips a taken id, and one that replaces its row."""

from __future__ import annotations

from functools import cache
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.columns import COLUMNS, REPLACED

from .fields import UtcTimeField, in_utc
from .models import Notification as Row

__all__ = ["INSERT", "TABLE", "insert", "upsert"]

TABLE: Final = Row._meta.db_table

INSERT: Final = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"


def insert(connection: BaseDatabaseWrapper) -> str:
    """A row whose id is taken is skipped: an error would spoil a transaction of the host's. MySQL's and MariaDB's
    transactions survive it, and their INSERT IGNORE would hide other errors as well."""
    return INSERT if connection.vendor == "mysql" else f"{INSERT} ON CONFLICT (id) DO NOTHING"


def upsert(connection: BaseDatabaseWrapper, *, renotify: bool) -> str:
    """Returns the row as it is now stored where `connection` can (`features.can_return_columns_from_insert`)."""
    return _upsert(connection.vendor, renotify, connection.features.can_return_columns_from_insert)


@cache
def _upsert(vendor: str, renotify: bool, returning: bool) -> str:
    clause, new = ("ON CONFLICT (id) DO UPDATE SET", "excluded.{}")
    if vendor == "mysql":
        clause, new = ("ON DUPLICATE KEY UPDATE", "VALUES({})")
    changes = [f"{column} = {new.format(column)}" for column in REPLACED]
    changes += [f"version = {TABLE}.version + 1", *(["read_at = NULL"] if renotify else [])]
    sql = f"{INSERT} {clause} {', '.join(changes)}"
    return f"{sql} RETURNING {', '.join(_selected(vendor))}" if returning else sql


def _selected(vendor: str) -> list[str]:
    if vendor != "postgresql":
        return list(COLUMNS)
    times = {field.attname for field in Row._meta.concrete_fields if isinstance(field, UtcTimeField)}
    return [f"{in_utc(name)} AS {name}" if name in times else name for name in COLUMNS]
