"""The contract's calls over one SQLAlchemy Connection, inside whatever transaction it is in: the one body there is.

Synchronous; the stores in store.py say where the connection comes from, and who commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError

from notistore.columns import COLUMNS, driver_time, driver_values, from_values
from notistore.errors import DuplicateNotification
from notistore.model import Cursor, Notification, Recipient

from . import statements as sql
from .errors import duplicate
from .schema import MYSQL, begin_in_sqlite

__all__ = ["Calls", "Place"]

Place = tuple[Any, str]
"""Where pruning has come to: the last row's updated_at, as the driver has it, and id."""

_INBOXES: Final = 200
_IDS: Final = 1000


class Calls:
    def __init__(self, connection: Connection, table: Table) -> None:
        self.connection = connection
        self.table = sql.untyped(table)
        name = connection.dialect.name
        self._dialect = "mysql" if name in MYSQL else name
        self._zoned = connection.dialect.driver == "psycopg"

    def insert(self, notification: Notification) -> None:
        statement = sql.insert(self.table, self._dialect)
        if self._dialect == "mysql":
            try:
                self.connection.execute(statement, self._row(notification))
            except IntegrityError as error:
                raise duplicate(error) or error from error
        elif self.connection.execute(statement, self._row(notification)).first() is None:
            raise DuplicateNotification(notification.id)

    def insert_many(self, notifications: Sequence[Notification]) -> None:
        seen: set[str] = set()
        for notification in notifications:
            if notification.id in seen:
                raise DuplicateNotification(notification.id)
            seen.add(notification.id)
        if not notifications:
            return
        if self._dialect == "sqlite":
            begin_in_sqlite(self.connection)
        try:
            # An error would spoil a transaction of the host's, or leave half in it.
            with self.connection.begin_nested():
                self.connection.exec_driver_sql(
                    sql.insert_many(self.connection, self.table),
                    [tuple(driver_values(each, self._dialect)) for each in notifications],
                )
        except IntegrityError as error:
            raise self._duplicate(error, sorted(seen)) or error from error

    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        returning = self.connection.dialect.insert_returning
        statement = sql.upsert(self.table, self._dialect, renotify=renotify, returning=returning, zoned=self._zoned)
        result = self.connection.execute(statement, self._row(notification) | {"version": 1})
        if returning:
            return from_values(result.one(), notification.recipient)
        stored = self.get(notification.recipient, notification.id)
        assert stored is not None  # this transaction holds its lock
        return stored

    def get(self, recipient: Recipient, id: str) -> Notification | None:
        statement = sql.get(self.table, zoned=self._zoned)
        row = self.connection.execute(statement, _inbox(recipient) | {"wanted": id}).first()
        return None if row is None else from_values(row, recipient)

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        statement = sql.page(
            self.table,
            self._dialect,
            unread_only=unread_only,
            types=bool(types),
            before=before is not None,
            offset=offset > 0,
            zoned=self._zoned,
        )
        given = _inbox(recipient) | {"at_most": limit, "types": types, "skip": offset}
        if before is not None:
            given |= {"before_at": self._time(before.created_at), "before_id": before.id}
        rows = self.connection.execute(statement, given).all()  # one by one takes longer
        return [from_values(row, recipient) for row in rows]

    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        statement = sql.count(self.table, unread=False, types=bool(types), capped=False)
        given = _inbox(recipient) | {"types": types} if types else _inbox(recipient)
        found: int = self.connection.execute(statement, given).scalar_one()
        return found

    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        statement = sql.count(self.table, unread=True, types=bool(types), capped=at_most is not None)
        given = _inbox(recipient)
        if types:
            given["types"] = types
        if at_most is not None:
            given["at_most"] = at_most
        unread: int = self.connection.execute(statement, given).scalar_one()
        return unread

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = dict.fromkeys(recipients, 0)
        statement = sql.unread_counts(self.table, self._dialect, types=bool(types), capped=at_most is not None)
        asked = list(counts)
        for start in range(0, len(asked), _INBOXES):
            inboxes = [tuple(_inbox(recipient).values()) for recipient in asked[start : start + _INBOXES]]
            given = {"inboxes": inboxes, "types": types, "at_most": at_most}
            for tenant, type, id, unread in self.connection.execute(statement, given):
                counts[Recipient(id, type, tenant or None)] = unread if at_most is None else min(unread, at_most)
        return counts

    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return self._change(sql.mark_read(self.table, self._dialect), recipient, ids, at=self._time(at))

    def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return self._change(sql.mark_unread(self.table, self._dialect), recipient, ids)

    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        statement = sql.mark_all_read(self.table, self._dialect, types=bool(types), seen=seen is not None)
        given = _inbox(recipient) | {"types": types, "seen": seen and self._time(seen), "at": self._time(at)}
        return self.connection.execute(statement, given).rowcount

    def delete(self, recipient: Recipient, *ids: str) -> int:
        return self._change(sql.remove(self.table, self._dialect), recipient, ids)

    def erase(self, recipient: Recipient) -> int:
        return self.connection.execute(sql.remove_inbox(self.table, self._dialect), _inbox(recipient)).rowcount

    def erase_tenant(self, tenant: str) -> int:
        if not tenant:  # '' stands for no tenant in the table, but is no tenant's name
            return 0
        return self.connection.execute(sql.remove_tenant(self.table, self._dialect), {"in_tenant": tenant}).rowcount

    def prune_batch(
        self, after: Place | None, *, older_than: datetime, only_read: bool, at_most: int
    ) -> tuple[int, Place | None]:
        """Delete up to `at_most` rows past `after`; returns how many, and where to go on, or None at the end."""
        at, id = after or (None, None)
        statement = sql.old(self.table, only_read=only_read, after=after is not None)
        limit = self._time(older_than)
        given = {"older_than": limit, "after_at": at, "after_id": id, "at_most": at_most}
        rows = self.connection.execute(statement, given).all()
        if not rows:
            return 0, None
        removal = sql.remove_old(self.table, only_read=only_read)
        removed = self.connection.execute(removal, {"ids": [row.id for row in rows], "older_than": limit}).rowcount
        return removed, (rows[-1].updated_at, rows[-1].id) if len(rows) == at_most else None

    def _row(self, notification: Notification) -> dict[str, Any]:
        return dict(zip(COLUMNS, driver_values(notification, self._dialect), strict=True))

    def _time(self, at: datetime) -> datetime | int:
        return driver_time(at, self._dialect)

    def _change(self, statement: Any, recipient: Recipient, ids: Sequence[str], **values: Any) -> int:
        if not ids:
            return 0
        return self.connection.execute(statement, _inbox(recipient) | {"ids": ids} | values).rowcount

    def _duplicate(self, error: IntegrityError, ids: Sequence[str]) -> DuplicateNotification | None:
        """SQLite's error does not say which id it was, but only SQLite is sure to let us see every row there is."""
        if self._dialect != "sqlite":
            return duplicate(error)
        for start in range(0, len(ids), _IDS):
            taken = self.connection.scalar(sql.taken(self.table), {"ids": ids[start : start + _IDS]})
            if taken is not None:
                return DuplicateNotification(taken)
        return None


def _inbox(recipient: Recipient) -> dict[str, Any]:
    return {"in_tenant": recipient.tenant or "", "in_type": recipient.type, "in_id": recipient.id}
