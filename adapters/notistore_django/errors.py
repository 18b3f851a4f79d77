"""Django's database errors as the contract's, and which of them a call of its own may answer by trying again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.conflicts import is_transient, pauses
from notistore.errors import OutcomeUnknown, StoreError

T = TypeVar("T")


def run(connection: BaseDatabaseWrapper, body: Callable[[BaseDatabaseWrapper], T], *, writes: bool) -> T:
    """Run one call of the contract, and tell its errors as the contract does.

    Inside a transaction of the host's it only joins. Outside one it is repeated when another transaction was in its
    way, and a connection that broke is closed, so that the next call opens another.
    """
    if connection.in_atomic_block:
        try:
            return body(connection)
        except Error as error:
            raise _failed(error) from error
    waits = pauses()
    while True:
        if connection.connection is None:
            try:
                connection.ensure_connection()
            except Error as error:
                raise _failed(error) from error
        try:
            return body(connection)
        except Error as error:
            if _close_if_broken(connection) and writes:
                raise OutcomeUnknown(
                    "the connection was lost during a call: what was asked happened wholly or not at all. Marks, "
                    "deletes and keyed sends may be repeated safely"
                ) from error
            if not is_transient(error.__cause__) or (wait := next(waits, None)) is None:
                raise _failed(error) from error
        time.sleep(wait)


def _failed(error: Error) -> StoreError:
    cause = error.__cause__ or error
    return StoreError(f"the database failed and nothing was changed: {type(cause).__name__}: {cause}")


def _close_if_broken(connection: BaseDatabaseWrapper) -> bool:
    if connection.connection is not None and connection.errors_occurred and not connection.is_usable():
        connection.close()
    return connection.connection is None
