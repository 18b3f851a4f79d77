"""What the client raises as the contract's errors, and which of it a store may answer by trying again.

The client's own exception classes are generated with it, in a package of the application's choice: they are told
apart by Prisma's codes (https://www.prisma.io/docs/orm/reference/error-reference), which are the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from notistore.errors import NotistoreError, OutcomeUnknown, StoreError

__all__ = ["is_duplicate", "is_transient", "translated"]

_TRANSIENT: Final = re.compile(r"\b(P2034|40001|40P01)\b")  # a write conflict or deadlock; PostgreSQL's two codes of it
_LOST: Final = ("P1017",)  # the database closed the connection
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@contextmanager
def translated(*, writes: bool) -> Iterator[None]:
    """Whatever the client raises within comes out as a StoreError."""
    try:
        yield
    except NotistoreError:
        raise
    except Exception as error:  # the client's own, its HTTP library's, and internal ones of either when an engine dies
        shown = f"{type(error).__name__}: {error}".rstrip(": ")
        if writes and _is_lost(error):
            raise OutcomeUnknown(
                f"the reply was lost ({shown}): what was asked happened wholly or not at all. Marks, deletes and keyed "
                "sends may be repeated safely"
            ) from error
        raise StoreError(f"the database or Prisma's engine failed and nothing was changed: {shown}") from error


def is_duplicate(error: StoreError) -> bool:
    """Whether a unique constraint was violated."""
    return getattr(error.__cause__, "code", None) == "P2002"


def is_transient(error: StoreError) -> bool:
    """Whether another transaction was in the way, so that the same call may well succeed now."""
    cause = error.__cause__
    told = (getattr(cause, "code", None), getattr(cause, "meta", None), cause)
    return any(_TRANSIENT.search(str(each)) for each in told)


def _is_lost(error: Exception) -> bool:
    if isinstance(error, httpx.TransportError):
        return not isinstance(error, _NOT_SENT)
    return getattr(error, "code", None) in _LOST
