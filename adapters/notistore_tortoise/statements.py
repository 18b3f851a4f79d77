"""Each call of the contract as one statement of SQL, which Tortoise's own queries cannot be: they know no condition on
an upsert, no RETURNING from it, and no limit on what is counted, locked or deleted.

Lists and rows go as one parameter on PostgreSQL (an array) and SQLite (a JSON array), so that none is too long.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from tortoise.backends.base.client import BaseDBAsyncClient

from notistore.columns import COLUMNS, REPLACED, driver_time, driver_values
from notistore.errors import InvalidArgument
from notistore.model import Cursor, Notification, Recipient

from .models import Notification as Model

__all__ = ["Statement"]

_TABLE: Final = Model._meta.db_table
_COLUMNS: Final = ", ".join(COLUMNS)
_ARRAYS: Final = {  # of PostgreSQL's, where they are not of text
    "data": "text[]::jsonb[]",
    "version": "integer[]",
    "read_at": "timestamptz[]",
    "created_at": "timestamptz[]",
    "updated_at": "timestamptz[]",
}


class Statement:
    """Writes one statement for `client`'s database and driver; `values` are its parameters."""

    def __init__(self, client: BaseDBAsyncClient) -> None:
        self.dialect = client.capabilities.dialect
        if self.dialect not in ("postgres", "mysql", "sqlite"):
            raise InvalidArgument("connection", f"expected SQLite, PostgreSQL or MariaDB, got {self.dialect}")
        self.values: list[Any] = []
        numbered = self.dialect == "postgres" and "psycopg" not in client.query_class.__module__
        self._mark = "$%d" if numbered else "?" if self.dialect == "sqlite" else "%s"

    def insert(self, notification: Notification) -> str:
        """A row whose id is taken is skipped, and no id comes back: an error would spoil a transaction of the host's on
        PostgreSQL. MariaDB cannot skip for that reason alone, but its transactions survive the error."""
        new = self._new([notification])
        return new if self.dialect == "mysql" else f"{new} ON CONFLICT (id) DO NOTHING RETURNING id"

    def insert_many(self, notifications: Sequence[Notification]) -> str:
        return self._new(notifications)

    def upsert(self, notification: Notification, *, renotify: bool) -> str:
        return self._new([notification], version=1) + _replacing(self.dialect, renotify)

    def get(self, recipient: Recipient, id: str) -> str:
        return f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {self._inbox(recipient)} AND id = {self._value(id)}"

    def taken(self, ids: Sequence[str]) -> str:
        return f"SELECT id FROM {_TABLE} WHERE {self._any('id', ids)} LIMIT 1"

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool,
        types: Sequence[str] | None,
        before: Cursor | None,
        offset: int,
        limit: int,
    ) -> str:
        where, order = self._rows(recipient, types, unread=unread_only), "created_at DESC, id DESC"
        if before is not None:
            # A row-value comparison, or a plain OR, is not a bound on the index for every planner; this is.
            at = before.created_at
            where += f" AND created_at <= {self._time(at)}"
            where += f" AND (created_at < {self._time(at)} OR id < {self._value(before.id)})"
        if unread_only and self.dialect == "postgres":
            # It is NULL throughout, but only so does PostgreSQL see that the index is in order; MariaDB only without.
            order = f"read_at DESC, {order}"
        text = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {where} ORDER BY {order} LIMIT {self._value(limit)}"
        return f"{text} OFFSET {self._value(offset)}" if offset else text

    def count(
        self, recipient: Recipient, *, types: Sequence[str] | None, unread: bool, at_most: int | None = None
    ) -> str:
        where = self._rows(recipient, types, unread=unread)
        if at_most is None:
            return f"SELECT count(*) AS found FROM {_TABLE} WHERE {where}"
        some = f"SELECT 1 FROM {_TABLE} WHERE {where} LIMIT {self._value(at_most)}"
        return f"SELECT count(*) AS found FROM ({some}) AS some_rows"

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None, at_most: int | None
    ) -> str:
        """Rows of tenant, recipient_type, recipient_id and found; inboxes with nothing unread may be left out.

        Each inbox is counted by itself, so that a planner has no choice but the index.
        """
        inboxes = [(each.tenant or "", each.type, each.id) for each in recipients]
        names = ("tenant", "recipient_type", "recipient_id")
        if self.dialect == "mysql":  # its derived tables cannot refer to an outer query, so that none can be cut short
            asked = ", ".join(f"({', '.join(map(self._value, inbox))})" for inbox in inboxes)
            where = f"({', '.join(names)}) IN ({asked}) AND read_at IS NULL{self._of_types(types)}"
            listed = ", ".join(names)
            return f"SELECT {listed}, count(*) AS found FROM {_TABLE} WHERE {where} GROUP BY {listed}"
        if self.dialect == "postgres":
            each, parts = "jsonb_array_elements({}::text::jsonb)", [f"(asked.value ->> {place})" for place in range(3)]
        else:
            each, parts = "json_each({})", [f"json_extract(asked.value, '$[{place}]')" for place in range(3)]
        theirs = " AND ".join(f"{name} = {part}" for name, part in zip(names, parts, strict=True))
        where = f"{theirs} AND read_at IS NULL{self._of_types(types)}"
        limit = "" if at_most is None else f" LIMIT {at_most:d}"
        found = f"SELECT count(*) FROM (SELECT 1 FROM {_TABLE} WHERE {where}{limit}) AS unread"
        columns = ", ".join(f"{part} AS {name}" for name, part in zip(names, parts, strict=True))
        asked = each.format(self._value(json.dumps(inboxes, ensure_ascii=False)))
        return f"SELECT {columns}, ({found}) AS found FROM {asked} AS asked"

    def mark_read(self, recipient: Recipient, ids: Sequence[str], at: datetime) -> str:
        changed = f"UPDATE {_TABLE} SET read_at = {self._time(at)} WHERE "
        return changed + self._locked(f"{self._inbox(recipient)} AND {self._any('id', ids)} AND read_at IS NULL")

    def mark_unread(self, recipient: Recipient, ids: Sequence[str]) -> str:
        changed = f"UPDATE {_TABLE} SET read_at = NULL WHERE "
        return changed + self._locked(f"{self._inbox(recipient)} AND {self._any('id', ids)} AND read_at IS NOT NULL")

    def mark_all_read(
        self, recipient: Recipient, *, types: Sequence[str] | None, seen: datetime | None, at: datetime
    ) -> str:
        changed = f"UPDATE {_TABLE} SET read_at = {self._time(at)} WHERE "
        where = self._rows(recipient, types, unread=True)
        if seen is not None:
            where += f" AND updated_at <= {self._time(seen)}"
        return changed + self._locked(where)

    def delete(self, recipient: Recipient, ids: Sequence[str]) -> str:
        return f"DELETE FROM {_TABLE} WHERE " + self._locked(f"{self._inbox(recipient)} AND {self._any('id', ids)}")

    def erase(self, recipient: Recipient) -> str:
        return f"DELETE FROM {_TABLE} WHERE " + self._locked(self._inbox(recipient))

    def erase_tenant(self, tenant: str) -> str:
        return f"DELETE FROM {_TABLE} WHERE " + self._locked(f"tenant = {self._value(tenant)}")

    def prune(self, *, older_than: datetime, only_read: bool, at_most: int) -> str:
        """The oldest rows; those that someone is changing right now are left for another time."""
        where = f"updated_at < {self._time(older_than)}" + (" AND read_at IS NOT NULL" if only_read else "")
        old = f"SELECT id FROM {_TABLE} WHERE {where} ORDER BY updated_at, id LIMIT {at_most:d}"
        if self.dialect == "sqlite":
            return f"DELETE FROM {_TABLE} WHERE id IN ({old})"
        old = f"{old} FOR UPDATE SKIP LOCKED"
        if self.dialect == "postgres":
            return f"DELETE FROM {_TABLE} WHERE id = ANY(ARRAY({old}))"
        return f"DELETE {_TABLE} FROM ({old}) AS old STRAIGHT_JOIN {_TABLE} ON {_TABLE}.id = old.id"

    def _new(self, notifications: Sequence[Notification], **changed: Any) -> str:
        rows = [driver_values(each, self.dialect) for each in notifications]
        for row in rows:
            for column, value in changed.items():
                row[COLUMNS.index(column)] = value
        into = f"INSERT INTO {_TABLE} ({_COLUMNS})"
        if self.dialect == "mysql" or len(rows) == 1:
            marks = [f"({', '.join(map(self._value, row))})" for row in rows]
            return f"{into} VALUES {', '.join(marks)}"
        if self.dialect == "sqlite":
            parts = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(COLUMNS)))
            # Without a WHERE, what follows as ON CONFLICT would be read as the condition of a join.
            listed = self._value(json.dumps(rows, ensure_ascii=False))
            return f"{into} SELECT {parts} FROM json_each({listed}) WHERE true"
        arrays = zip(COLUMNS, zip(*rows, strict=True), strict=True)
        columns = [f"{self._value(list(values))}::{_ARRAYS.get(name, 'text[]')}" for name, values in arrays]
        return f"{into} SELECT * FROM unnest({', '.join(columns)})"

    def _locked(self, where: str) -> str:
        """PostgreSQL locks rows in the order it meets them; two calls that meet them in opposite orders deadlock."""
        if self.dialect != "postgres":
            return where
        return f"id = ANY(ARRAY(SELECT id FROM {_TABLE} WHERE {where} ORDER BY id FOR UPDATE))"

    def _rows(self, recipient: Recipient, types: Sequence[str] | None, *, unread: bool) -> str:
        where = self._inbox(recipient) + (" AND read_at IS NULL" if unread else "")
        return where + self._of_types(types)

    def _inbox(self, recipient: Recipient) -> str:
        tenant, type, id = map(self._value, (recipient.tenant or "", recipient.type, recipient.id))
        return f"tenant = {tenant} AND recipient_type = {type} AND recipient_id = {id}"

    def _of_types(self, types: Sequence[str] | None) -> str:
        return f" AND {self._any('type', types)}" if types else ""

    def _any(self, column: str, wanted: Sequence[str]) -> str:
        if self.dialect == "postgres":
            return f"{column} = ANY({self._value(list(wanted))}::text[])"
        if self.dialect == "sqlite":
            return f"{column} IN (SELECT value FROM json_each({self._value(json.dumps(list(wanted)))}))"
        return f"{column} IN ({', '.join(map(self._value, wanted))})"

    def _time(self, value: datetime) -> str:
        return self._value(driver_time(value, self.dialect))

    def _value(self, value: Any) -> str:
        self.values.append(value)
        return self._mark % len(self.values) if self._mark == "$%d" else self._mark


@cache
def _replacing(dialect: str, renotify: bool) -> str:
    clause, source = "ON CONFLICT (id) DO UPDATE SET", "excluded.{}"
    if dialect == "mysql":
        clause, source = "ON DUPLICATE KEY UPDATE", "VALUES({})"
    changes = [f"{column} = {source.format(column)}" for column in REPLACED]
    changes += [f"version = {_TABLE}.version + 1", *(["read_at = NULL"] if renotify else [])]
    return f" {clause} {', '.join(changes)} RETURNING {_COLUMNS}"
