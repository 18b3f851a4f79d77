"""Translation of the client's exceptions into the contract's errors, and which of them are retried.

The client's exception classes are generated with it, in a package of the application's choice, so they are
distinguished by Prisma's codes (https://www.prisma.io/docs/orm/reference/error-reference), which are the same
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from notistore.errors import NotistoreError, OutcomeUnknown, StoreError
from notistore.sql.errors import MISSING_TABLE

__all__ = ["is_duplicate", "is_transient", "translated"]

_TRANSIENT: Final = re.compile(r"\b(P2034|40001|40P01)\b")  # a write conflict or deadlock; PostgreSQL's two codes of it
_MISSING_TABLE: Final = re.compile(r"\b(P2021|42P01)\b|no such table")  # of the model; in raw SQL
_LOST: Final = ("P1017",)  # the database closed the connection
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@contextmanager
def translated(*, writes: bool) -> Iterator[None]:
    """Translates exceptions of the client in the block into StoreError."""
    try:
        yield
    except NotistoreError:
        raise
    except Exception as error:  # exceptions of the client and its HTTP library, also internal ones when an engine dies
        shown = f"{type(error).__name__}: {error}".rstrip(": ")
        if writes and _is_lost(error):
            raise OutcomeUnknown(
                f"the reply was lost ({shown}): it is unknown whether the call took effect. Marks, deletes and keyed "
                "sends may be repeated safely"
            ) from error
        if _mentions(_MISSING_TABLE, error):
            raise StoreError(f"{MISSING_TABLE} ({shown})") from error
        raise StoreError(f"the database or Prisma's engine failed and nothing was changed: {shown}") from error


def is_duplicate(error: StoreError) -> bool:
    """Whether a unique constraint was violated."""
    return getattr(error.__cause__, "code", None) == "P2002"


def is_transient(error: StoreError) -> bool:
    """Whether the error is a write conflict, a deadlock or a serialization failure, after which a retry helps."""
    return _mentions(_TRANSIENT, error.__cause__)


def _mentions(pattern: re.Pattern[str], error: BaseException | None) -> bool:
    """Whether the pattern is in an exception's code, details or message."""
    texts = (getattr(error, "code", None), getattr(error, "meta", None), error)
    return any(pattern.search(str(each)) for each in texts)


def _is_lost(error: Exception) -> bool:
    if isinstance(error, httpx.TransportError):
        return not isinstance(error, _NOT_SENT)
    return getattr(error, "code", None) in _LOST
