"""Django's database errors as the contract's, and which of them a call of its own may answer by trying again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.errors import OutcomeUnknown, StoreError

T = TypeVar("T")

_TRANSIENT: Final = frozenset(
    {
        "40001",  # PostgreSQL: serialization_failure
        "40P01",  # PostgreSQL: deadlock_detected
        1020,  # MariaDB: record has changed since last read, under snapshot isolation
        1205,  # MariaDB: lock wait timeout
        1213,  # MariaDB: deadlock
        5,  # SQLite: busy
        6,  # SQLite: locked
    }
)
_ATTEMPTS: Final = 9


def run(connection: BaseDatabaseWrapper, body: Callable[[], T], *, writes: bool) -> T:
    """Run one call of the contract, and tell its errors as the contract does.

    Inside a transaction of the host's it only joins. Outside one it is repeated when another transaction was in its
    way, and a connection that broke is closed, so that the next call opens another.
    """
    if connection.in_atomic_block:
        try:
            return body()
        except Error as error:
            raise _failed(error) from error
    for pause in _pauses():
        try:
            connection.ensure_connection()
        except Error as error:
            raise _failed(error) from error
        try:
            return body()
        except Error as error:
            if _close_if_broken(connection) and writes:
                raise OutcomeUnknown(
                    "the connection was lost during a call: what was asked happened wholly or not at all. Marks, "
                    "deletes and keyed sends may be repeated safely"
                ) from error
            if pause is None or not _is_transient(error):
                raise _failed(error) from error
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _failed(error: Error) -> StoreError:
    cause = error.__cause__ or error
    return StoreError(f"the database failed and nothing was changed: {type(cause).__name__}: {cause}")


def _close_if_broken(connection: BaseDatabaseWrapper) -> bool:
    if connection.connection is not None and connection.errors_occurred and not connection.is_usable():
        connection.close()
    return connection.connection is None


def _is_transient(error: Error) -> bool:
    cause = error.__cause__
    if sqlite := getattr(cause, "sqlite_errorcode", None):
        return sqlite & 0xFF in _TRANSIENT
    code = (
        getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or next(iter(getattr(cause, "args", ())), 0)
    )
    return code in _TRANSIENT


def _pauses() -> Iterator[float | None]:
    """Seconds to wait after each attempt: jittered, doubling, about 1.3 s in all on average; None after the last."""
    for attempt in range(_ATTEMPTS - 1):
        yield random.uniform(0, 0.01 * 2**attempt)
    yield None
