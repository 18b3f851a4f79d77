"""Drivers' errors as the contract's, and which of them a call that owns its transaction may answer by trying again."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from notistore import conflicts
from notistore.errors import DuplicateNotification, NotistoreError, OutcomeUnknown, StoreError


class _Translated:
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # Drivers let OSError, their own and internal errors through when a connection breaks.
        if isinstance(error, Exception) and not isinstance(error, NotistoreError):
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(f"the database failed and nothing was changed: {type(cause).__name__}: {cause}") from error


translated: Final = _Translated()
"""Whatever the driver raises within comes out as a StoreError."""


def commit(connection: Connection) -> None:
    """Only a connection lost during COMMIT leaves the outcome unknown: lost earlier, the database rolls back."""
    try:
        connection.commit()
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
    return conflicts.is_transient(getattr(error.__cause__, "orig", None))


def duplicate(error: IntegrityError) -> DuplicateNotification | None:
    """Which id was taken, where the database's error says that its primary key was; SQLite's does not."""
    # asyncpg's detail is only in its own error.
    taken = conflicts.taken_id(f"{error.orig} {error.orig and error.orig.__cause__}")
    return DuplicateNotification(taken) if taken else None
