"""Tortoise's and its drivers' errors as the contract's, and which of them a call may answer by trying again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.exceptions import DBConnectionError

from notistore.conflicts import error_code, is_transient, pauses
from notistore.errors import NotistoreError, OutcomeUnknown, StoreError

__all__ = ["cause_of", "run"]

T = TypeVar("T")

_LOST: Final = frozenset(
    {
        "08003",  # asyncpg: connection_does_not_exist, closed in the middle of an operation
        "08006",  # PostgreSQL: connection_failure
        2006,  # MariaDB's clients: server has gone away
        2013,  # MariaDB's clients: lost connection during query
    }
)


async def run(client: BaseDBAsyncClient, call: Callable[[], Awaitable[T]], *, writes: bool) -> T:
    """Make one call of the contract, and tell its errors as the contract does.

    Inside a transaction it only joins. Outside one it is repeated when another transaction was in its way.
    """
    joined = isinstance(client, TransactionalDBClient)
    for pause in () if joined else pauses():
        try:
            return await _try(client, call, unknown_when_lost=writes)
        except StoreError as error:
            if not is_transient(error.__cause__):
                raise
        await asyncio.sleep(pause)
    return await _try(client, call, unknown_when_lost=writes and not joined)


async def _try(client: BaseDBAsyncClient, call: Callable[[], Awaitable[T]], *, unknown_when_lost: bool) -> T:
    try:
        await _open(client)
        return await call()
    except NotistoreError:
        raise
    except Exception as error:  # Tortoise lets most of its drivers' errors through as they are
        cause = cause_of(error)
        shown = f"{type(cause).__name__}: {cause}"
        if unknown_when_lost and _is_lost(cause):
            raise OutcomeUnknown(
                f"the connection was lost during a call ({shown}): what was asked happened wholly or not at all. "
                "Marks, deletes and keyed sends may be repeated safely"
            ) from cause
        raise StoreError(f"the database failed and nothing was changed: {shown}") from cause


async def _open(client: BaseDBAsyncClient) -> None:
    """Open a SQLite file before Tortoise does: when that fails, or is cancelled, Tortoise never releases its lock."""
    if isinstance(client, SqliteClient) and client._connection is None:
        async with client._lock:
            await client.create_connection(with_db=True)


def cause_of(error: BaseException) -> BaseException:
    """The driver's own error, when it came in one of Tortoise's."""
    inner = error.__context__ if isinstance(error, DBConnectionError) else next(iter(error.args), None)
    return inner if isinstance(inner, BaseException) else error


def _is_lost(cause: BaseException) -> bool:
    if isinstance(cause, ConnectionError):
        return not isinstance(cause, ConnectionRefusedError | DBConnectionError)
    if type(cause).__module__ == "psycopg" and type(cause).__name__ == "OperationalError":
        return getattr(cause, "sqlstate", None) is None  # its pool reports what happens on connecting in its own words
    return error_code(cause) in _LOST
