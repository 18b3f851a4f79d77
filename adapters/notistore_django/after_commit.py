"""Callbacks after the commit of a transaction: through Django's `on_commit`, also from the event loop.

Django's `on_commit` does not handle savepoints that the application rolls back by hand (`transaction.savepoint()`), nor
a COMMIT that PostgreSQL turns into a rollback after an error that the application caught. Both are statements, and are
detected by a wrapper around the connection's statements (`execute_wrappers`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.errors import Unsupported
from notistore.sql import TransactionCallbacks

__all__ = ["Hook"]


class Hook:
    """The callbacks of one call, which Django calls after the commit of the transaction that is open now.

    That of an asynchronous call is made in the call's thread and used on the event loop: Django's connections are
    thread-local, so there Django would return another connection, without a transaction.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._callbacks: list[Callable[[], None]] = []
        if connection.in_atomic_block:
            self.transaction = _transaction(connection) or TransactionCallbacks()
            self.transaction.add(self)
            connection.on_commit(self, robust=True)
            if _watch not in connection.execute_wrappers:
                connection.execute_wrappers.append(_watch)

    def __call__(self) -> None:
        if self in self.transaction:
            for callback in self._callbacks:
                callback()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction has committed; at once when there was none.

        Raises:
            Unsupported: autocommit is off, so the application commits itself and Django does not report it.
        """
        connection = self.connection
        if any(hook is self for _, hook, *_ in reversed(connection.run_on_commit)):
            # In the context of its caller: in the thread's own context asgiref does not allow new tasks.
            self._callbacks.append(partial(copy_context().run, callback))
        elif connection.in_atomic_block or connection.autocommit:
            callback()
        else:
            raise Unsupported(
                f"with autocommit off Django does not report commits of {connection.alias!r}; publish after them "
                "yourself"
            )


def _transaction(connection: BaseDatabaseWrapper) -> TransactionCallbacks | None:
    """All hooks of the open transaction."""
    return next((hook.transaction for _, hook, *_ in connection.run_on_commit if isinstance(hook, Hook)), None)


def _watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    connection = context["connection"]
    try:
        result = execute(sql, params, many, context)
    except Exception:
        if connection.vendor == "postgresql" and (transaction := _transaction(connection)) is not None:
            transaction.failed()
        raise
    if isinstance(sql, str) and "SAVEPOINT" in sql and (transaction := _transaction(connection)) is not None:
        transaction.executed(sql)
    return result
