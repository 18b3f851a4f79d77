"""Translation of database drivers' errors into the contract's errors."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

from ..errors import DuplicateNotification, OutcomeUnknown, StoreError
from .retry import error_code
from .work import Work

__all__ = ["duplicate_id", "is_from_server", "store_error"]

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
    return StoreError(f"the database failed and nothing was changed: {shown}")


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
