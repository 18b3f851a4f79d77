"""Statements about many rows or inboxes at once, which ORMs write slowly or cannot write at all.

For adapters. A list goes as one parameter of JSON, so that none is too long, and PostgreSQL has one value to read where
it would have thousands. A parameter is marked "%s", or as `mark` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from .columns import COLUMNS, values
from .model import Notification, Recipient

__all__ = ["insert_listed", "unread_counts"]

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat).encode

_TYPES: Final = {  # of the columns that are not text
    "version": "integer",
    "read_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}


def insert_listed(table: str, notifications: Iterable[Notification]) -> tuple[str, list[Any]]:
    """Insert all of them in their order: PostgreSQL's. An id that is taken is an error, and none is inserted."""
    return _insert_listed(table), [_encode([values(each) for each in notifications])]


def unread_counts(
    table: str,
    dialect: str,
    recipients: Iterable[Recipient],
    *,
    types: Sequence[str] | None,
    at_most: int | None,
    mark: str = "%s",
) -> tuple[str, list[Any]]:
    """Count each recipient's unread rows by itself, through the index, and stop at `at_most`.

    Not in MariaDB: its derived tables cannot refer to an outer query, so that none can be cut short.

    Returns:
        SQL whose rows are tenant, recipient_type, recipient_id and how many; and its parameters.
    """
    part = "asked.value ->> {}" if dialect == "postgresql" else "json_extract(asked.value, '$[{}]')"
    each = "jsonb_array_elements({}::jsonb)" if dialect == "postgresql" else "json_each({})"
    tenant, type, id = (f"({part.format(place)})" for place in range(3))
    unread = f"{table} WHERE tenant = {tenant} AND recipient_type = {type} AND recipient_id = {id} AND read_at IS NULL"
    parameters: list[Any] = list(types or ())
    if parameters:
        unread += f" AND type IN ({', '.join([mark] * len(parameters))})"
    if at_most is not None:
        unread = f"(SELECT 1 FROM {unread} LIMIT {mark}) AS unread"
        parameters.append(at_most)
    parameters.append(_encode([(asked.tenant or "", asked.type, asked.id) for asked in recipients]))
    counted = f"SELECT count(*) FROM {unread}"
    return f"SELECT {tenant}, {type}, {id}, ({counted}) FROM {each.format(mark)} AS asked", parameters


@cache
def _insert_listed(table: str) -> str:
    parts = [
        # Not as text: what is JSON already need not be read again.
        f"new.value -> {place}" if name == "data" else f"(new.value ->> {place})::{_TYPES.get(name, 'text')}"
        for place, name in enumerate(COLUMNS)
    ]
    listed = f"SELECT {', '.join(parts)} FROM jsonb_array_elements(%s::jsonb) AS new"
    return f"INSERT INTO {table} ({', '.join(COLUMNS)}) {listed}"
