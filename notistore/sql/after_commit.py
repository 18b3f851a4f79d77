"""Callbacks that run after a transaction has committed, and are discarded if it is rolled back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["TransactionCallbacks", "is_aborted"]

_log = logging.getLogger("notistore")

_STATEMENT: Final = re.compile(
    r"""\s*(?:SAVEPOINT\s+["`]?(?P<savepoint>\w+)|(?P<commit>COMMIT|END)\b|(?P<rollback>ROLLBACK|ABORT)\b
    (?:\s+(?:WORK|TRANSACTION))?(?:\s+TO\s+(?:SAVEPOINT\s+)?["`]?(?P<to>\w+))?)""",
    re.IGNORECASE | re.VERBOSE,
)
_PSYCOPG_INERROR: Final = 3  # psycopg.pq.TransactionStatus.INERROR, and psycopg2's TRANSACTION_STATUS_INERROR


class TransactionCallbacks:
    """The callbacks of one transaction. The adapter reports the transaction's savepoints and its end: each by its
    method, or as the text of the statement."""

    __slots__ = ("_aborted", "_callbacks", "_savepoints")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._savepoints: dict[Hashable, int] = {}
        self._aborted = False

    def __bool__(self) -> bool:
        """Whether there is any callback."""
        return bool(self._callbacks)

    def __contains__(self, callback: Callable[[], None]) -> bool:
        """Whether a COMMIT would now be followed by this callback."""
        return not self._aborted and callback in self._callbacks

    def add(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the commit."""
        self._callbacks.append(callback)

    def executed(self, sql: str) -> bool:
        """The application or the driver has executed this statement. Returns whether it ended the transaction."""
        if (found := _STATEMENT.match(sql)) is None:
            return False
        if name := found["savepoint"]:
            self.savepoint(name)
        elif name := found["to"]:
            self.rolled_back_to(name)
        else:
            (self.committed if found["commit"] else self.rolled_back)()
            return True
        return False

    def failed(self) -> None:
        """A statement has failed on PostgreSQL: COMMIT rolls back, unless a savepoint is rolled back before it."""
        self._aborted = True

    def savepoint(self, name: Hashable) -> None:
        """A savepoint was set: callbacks added from now on are discarded if it is rolled back."""
        self._savepoints[name] = len(self._callbacks)

    def rolled_back_to(self, name: Hashable) -> None:
        """A savepoint was rolled back. An unknown one was set before the first callback."""
        self._aborted = False
        del self._callbacks[self._savepoints.get(name, 0) :]

    def rolled_back(self) -> None:
        """The whole transaction was rolled back."""
        self._aborted = False
        self._callbacks.clear()
        self._savepoints.clear()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Contains the outermost COMMIT. If that fails, the callbacks are discarded: another may follow."""
        try:
            yield
        except BaseException:
            self.rolled_back()
            raise
        self.committed()

    def committed(self) -> None:
        """The outermost transaction has committed: run the callbacks. Their exceptions are logged, not raised."""
        callbacks = [] if self._aborted else [*self._callbacks]
        self.rolled_back()
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback after the commit failed; the transaction is committed")


def is_aborted(driver_connection: Any) -> bool | None:
    """Whether PostgreSQL has aborted the transaction on this psycopg or psycopg2 connection.

    The COMMIT of an aborted transaction rolls back without an error. So an adapter calls this before the COMMIT, and
    reports a rollback if it returns True.

    Returns:
        None for a connection of another driver. With those, `SELECT 1` before the COMMIT fails with SQLSTATE 25P02 if
        the transaction was aborted.
    """
    info = getattr(driver_connection, "info", None)
    status = getattr(info, "transaction_status", None)
    return None if status is None else int(status) == _PSYCOPG_INERROR
