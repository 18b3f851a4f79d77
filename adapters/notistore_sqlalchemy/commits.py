"""What runs once a transaction has really ended committed.

SQLAlchemy has no event for that: the engine's `commit` event comes before the COMMIT, and a session's `after_commit`
also comes for savepoints, and for a session inside an outer transaction. Whatever the host uses, a transaction ends in
one call of its dialect's `do_commit` or `do_rollback`, so those are watched, and the savepoints' calls like them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Dialect, PoolProxiedConnection, TwoPhaseTransaction

from notistore.errors import Unsupported

__all__ = ["after_commit"]

_log = logging.getLogger("notistore")

_KEY: Final = "notistore.after_commit"
_WATCHED: Final = ("do_commit", "do_rollback", "do_savepoint", "do_rollback_to_savepoint")
_lock = threading.Lock()


@dataclass(slots=True)
class _Waiting:
    """One transaction's callbacks, kept in its DBAPI connection's `info`, and how many there were at each savepoint."""

    callbacks: list[Callable[[], None]] = field(default_factory=list)
    savepoints: dict[str, int] = field(default_factory=dict)


def after_commit(connection: Connection, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of `connection` has committed; never when it, or a savepoint
    that is open now, is rolled back. An exception it raises is logged: the commit has happened."""
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        raise Unsupported("nothing tells when a two-phase transaction has committed; publish after it yourself")
    _watch(connection.dialect)
    connection.info.setdefault(_KEY, _Waiting()).callbacks.append(callback)


def _watch(dialect: Dialect) -> None:
    """Have this engine's dialect tell of commits, rollbacks and savepoints, once and for good."""
    with _lock:
        if _KEY in vars(dialect):
            return
        plain = {name: getattr(dialect, name) for name in _WATCHED}

        def do_commit(connection: PoolProxiedConnection) -> None:
            # Taken first: after a commit that fails, SQLAlchemy has nothing rolled back.
            callbacks = _take(connection)
            plain["do_commit"](connection)
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    _log.exception("a callback after the commit failed; the commit stands")

        def do_rollback(connection: PoolProxiedConnection) -> None:
            _take(connection)
            plain["do_rollback"](connection)

        def do_savepoint(connection: Connection, name: str) -> None:
            if waiting := connection.info.get(_KEY):
                waiting.savepoints[name] = len(waiting.callbacks)
            plain["do_savepoint"](connection, name)

        def do_rollback_to_savepoint(connection: Connection, name: str) -> None:
            if waiting := connection.info.get(_KEY):
                # A savepoint that is not known was there before the first callback.
                del waiting.callbacks[waiting.savepoints.get(name, 0) :]
            plain["do_rollback_to_savepoint"](connection, name)

        mine = (do_commit, do_rollback, do_savepoint, do_rollback_to_savepoint)
        vars(dialect).update(zip(_WATCHED, mine, strict=True))
        vars(dialect)[_KEY] = True


def _take(connection: Any) -> list[Callable[[], None]]:
    """A bare DBAPI connection, as SQLAlchemy passes at times, has none: callbacks are kept with the pooled one."""
    if not isinstance(connection, PoolProxiedConnection):
        return []
    waiting: _Waiting | None = connection.info.pop(_KEY, None)
    return waiting.callbacks if waiting else []
