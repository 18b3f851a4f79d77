"""`DjangoStore` and `SyncDjangoStore`: the stores over Django's ORM."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

from notistore.errors import InvalidArgument
from notistore.sql import BoundSQLStore, BoundSyncSQLStore, SQLStore, SyncSQLStore

from .host import AsyncDjangoHost, DjangoHost

__all__ = ["DjangoStore", "SyncDjangoStore"]


class SyncDjangoStore(SyncSQLStore):
    """The contract without `async`: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Inside `atomic()`, or with autocommit off, a call joins the transaction and is never retried; outside one it is
    retried after a deadlock or a serialization failure. Threads may share the store: Django gives each a connection.

    Args:
        using: the alias of the database. Database routers are not used.
        prune_batch: how many rows `prune` deletes at a time.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS, *, prune_batch: int = SyncSQLStore.prune_batch) -> None:
        self.using = using
        self.prune_batch = prune_batch
        super().__init__(DjangoHost(using))

    def bind(self, session: object = None) -> BoundSyncSQLStore:
        """A store inside the `atomic()` block open on this thread, of the alias `session` or, for None, of this store's
        alias.

        It may be bound once, before any block is open. If none is open, `after_commit` calls the callback at once; with
        autocommit off it raises Unsupported.
        """
        return BoundSyncSQLStore(DjangoHost(_alias(session, self.using)))


class DjangoStore(SQLStore):
    """A NotificationStore over Django's ORM: SQLite, PostgreSQL, MariaDB or MySQL 8. It has every optional part.

    Each call runs in Django's thread for synchronous code (`sync_to_async`), so that it joins the `atomic()` block of a
    caller of `async_to_sync`. Otherwise as `SyncDjangoStore`.

    Args:
        using: the alias of the database. Database routers are not used.
        prune_batch: how many rows `prune` deletes at a time.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS, *, prune_batch: int = SQLStore.prune_batch) -> None:
        self.using = using
        self.prune_batch = prune_batch
        super().__init__(AsyncDjangoHost(using))

    def bind(self, session: object = None) -> BoundSQLStore:
        """A store inside the `atomic()` block open in the calling thread, of the alias `session` or, for None, of this
        store's alias.

        It may be bound once, before any block is open. `after_commit` waits for the transaction of this task's last
        call that writes; if that was in none, it calls the callback at once.
        """
        return BoundSQLStore(AsyncDjangoHost(_alias(session, self.using)))


def _alias(session: object, using: str) -> str:
    if session is None:
        return using
    if not isinstance(session, str) or session not in connections:
        raise InvalidArgument("session", f"expected None or the alias of a database in DATABASES, got {session!r}")
    return session
