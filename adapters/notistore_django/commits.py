"""What is to follow a commit: Django's own `on_commit`, and a way to it from the event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from notistore.errors import Unsupported

__all__ = ["Commit", "after_commit", "after_last_call"]

Callback = Callable[[], None]


def after_commit(connection: BaseDatabaseWrapper, callback: Callback) -> None:
    """Call back once the outermost transaction has committed; at once when there is none.

    Raises:
        Unsupported: autocommit is off, so the application commits by itself and Django cannot tell when.
    """
    try:
        connection.on_commit(callback)
    except TransactionManagementError as error:
        raise Unsupported(f"with autocommit off Django does not tell when {connection.alias!r} commits") from error


class Commit:
    """The commit of the transaction that a call was in: noted in the call's thread, waited for on the event loop.

    Connections belong to threads. Asked on the event loop's, Django would name another one, which is in no transaction.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._callbacks: list[Callback] = []
        if connection.in_atomic_block:
            connection.on_commit(self)

    def __call__(self) -> None:
        for callback in self._callbacks:
            callback()

    def remember(self) -> None:
        """From now on this is the commit of this task's last call."""
        _last_call.set(self)

    def after(self, callback: Callback) -> None:
        if any(hook is self for _, hook, *_ in self._connection.run_on_commit):
            # In the context of its caller: in the thread's own, asgiref lets no task be begun.
            self._callbacks.append(partial(copy_context().run, callback))
        elif self._connection.in_atomic_block or self._connection.autocommit:
            callback()
        else:
            after_commit(self._connection, callback)

    def is_of(self, alias: str) -> bool:
        return self._connection.alias == alias


_last_call: Final[ContextVar[Commit | None]] = ContextVar("notistore_django_last_call", default=None)


def after_last_call(alias: str, callback: Callback) -> None:
    """Call back once the transaction of this task's last call has committed; at once when it was in none."""
    commit = _last_call.get()
    if commit is not None and commit.is_of(alias):
        commit.after(callback)
    else:
        callback()
