"""The stores: the contract over Django's ORM, in one synchronous body that the asynchronous store calls in a thread.

Django's connections and transactions are ambient, one per thread and alias. So every call joins the `atomic()` block
it is made in, bound or not, and is a transaction of its own outside one.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Q, QuerySet

from notistore import batches
from notistore.columns import driver_values, from_values
from notistore.conflicts import taken_id
from notistore.errors import DuplicateNotification, InvalidArgument
from notistore.model import Cursor, Notification, Recipient

from . import statements
from .commits import Commit, after_commit, after_last_call
from .errors import run
from .models import Notification as Row
from .schema import create_schema

__all__ = ["DjangoStore", "SyncDjangoStore"]

P = ParamSpec("P")
T = TypeVar("T")

_BATCH: Final = 1000
_DUPLICATE_IN_MYSQL: Final = 1062


class SyncDjangoStore:
    """The contract without `async`: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `atomic()` a call joins, and is never tried again; outside it is tried again when another transaction was
    in its way. Threads may share it: each has a connection of its own, as is Django's way.

    Args:
        using: the alias of the database. Database routers are not asked.
        prune_batch: how many rows `prune` deletes at a time.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS, *, prune_batch: int = _BATCH) -> None:
        self.using = using
        self._rows: QuerySet[Row] = QuerySet(Row, using=using)
        self._prune_batch = prune_batch

    def insert(self, notification: Notification) -> None:
        self._write(lambda connection: _insert(connection, notification))

    def insert_many(self, notifications: Sequence[Notification]) -> None:
        new: dict[str, Notification] = {}
        for notification in notifications:
            if notification.id in new:
                raise DuplicateNotification(notification.id)
            new[notification.id] = notification
        # In one order, so that two calls never wait for each other.
        rows = [new[id] for id in sorted(new)]
        self._write(lambda connection: self._insert_many(connection, rows))

    def _insert_many(self, connection: BaseDatabaseWrapper, rows: Sequence[Notification]) -> None:
        try:
            with transaction.atomic(self.using), connection.cursor() as cursor:
                if connection.vendor != "postgresql":
                    cursor.executemany(statements.INSERT, [driver_values(row, connection.vendor) for row in rows])
                    return
                # Its executemany under Django is a text of its own for every row, for the server to parse.
                for batch in _batches(rows):
                    cursor.execute(*batches.insert_listed(statements.TABLE, batch))
        except IntegrityError as error:
            taken = taken_id(error) or self._taken([row.id for row in rows])
            if taken is None:
                raise
            raise DuplicateNotification(taken) from error

    def _taken(self, ids: Sequence[str]) -> str | None:
        found = (self._rows.filter(id__in=some).values_list("id", flat=True).first() for some in _batches(ids))
        return next(filter(None, found), None)

    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        first = notification if notification.version == 1 else replace(notification, version=1)
        return self._write(lambda connection: self._upsert(connection, first, renotify))

    def _upsert(self, connection: BaseDatabaseWrapper, notification: Notification, renotify: bool) -> Notification:
        sql = statements.upsert(connection, renotify=renotify)
        row = driver_values(notification, connection.vendor)
        if connection.features.can_return_columns_from_insert:
            with connection.cursor() as cursor:
                cursor.execute(sql, row)
                return from_values(cursor.fetchone(), notification.recipient)
        with transaction.atomic(self.using):
            with connection.cursor() as cursor:
                cursor.execute(sql, row)
            [stored] = _fetched(connection, self._rows.filter(id=notification.id))
            return from_values(stored, notification.recipient)

    def get(self, recipient: Recipient, id: str) -> Notification | None:
        found = self._page(recipient, self._inbox(recipient, id=id))
        return found[0] if found else None

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
        rows = self._inbox(recipient, types, unread=unread_only)
        if before is not None:
            # A row-value comparison, or a plain OR, is not a bound on the index for every planner; this is.
            at, id = before
            rows = rows.filter(Q(created_at__lt=at) | Q(id__lt=id), created_at__lte=at)
        order = ["-created_at", "-id"]
        if unread_only and connections[self.using].vendor == "postgresql":
            # It is NULL throughout, but only so does PostgreSQL see that the index is in order; MariaDB only without.
            order.insert(0, "-read_at")
        return self._page(recipient, rows.order_by(*order)[offset : offset + limit])

    def _page(self, recipient: Recipient, rows: QuerySet[Row]) -> list[Notification]:
        return self._read(lambda connection: [from_values(row, recipient) for row in _fetched(connection, rows)])

    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return self._read(lambda _: self._inbox(recipient, types).count())

    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        rows = self._inbox(recipient, types, unread=True)
        return self._read(lambda _: (rows if at_most is None else rows[:at_most]).count())

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = dict.fromkeys(recipients, 0)
        for tenant, type, id, unread in self._read(lambda each: self._unread_counts(each, [*counts], types, at_most)):
            counts[Recipient(id, type, tenant or None)] = unread if at_most is None else min(unread, at_most)
        return counts

    def _unread_counts(
        self,
        connection: BaseDatabaseWrapper,
        recipients: Sequence[Recipient],
        types: Sequence[str] | None,
        at_most: int | None,
    ) -> list[tuple[str, str, str, int]]:
        if connection.vendor == "mysql":
            unread = self._rows.filter(**_conditions(types, unread=True))
            return [count for some in _batches(recipients) for count in _grouped(unread.filter(_of_any(some)))]
        sql, parameters = batches.unread_counts(
            statements.TABLE, connection.vendor, recipients, types=types, at_most=at_most
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return [*cursor.fetchall()]

    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        rows = self._inbox(recipient, unread=True, id__in=ids)
        return self._change(rows, lambda rows: rows.update(read_at=at), single=len(ids) == 1)

    def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        rows = self._inbox(recipient, id__in=ids, read_at__isnull=False)
        return self._change(rows, lambda rows: rows.update(read_at=None), single=len(ids) == 1)

    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        rows = self._inbox(recipient, types, unread=True)
        if seen is not None:
            rows = rows.filter(updated_at__lte=seen)
        return self._change(rows, lambda rows: rows.update(read_at=at))

    def delete(self, recipient: Recipient, *ids: str) -> int:
        return self._change(self._inbox(recipient, id__in=ids), _delete, single=len(ids) == 1)

    def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """As the contract says. Each batch is a transaction: after an error those before it stay done."""
        rows = self._rows.filter(updated_at__lt=older_than)
        if only_read:
            rows = rows.exclude(read_at=None)
        pruned = 0
        waiting = rows.order_by("updated_at", "id")
        while limit is None or pruned < limit:
            batch = self._prune_batch if limit is None else min(self._prune_batch, limit - pruned)
            seen, deleted = self._write(functools.partial(self._prune, rows, waiting[:batch]))
            pruned += deleted
            if len(seen) < batch:
                break
            # On from there: what is left behind was locked, or is unread, and need not be passed over again.
            id, at = seen[-1]
            waiting = waiting.filter(Q(updated_at__gt=at) | Q(id__gt=id), updated_at__gte=at)
        return pruned

    def _prune(
        self, rows: QuerySet[Row], batch: QuerySet[Row], connection: BaseDatabaseWrapper
    ) -> tuple[Sequence[tuple[str, datetime]], int]:
        skip_locked = connection.features.has_select_for_update_skip_locked
        with transaction.atomic(self.using):
            seen = list(batch.select_for_update(skip_locked=skip_locked).values_list("id", "updated_at"))
            # `rows` again: SQLite locks nothing on reading, so that a row may have been changed since.
            return seen, _delete(rows.filter(id__in=[id for id, _ in seen]))

    def erase(self, recipient: Recipient) -> int:
        return self._change(self._inbox(recipient), _delete)

    def erase_tenant(self, tenant: str) -> int:
        # "" stands for no tenant in the table, but is no tenant's name.
        return self._change(self._rows.filter(tenant=tenant).exclude(tenant=""), _delete)

    def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns.

        For tests and scripts: projects have `manage.py migrate`.
        """
        self._write(create_schema)

    def bind(self, session: object = None) -> SyncDjangoStore:
        """A store inside the `atomic()` block that is open on this thread: for None this one, for an alias another's.

        It may be bound before any block is open, once for all. Where none is open, `after_commit` calls at once.
        """
        return self if session is None else SyncDjangoStore(_alias(session), prune_batch=self._prune_batch)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed, as `transaction.on_commit` does."""
        after_commit(connections[self.using], callback)

    def _inbox(
        self, recipient: Recipient, types: Sequence[str] | None = None, *, unread: bool = False, **more: object
    ) -> QuerySet[Row]:
        return self._rows.filter(
            tenant=recipient.tenant or "",
            recipient_type=recipient.type,
            recipient_id=recipient.id,
            **_conditions(types, unread=unread),
            **more,
        )

    def _change(self, rows: QuerySet[Row], change: Callable[[QuerySet[Row]], int], *, single: bool = False) -> int:
        """Change or delete rows. PostgreSQL locks them in whatever order it meets them; two calls that meet them in
        opposite orders deadlock, so there they are first locked in order, unless it is a `single` one."""

        def body(connection: BaseDatabaseWrapper) -> int:
            if single or connection.vendor != "postgresql":
                return change(rows)
            with transaction.atomic(self.using, savepoint=False):
                return change(self._rows.filter(id__in=rows.order_by("id").select_for_update().values("id")))

        return self._write(body)

    def _read(self, body: Callable[[BaseDatabaseWrapper], T]) -> T:
        return run(connections[self.using], body, writes=False)

    def _write(self, body: Callable[[BaseDatabaseWrapper], T]) -> T:
        return run(connections[self.using], body, writes=True)


def _insert(connection: BaseDatabaseWrapper, notification: Notification) -> None:
    with connection.cursor() as cursor:
        try:
            cursor.execute(statements.insert(connection), driver_values(notification, connection.vendor))
        except IntegrityError as error:
            if error.args[0] != _DUPLICATE_IN_MYSQL:
                raise
            raise DuplicateNotification(notification.id) from error
        if cursor.rowcount == 0:
            raise DuplicateNotification(notification.id)


def _fetched(connection: BaseDatabaseWrapper, rows: QuerySet[Row]) -> Iterator[Sequence[Any]]:
    """The columns as the driver gives them, which `from_values` reads in less time than Django's fields take."""
    return chain.from_iterable(rows.query.get_compiler(connection=connection).execute_sql())


def _conditions(types: Sequence[str] | None, *, unread: bool) -> dict[str, Any]:
    return ({"read_at": None} if unread else {}) | ({"type__in": types} if types else {})


def _of_any(recipients: Sequence[Recipient]) -> Q:
    ids: dict[tuple[str, str], list[str]] = {}
    for recipient in recipients:
        ids.setdefault((recipient.tenant or "", recipient.type), []).append(recipient.id)
    inboxes = (Q(tenant=tenant, recipient_type=type, recipient_id__in=ids[tenant, type]) for tenant, type in ids)
    return functools.reduce(operator.or_, inboxes)


def _grouped(rows: QuerySet[Row]) -> QuerySet[Row, tuple[str, str, str, int]]:
    return rows.values_list("tenant", "recipient_type", "recipient_id").annotate(found=Count("id"))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _delete(rows: QuerySet[Row]) -> int:
    _, deleted = rows.delete()
    return deleted.get(Row._meta.label, 0)


def _alias(session: object) -> str:
    if not isinstance(session, str) or session not in connections:
        raise InvalidArgument("session", f"expected None or the alias of a database in DATABASES, got {session!r}")
    return session


_in_thread: Final = sync_to_async(operator.call)


def _awaited(
    method: Callable[Concatenate[SyncDjangoStore, P], T],
) -> Callable[Concatenate[DjangoStore, P], Coroutine[Any, Any, T]]:
    async def call(self: DjangoStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(functools.partial(method, self._sync, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class DjangoStore:
    """A NotificationStore over Django's ORM: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Each call runs in the thread that Django runs synchronous code in (`sync_to_async`), so that it joins the `atomic()`
    block which a caller of `async_to_sync` is in. For the rest as `SyncDjangoStore`.

    Args:
        using: the alias of the database. Database routers are not asked.
        prune_batch: how many rows `prune` deletes at a time.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS, *, prune_batch: int = _BATCH) -> None:
        self._sync = SyncDjangoStore(using, prune_batch=prune_batch)

    insert = _awaited(SyncDjangoStore.insert)
    insert_many = _awaited(SyncDjangoStore.insert_many)
    upsert = _awaited(SyncDjangoStore.upsert)
    get = _awaited(SyncDjangoStore.get)
    page = _awaited(SyncDjangoStore.page)
    count = _awaited(SyncDjangoStore.count)
    unread_count = _awaited(SyncDjangoStore.unread_count)
    unread_counts = _awaited(SyncDjangoStore.unread_counts)
    mark_read = _awaited(SyncDjangoStore.mark_read)
    mark_unread = _awaited(SyncDjangoStore.mark_unread)
    mark_all_read = _awaited(SyncDjangoStore.mark_all_read)
    delete = _awaited(SyncDjangoStore.delete)
    prune = _awaited(SyncDjangoStore.prune)
    erase = _awaited(SyncDjangoStore.erase)
    erase_tenant = _awaited(SyncDjangoStore.erase_tenant)
    create_schema = _awaited(SyncDjangoStore.create_schema)

    def bind(self, session: object = None) -> BoundDjangoStore:
        """A store inside the `atomic()` block that the calling thread is in, by alias or, for None, for this one's.

        It may be bound before any block is open, once for all. Where none is open, `after_commit` calls at once.
        """
        return BoundDjangoStore(self._sync.bind(session))

    async def _run(self, work: Callable[[], T]) -> T:
        return await _in_thread(work)


class BoundDjangoStore(DjangoStore):
    """Made by `DjangoStore.bind`."""

    def __init__(self, sync: SyncDjangoStore) -> None:
        self._sync = sync

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction of this task's last call has committed, or at once without one."""
        after_last_call(self._sync.using, callback)

    async def _run(self, work: Callable[[], T]) -> T:
        def noted() -> tuple[T, Commit]:
            return work(), Commit(connections[self._sync.using])

        result, commit = await _in_thread(noted)
        commit.remember()
        return result
