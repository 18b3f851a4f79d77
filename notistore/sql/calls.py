"""The calls of the contract: each returns a Query, or is a generator that yields statements (see work.py).

The first argument of each is the `Statements` of the table and dialect; the others are those of the store's method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeAlias

from ..errors import DuplicateNotification
from ..model import Cursor, Notification, Recipient, stored_recipient
from .rows import from_values, utc
from .statements import Statements
from .work import Block, Call, Query, Steps

__all__ = [
    "PruneCursor",
    "count",
    "delete",
    "erase",
    "erase_tenant",
    "get",
    "insert",
    "insert_many",
    "mark_all_read",
    "mark_read",
    "mark_unread",
    "page",
    "prune_batch",
    "unread_count",
    "unread_counts",
    "upsert",
]

PruneCursor: TypeAlias = tuple[datetime, str]
"""The updated_at and id of the last row that `prune_batch` has read."""

_VERSION: Final = 10  # the index of the column


def insert(statements: Statements, notification: Notification) -> Query[None]:
    def check(inserted: int) -> None:
        # MySQL and MariaDB raise an error instead, from which the store reads the id.
        if inserted == 0:
            raise DuplicateNotification(notification.id)

    return statements.insert, statements.row(notification), check


def insert_many(statements: Statements, notifications: Sequence[Notification]) -> Steps[None]:
    new: dict[str, Notification] = {}
    for notification in notifications:
        if notification.id in new:
            raise DuplicateNotification(notification.id)
        new[notification.id] = notification
    if not new:
        return
    rows = [new[id] for id in sorted(new)]  # in a fixed order, so that two calls do not deadlock
    size = statements.insert_batch
    if len(rows) > size:
        yield Block.TRANSACTION | Block.SAVEPOINT
    elif statements.dialect.name == "postgresql":  # elsewhere a statement that fails leaves the transaction usable
        yield Block.SAVEPOINT
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        try:
            yield statements.insert_many(len(batch)), statements.rows(batch)
        except Exception as error:
            if statements.dialect.name != "sqlite" or "UNIQUE constraint failed" not in str(error):
                raise
            # SQLite's error does not name the id. Nothing of this batch was inserted, so a row found was there before.
            ids = [row.id for row in batch]
            existing = yield statements.existing(statements.size(ids)), statements.list_parameters(ids)
            if not existing:
                raise
            [(id,)] = existing
            raise DuplicateNotification(id) from error


def upsert(statements: Statements, notification: Notification, *, renotify: bool = True) -> Steps[Notification]:
    statement = statements.upsert if renotify else statements.upsert_keeping_read_at
    row = statements.row(notification)
    row[_VERSION] = 1
    if statements.dialect.has_returning:
        rows = yield statement, row
    else:
        yield Block.TRANSACTION  # keeps the row locked until it has been read
        yield statement, row
        rows = yield statements.stored, [notification.id]
    [stored] = rows
    return from_values(stored, notification.recipient)


def get(statements: Statements, recipient: Recipient, id: str) -> Query[Notification | None]:
    def read(rows: Sequence[Any]) -> Notification | None:
        return from_values(rows[0], recipient) if rows else None

    return statements.get, (recipient.tenant or "", recipient.type, recipient.id, id), read


def page(
    statements: Statements,
    recipient: Recipient,
    *,
    unread_only: bool = False,
    types: Sequence[str] | None = None,
    before: Cursor | None = None,
    offset: int = 0,
    limit: int = 50,
) -> Query[Sequence[Notification]]:
    parameters = statements.page_parameters(recipient, before is not None)
    if types:
        parameters += statements.list_parameters(types)
    if before is not None:
        at = statements.time(before.created_at)
        parameters += (at, at, before.id)
    parameters.append(limit)
    if offset:
        parameters.append(offset)
    statement = statements.page(unread_only, statements.size(types), before is not None, offset > 0)
    return statement, parameters, lambda rows: [from_values(row, recipient) for row in rows]


def count(statements: Statements, recipient: Recipient, *, types: Sequence[str] | None = None) -> Query[int]:
    parameters: list[Any] = [recipient.tenant or "", recipient.type, recipient.id]
    if types:
        parameters += statements.list_parameters(types)
        statement = statements.count(False, statements.size(types), False)
    else:
        statement = statements.count_all
    return statement, parameters, _only_value


def unread_count(
    statements: Statements, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
) -> Query[int]:
    parameters: list[Any] = [recipient.tenant or "", recipient.type, recipient.id]
    if types:
        parameters += statements.list_parameters(types)
    if at_most is not None:
        parameters.append(at_most)
        statement = statements.count(True, statements.size(types), True)
    elif types:
        statement = statements.count(True, statements.size(types), False)
    else:
        statement = statements.count_unread
    return statement, parameters, _only_value


def unread_counts(
    statements: Statements,
    recipients: Sequence[Recipient],
    *,
    types: Sequence[str] | None = None,
    at_most: int | None = None,
) -> Steps[Mapping[Recipient, int]]:
    counts = dict.fromkeys(recipients, 0)
    asked = iter(list(counts))
    while batch := list(islice(asked, statements.count_batch)):
        statement = statements.unread_counts(
            len(batch) if statements.count_batch else 0, statements.size(types), at_most is not None
        )
        rows = yield statement, statements.counts_parameters(batch, types, at_most)
        for tenant, type, id, unread in rows:
            counts[stored_recipient(id, type, tenant or None)] = unread
    return counts


def mark_read(statements: Statements, recipient: Recipient, *ids: str, at: datetime) -> Call[int]:
    if not ids:
        return _no_rows()
    time, tenant = statements.time(at), recipient.tenant or ""
    if len(ids) == 1:  # the order of locking, see Statements._by_id, matters for several rows only
        return statements.mark_one_read, (time, tenant, recipient.type, recipient.id, *ids), int
    listed = statements.list_parameters(ids)
    return statements.mark_read(statements.size(ids)), (time, tenant, recipient.type, recipient.id, *listed), int


def mark_unread(statements: Statements, recipient: Recipient, *ids: str) -> Call[int]:
    if not ids:
        return _no_rows()
    inbox = [recipient.tenant or "", recipient.type, recipient.id]
    if len(ids) == 1:
        return statements.mark_one_unread, [*inbox, *ids], int
    return statements.mark_unread(statements.size(ids)), [*inbox, *statements.list_parameters(ids)], int


def mark_all_read(
    statements: Statements,
    recipient: Recipient,
    *,
    types: Sequence[str] | None = None,
    seen: datetime | None = None,
    at: datetime,
) -> Query[int]:
    where: list[Any] = [recipient.tenant or "", recipient.type, recipient.id]
    if types:
        where += statements.list_parameters(types)
    if seen is not None:
        where.append(statements.time(seen))
    statement = statements.mark_all_read(statements.size(types), seen is not None)
    return statement, [statements.time(at), *statements.lock_parameters(where)], int


def delete(statements: Statements, recipient: Recipient, *ids: str) -> Call[int]:
    if not ids:
        return _no_rows()
    inbox = [recipient.tenant or "", recipient.type, recipient.id]
    if len(ids) == 1:
        return statements.delete_one, [*inbox, *ids], int
    return statements.delete(statements.size(ids)), [*inbox, *statements.list_parameters(ids)], int


def erase(statements: Statements, recipient: Recipient) -> Query[int]:
    inbox = [recipient.tenant or "", recipient.type, recipient.id]
    return statements.erase, statements.lock_parameters(inbox), int


def erase_tenant(statements: Statements, tenant: str) -> Call[int]:
    if not tenant:  # "" in the table means no tenant; it is not the name of one
        return _no_rows()
    return statements.erase_tenant, statements.lock_parameters([tenant]), int


def prune_batch(
    statements: Statements, after: PruneCursor | None, older_than: datetime, only_read: bool, at_most: int
) -> Steps[tuple[int, PruneCursor | None]]:
    """Delete up to `at_most` rows after the cursor `after`. Returns how many, and the next cursor, or None at the end.

    The rows are read without locks, in the order of the index on updated_at. The DELETE has the conditions again, since
    a row may have been changed in between.
    """
    limit = statements.time(older_than)
    parameters: list[Any] = [limit]
    if after is not None:
        parameters += statements.prune_parameters(*after)
    rows = yield statements.old_rows(only_read, after is not None), [*parameters, at_most]
    if not rows:
        return 0, None
    cursors = [tuple(row) for row in rows]
    ids = sorted(id for _, id in cursors)
    removed: int = yield statements.prune(statements.size(ids), only_read), [*statements.list_parameters(ids), limit]
    last_at, last_id = cursors[-1]
    return removed, (utc(last_at), last_id) if len(cursors) == at_most else None


def _only_value(rows: Sequence[Any]) -> int:
    [[value]] = rows
    number: int = value
    return number


def _no_rows() -> Steps[int]:
    """A call that sends no statement."""
    yield from ()
    return 0
