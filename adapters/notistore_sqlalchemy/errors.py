"""Drivers' errors as the contract's, and which of them a call that owns its transaction may answer by trying again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from notistore.errors import DuplicateNotification, NotistoreError, OutcomeUnknown, StoreError

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
_TAKEN: Final = (
    re.compile(r"\(id\)=\(([0-9a-f-]{36})\)"),  # PostgreSQL, in any language
    re.compile(r"'([0-9a-f-]{36})' for key '(?:[^']*\.)?PRIMARY'"),  # MySQL and MariaDB
)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever the driver raises within comes out as a StoreError."""
    try:
        yield
    except NotistoreError:
        raise
    except Exception as error:  # drivers let OSError, their own and internal errors through when a connection breaks
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(f"the database failed and nothing was changed: {type(cause).__name__}: {cause}") from error


@contextmanager
def committing(connection: Connection) -> Iterator[None]:
    """Only a connection lost during COMMIT leaves the outcome unknown: lost earlier, the database rolls back."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DBAPIError) and not error.connection_invalidated:
            # SQLite's transaction outlives a COMMIT that failed, and SQLAlchemy would pool the connection as it is.
            connection.connection.rollback()
            raise
        raise OutcomeUnknown(
            "the connection was lost during COMMIT: what was asked happened wholly or not at all. Marks, deletes and "
            "keyed sends may be repeated safely"
        ) from error


def is_transient(error: StoreError) -> bool:
    """Whether another transaction was in the way, so that the same call may well succeed now."""
    cause = getattr(error.__cause__, "orig", None)
    if sqlite := getattr(cause, "sqlite_errorcode", None):
        return sqlite & 0xFF in _TRANSIENT
    code = getattr(cause, "sqlstate", None) or next(iter(getattr(cause, "args", ())), None)
    return code in _TRANSIENT


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: jittered, doubling, about 1.3 s in all on average."""
    for attempt in range(_RETRIES):
        yield random.uniform(0, 0.01 * 2**attempt)


def duplicate(error: IntegrityError) -> DuplicateNotification | None:
    """Which id was taken, where the database's error says that its primary key was; SQLite's does not."""
    said = f"{error.orig} {error.orig and error.orig.__cause__}"  # asyncpg's detail is only in its own error
    found = next(filter(None, (pattern.search(said) for pattern in _TAKEN)), None)
    return DuplicateNotification(found[1]) if found else None
