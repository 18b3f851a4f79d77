"""`TortoiseStore`: the store over Tortoise ORM."""

from __future__ import annotations

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient

from notistore.errors import InvalidArgument, StoreError
from notistore.sql import BoundSQLStore, SQLStore

from .host import TortoiseHost

__all__ = ["TortoiseStore"]


class TortoiseStore(SQLStore):
    """A NotificationStore over a connection of Tortoise ORM: SQLite, PostgreSQL or MariaDB 10.6.

    It has every optional part of the contract. Tortoise's transactions are ambient, one for each task and connection
    name: inside `in_transaction()` a call joins, and is never retried; outside it is retried after a deadlock or a
    serialization failure. The application that set Tortoise up closes its connections.

    Args:
        connection: the name of a connection in Tortoise's config, looked up at every call; or a client itself, which
            works in tasks outside Tortoise's context too, but joins no transaction unless bound to it.
    """

    def __init__(self, connection: str | BaseDBAsyncClient = "default") -> None:
        if not isinstance(connection, str | BaseDBAsyncClient) or isinstance(connection, TransactionalDBClient):
            raise InvalidArgument("connection", f"expected a connection's name or its client, got {connection!r}")
        self._connection = connection
        self._host = TortoiseHost(connection)
        super().__init__(self._host)

    async def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns, and
        inside a transaction, which MariaDB would commit."""
        if isinstance(self._host.client(), TransactionalDBClient):
            raise StoreError("create_schema() was called inside a transaction; call it outside of in_transaction()")
        await super().create_schema()

    def bind(self, session: object = None) -> BoundSQLStore:
        """A store inside a transaction of the application, which it never commits.

        Args:
            session: the value of `async with in_transaction() as ...`; None for the task's transaction at each call.
                Outside of a transaction a call has its own, and `after_commit` calls the callback at once.
        """
        if session is None:
            connection = self._connection
            name = connection if isinstance(connection, str) else connection.connection_name
            return BoundSQLStore(TortoiseHost(name))
        if not isinstance(session, TransactionalDBClient):
            raise InvalidArgument(
                "session", f"expected the value of `async with in_transaction() as ...`, or None, got {session!r}"
            )
        return BoundSQLStore(TortoiseHost(session))
