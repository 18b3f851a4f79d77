"""The contract's calls over a Peewee model: the one body there is, synchronous, in whatever transaction is open."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from peewee import SQL, IntegrityError, fn

from notistore import batches
from notistore.columns import COLUMNS, REPLACED, driver_values, from_values
from notistore.conflicts import taken_id
from notistore.errors import DuplicateNotification, StoreError
from notistore.model import Cursor, Notification, Recipient

from .connections import run
from .model import is_mariadb, kind, to_row
from .schema import create_schema

__all__ = ["Calls"]

P = ParamSpec("P")
T = TypeVar("T")
Place = tuple[datetime, str]

_BATCH: Final = 1000
_ROWS: Final = 100  # with every value a parameter: SQLite takes 2,340, and MySQL's packets a hundred of the largest


def _call(*, writes: bool) -> Callable[[Callable[Concatenate[Calls, P], T]], Callable[Concatenate[Calls, P], T]]:
    """A method that is one call of the contract: it has a connection, and only the contract's errors leave it."""

    def decorate(method: Callable[Concatenate[Calls, P], T]) -> Callable[Concatenate[Calls, P], T]:
        @functools.wraps(method)
        def call(self: Calls, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self._check()
            return run(self.database, functools.partial(method, self, *args, **kwargs), writes=writes)

        return call

    return decorate


class Calls:
    """Every method of the contract and of its optional parts, for any database that Peewee and notistore share.

    Args:
        model: what `notification_model` made, bound to its database.
        bound: whether a call is to be refused where no transaction is open to join.
    """

    def __init__(self, model: Any, *, bound: bool = False) -> None:
        self.model = model
        self.database = model._meta.database
        self._kind = kind(self.database)
        self._table, _ = self.database.get_sql_context().sql(model._meta.entity).query()
        self._bound = bound

    @_call(writes=True)
    def insert(self, notification: Notification) -> None:
        row = self.model
        insert = row.insert(to_row(notification))
        if self._kind == "mysql":
            # It cannot skip just the rows whose primary key is taken, but its transactions survive the error.
            try:
                insert.execute()
            except IntegrityError as error:
                taken = taken_id(error)
                raise DuplicateNotification(taken) if taken else error from error
            return
        # A row whose id is taken is skipped: an error would spoil a transaction of the host's.
        insert = insert.on_conflict(action="nothing", conflict_target=[row.id]).returning(row.id)
        if not self._rows(insert):
            raise DuplicateNotification(notification.id)

    @_call(writes=True)
    def insert_many(self, notifications: Sequence[Notification]) -> None:
        new: dict[str, Notification] = {}
        for notification in notifications:
            if notification.id in new:
                raise DuplicateNotification(notification.id)
            new[notification.id] = notification
        rows = [new[id] for id in sorted(new)]  # in one order, so that two calls never wait for each other
        try:
            with self.database.atomic():
                for sql, parameters in self._inserts(rows):
                    self.database.execute_sql(sql, parameters)
        except IntegrityError as error:
            taken = taken_id(error) or self._taken(list(new))
            if taken is None:
                raise
            raise DuplicateNotification(taken) from error

    @_call(writes=True)
    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        row = self.model
        fresh: dict[Any, Any] = {row.version: row.version + 1} | ({row.read_at: None} if renotify else {})
        target = {} if self._kind == "mysql" else {"conflict_target": [row.id]}
        preserved = [getattr(row, name) for name in REPLACED]
        upsert = row.insert({**to_row(notification), "version": 1}).on_conflict(
            preserve=preserved, update=fresh, **target
        )
        if self._kind != "mysql" or is_mariadb(self.database):
            [stored] = self._rows(upsert.returning(row))
            return from_values(stored, notification.recipient)
        with self.database.atomic():
            upsert.execute()
            [stored] = self._rows(row.select().where(row.id == notification.id))
            return from_values(stored, notification.recipient)

    @_call(writes=False)
    def get(self, recipient: Recipient, id: str) -> Notification | None:
        rows = self._rows(self.model.select().where(self._inbox(recipient), self.model.id == id))
        return from_values(rows[0], recipient) if rows else None

    @_call(writes=False)
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
        row = self.model
        rows = row.select().where(self._inbox(recipient, types, unread=unread_only))
        if before is not None:
            at, id = before
            # A row-value comparison, or a plain OR, is not a bound on the index for every planner; this is.
            rows = rows.where(row.created_at <= at, (row.created_at < at) | (row.id < id))
        order = [row.created_at.desc(), row.id.desc()]
        if unread_only and self._kind == "postgresql":
            # It is NULL throughout, but only so does PostgreSQL see that the index is in order; MariaDB only without.
            order.insert(0, row.read_at.desc())
        found = self._rows(rows.order_by(*order).limit(limit).offset(offset or None))
        return [from_values(each, recipient) for each in found]

    @_call(writes=False)
    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return self._count(self._inbox(recipient, types))

    @_call(writes=False)
    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return self._count(self._inbox(recipient, types, unread=True), at_most)

    @_call(writes=False)
    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = dict.fromkeys(recipients, 0)
        for tenant, type, id, unread in self._unread_counts([*counts], types, at_most):
            counts[Recipient(id, type, tenant or None)] = unread if at_most is None else min(unread, at_most)
        return counts

    @_call(writes=True)
    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        where = self._named(recipient, ids) & self._unread()
        return self._change(self.model.update(read_at=at), where, single=len(ids) == 1)

    @_call(writes=True)
    def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        where = self._named(recipient, ids) & self._unread(False)
        return self._change(self.model.update(read_at=None), where, single=len(ids) == 1)

    @_call(writes=True)
    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        where = self._inbox(recipient, types, unread=True)
        if seen is not None:
            where &= self.model.updated_at <= seen
        return self._change(self.model.update(read_at=at), where)

    @_call(writes=True)
    def delete(self, recipient: Recipient, *ids: str) -> int:
        return self._change(self.model.delete(), self._named(recipient, ids), single=len(ids) == 1)

    @_call(writes=True)
    def erase(self, recipient: Recipient) -> int:
        return self._change(self.model.delete(), self._inbox(recipient))

    @_call(writes=True)
    def erase_tenant(self, tenant: str) -> int:
        # "" stands for no tenant in the table, but is no tenant's name.
        return self._change(self.model.delete(), self.model.tenant == tenant) if tenant else 0

    def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """As the contract says. Each batch is a transaction: after an error those before it stay done."""
        pruned, after = 0, None
        while limit is None or pruned < limit:
            batch = _BATCH if limit is None else min(_BATCH, limit - pruned)
            removed, after = self._prune_batch(after, older_than, only_read, batch)
            pruned += removed
            if after is None:
                break
        return pruned

    @_call(writes=True)
    def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns."""
        create_schema(self.model)

    def _check(self) -> None:
        if self._bound and not self.database.in_transaction():
            raise StoreError(
                "a bound store was called where no transaction is open, and nothing was changed: Peewee's transactions "
                "belong to one thread or task; call it within `database.atomic()`, and not from a task of its own "
                "(asyncio.gather, or asyncio.wait_for before Python 3.12)"
            )

    def _inserts(self, notifications: Sequence[Notification]) -> Iterator[tuple[str, list[Any]]]:
        """Peewee's own inserts of many rows take their time over each value."""
        if self._kind == "postgresql":
            for some in _batches(notifications, _BATCH):
                yield batches.insert_listed(self._table, some)
            return
        into = f"INSERT INTO {self._table} ({', '.join(COLUMNS)}) VALUES "
        row = f"({', '.join([self.database.param] * len(COLUMNS))})"
        for some in _batches(notifications, _ROWS):
            yield into + ", ".join([row] * len(some)), [v for each in some for v in driver_values(each, self._kind)]

    def _taken(self, ids: Sequence[str]) -> str | None:
        row = self.model
        found = (self._rows(row.select(row.id).where(row.id.in_(some)).limit(1)) for some in _batches(ids, _BATCH))
        return next((id for rows in found for (id,) in rows), None)

    def _unread_counts(
        self, recipients: Sequence[Recipient], types: Sequence[str] | None, at_most: int | None
    ) -> Iterable[tuple[str, str, str, int]]:
        if self._kind != "mysql":
            sql, parameters = batches.unread_counts(
                self._table, self._kind, recipients, types=types, at_most=at_most, mark=self.database.param
            )
            yield from self.database.execute_sql(sql, parameters).fetchall()
            return
        row = self.model
        inbox = (row.tenant, row.recipient_type, row.recipient_id)
        for some in _batches(recipients, _BATCH):
            ids: dict[tuple[str, str], list[str]] = {}
            for recipient in some:
                ids.setdefault((recipient.tenant or "", recipient.type), []).append(recipient.id)
            whose = [
                (row.tenant == tenant) & (row.recipient_type == type) & row.recipient_id.in_(ids[tenant, type])
                for tenant, type in ids
            ]
            unread = self._filtered(functools.reduce(operator.or_, whose), types, unread=True)
            yield from self._rows(row.select(*inbox, fn.COUNT(row.id)).where(unread).group_by(*inbox))

    def _rows(self, query: Any) -> Sequence[Any]:
        """The columns as the driver gives them, which `from_values` reads in less time than Peewee's fields take."""
        rows: Sequence[Any] = self.database.execute(query).fetchall()
        return rows

    def _count(self, where: Any, at_most: int | None = None) -> int:
        rows = self.model.select(SQL("1")).where(where)
        found: int = rows.count() if at_most is None else rows.limit(at_most).count()
        return found

    @_call(writes=True)
    def _prune_batch(
        self, after: Place | None, older_than: datetime, only_read: bool, at_most: int
    ) -> tuple[int, Place | None]:
        """Delete up to `at_most` rows past `after`; returns how many, and where to go on, or None at the end."""
        row = self.model
        old = row.updated_at < older_than
        if only_read:
            old &= self._unread(False)
        rows = row.select(row.updated_at, row.id).where(old).order_by(row.updated_at, row.id).limit(at_most).tuples()
        if after is not None:
            # On from there: what is left behind was locked, and need not be waited for.
            at, id = after
            rows = rows.where(row.updated_at >= at, (row.updated_at > at) | (row.id > id))
        # Not in SQLite: a transaction that begins by reading may not write when another one has written since.
        block: AbstractContextManager[Any] = nullcontext() if self._kind == "sqlite" else self.database.atomic()
        if self._kind != "sqlite":
            rows = rows.for_update(skip_locked=self._skips_locked)
        with block:
            found = list(rows)
            if not found:
                return 0, None
            # The condition again: SQLite locks nothing on reading, so that a row may have been changed since.
            removed: int = row.delete().where(row.id.in_([id for _, id in found]), old).execute()
        return removed, found[-1] if len(found) == at_most else None

    @property
    def _skips_locked(self) -> bool:
        """MariaDB from 10.6, MySQL from 8."""
        if self._kind != "mysql":
            return True
        version = self.database.server_version
        return bool(version >= ((10, 6) if is_mariadb(self.database) else (8,)))

    def _change(self, change: Any, where: Any, *, single: bool = False) -> int:
        """Update or delete rows. PostgreSQL locks them in whatever order it meets them; two calls that meet them in
        opposite orders deadlock, so there they are first locked in order, unless it is a `single` one. The condition
        stands outside too, or a planner with many rows to change would look for their ids in all of the table."""
        if self._kind == "postgresql" and not single:
            row = self.model
            where &= row.id.in_(row.select(row.id).where(where).order_by(row.id).for_update())
        changed: int = change.where(where).execute()
        return changed

    def _named(self, recipient: Recipient, ids: Sequence[str]) -> Any:
        return self._inbox(recipient) & self.model.id.in_(ids)

    def _inbox(self, recipient: Recipient, types: Sequence[str] | None = None, *, unread: bool = False) -> Any:
        row = self.model
        theirs = (
            (row.tenant == (recipient.tenant or ""))
            & (row.recipient_type == recipient.type)
            & (row.recipient_id == recipient.id)
        )
        return self._filtered(theirs, types, unread=unread)

    def _filtered(self, where: Any, types: Sequence[str] | None, *, unread: bool) -> Any:
        if unread:
            where &= self._unread()
        return where & self.model.type.in_(types) if types else where

    def _unread(self, unread: bool = True) -> Any:
        return self.model.read_at.is_null(unread)


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
