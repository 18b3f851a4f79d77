"""The SQL statements for one table in one dialect, rendered once and cached.

They are written with "?" placeholders and rendered for the driver. None contains a literal "%", which drivers with the
format style would take for a placeholder. Every selected column has a different name, for drivers that return rows by
name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final

from ..model import Notification, Recipient
from .dialect import Dialect
from .rows import row_encoder, time_encoder, values
from .table import COLUMNS, REPLACED, Table

__all__ = ["Statement", "Statements", "statements_for"]

_INBOX: Final = "tenant = ? AND recipient_type = ? AND recipient_id = ?"
# The same conditions in a form for which PostgreSQL cannot use an index. So it finds rows given by id through the
# primary key; on tables that were never analyzed it would else read the whole inbox, all unread rows or all old rows.
_UNINDEXED_INBOX: Final = (
    "tenant IS NOT DISTINCT FROM ? AND recipient_type IS NOT DISTINCT FROM ? AND recipient_id IS NOT DISTINCT FROM ?"
)
_UNINDEXED: Final = {
    "read_at IS NULL": "num_nulls(read_at) = 1",
    "read_at IS NOT NULL": "num_nulls(read_at) = 0",
    "updated_at < ?": "(updated_at < ?) IS TRUE",
}
# MariaDB prefers equality on a prefix of an index to a range over it, and would read all newer rows of the inbox for a
# page after a cursor. It does not treat a range of one value as an equality.
_INBOX_AS_RANGE: Final = "tenant >= ? AND tenant <= ? AND recipient_type = ? AND recipient_id = ?"

_JSON_TYPES: Final = {  # of the columns that are not text
    "version": "integer",
    "read_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}
_to_json: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=lambda time: time.isoformat()
).encode


class Statement:
    """One SQL statement, rendered for the driver.

    Attributes:
        sql: the text.
        fetches: whether it returns rows (`Connection.fetch`), or the number of changed rows (`Connection.change`).
    """

    __slots__ = ("fetches", "sql")

    def __init__(self, sql: str, *, fetches: bool) -> None:
        self.sql = sql
        self.fetches = fetches

    def __repr__(self) -> str:
        return f"Statement({self.sql!r}, fetches={self.fetches})"


class Statements:
    """Every statement of the calls, for one table in one dialect. Get an instance from `statements_for`.

    Statements with variants are methods, whose arguments choose the variant. For a list, `list_parameters` returns the
    parameters and `size` the argument: on PostgreSQL (an array) and SQLite (a JSON array) a list of any length is one
    parameter.

    Attributes:
        row: converts a notification to the parameters of `insert`.
        time: converts a time in UTC to a parameter.
        insert_batch: the maximum number of rows for `insert_many`.
        count_batch: the maximum number of inboxes for `unread_counts`; None is any number.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self.table = table
        self.dialect = dialect
        self._name = table.quoted(dialect)
        self.row: Callable[[Notification], list[Any]] = row_encoder(dialect.name)
        self.time = time_encoder(dialect.name)
        postgresql = dialect.name == "postgresql"
        # Every value is a parameter: SQLite allows 2,340 rows of them, and MySQL's max_allowed_packet a hundred of the
        # largest rows.
        self.insert_batch = 1000 if postgresql else 100
        self.count_batch = 500 if dialect.is_mysql else None
        self._row_marks = ", ".join("?::text::jsonb" if postgresql and name == "data" else "?" for name in COLUMNS)
        self._columns = ", ".join(self._column(name) for name in COLUMNS)

        into = f"INSERT INTO {self._name} ({', '.join(COLUMNS)}) VALUES ({self._row_marks})"
        # A row whose id exists is skipped: on PostgreSQL an error would abort the application's transaction. MySQL
        # cannot skip for that reason alone, but its transactions continue after the error.
        self.insert = self._change(into if dialect.is_mysql else f"{into} ON CONFLICT (id) DO NOTHING")
        self.upsert, self.upsert_keeping_read_at = (self._upsert(renotify=renotify) for renotify in (True, False))
        self.stored = self._fetch(f"SELECT {self._columns} FROM {self._name} WHERE id = ?")
        self.get = self._fetch(f"SELECT {self._columns} FROM {self._name} WHERE {_INBOX} AND id = ?")
        self.erase = self._change(f"DELETE FROM {self._name} WHERE {self._locked(_INBOX)}")
        self.erase_tenant = self._change(f"DELETE FROM {self._name} WHERE {self._locked('tenant = ?')}")

        self.page = lru_cache(maxsize=256)(self._page)
        self.count = lru_cache(maxsize=256)(self._count)
        self.count_all, self.count_unread = self._count(False, 0, False), self._count(True, 0, False)
        self.unread_counts = lru_cache(maxsize=64)(self._unread_counts)
        self.insert_many = lru_cache(maxsize=8)(self._insert_many)
        self.mark_one_read, self.mark_one_unread = self._mark_read(0), self._mark_unread(0)
        self.delete_one = self._delete(0)
        self.mark_read = lru_cache(maxsize=64)(self._mark_read)
        self.mark_unread = lru_cache(maxsize=64)(self._mark_unread)
        self.mark_all_read = lru_cache(maxsize=64)(self._mark_all_read)
        self.delete = lru_cache(maxsize=64)(self._delete)
        self.old_rows = lru_cache(maxsize=8)(self._old_rows)
        self.prune = lru_cache(maxsize=8)(self._prune)
        self.existing = lru_cache(maxsize=8)(self._existing)

    def size(self, wanted: Sequence[str] | None) -> int:
        """The argument that chooses the variant of a statement for a list; 0 for no list."""
        if not wanted:
            return 0
        return len(wanted) if self.dialect.is_mysql else 1

    def list_parameters(self, wanted: Sequence[str]) -> list[Any]:
        """The parameters for a list."""
        match self.dialect.name:
            case "postgresql":
                return [list(wanted)]
            case "sqlite":
                return [_to_json(list(wanted))]
            case _:
                return list(wanted)

    def page_parameters(self, recipient: Recipient, before: bool) -> list[Any]:
        """The parameters for the condition of `page` on the inbox."""
        tenant = recipient.tenant or ""
        if before and self.dialect.is_mysql:
            return [tenant, tenant, recipient.type, recipient.id]
        return [tenant, recipient.type, recipient.id]

    def prune_parameters(self, at: datetime, id: str) -> list[Any]:
        """The parameters for the condition of `old_rows` on the last row that was read."""
        time = self.time(at)
        return [time, id] if self.dialect.name == "postgresql" else [time, time, id]

    def lock_parameters(self, parameters: list[Any]) -> list[Any]:
        """The parameters for a condition on a whole inbox or tenant, which `_locked` writes twice on PostgreSQL."""
        return parameters * 2 if self.dialect.name == "postgresql" else parameters

    def rows(self, notifications: Sequence[Notification]) -> list[Any]:
        """The parameters for `insert_many`."""
        if self.dialect.name == "postgresql":
            return [_to_json([values(each) for each in notifications])]
        return [value for each in notifications for value in self.row(each)]

    def counts_parameters(
        self, recipients: Iterable[Recipient], types: Sequence[str] | None, at_most: int | None
    ) -> list[Any]:
        """The parameters for `unread_counts`."""
        asked = [(each.tenant or "", each.type, each.id) for each in recipients]
        filtered = [] if not types else self.list_parameters(types)
        limit = [] if at_most is None else [at_most]
        match self.dialect.name:
            case "postgresql":
                return [*filtered, *limit, *(list(part) for part in zip(*asked, strict=True))]
            case "sqlite":
                return [*filtered, *limit, _to_json(asked)]
            case _ if at_most is not None:
                return [part for inbox in asked for part in (*inbox, *inbox, *filtered, at_most)]
            case _:
                return [*(part for inbox in asked for part in inbox), *filtered]

    def _fetch(self, sql: str) -> Statement:
        return Statement(self.dialect.render(sql), fetches=True)

    def _change(self, sql: str) -> Statement:
        return Statement(self.dialect.render(sql), fetches=False)

    def _column(self, name: str) -> str:
        if self.dialect.times_as_milliseconds and name.endswith("_at"):
            return f"(date_part('epoch', {name}) * 1000)::bigint AS {name}"
        return name

    def _upsert(self, *, renotify: bool) -> Statement:
        columns = ", ".join(COLUMNS)
        if self.dialect.is_mysql:
            changes = [f"{column} = VALUES({column})" for column in REPLACED] + ["version = version + 1"]
            sql = f"INSERT INTO {self._name} ({columns}) VALUES ({self._row_marks}) ON DUPLICATE KEY UPDATE "
        else:
            changes = [f"{column} = excluded.{column}" for column in REPLACED] + ["version = stored.version + 1"]
            sql = f"INSERT INTO {self._name} AS stored ({columns}) VALUES ({self._row_marks}) "
            sql += "ON CONFLICT (id) DO UPDATE SET "
        sql += ", ".join([*changes, "read_at = NULL"] if renotify else changes)
        return self._fetch(f"{sql} RETURNING {self._columns}") if self.dialect.has_returning else self._change(sql)

    def _insert_many(self, size: int) -> Statement:
        """Insert `size` rows. If an id exists, it is an error and none is inserted."""
        into = f"INSERT INTO {self._name} ({', '.join(COLUMNS)})"
        if self.dialect.name != "postgresql":
            return self._change(f"{into} VALUES {', '.join([f'({self._row_marks})'] * size)}")
        # One JSON document is faster for PostgreSQL to parse than thousands of parameters. `data` is taken by `->`, as
        # JSON, so that it is not parsed again.
        parts = [
            f"new.value -> {index}" if name == "data" else f"(new.value ->> {index})::{_JSON_TYPES.get(name, 'text')}"
            for index, name in enumerate(COLUMNS)
        ]
        return self._change(f"{into} SELECT {', '.join(parts)} FROM jsonb_array_elements(?::text::jsonb) AS new")

    def _existing(self, size: int) -> Statement:
        return self._fetch(f"SELECT id FROM {self._name} WHERE {self._in('id', size)} LIMIT 1")

    def _page(self, unread: bool, types: int, before: bool, offset: bool) -> Statement:
        where, order = self._where(unread, types), ["created_at", "id"]
        if unread and self.dialect.name == "postgresql":
            # read_at is NULL in all these rows, but without it PostgreSQL sorts them instead of using the order of the
            # index. MariaDB sorts with it.
            order.insert(0, "read_at")
        if before:
            # Not every planner uses a row-value comparison or a plain OR as a bound on the index; all use this.
            where += " AND created_at <= ? AND (created_at < ? OR id < ?)"
        if before and self.dialect.is_mysql:
            where = where.replace(_INBOX, _INBOX_AS_RANGE)
            order.insert(0, "tenant")
        # Qualified, to mean the table's columns: in the result a time may be an expression, which has no index.
        newest_first = ", ".join(f"stored.{column} DESC" for column in order)
        sql = f"SELECT {self._columns} FROM {self._name} AS stored WHERE {where} ORDER BY {newest_first} LIMIT ?"
        return self._fetch(f"{sql} OFFSET ?" if offset else sql)

    def _count(self, unread: bool, types: int, capped: bool) -> Statement:
        where = self._where(unread, types)
        if not capped:
            return self._fetch(f"SELECT count(*) AS found FROM {self._name} WHERE {where}")
        some = f"SELECT 1 AS one FROM {self._name} WHERE {where} LIMIT ?"
        return self._fetch(f"SELECT count(*) AS found FROM ({some}) AS counted")

    def _unread_counts(self, inboxes: int, types: int, capped: bool) -> Statement:
        """Selects tenant, recipient_type, recipient_id and found. Inboxes without unread rows may be missing.

        A subquery counts each inbox through the index, and stops at the cap. On MySQL and MariaDB, where a derived
        table cannot refer to an outer query, it is written once for each inbox: that takes three times as long as GROUP
        BY where inboxes are small, and a small part of it where one is large, so it is for counts with a cap.
        """
        names = ("tenant", "recipient_type", "recipient_id")
        if self.dialect.is_mysql and not capped:
            listed, asked = ", ".join(names), ", ".join(["(?, ?, ?)"] * inboxes)
            where = f"({listed}) IN ({asked}) AND read_at IS NULL"
            where += f" AND {self._in('type', types)}" if types else ""
            return self._fetch(f"SELECT {listed}, count(*) AS found FROM {self._name} WHERE {where} GROUP BY {listed}")
        match self.dialect.name:
            case "postgresql":
                parts = [f"asked.{name}" for name in names]
                source = f" FROM unnest(?::text[], ?::text[], ?::text[]) AS asked({', '.join(names)})"
            case "sqlite":
                parts = [f"json_extract(asked.value, '$[{index}]')" for index in range(3)]
                source = " FROM json_each(?) AS asked"
            case _:
                parts, source = ["?"] * 3, ""
        theirs = [f"inbox.{name} = {part}" for name, part in zip(names, parts, strict=True)]
        theirs += ["inbox.read_at IS NULL", *([self._in("inbox.type", types)] if types else [])]
        some = f"SELECT 1 FROM {self._name} AS inbox WHERE {' AND '.join(theirs)}{' LIMIT ?' if capped else ''}"
        columns = [f"{part} AS {name}" for name, part in zip(names, parts, strict=True)]
        columns.append(f"(SELECT count(*) FROM ({some}) AS unread) AS found")
        return self._fetch(" UNION ALL ".join([f"SELECT {', '.join(columns)}{source}"] * max(inboxes, 1)))

    def _mark_read(self, ids: int) -> Statement:
        return self._change(f"UPDATE {self._name} SET read_at = ? WHERE {self._named(ids, 'read_at IS NULL')}")

    def _mark_unread(self, ids: int) -> Statement:
        return self._change(f"UPDATE {self._name} SET read_at = NULL WHERE {self._named(ids, 'read_at IS NOT NULL')}")

    def _delete(self, ids: int) -> Statement:
        return self._change(f"DELETE FROM {self._name} WHERE {self._named(ids)}")

    def _mark_all_read(self, types: int, seen: bool) -> Statement:
        where = self._where(True, types) + (" AND updated_at <= ?" if seen else "")
        return self._change(f"UPDATE {self._name} SET read_at = ? WHERE {self._locked(where)}")

    def _old_rows(self, only_read: bool, after: bool) -> Statement:
        """Selects updated_at and id of the next rows to prune, oldest first, without locks."""
        where = " AND ".join(_old_conditions(only_read))
        if after and self.dialect.name == "postgresql":
            # On a table without statistics PostgreSQL expects few rows from a range with two bounds, and sorts them.
            where += " AND (updated_at, id) > (?, ?)"
        elif after:
            where += " AND updated_at >= ? AND (updated_at > ? OR id > ?)"
        columns, order = f"{self._column('updated_at')}, id", "stored.updated_at, stored.id"
        return self._fetch(f"SELECT {columns} FROM {self._name} AS stored WHERE {where} ORDER BY {order} LIMIT ?")

    def _prune(self, ids: int, only_read: bool) -> Statement:
        """Deletes those of the rows that are still old, except rows that another transaction has locked."""
        named, conditions = self._in("id", ids), _old_conditions(only_read)
        match self.dialect.name:
            case "postgresql":
                return self._change(f"DELETE FROM {self._name} WHERE {self._by_id(named, conditions, ' SKIP LOCKED')}")
            case "sqlite":
                return self._change(f"DELETE FROM {self._name} WHERE {' AND '.join([named, *conditions])}")
            case _:
                where = " AND ".join([named, *conditions])
                free = f"SELECT id FROM {self._name} FORCE INDEX (PRIMARY) WHERE {where} FOR UPDATE SKIP LOCKED"
                return self._change(
                    f"DELETE gone FROM ({free}) AS old STRAIGHT_JOIN {self._name} AS gone ON gone.id = old.id"
                )

    def _where(self, unread: bool, types: int) -> str:
        where = f"{_INBOX} AND read_at IS NULL" if unread else _INBOX
        return f"{where} AND {self._in('type', types)}" if types else where

    def _named(self, ids: int, *conditions: str) -> str:
        """The condition for rows of the inbox by their ids."""
        if not ids:
            return " AND ".join([_INBOX, "id = ?", *conditions])
        if self.dialect.name == "postgresql":
            return self._by_id(f"{_UNINDEXED_INBOX} AND {self._in('id', ids)}", conditions)
        return " AND ".join([_INBOX, self._in("id", ids), *conditions])

    def _by_id(self, named: str, conditions: Sequence[str], how: str = "") -> str:
        """A condition that first locks the rows in the order of their ids. PostgreSQL locks rows in the order in which
        it reads them, so two calls that read them in different orders could deadlock."""
        where = " AND ".join([named, *(_UNINDEXED[condition] for condition in conditions)])
        return f"id = ANY(ARRAY(SELECT id FROM {self._name} WHERE {where} ORDER BY id FOR UPDATE{how}))"

    def _locked(self, where: str) -> str:
        """A condition on a whole inbox or tenant, whose rows PostgreSQL first locks in the order of their ids. The
        locking subquery is not correlated, so it runs once, before the first row is changed. Then the rows are found
        through the index again, which is faster than finding each by its id."""
        if self.dialect.name != "postgresql":
            return where
        locked = f"SELECT 1 FROM {self._name} WHERE {where} ORDER BY id FOR UPDATE"
        return f"{where} AND (SELECT count(*) FROM ({locked}) AS locked) >= 0"

    def _in(self, column: str, size: int) -> str:
        match self.dialect.name:
            case "postgresql":
                return f"{column} = ANY(?::text[])"
            case "sqlite":
                return f"{column} IN (SELECT value FROM json_each(?))"
            case _:
                return f"{column} IN ({', '.join('?' * size)})"


def _old_conditions(only_read: bool) -> list[str]:
    return ["updated_at < ?", "read_at IS NOT NULL"] if only_read else ["updated_at < ?"]


@cache
def statements_for(table: Table, dialect: Dialect) -> Statements:
    """The statements for this table in this dialect, cached and shared by all stores."""
    return Statements(table, dialect)
