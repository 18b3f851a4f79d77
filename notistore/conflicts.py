"""What SQL databases say when transactions or rows get in each other's way, and how long to wait before trying again.

For adapters: a store that owns its transaction tries again after a deadlock or a serialisation failure.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["error_code", "is_transient", "pauses", "taken_id"]

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
_TAKEN: Final = (
    re.compile(r"\(id\)=\(([0-9a-f-]{36})\)"),  # PostgreSQL, in any language
    re.compile(r"'([0-9a-f-]{36})' for key '(?:[^']*\.)?PRIMARY'"),  # MySQL and MariaDB
)
_RETRIES: Final = 8


def error_code(error: BaseException | None) -> str | int | None:
    """A driver's error as PostgreSQL's SQLSTATE, MySQL's number or SQLite's primary result code; None without one."""
    if (sqlite := getattr(error, "sqlite_errorcode", None)) is not None:
        return int(sqlite) & 0xFF
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    code = code or next(iter(getattr(error, "args", ())), None)
    return code if isinstance(code, str | int) else None


def is_transient(error: BaseException | None) -> bool:
    """Whether a driver's error says that another transaction was in the way: the same call may well succeed now."""
    return error_code(error) in _TRANSIENT


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: jittered, doubling, about 1.3 s in all on average."""
    for attempt in range(_RETRIES):
        yield random.uniform(0, 0.01 * 2**attempt)


def taken_id(said: object) -> str | None:
    """The id that a unique violation names, where it is the primary key's; SQLite's names none."""
    found = next(filter(None, (pattern.search(str(said)) for pattern in _TAKEN)), None)
    return found[1] if found else None
