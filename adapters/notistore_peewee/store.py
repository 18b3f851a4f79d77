"""`PeeweeStore` and `SyncPeeweeStore`: the stores over Peewee."""

from __future__ import annotations

from typing import Any

from peewee import Model

from notistore.errors import InvalidArgument
from notistore.sql import BoundSQLStore, BoundSyncSQLStore, SQLStore, SyncSQLStore

from .host import AsyncPeeweeHost, PeeweeHost
from .model import is_async, notification_model

__all__ = ["PeeweeStore", "SyncPeeweeStore"]


class SyncPeeweeStore(SyncSQLStore):
    """The contract without `async`: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `database.atomic()` or `manual_commit()` a call joins, and is never retried; outside it is retried after a
    deadlock or a serialization failure. A thread that has no connection open gets one for the call. Threads may share
    the store.

    Args:
        database: Peewee's; pooled or not.
        model: what `notification_model` made for it; by default one of its own.
    """

    def __init__(self, database: Any, *, model: type[Model] | None = None) -> None:
        self.model = _model(database, model, asynchronous=False)
        self.database = database
        super().__init__(PeeweeHost(self.model))

    def bind(self, session: object = None) -> BoundSyncSQLStore:
        """A store inside the transaction that is open where it is called, in this thread; without one, calls raise
        StoreError. `after_commit` raises Unsupported inside `manual_commit()`.

        Args:
            session: the database, one of its transactions (`with database.atomic() as transaction`), or None.
        """
        _check_session(self.database, session)
        return BoundSyncSQLStore(PeeweeHost(self.model, bound=True))


class PeeweeStore(SQLStore):
    """A NotificationStore over playhouse.pwasyncio: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `async with database.atomic()` a call of the same task joins, and is never retried; outside it is retried
    after a deadlock or a serialization failure. A task without an open connection gets one for the call only.

    Args:
        database: an AsyncSqliteDatabase, AsyncPostgresqlDatabase or AsyncMySQLDatabase.
        model: what `notification_model` made for it; by default one of its own.
    """

    def __init__(self, database: Any, *, model: type[Model] | None = None) -> None:
        self.model = _model(database, model, asynchronous=True)
        self.database = database
        super().__init__(AsyncPeeweeHost(PeeweeHost(self.model)))

    def bind(self, session: object = None) -> BoundSQLStore:
        """A store inside the transaction that is open where it is called, in this task; without one, calls raise
        StoreError. `after_commit` raises Unsupported inside `manual_commit()`.

        Args:
            session: the database, one of its transactions (`async with database.atomic() as transaction`), or None.
        """
        _check_session(self.database, session)
        return BoundSQLStore(AsyncPeeweeHost(PeeweeHost(self.model, bound=True)))


def _model(database: Any, model: Any, *, asynchronous: bool) -> Any:
    if is_async(database) != asynchronous:
        expected = "a database of playhouse.pwasyncio" if asynchronous else "a synchronous database"
        other = SyncPeeweeStore if asynchronous else PeeweeStore
        raise InvalidArgument("database", f"expected {expected}, got {database!r}; use {other.__name__} for it")
    if model is None:
        return notification_model(database)
    if model._meta.database is not database:
        raise InvalidArgument("model", f"expected one that is bound to {database!r}, not to {model._meta.database!r}")
    return model


def _check_session(database: Any, session: object) -> None:
    if session is not None and session is not database and getattr(session, "db", None) is not database:
        raise InvalidArgument("session", f"expected None, {database!r} or one of its transactions, got {session!r}")
