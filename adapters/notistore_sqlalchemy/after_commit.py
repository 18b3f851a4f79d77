"""Callbacks after the commit of a transaction.

SQLAlchemy has no event for that: the engine's `commit` event is emitted before the COMMIT, and a session's
`after_commit` also for savepoints and for a session inside an outer transaction. Every transaction ends in one call of
the dialect's `do_commit` or `do_rollback`, so these methods and those for savepoints are wrapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Dialect, PoolProxiedConnection, TwoPhaseTransaction

from notistore.errors import Unsupported
from notistore.sql import TransactionCallbacks, is_aborted

__all__ = ["after_commit"]

_KEY: Final = "notistore.after_commit"
_WRAPPED: Final = ("do_commit", "do_rollback", "do_savepoint", "do_rollback_to_savepoint")
_lock = threading.Lock()


def after_commit(connection: Connection, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of `connection` has committed; never when it, or a savepoint
    that is open now, is rolled back. An exception it raises is logged: the commit has happened."""
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        raise Unsupported(
            "SQLAlchemy does not report commits of two-phase transactions; publish after the commit yourself"
        )
    _wrap(connection.dialect)
    # Kept with the pooled connection, which is passed to the dialect's methods.
    connection.info.setdefault(_KEY, TransactionCallbacks()).add(callback)


def _wrap(dialect: Dialect) -> None:
    """Make this engine's dialect report commits, rollbacks and savepoints; once per dialect."""
    with _lock:
        if _KEY in vars(dialect):
            return
        plain = {name: getattr(dialect, name) for name in _WRAPPED}

        def do_commit(connection: PoolProxiedConnection) -> None:
            # Removed before the commit: SQLAlchemy does not roll back after a failed one.
            callbacks = _take(connection)
            committed = callbacks is not None and not _is_rollback(dialect, connection)
            plain["do_commit"](connection)
            if callbacks is not None and committed:
                callbacks.committed()

        def do_rollback(connection: PoolProxiedConnection) -> None:
            _take(connection)
            plain["do_rollback"](connection)

        def do_savepoint(connection: Connection, name: str) -> None:
            if callbacks := connection.info.get(_KEY):
                callbacks.savepoint(name)
            plain["do_savepoint"](connection, name)

        def do_rollback_to_savepoint(connection: Connection, name: str) -> None:
            if callbacks := connection.info.get(_KEY):
                callbacks.rolled_back_to(name)
            plain["do_rollback_to_savepoint"](connection, name)

        mine = (do_commit, do_rollback, do_savepoint, do_rollback_to_savepoint)
        vars(dialect).update(zip(_WRAPPED, mine, strict=True))
        vars(dialect)[_KEY] = True


def _take(connection: Any) -> TransactionCallbacks | None:
    """A bare DBAPI connection, which SQLAlchemy sometimes passes, has none: callbacks are kept with the pooled one."""
    if not isinstance(connection, PoolProxiedConnection):
        return None
    callbacks: TransactionCallbacks | None = connection.info.pop(_KEY, None)
    return callbacks or None


def _is_rollback(dialect: Dialect, connection: PoolProxiedConnection) -> bool:
    """Whether the COMMIT will roll back, as PostgreSQL does without an error after a failed statement."""
    if dialect.name != "postgresql":
        return False
    if (aborted := is_aborted(connection.driver_connection)) is not None:
        return aborted
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1")
    except Exception:
        return True
    finally:
        cursor.close()
    return False
