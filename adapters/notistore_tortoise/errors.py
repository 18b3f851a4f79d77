"""Tortoise's and its drivers' errors as the contract's, and which of them a call may answer by trying again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, TypeVarTuple

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.exceptions import DBConnectionError

from notistore.conflicts import error_code, is_transient, pauses
from notistore.errors import NotistoreError, OutcomeUnknown, StoreError

__all__ = ["cause_of", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LOST: Final = frozenset(
    {
        "08003",  # asyncpg: connection_does_not_exist, closed in the middle of an operation
        "08006",  # PostgreSQL: connection_failure
        2006,  # MariaDB's clients: server has gone away
        2013,  # MariaDB's clients: lost connection during query
    }
)


async def run(client: BaseDBAsyncClient, call: Callable[[*Ts], Awaitable[T]], *args: *Ts, writes: bool) -> T:
    """Make one call of the contract, and tell its errors as the contract does.

    Inside a transaction it only joins. Outside one it is repeated when another transaction was in its way.
    """
    waits = None
    while True:
        try:
            if client.capabilities.dialect == "sqlite" and client._connection is None:
                await _open(client)
            return await call(*args)
        except NotistoreError:
            raise
        except Exception as error:  # Tortoise lets most of its drivers' errors through as they are
            cause, joined = cause_of(error), isinstance(client, TransactionalDBClient)
            waits = waits or pauses()
            wait = next(waits, None) if is_transient(cause) and not joined else None
            if wait is None:
                raise _told(cause, unknown_when_lost=writes and not joined) from cause
        await asyncio.sleep(wait)


def _told(cause: BaseException, *, unknown_when_lost: bool) -> StoreError:
    shown = f"{type(cause).__name__}: {cause}"
    if unknown_when_lost and _is_lost(cause):
        return OutcomeUnknown(
            f"the connection was lost during a call ({shown}): what was asked happened wholly or not at all. "
            "Marks, deletes and keyed sends may be repeated safely"
        )
    return StoreError(f"the database failed and nothing was changed: {shown}")


async def _open(client: BaseDBAsyncClient) -> None:
    """Open a SQLite file before Tortoise does: when that fails, or is cancelled, Tortoise never releases its lock."""
    async with client._lock:  # type: ignore[attr-defined]
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
