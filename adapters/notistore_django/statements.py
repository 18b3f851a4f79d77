"""The two statements Django cannot write: an insert that skips a taken id, and an insert that replaces its row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import JSONField, Model

from notistore.columns import REPLACED

from .fields import UtcTimeField, in_utc


def insert(model: type[Model], values: Sequence[Any], connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
    """A row whose id is taken is skipped: an error would spoil a transaction of the host's. MySQL's and MariaDB's
    transactions survive it, and their INSERT IGNORE would hide other errors as well."""
    skip = "" if connection.vendor == "mysql" else " ON CONFLICT (id) DO NOTHING"
    return _insert(model) + skip, _prepared(model, values, connection)


def upsert(
    model: type[Model], values: Sequence[Any], connection: BaseDatabaseWrapper, *, renotify: bool
) -> tuple[str, list[Any]]:
    """Returns the row as it is now stored where `connection` can (`features.can_return_columns_from_insert`)."""
    sql = _insert(model) + _replace(model, connection.vendor, renotify)
    if connection.features.can_return_columns_from_insert:
        sql += _returning(model, connection.vendor)
    return sql, _prepared(model, values, connection)


def returned(model: type[Model], row: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """The values in a row that a cursor gave."""
    values = list(row)
    for place, field in _converted(model):
        values[place] = field.from_db_value(values[place], None, connection)
    return values


def columns(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _prepared(model: type[Model], row: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    values = list(row)
    for place, field in _converted(model):
        values[place] = field.get_db_prep_value(values[place], connection, prepared=True)
    return values


@cache
def _converted(model: type[Model]) -> list[tuple[int, Any]]:
    """The fields that keep their values in another form, and where they are in a row."""
    fields = enumerate(model._meta.concrete_fields)
    return [(place, field) for place, field in fields if isinstance(field, JSONField | UtcTimeField)]


@cache
def _insert(model: type[Model]) -> str:
    names = columns(model)
    return f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"


@cache
def _replace(model: type[Model], vendor: str, renotify: bool) -> str:
    clause, new = ("ON CONFLICT (id) DO UPDATE SET", "excluded.{}")
    if vendor == "mysql":
        clause, new = ("ON DUPLICATE KEY UPDATE", "VALUES({})")
    changes = [f"{column} = {new.format(column)}" for column in REPLACED]
    changes += [f"version = {model._meta.db_table}.version + 1", *(["read_at = NULL"] if renotify else [])]
    return f" {clause} {', '.join(changes)}"


@cache
def _returning(model: type[Model], vendor: str) -> str:
    names = columns(model)
    if vendor == "postgresql":
        times = {field.attname for field in model._meta.concrete_fields if isinstance(field, UtcTimeField)}
        names = [f"{in_utc(name)} AS {name}" if name in times else name for name in names]
    return f" RETURNING {', '.join(names)}"
