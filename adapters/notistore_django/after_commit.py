"""Callbacks after the commit of a transaction: through Django's `on_commit`, also from the event loop.

Django's `on_commit` does not handle savepoints that the application rolls back by hand (`transaction.savepoint()`), nor
a COMMIT that PostgreSQL turns into a rollback after an error that the application caught. Both are statements, and are
detected by a wrapper around the connection's statements (`execute_wrappers`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from notistore.errors import Unsupported

__all__ = ["Commit", "after_commit", "after_last_call"]

Callback = Callable[[], None]


def after_commit(connection: BaseDatabaseWrapper, callback: Callback) -> None:
    """Call `callback` once the outermost transaction has committed; at once when there is none.

    Raises:
        Unsupported: autocommit is off, so the application commits itself and Django does not report it.
    """
    try:
        Commit(connection, callback).wait()
    except TransactionManagementError as error:
        raise Unsupported(
            f"with autocommit off Django does not report commits of {connection.alias!r}; publish after them yourself"
        ) from error


class _Watch:
    """Drops a Commit when its savepoint is rolled back; marks it as aborted when a statement fails on PostgreSQL."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._aborts = connection.vendor == "postgresql"
        self._set = connection.ops.savepoint_create_sql("")
        self._rolled_back = connection.ops.savepoint_rollback_sql("")
        self._savepoints: dict[str, int] = {}

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> None:
        """Watch this connection, once."""
        if not any(isinstance(wrapper, cls) for wrapper in connection.execute_wrappers):
            connection.execute_wrappers.append(cls(connection))

    def __call__(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        try:
            result = execute(sql, *args)
        except Exception:
            if self._aborts:
                self._mark(aborted=True)
            raise
        if isinstance(sql, str) and "SAVEPOINT" in sql:
            self._note(sql)
        return result

    def _note(self, sql: str) -> None:
        hooks = self._connection.run_on_commit
        if sql.startswith(_keyword(self._set)):
            if not hooks:
                self._savepoints.clear()
            self._savepoints[_name(sql)] = len(hooks)
        elif sql.startswith(_keyword(self._rolled_back)):
            # An unknown savepoint was set before the first of our hooks.
            count = self._savepoints.get(_name(sql), 0)
            hooks[count:] = [hook for hook in hooks[count:] if not isinstance(hook[1], Commit)]
            self._mark(aborted=False)

    def _mark(self, *, aborted: bool) -> None:
        for _, hook, *_ in self._connection.run_on_commit:
            if isinstance(hook, Commit):
                hook.aborted = aborted


class Commit:
    """The commit of a transaction, its callbacks, and whether PostgreSQL has aborted it.

    That of a call is made in the call's thread and waited for on the event loop: Django's connections are thread-local,
    so there Django would return another connection, without a transaction.
    """

    def __init__(self, connection: BaseDatabaseWrapper, *callbacks: Callback) -> None:
        self._connection = connection
        self._callbacks = [*callbacks]
        self.aborted = False

    @classmethod
    def of_call(cls, connection: BaseDatabaseWrapper) -> Commit:
        """That of the call which has just run on this connection."""
        commit = cls(connection)
        if connection.in_atomic_block:
            commit.wait()
        return commit

    def wait(self) -> None:
        """Have Django call this after the commit; at once if no transaction is open."""
        _Watch.of(self._connection)
        self._connection.on_commit(self, robust=True)

    def __call__(self) -> None:
        if not self.aborted:
            for callback in self._callbacks:
                callback()

    def remember(self) -> None:
        """From now on this is the commit of this task's last call."""
        _last_call.set(self)

    def after(self, callback: Callback) -> None:
        if any(hook is self for _, hook, *_ in self._connection.run_on_commit):
            # In the context of its caller: in the thread's own context asgiref does not allow new tasks.
            self._callbacks.append(partial(copy_context().run, callback))
        elif self._connection.in_atomic_block or self._connection.autocommit:
            callback()
        else:
            after_commit(self._connection, callback)

    def is_of(self, alias: str) -> bool:
        return self._connection.alias == alias


_last_call: Final[ContextVar[Commit | None]] = ContextVar("notistore_django_last_call", default=None)


def after_last_call(alias: str, callback: Callback) -> None:
    """Call `callback` once the transaction of this task's last call has committed; at once if it was in none."""
    commit = _last_call.get()
    if commit is not None and commit.is_of(alias):
        commit.after(callback)
    else:
        callback()


def _keyword(sql: str) -> str:
    return sql.rstrip("\"'` ") + " "


def _name(sql: str) -> str:
    return sql.rsplit(" ", 1)[-1]
