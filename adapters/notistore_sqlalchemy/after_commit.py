"""Callbacks after the commit of a transaction.

SQLAlchemy has no event for that: the engine's `commit` event is emitted before the COMMIT, and a session's
`after_commit` also for savepoints and for a session inside an outer transaction. Every transaction ends in one call of
the dialect's `do_commit` or `do_rollback`, so these methods and those for savepoints are wrapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from sqlalchemy import Connection, Dialect, PoolProxiedConnection, TwoPhaseTransaction

from notistore.errors import Unsupported
from notistore.sql import TransactionCallbacks, is_aborted

__all__ = ["after_commit"]

_KEY: Final = "notistore.after_commit"
_REPORTS: Final[dict[str, Callable[..., None]]] = {
    "do_rollback": TransactionCallbacks.rolled_back,
    "do_savepoint": TransactionCallbacks.savepoint,
    "do_rollback_to_savepoint": TransactionCallbacks.rolled_back_to,
}
_lock = threading.Lock()


def after_commit(connection: Connection, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of `connection` has committed; never when it, or a savepoint
    that is open now, is rolled back. An exception it raises is logged: the commit has happened."""
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        raise Unsupported(
            "SQLAlchemy does not report commits of two-phase transactions; publish after the commit yourself"
        )
    _wrap(connection.dialect)
    _callbacks(connection).add(callback)


def _wrap(dialect: Any) -> None:
    """Make this engine's dialect report commits, rollbacks and savepoints; once per dialect."""
    with _lock:
        if _KEY in vars(dialect):
            return
        commit = dialect.do_commit

        def do_commit(connection: PoolProxiedConnection) -> None:
            callbacks = _callbacks(connection)
            if callbacks and _is_aborted(dialect, connection):
                callbacks.failed()
            with callbacks.committing():
                commit(connection)

        for name, report in _REPORTS.items():
            setattr(dialect, name, _reporting(report, getattr(dialect, name)))
        dialect.do_commit = do_commit
        vars(dialect)[_KEY] = True


def _reporting(report: Callable[..., None], method: Callable[..., None]) -> Callable[..., None]:
    def reporting(connection: Any, *name: str) -> None:
        report(_callbacks(connection), *name)
        method(connection, *name)

    return reporting


def _callbacks(connection: Any) -> TransactionCallbacks:
    """Kept with the pooled connection. A bare DBAPI connection, which SQLAlchemy sometimes passes, has none."""
    callbacks = TransactionCallbacks()
    if isinstance(connection, Connection | PoolProxiedConnection):
        callbacks = connection.info.setdefault(_KEY, callbacks)
    return callbacks


def _is_aborted(dialect: Dialect, connection: PoolProxiedConnection) -> bool:
    if dialect.name != "postgresql":
        return False
    if (aborted := is_aborted(connection.driver_connection)) is not None:
        return aborted
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        return True
    return False
