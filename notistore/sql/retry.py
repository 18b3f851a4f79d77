"""Retries: after which errors a call that has its own transaction is retried, and the delay before each retry."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

__all__ = ["backoff", "error_code", "is_transient"]

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
_RETRIES: Final = 8


def error_code(error: BaseException | None) -> str | int | None:
    """PostgreSQL's SQLSTATE, MySQL's error number or SQLite's primary result code of a driver's error; else None."""
    if (sqlite := getattr(error, "sqlite_errorcode", None)) is not None:
        return int(sqlite) & 0xFF
    if isinstance(number := next(iter(getattr(error, "args", ())), None), int):
        return number  # newer drivers of MySQL have a SQLSTATE too, which is HY000 for most errors
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def is_transient(error: BaseException | None) -> bool:
    """Whether a driver's error is a deadlock, a serialization failure or a lock timeout, after which a retry helps."""
    return error_code(error) in _TRANSIENT


def backoff() -> Iterator[float]:
    """Seconds to wait before each retry: exponential with full jitter, about 1.3 s in total on average."""
    for attempt in range(_RETRIES):
        yield random.uniform(0, 0.01 * 2**attempt)
