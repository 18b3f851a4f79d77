"""Each call of the contract as one statement of SQL, which Tortoise's own queries cannot be: they know no condition on
an upsert, no RETURNING from it, and no limit on what is counted, locked or deleted.

Lists go as one parameter on PostgreSQL (an array) and SQLite (a JSON array), so that none is too long.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, TypeAlias

from tortoise.backends.base.client import BaseDBAsyncClient

from notistore.columns import COLUMNS, REPLACED, driver_time, driver_values
from notistore.errors import InvalidArgument
from notistore.model import Cursor, Notification, Recipient

from .models import Notification as Model

__all__ = ["Statement", "Statements", "statements_for"]

Statement: TypeAlias = tuple[str, list[Any]]
"""SQL, and the parameters that belong into it."""

_TABLE: Final = Model._meta.db_table
_COLUMNS: Final = ", ".join(COLUMNS)
_VERSION: Final = COLUMNS.index("version")
_INBOX: Final = "tenant = ? AND recipient_type = ? AND recipient_id = ?"


class Statements:
    """Writes the statements of one dialect, with the marks for parameters that one driver knows: "?", "%s" or "$"."""

    def __init__(self, dialect: str, mark: str) -> None:
        self.dialect = dialect
        self._mark = mark
        self.insert_row = self._sql(f"INSERT INTO {_TABLE} ({_COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS))})")
        # A row whose id is taken is skipped, and no id comes back: an error would spoil a transaction of the host's on
        # PostgreSQL. MariaDB cannot skip for that reason alone, but its transactions survive the error.
        skipping = "" if dialect == "mysql" else " ON CONFLICT (id) DO NOTHING RETURNING id"
        self._insert = self.insert_row + skipping
        self._upsert, self._upsert_quietly = (
            self.insert_row + _replacing(dialect, renotify=renotify) for renotify in (True, False)
        )

    def insert(self, notification: Notification) -> Statement:
        return self._insert, driver_values(notification, self.dialect)

    def upsert(self, notification: Notification, *, renotify: bool) -> Statement:
        values = driver_values(notification, self.dialect)
        values[_VERSION] = 1
        return self._upsert if renotify else self._upsert_quietly, values

    def get(self, recipient: Recipient, id: str) -> Statement:
        return self._sql(f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {_INBOX} AND id = ?"), [*_inbox(recipient), id]

    def taken(self, ids: Sequence[str]) -> Statement:
        where, values = self._any("id", ids)
        return self._sql(f"SELECT id FROM {_TABLE} WHERE {where} LIMIT 1"), values

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool,
        types: Sequence[str] | None,
        before: Cursor | None,
        offset: int,
        limit: int,
    ) -> Statement:
        (where, values), order = self._rows(recipient, types, unread=unread_only), "created_at DESC, id DESC"
        if before is not None:
            # A row-value comparison, or a plain OR, is not a bound on the index for every planner; this is.
            at = driver_time(before.created_at, self.dialect)
            where += " AND created_at <= ? AND (created_at < ? OR id < ?)"
            values += at, at, before.id
        if unread_only and self.dialect == "postgres":
            # It is NULL throughout, but only so does PostgreSQL see that the index is in order; MariaDB only without.
            order = f"read_at DESC, {order}"
        text = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {where} ORDER BY {order} LIMIT ?"
        values.append(limit)
        if offset:
            text += " OFFSET ?"
            values.append(offset)
        return self._sql(text), values

    def count(
        self, recipient: Recipient, types: Sequence[str] | None, at_most: int | None = None, *, unread: bool
    ) -> Statement:
        where, values = self._rows(recipient, types, unread=unread)
        if at_most is None:
            return self._sql(f"SELECT count(*) AS found FROM {_TABLE} WHERE {where}"), values
        some = f"SELECT 1 FROM {_TABLE} WHERE {where} LIMIT ?"
        return self._sql(f"SELECT count(*) AS found FROM ({some}) AS some_rows"), [*values, at_most]

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None, at_most: int | None
    ) -> Statement:
        """Rows of tenant, recipient_type, recipient_id and found; inboxes with nothing unread may be left out.

        Each inbox is counted by itself, so that a planner has no choice but the index.
        """
        inboxes = [_inbox(each) for each in recipients]
        of_types, chosen = self._of_types(types)
        names = ("tenant", "recipient_type", "recipient_id")
        if self.dialect == "mysql":  # its derived tables cannot refer to an outer query, so that none can be cut short
            listed, asked = ", ".join(names), ", ".join(["(?, ?, ?)"] * len(inboxes))
            where = f"({listed}) IN ({asked}) AND read_at IS NULL{of_types}"
            text = f"SELECT {listed}, count(*) AS found FROM {_TABLE} WHERE {where} GROUP BY {listed}"
            return self._sql(text), [*(part for inbox in inboxes for part in inbox), *chosen]
        if self.dialect == "postgres":
            each, parts = "jsonb_array_elements(?::text::jsonb)", [f"(asked.value ->> {place})" for place in range(3)]
        else:
            each, parts = "json_each(?)", [f"json_extract(asked.value, '$[{place}]')" for place in range(3)]
        theirs = " AND ".join(f"{name} = {part}" for name, part in zip(names, parts, strict=True))
        limit = "" if at_most is None else f" LIMIT {at_most:d}"
        some = f"SELECT 1 FROM {_TABLE} WHERE {theirs} AND read_at IS NULL{of_types}{limit}"
        columns = ", ".join(f"{part} AS {name}" for name, part in zip(names, parts, strict=True))
        text = f"SELECT {columns}, (SELECT count(*) FROM ({some}) AS unread) AS found FROM {each} AS asked"
        return self._sql(text), [*chosen, json.dumps(inboxes, ensure_ascii=False)]

    def mark_read(self, recipient: Recipient, ids: Sequence[str], at: datetime) -> Statement:
        where, values = self._named(recipient, ids, " AND read_at IS NULL")
        return self._sql(f"UPDATE {_TABLE} SET read_at = ? WHERE {where}"), [driver_time(at, self.dialect), *values]

    def mark_unread(self, recipient: Recipient, ids: Sequence[str]) -> Statement:
        where, values = self._named(recipient, ids, " AND read_at IS NOT NULL")
        return self._sql(f"UPDATE {_TABLE} SET read_at = NULL WHERE {where}"), values

    def mark_all_read(
        self, recipient: Recipient, *, types: Sequence[str] | None, seen: datetime | None, at: datetime
    ) -> Statement:
        where, values = self._rows(recipient, types, unread=True)
        if seen is not None:
            where += " AND updated_at <= ?"
            values.append(driver_time(seen, self.dialect))
        text = f"UPDATE {_TABLE} SET read_at = ? WHERE {self._locked(where)}"
        return self._sql(text), [driver_time(at, self.dialect), *values]

    def delete(self, recipient: Recipient, ids: Sequence[str]) -> Statement:
        where, values = self._named(recipient, ids)
        return self._sql(f"DELETE FROM {_TABLE} WHERE {where}"), values

    def erase(self, recipient: Recipient) -> Statement:
        return self._sql(f"DELETE FROM {_TABLE} WHERE {self._locked(_INBOX)}"), _inbox(recipient)

    def erase_tenant(self, tenant: str) -> Statement:
        return self._sql(f"DELETE FROM {_TABLE} WHERE {self._locked('tenant = ?')}"), [tenant]

    def prune(self, *, older_than: datetime, only_read: bool, at_most: int) -> Statement:
        """The oldest rows; those that someone is changing right now are left for another time."""
        where = "updated_at < ?" + (" AND read_at IS NOT NULL" if only_read else "")
        old = f"SELECT id FROM {_TABLE} WHERE {where} ORDER BY updated_at, id LIMIT {at_most:d}"
        if self.dialect == "sqlite":
            text = f"DELETE FROM {_TABLE} WHERE id IN ({old})"
        elif self.dialect == "postgres":
            text = f"DELETE FROM {_TABLE} WHERE id = ANY(ARRAY({old} FOR UPDATE SKIP LOCKED))"
        else:
            old = f"{old} FOR UPDATE SKIP LOCKED"
            text = f"DELETE {_TABLE} FROM ({old}) AS old STRAIGHT_JOIN {_TABLE} ON {_TABLE}.id = old.id"
        return self._sql(text), [driver_time(older_than, self.dialect)]

    def _named(self, recipient: Recipient, ids: Sequence[str], condition: str = "") -> Statement:
        """The condition of rows by their ids; a single one has no order that others could meet it in."""
        if len(ids) == 1:
            return f"{_INBOX} AND id = ?{condition}", [*_inbox(recipient), *ids]
        where, values = self._any("id", ids)
        return self._locked(f"{_INBOX} AND {where}{condition}"), [*_inbox(recipient), *values]

    def _locked(self, where: str) -> str:
        """PostgreSQL locks rows in the order it meets them; two calls that meet them in opposite orders deadlock."""
        if self.dialect != "postgres":
            return where
        return f"id = ANY(ARRAY(SELECT id FROM {_TABLE} WHERE {where} ORDER BY id FOR UPDATE))"

    def _rows(self, recipient: Recipient, types: Sequence[str] | None, *, unread: bool) -> Statement:
        of_types, chosen = self._of_types(types)
        return f"{_INBOX}{' AND read_at IS NULL' if unread else ''}{of_types}", [*_inbox(recipient), *chosen]

    def _of_types(self, types: Sequence[str] | None) -> Statement:
        if not types:
            return "", []
        where, values = self._any("type", types)
        return f" AND {where}", values

    def _any(self, column: str, wanted: Sequence[str]) -> Statement:
        if self.dialect == "postgres":
            return f"{column} = ANY(?::text[])", [list(wanted)]
        if self.dialect == "sqlite":
            return f"{column} IN (SELECT value FROM json_each(?))", [json.dumps(list(wanted))]
        return f"{column} IN ({', '.join('?' * len(wanted))})", list(wanted)

    def _sql(self, text: str) -> str:
        return text if self._mark == "?" else _marked(text, self._mark)


@cache
def statements_for(kind: type[BaseDBAsyncClient]) -> Statements:
    """Those for one class of Tortoise's clients."""
    dialect = kind.capabilities.dialect
    if dialect not in ("postgres", "mysql", "sqlite"):
        raise InvalidArgument("connection", f"expected SQLite, PostgreSQL or MariaDB, got {dialect}")
    numbered = dialect == "postgres" and "psycopg" not in kind.query_class.__module__
    return Statements(dialect, "$" if numbered else "?" if dialect == "sqlite" else "%s")


@lru_cache(maxsize=256)
def _marked(text: str, mark: str) -> str:
    """The same text with a driver's own marks in place of "?"."""
    first, *rest = text.split("?")
    return first + "".join(f"{mark}{place if mark == '$' else ''}{part}" for place, part in enumerate(rest, 1))


def _inbox(recipient: Recipient) -> list[Any]:
    return [recipient.tenant or "", recipient.type, recipient.id]


def _replacing(dialect: str, *, renotify: bool) -> str:
    clause, source = "ON CONFLICT (id) DO UPDATE SET", "excluded.{}"
    if dialect == "mysql":
        clause, source = "ON DUPLICATE KEY UPDATE", "VALUES({})"
    changes = [f"{column} = {source.format(column)}" for column in REPLACED]
    changes += [f"version = {_TABLE}.version + 1", *(["read_at = NULL"] if renotify else [])]
    return f" {clause} {', '.join(changes)} RETURNING {_COLUMNS}"
