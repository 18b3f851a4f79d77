"""`SQLAlchemyStore` and `SyncSQLAlchemyStore`: the stores over a SQLAlchemy engine."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from notistore.errors import InvalidArgument
from notistore.sql import BoundSQLStore, BoundSyncSQLStore, SQLStore, SyncSQLStore

from .host import AsyncBoundHost, AsyncEngineHost, BoundHost, EngineHost
from .schema import notifications_table

__all__ = ["SQLAlchemyStore", "SyncSQLAlchemyStore"]


class SyncSQLAlchemyStore(SyncSQLStore):
    """The contract without `async`, over an Engine with any driver; otherwise as `SQLAlchemyStore`. Threads may share
    it."""

    def __init__(self, engine: Engine, *, table: Table | None = None) -> None:
        if not isinstance(engine, Engine):
            raise InvalidArgument(
                "engine", f"expected an Engine, got {engine!r}; use SQLAlchemyStore for an AsyncEngine"
            )
        self.table = notifications_table() if table is None else table
        super().__init__(EngineHost(engine, self.table))

    def bind(self, session: object) -> BoundSyncSQLStore:
        """A store inside the transaction of `session`, a Session or a Connection: it joins, and never commits."""
        host = session() if isinstance(session, scoped_session) else session
        if not isinstance(host, Session | Connection):
            raise InvalidArgument("session", f"expected a Session or a Connection, got {host!r}")
        return BoundSyncSQLStore(BoundHost(host, self.table))


class SQLAlchemyStore(SQLStore):
    """A NotificationStore over an AsyncEngine: SQLite, PostgreSQL, MariaDB or MySQL 8, with any of their async drivers.

    It has every optional part of the contract. Each call is a transaction of its own, retried after a deadlock or a
    serialization failure. The application that made the engine disposes of it.

    Args:
        engine: with the isolation level of your choice, except AUTOCOMMIT, under which `insert_many` is not atomic.
        table: what `notifications_table` made on your own MetaData; by default one of its own.
    """

    def __init__(self, engine: AsyncEngine, *, table: Table | None = None) -> None:
        if not isinstance(engine, AsyncEngine):
            raise InvalidArgument(
                "engine", f"expected an AsyncEngine, got {engine!r}; use SyncSQLAlchemyStore for an Engine"
            )
        self.table = notifications_table() if table is None else table
        super().__init__(AsyncEngineHost(engine, self.table))

    def bind(self, session: object) -> BoundSQLStore:
        """A store inside the transaction of an AsyncSession or AsyncConnection: it joins, and never commits.

        `after_commit` raises StoreError before the first call of this store in the transaction.
        """
        host = session() if isinstance(session, async_scoped_session) else session
        if not isinstance(host, AsyncSession | AsyncConnection):
            raise InvalidArgument(
                "session",
                f"expected an AsyncSession or an AsyncConnection, got {host!r}; "
                "a synchronous one is for SyncSQLAlchemyStore",
            )
        return BoundSQLStore(AsyncBoundHost(host, self.table))
