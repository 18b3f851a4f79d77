"""Translation of database drivers' errors into the contract's errors."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

from ..errors import DuplicateNotification, OutcomeUnknown, StoreError
from .retry import error_code
from .work import Work

__all__ = ["MISSING_TABLE", "duplicate_id", "is_from_server", "is_missing_table", "store_error"]

MISSING_TABLE: Final = (
    "notistore's table does not exist. Create it with the store's create_schema(), or with migrations as the adapter's "
    "page of the documentation shows; if you have, the store is connected to another database or schema"
)
"""The message of an error for which `is_missing_table` is true."""

_UNIQUE_VIOLATIONS: Final = (
    re.compile(r"\(id\)=\(([0-9a-f-]{36})\)"),  # PostgreSQL, in any language
    re.compile(r"'([0-9a-f-]{36})' for key '(?:[^']*\.)?PRIMARY'"),  # MySQL and MariaDB
)


def duplicate_id(message: object) -> str | None:
    """The id in the message of a unique violation on the primary key; None for others, and for SQLite's."""
    found = next(filter(None, (pattern.search(str(message)) for pattern in _UNIQUE_VIOLATIONS)), None)
    return found[1] if found else None


def store_error(work: Work[Any], cause: BaseException) -> StoreError:
    """The error that a store raises after a failed attempt at `work`.

    Args:
        cause: the driver's own error.
    """
    if (id := duplicate_id(cause)) is not None:
        return DuplicateNotification(id)
    shown = f"{type(cause).__name__}: {cause}"
    if work.writes and work.sent and not work.uncommitted and not work.joined and not is_from_server(cause):
        return OutcomeUnknown(
            f"the connection was lost during a call ({shown}): it is unknown whether the call took effect. Marks, "
            "deletes and keyed sends may be repeated safely"
        )
    if is_missing_table(cause):
        return StoreError(f"{MISSING_TABLE} ({shown})")
    return StoreError(f"the database failed and nothing was changed: {shown}")


def is_missing_table(error: BaseException) -> bool:
    """Whether a driver's error is that a table does not exist."""
    if isinstance(error, sqlite3.Error):
        return str(error).startswith("no such table")  # SQLite has no code of its own for it
    return error_code(error) in ("42P01", 1146)  # PostgreSQL; MySQL and MariaDB


def is_from_server(error: BaseException) -> bool:
    """Whether the database reported the error. Otherwise the connection failed, and the outcome is unknown."""
    if isinstance(error, sqlite3.Error):
        return True
    match error_code(error):
        case str(sqlstate) if len(sqlstate) == 5:
            return not sqlstate.startswith(("08", "57P"))  # connection errors and server shutdown
        case int(number):
            return number >= 1000 and not 2000 <= number < 3000  # 2xxx are errors of the client library
    return False
