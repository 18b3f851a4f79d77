"""The stores: the calls of calls.py as they are, and the same across Peewee's bridge."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from peewee import Model

from notistore.errors import InvalidArgument

from .calls import Calls
from .commits import after_commit
from .connections import is_async
from .model import notification_model

__all__ = ["PeeweeStore", "SyncPeeweeStore"]

P = ParamSpec("P")
T = TypeVar("T")


class SyncPeeweeStore(Calls):
    """The contract without `async`: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `database.atomic()` a call joins, and is never tried again; outside it is tried again when another
    transaction was in its way. A thread that has no connection open gets one for the call. Threads may share the store.

    Args:
        database: Peewee's; pooled or not.
        model: what `notification_model` made for it; by default one of its own.
    """

    def __init__(self, database: Any, *, model: type[Model] | None = None) -> None:
        if is_async(database):
            raise InvalidArgument("database", f"expected a synchronous one, got {database!r}, which is PeeweeStore's")
        super().__init__(_model(database, model))

    def bind(self, session: object = None) -> BoundSyncPeeweeStore:
        """A store inside the transaction that is open where it is called, in this thread.

        Args:
            session: the database, one of its transactions (`with database.atomic() as transaction`), or None.
        """
        _check_session(self.database, session)
        return BoundSyncPeeweeStore(self.model, bound=True)


class BoundSyncPeeweeStore(Calls):
    """Made by `SyncPeeweeStore.bind`. Where no transaction is open it raises StoreError."""

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed; Unsupported inside `manual_commit()`."""
        after_commit(self.database, callback)


def _awaited(
    method: Callable[Concatenate[Calls, P], T],
) -> Callable[Concatenate[_Awaited, P], Coroutine[Any, Any, T]]:
    async def call(self: _Awaited, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self.database.run(method, self._calls, *args, **kwargs)
        return result

    functools.update_wrapper(call, method)
    return call


class _Awaited:
    def __init__(self, calls: Calls) -> None:
        self.model = calls.model
        self.database = calls.database
        self._calls = calls

    insert = _awaited(Calls.insert)
    insert_many = _awaited(Calls.insert_many)
    upsert = _awaited(Calls.upsert)
    get = _awaited(Calls.get)
    page = _awaited(Calls.page)
    count = _awaited(Calls.count)
    unread_count = _awaited(Calls.unread_count)
    unread_counts = _awaited(Calls.unread_counts)
    mark_read = _awaited(Calls.mark_read)
    mark_unread = _awaited(Calls.mark_unread)
    mark_all_read = _awaited(Calls.mark_all_read)
    delete = _awaited(Calls.delete)
    prune = _awaited(Calls.prune)
    erase = _awaited(Calls.erase)
    erase_tenant = _awaited(Calls.erase_tenant)
    create_schema = _awaited(Calls.create_schema)


class PeeweeStore(_Awaited):
    """A NotificationStore over playhouse.pwasyncio: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `async with database.atomic()` a call of the same task joins, and is never tried again; outside it is tried
    again when another transaction was in its way. A task that has no connection open gets one for the call, so that
    tasks that live long hold none.

    Args:
        database: an AsyncSqliteDatabase, AsyncPostgresqlDatabase or AsyncMySQLDatabase.
        model: what `notification_model` made for it; by default one of its own.
    """

    def __init__(self, database: Any, *, model: type[Model] | None = None) -> None:
        if not is_async(database):
            raise InvalidArgument(
                "database", f"expected one of playhouse.pwasyncio, got {database!r}; others are SyncPeeweeStore's"
            )
        super().__init__(Calls(_model(database, model)))

    def bind(self, session: object = None) -> BoundPeeweeStore:
        """A store inside the transaction that is open where it is called, in this task.

        Args:
            session: the database, one of its transactions (`async with database.atomic() as transaction`), or None.
        """
        _check_session(self.database, session)
        return BoundPeeweeStore(Calls(self.model, bound=True))


class BoundPeeweeStore(_Awaited):
    """Made by `PeeweeStore.bind`. Where no transaction is open it raises StoreError."""

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed; Unsupported inside `manual_commit()`."""
        after_commit(self.database, callback)


def _model(database: Any, model: type[Model] | None) -> Any:
    if model is None:
        return notification_model(database)
    its: Any = model
    if its._meta.database is not database:
        raise InvalidArgument("model", f"expected one that is bound to {database!r}, not to {its._meta.database!r}")
    return model


def _check_session(database: Any, session: object) -> None:
    if session is not None and session is not database and getattr(session, "db", None) is not database:
        raise InvalidArgument("session", f"expected None, {database!r} or one of its transactions, got {session!r}")
