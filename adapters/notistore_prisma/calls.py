"""The contract's calls over a Prisma client, for the async and the sync store.

The methods are asynchronous; over a sync client they never suspend, so the sync store can run them without an event
loop.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, ParamSpec

from notistore.errors import DuplicateNotification, InvalidArgument, StoreError
from notistore.model import Cursor, Notification, Recipient, to_millis
from notistore.sql.retry import backoff
from notistore.sql.schema import check_columns

from . import statements as sql
from .client import Actions, Client
from .errors import is_duplicate, is_transient, translated
from .rows import replaced, row, stored, time_value
from .schema import COLUMNS_OF, Provider, creation

__all__ = ["Calls"]

P = ParamSpec("P")

_BATCH: Final = 1000
_NEWEST_FIRST: Final = [{"created_at": "desc"}, {"id": "desc"}]


class Calls:
    """The contract over one client, which may be inside a transaction.

    Args:
        client: async or sync.
        wait: sleeps for a number of seconds.
    """

    def __init__(self, client: Client, wait: Callable[[float], Awaitable[None]]) -> None:
        self._client = client
        self._wait = wait
        self._model = _model_of(client)
        self._provider = _provider_of(client)
        self._sqlite = self._provider == "sqlite"
        self._bound = client.is_transaction()

    async def insert(self, notification: Notification) -> None:
        async with self._savepoint():
            try:
                await self._write(self._model.create, data=row(notification, sqlite=self._sqlite))
            except StoreError as error:
                if is_duplicate(error):
                    raise DuplicateNotification(notification.id) from error.__cause__
                raise

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        ids = [each.id for each in notifications]
        if not ids:
            return
        twice, times = Counter(ids).most_common(1)[0]
        if times > 1:
            raise DuplicateNotification(twice)
        try:
            async with self._savepoint():
                rows = [row(each, sqlite=self._sqlite) for each in notifications]
                await self._write(self._model.create_many, data=rows)
        except StoreError as error:
            if not is_duplicate(error):
                raise
            taken = await self._read(self._model.find_first, where={"id": {"in": ids}})
            raise DuplicateNotification(taken.id if taken else ids[0]) from error.__cause__

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        # One INSERT ... ON CONFLICT DO UPDATE, as long as `where` is the primary key alone and `create` agrees with it.
        update = replaced(notification, sqlite=self._sqlite) | {"version": {"increment": 1}}
        if renotify:
            update["read_at"] = None
        create = row(notification, sqlite=self._sqlite) | {"version": 1}
        return stored(
            await self._write(
                self._model.upsert, where={"id": notification.id}, data={"create": create, "update": update}
            ),
            notification.recipient,
        )

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        record = await self._read(self._model.find_first, where=_inbox(recipient) | {"id": id})
        return None if record is None else stored(record, recipient)

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        where = _inbox(recipient) | _typed(types)
        if unread_only:
            where["read_at"] = None
        if before is not None:
            at = self._time_value(before.created_at)
            where |= {"created_at": {"lte": at}, "OR": [{"created_at": {"lt": at}}, {"id": {"lt": before.id}}]}
        records = await self._read(self._model.find_many, take=limit, skip=offset, where=where, order=_NEWEST_FIRST)
        return [stored(record, recipient) for record in records]

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        counted: int = await self._read(self._model.count, where=_inbox(recipient) | _typed(types))
        return counted

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return (await self.unread_counts([recipient], types=types, at_most=at_most))[recipient]

    async def unread_counts(
        self,
        recipients: Sequence[Recipient],
        *,
        types: Sequence[str] | None = None,
        at_most: int | None = None,
    ) -> Mapping[Recipient, int]:
        if not recipients:
            return {}
        inboxes = [(each.tenant or "", each.type, each.id) for each in recipients]
        lists = [json.dumps(inboxes)] + ([json.dumps(list(types))] if types else [])
        query = sql.unread_counts(sqlite=self._sqlite, types=bool(types), at_most=at_most)
        counted = await self._read(self._client.query_raw, query, *lists)
        return {recipients[int(each["place"])]: int(each["unread"]) for each in counted}

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return await self._mark(_named(recipient, ids) | {"read_at": None}, at)

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return await self._mark(_named(recipient, ids) | {"read_at": {"not": None}}, None)

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        where = _inbox(recipient) | _typed(types) | {"read_at": None}
        if seen is not None:
            where["updated_at"] = {"lte": self._time_value(seen)}
        return await self._mark(where, at)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        return await self._delete(_named(recipient, ids))

    async def erase(self, recipient: Recipient) -> int:
        return await self._delete(_inbox(recipient))

    async def erase_tenant(self, tenant: str) -> int:
        # '' in the table means no tenant; it is not the name of one.
        return await self._delete({"tenant": tenant}) if tenant else 0

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """Delete old rows, as the contract describes. Each batch is one statement; after an error the batches before it
        remain deleted."""
        before, pruned = to_millis(older_than), 0
        after: tuple[int, str] | tuple[()] = ()  # the last row deleted
        while (batch := _BATCH if limit is None else min(_BATCH, limit - pruned)) > 0:
            query = sql.old(sqlite=self._sqlite, only_read=only_read, after=bool(after), at_most=batch)
            deleted = await self._write(self._client.query_raw, query, before, *after)
            pruned += len(deleted)
            if len(deleted) < batch:
                break
            after = max((int(row["updated"]), row["id"]) for row in deleted)
        return pruned

    async def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns."""
        columns = await self._read(self._client.query_raw, COLUMNS_OF[self._provider])
        if columns:
            check_columns("notistore_notifications", {column["name"] for column in columns})
        for statement in creation(self._provider):
            await self._write(self._client.execute_raw, statement)

    async def _mark(self, where: dict[str, Any], at: datetime | None) -> int:
        marked: int = await self._write(self._model.update_many, data={"read_at": self._time_value(at)}, where=where)
        return marked

    async def _delete(self, where: dict[str, Any]) -> int:
        deleted: int = await self._write(self._model.delete_many, where=where)
        return deleted

    def _time_value(self, time: datetime | None) -> datetime | int | None:
        return time_value(time, sqlite=self._sqlite)

    @asynccontextmanager
    async def _savepoint(self) -> AsyncIterator[None]:
        """A savepoint: an error would abort the application's transaction on PostgreSQL, and leave some of many rows
        inserted on SQLite."""
        if not self._bound:
            yield
            return
        await self._write(self._client.execute_raw, "SAVEPOINT notistore")
        try:
            yield
        except StoreError:
            await self._write(self._client.execute_raw, "ROLLBACK TO SAVEPOINT notistore")
            raise
        finally:
            await self._write(self._client.execute_raw, "RELEASE SAVEPOINT notistore")

    async def _read(self, call: Callable[P, Any], *args: P.args, **options: P.kwargs) -> Any:
        return await self._call(call, args, options, writes=False)

    async def _write(self, call: Callable[P, Any], *args: P.args, **options: P.kwargs) -> Any:
        return await self._call(call, args, options, writes=True)

    async def _call(self, call: Callable[..., Any], args: Any, options: Any, *, writes: bool) -> Any:
        for delay in () if self._bound else backoff():
            try:
                return await self._try(call, args, options, writes=writes)
            except StoreError as error:
                if not is_transient(error):
                    raise
            await self._wait(delay)
        return await self._try(call, args, options, writes=writes)

    async def _try(self, call: Callable[..., Any], args: Any, options: Any, *, writes: bool) -> Any:
        with translated(writes=writes):
            answer = call(*args, **options)
            return await answer if inspect.isawaitable(answer) else answer


def _model_of(client: Client) -> Actions:
    try:
        return client.notistorenotification
    except AttributeError:
        raise InvalidArgument(
            "client",
            f"expected a Prisma client with the model NotistoreNotification, got {client!r}; paste what "
            "notistore_prisma.model(provider) gives into schema.prisma and run `prisma generate`",
        ) from None


def _provider_of(client: Client) -> Provider:
    provider = client._active_provider
    if provider not in COLUMNS_OF:
        raise InvalidArgument("client", f'expected one for "postgresql" or "sqlite", got one for {provider!r}')
    return provider  # type: ignore[return-value]


def _inbox(recipient: Recipient) -> dict[str, Any]:
    return {"tenant": recipient.tenant or "", "recipient_type": recipient.type, "recipient_id": recipient.id}


def _named(recipient: Recipient, ids: Sequence[str]) -> dict[str, Any]:
    return _inbox(recipient) | {"id": {"in": list(ids)}}


def _typed(types: Sequence[str] | None) -> dict[str, Any]:
    return {"type": {"in": list(types)}} if types else {}
