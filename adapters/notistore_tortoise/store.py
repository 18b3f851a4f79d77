"""The stores: the contract over Tortoise's connections, one statement a call.

Tortoise's transactions are ambient, one per task and connection name. So every call joins the `in_transaction()` it
is made in, bound or not, and is a transaction of its own outside one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import require_context
from tortoise.exceptions import ConfigurationError

from notistore.columns import driver_values, from_values
from notistore.conflicts import taken_id
from notistore.errors import DuplicateNotification, InvalidArgument, StoreError
from notistore.model import Cursor, Notification, Recipient

from .commits import after_commit, outermost
from .errors import run
from .schema import create_schema
from .statements import Statement, Statements, statements_for

__all__ = ["BoundTortoiseStore", "TortoiseStore"]

P = ParamSpec("P")

_BATCH: Final = 1000


class _Calls(ABC):
    @abstractmethod
    def _client(self) -> BaseDBAsyncClient: ...

    async def insert(self, notification: Notification) -> None:
        try:
            stored = await self._returned(Statements.insert, notification)
        except StoreError as error:
            if taken_id(error.__cause__) != notification.id:
                raise
            raise DuplicateNotification(notification.id) from error.__cause__
        if not stored and self._client().capabilities.dialect != "mysql":
            raise DuplicateNotification(notification.id)

    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        new: dict[str, Notification] = {}
        for notification in notifications:
            if notification.id in new:
                raise DuplicateNotification(notification.id)
            new[notification.id] = notification
        if not new:
            return
        # In one order, so that two calls never wait for each other.
        rows = [new[id] for id in sorted(new)]
        client = self._client()
        try:
            await run(client, _insert_many, client, rows, writes=True)
        except StoreError as error:
            cause = error.__cause__
            taken = taken_id(cause)
            if taken is None and type(cause).__name__ == "IntegrityError":
                found = await self._selected(Statements.taken, list(new))
                taken = found[0]["id"] if found else None
            if taken not in new:
                raise
            raise DuplicateNotification(taken) from cause

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        [row] = await self._returned(Statements.upsert, notification, renotify=renotify)
        return from_values(row.values(), notification.recipient)

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        rows = await self._selected(Statements.get, recipient, id)
        return from_values(_plain(rows[0]), recipient) if rows else None

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
        rows = await self._selected(
            Statements.page,
            recipient,
            unread_only=unread_only,
            types=types,
            before=before,
            offset=offset,
            limit=limit,
        )
        return [from_values(_plain(row), recipient) for row in rows]

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        [row] = await self._selected(Statements.count, recipient, types, unread=False)
        return int(row["found"])

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        client = self._client()
        statement = statements_for(type(client)).count(recipient, types, at_most, unread=True)
        _, [row] = await run(client, client.execute_query, *statement, writes=False)
        return int(row["found"])

    async def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = dict.fromkeys(recipients, 0)
        if not counts:
            return counts
        for row in await self._selected(Statements.unread_counts, list(counts), types=types, at_most=at_most):
            recipient = Recipient(row["recipient_id"], row["recipient_type"], row["tenant"] or None)
            counts[recipient] = row["found"] if at_most is None else min(row["found"], at_most)
        return counts

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return await self._changed(Statements.mark_read, recipient, ids, at) if ids else 0

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return await self._changed(Statements.mark_unread, recipient, ids) if ids else 0

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        return await self._changed(Statements.mark_all_read, recipient, types=types, seen=seen, at=at)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        return await self._changed(Statements.delete, recipient, ids) if ids else 0

    async def erase(self, recipient: Recipient) -> int:
        return await self._changed(Statements.erase, recipient)

    async def erase_tenant(self, tenant: str) -> int:
        # '' stands for no tenant in the table, but is no tenant's name
        return await self._changed(Statements.erase_tenant, tenant) if tenant else 0

    async def _selected(
        self, write: Callable[Concatenate[Statements, P], Statement], *args: P.args, **options: P.kwargs
    ) -> Sequence[Any]:
        """Rows as the driver has them, with the columns' values by name; `_plain` gives the values."""
        client = self._client()
        text, values = write(statements_for(type(client)), *args, **options)
        _, rows = await run(client, client.execute_query, text, values, writes=False)
        return rows

    async def _returned(
        self, write: Callable[Concatenate[Statements, P], Statement], *args: P.args, **options: P.kwargs
    ) -> list[dict[str, Any]]:
        client = self._client()
        text, values = write(statements_for(type(client)), *args, **options)
        # Not execute_query: over asyncpg it drops the rows that an INSERT returns.
        return await run(client, client.execute_query_dict, text, values, writes=True)

    async def _changed(
        self, write: Callable[Concatenate[Statements, P], Statement], *args: P.args, **options: P.kwargs
    ) -> int:
        client = self._client()
        text, values = write(statements_for(type(client)), *args, **options)
        changed, _ = await run(client, client.execute_query, text, values, writes=True)
        return changed


class TortoiseStore(_Calls):
    """A NotificationStore over a connection of Tortoise ORM: SQLite, PostgreSQL or MariaDB 10.6.

    It has every optional part of the contract. Inside `in_transaction()` a call joins, and is never tried again;
    outside it is tried again when another transaction was in its way. Whoever set Tortoise up closes its connections.

    Args:
        connection: the name of a connection in Tortoise's config, looked up at every call; or a client itself, which
            works in tasks outside Tortoise's context too, but joins no transaction unless bound to it.
    """

    def __init__(self, connection: str | BaseDBAsyncClient = "default") -> None:
        if not isinstance(connection, str | BaseDBAsyncClient) or isinstance(connection, TransactionalDBClient):
            raise InvalidArgument("connection", f"expected a connection's name or its client, got {connection!r}")
        self._connection = connection

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """As the contract says. Each batch is a transaction: after an error those before it stay done."""
        pruned = 0
        while (batch := _BATCH if limit is None else min(_BATCH, limit - pruned)) > 0:
            removed = await self._changed(Statements.prune, older_than=older_than, only_read=only_read, at_most=batch)
            pruned += removed
            if removed < batch:
                break
        return pruned

    async def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns, and
        inside a transaction, which MariaDB would commit."""
        client = self._client()
        if isinstance(client, TransactionalDBClient):
            raise StoreError("create_schema() was called inside a transaction; call it outside of in_transaction()")
        await run(client, create_schema, client, writes=False)

    def bind(self, session: object = None) -> BoundTortoiseStore:
        """A store inside a transaction of the host's: it joins, and never commits.

        Args:
            session: what `in_transaction()` gave, and `using_db=` takes; None for whichever the task is in at each
                call. Outside one a call is a transaction of its own, and so has committed when it returns.
        """
        if session is None:
            connection = self._connection
            return BoundTortoiseStore(connection if isinstance(connection, str) else connection.connection_name)
        if not isinstance(session, TransactionalDBClient):
            raise InvalidArgument("session", f"expected what `in_transaction()` gives, or None, got {session!r}")
        return BoundTortoiseStore(session)

    def _client(self) -> BaseDBAsyncClient:
        return _ambient(self._connection) if isinstance(self._connection, str) else self._connection


class BoundTortoiseStore(_Calls):
    """Made by `TortoiseStore.bind`."""

    def __init__(self, transaction: TransactionalDBClient | str) -> None:
        self._transaction = transaction

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed; at once when the task is in none."""
        client = self._client()
        if isinstance(client, TransactionalDBClient):
            after_commit(client, callback)
        else:
            callback()

    def _client(self) -> BaseDBAsyncClient:
        if isinstance(self._transaction, str):
            return _ambient(self._transaction)
        if self._transaction._finalized or outermost(self._transaction)._finalized:
            raise StoreError("the transaction that this store was bound to has ended; bind it to another")
        return self._transaction


def _ambient(name: str) -> BaseDBAsyncClient:
    """The connection of that name, or the transaction this task is in."""
    try:
        client = require_context().connections.get(name)
    except (RuntimeError, ConfigurationError) as error:
        raise StoreError(
            f"Tortoise has no connection {name!r} in this task: {error}. Call Tortoise.init() first, with "
            "_enable_global_fallback=True for tasks that were not started by the one that called it"
        ) from error
    if isinstance(client, TransactionalDBClient) and outermost(client)._finalized:
        # A task that was started inside the transaction, or a callback after its commit, has outlived it.
        return outermost(client)._parent
    return client


async def _insert_many(client: BaseDBAsyncClient, rows: Sequence[Notification]) -> None:
    """The driver's own executemany, as one transaction, which a call that is cancelled does not leave open."""
    statements = statements_for(type(client))
    text, values = statements.insert_row, (driver_values(row, statements.dialect) for row in rows)
    if isinstance(client, TransactionalDBClient):
        # An error would spoil the host's transaction on PostgreSQL, and leave half of the rows in it elsewhere.
        async with client._in_transaction() as savepoint:
            await savepoint.execute_many(text, list(values))
    elif statements.dialect == "mysql":
        await client.execute_many(text, list(values))
    else:
        async with client.acquire_connection() as connection:
            if statements.dialect == "sqlite":
                try:
                    await connection.execute("BEGIN IMMEDIATE")
                    await connection.executemany(text, values)
                    await connection.commit()
                except BaseException:
                    await connection.rollback()  # waits its turn in the connection's thread, whoever waits for it
                    raise
            elif hasattr(connection, "executemany"):  # asyncpg's, which is whole by itself
                await connection.executemany(text, values)
            else:
                async with connection.transaction(), connection.cursor() as cursor:
                    await cursor.executemany(text, values)


def _plain(row: Any) -> Iterable[Any]:
    return row.values() if isinstance(row, dict) else row
