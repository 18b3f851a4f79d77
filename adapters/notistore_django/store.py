"""The stores: the contract over Django's ORM, in one synchronous body that the asynchronous store calls in a thread.

Django's connections and transactions are ambient, one per thread and alias. So every call joins the `atomic()` block
it is made in, bound or not, and is a transaction of its own outside one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.models import Count, Q, QuerySet

from notistore.columns import from_values, values
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
        self._prune_batch = prune_batch

    def insert(self, notification: Notification) -> None:
        self._write(lambda: self._insert(notification))

    def _insert(self, notification: Notification) -> None:
        sql, row = statements.insert(Row, values(notification), connections[self.using])
        with connections[self.using].cursor() as cursor:
            try:
                cursor.execute(sql, row)
            except IntegrityError as error:
                if error.args[0] != _DUPLICATE_IN_MYSQL:
                    raise
                raise DuplicateNotification(notification.id) from error
            if cursor.rowcount == 0:
                raise DuplicateNotification(notification.id)

    def insert_many(self, notifications: Sequence[Notification]) -> None:
        new: dict[str, Row] = {}
        for notification in notifications:
            if notification.id in new:
                raise DuplicateNotification(notification.id)
            new[notification.id] = Row(*values(notification))
        # In one order, so that two calls never wait for each other.
        rows = [new[id] for id in sorted(new)]
        self._write(lambda: self._insert_many(rows))

    def _insert_many(self, rows: Sequence[Row]) -> None:
        try:
            with transaction.atomic(self.using):
                self._rows.bulk_create(rows, batch_size=_BATCH)
        except IntegrityError as error:
            taken = self._rows.filter(id__in=[row.id for row in rows]).values_list("id", flat=True).first()
            if taken is None:
                raise
            raise DuplicateNotification(taken) from error

    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        first = notification if notification.version == 1 else replace(notification, version=1)
        return self._write(lambda: self._upsert(first, renotify))

    def _upsert(self, notification: Notification, renotify: bool) -> Notification:
        connection = connections[self.using]
        sql, row = statements.upsert(Row, values(notification), connection, renotify=renotify)
        if connection.features.can_return_columns_from_insert:
            with connection.cursor() as cursor:
                cursor.execute(sql, row)
                return from_values(statements.returned(Row, cursor.fetchone(), connection))
        with transaction.atomic(self.using):
            with connection.cursor() as cursor:
                cursor.execute(sql, row)
            return from_values(self._rows.values_list().get(id=notification.id))

    def get(self, recipient: Recipient, id: str) -> Notification | None:
        rows = self._inbox(recipient).filter(id=id).values_list()
        return self._read(lambda: next(map(from_values, rows), None))

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
        newest = rows.order_by(*order)[offset : offset + limit].values_list()
        return self._read(lambda: [from_values(row) for row in newest])

    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return self._read(self._inbox(recipient, types).count)

    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return self._read(self._inbox(recipient, types, unread=True)[:at_most].count)

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = dict.fromkeys(recipients, 0)
        asked = list(counts)
        inbox = ("tenant", "recipient_type", "recipient_id")
        for start in range(0, len(asked), _BATCH):
            ids: dict[tuple[str, str], list[str]] = {}
            for recipient in asked[start : start + _BATCH]:
                ids.setdefault((recipient.tenant or "", recipient.type), []).append(recipient.id)
            whose = [Q(tenant=tenant, recipient_type=type, recipient_id__in=ids[tenant, type]) for tenant, type in ids]
            rows = _filtered(self._rows.filter(functools.reduce(Q.__or__, whose)), types, unread=True)
            counted = rows.values_list(*inbox).annotate(unread=Count("id"))
            found: list[tuple[str, str, str, int]] = self._read(functools.partial(list, counted))
            for tenant, type, id, unread in found:
                counts[Recipient(id, type, tenant or None)] = unread if at_most is None else min(unread, at_most)
        return counts

    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return self._change(self._named(recipient, ids).filter(read_at=None), lambda rows: rows.update(read_at=at))

    def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        rows = self._named(recipient, ids).exclude(read_at=None)
        return self._change(rows, lambda rows: rows.update(read_at=None))

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
        return self._change(self._named(recipient, ids), _delete)

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

    def _prune(self, rows: QuerySet[Row], batch: QuerySet[Row]) -> tuple[Sequence[tuple[str, datetime]], int]:
        skip_locked = connections[self.using].features.has_select_for_update_skip_locked
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
        self._write(lambda: create_schema(connections[self.using]))

    def bind(self, session: object = None) -> SyncDjangoStore:
        """A store inside the `atomic()` block that is open on this thread: for None this one, for an alias another's.

        It may be bound before any block is open, once for all. Where none is open, `after_commit` calls at once.
        """
        return self if session is None else SyncDjangoStore(_alias(session), prune_batch=self._prune_batch)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed, as `transaction.on_commit` does."""
        after_commit(connections[self.using], callback)

    @property
    def _rows(self) -> QuerySet[Row]:
        return Row.objects.using(self.using)

    def _inbox(
        self, recipient: Recipient, types: Sequence[str] | None = None, *, unread: bool = False
    ) -> QuerySet[Row]:
        rows = self._rows.filter(
            tenant=recipient.tenant or "", recipient_type=recipient.type, recipient_id=recipient.id
        )
        return _filtered(rows, types, unread=unread)

    def _named(self, recipient: Recipient, ids: Sequence[str]) -> QuerySet[Row]:
        return self._inbox(recipient).filter(id__in=ids)

    def _change(self, rows: QuerySet[Row], change: Callable[[QuerySet[Row]], int]) -> int:
        """Change or delete rows. PostgreSQL locks them in whatever order it meets them; two calls that meet them in
        opposite orders deadlock, so there they are first locked in order."""
        if connections[self.using].vendor != "postgresql":
            return self._write(lambda: change(rows))

        def body() -> int:
            with transaction.atomic(self.using, savepoint=False):
                return change(self._rows.filter(id__in=rows.order_by("id").select_for_update().values("id")))

        return self._write(body)

    def _read(self, body: Callable[[], T]) -> T:
        return run(connections[self.using], body, writes=False)

    def _write(self, body: Callable[[], T]) -> T:
        return run(connections[self.using], body, writes=True)


def _filtered(rows: QuerySet[Row], types: Sequence[str] | None, *, unread: bool) -> QuerySet[Row]:
    if unread:
        rows = rows.filter(read_at=None)
    return rows.filter(type__in=types) if types else rows


def _delete(rows: QuerySet[Row]) -> int:
    _, deleted = rows.delete()
    return deleted.get(Row._meta.label, 0)


def _alias(session: object) -> str:
    if not isinstance(session, str) or session not in connections:
        raise InvalidArgument("session", f"expected None or the alias of a database in DATABASES, got {session!r}")
    return session


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
        return await sync_to_async(work)()


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

        result, commit = await sync_to_async(noted)()
        commit.remember()
        return result
