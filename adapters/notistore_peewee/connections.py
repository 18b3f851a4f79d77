"""One call of the contract: the connection it has, its errors as the contract's, and when it is tried again.

Peewee's connections and transactions are ambient: one per thread, or per task where the database is asynchronous. All
of this is synchronous; for an asynchronous database it runs across Peewee's bridge, `database.run`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from peewee import PeeweeException

from notistore.conflicts import error_code, is_transient, pauses
from notistore.errors import NotistoreError, OutcomeUnknown, StoreError

from .model import kind

__all__ = ["is_async", "run"]

T = TypeVar("T")

_log = logging.getLogger("notistore")


_giving_back: Final[set[asyncio.Task[None]]] = set()  # the loop holds its tasks weakly


def is_async(database: Any) -> bool:
    # Not by its class: importing that needs greenlet, which synchronous applications do without.
    return hasattr(database, "aexecute_sql")


def run(database: Any, body: Callable[[], T], *, writes: bool) -> T:
    """Run one call of the contract.

    Inside a transaction of the host's it only joins. Outside one it is repeated when another transaction was in its
    way, on the connection that this thread or task has open, or else on one that is given back after it.
    """
    if database.in_transaction():
        with _translated():
            return body()
    waits = pauses()
    while True:
        with _translated(), _connected(database):
            try:
                return body()
            except NotistoreError:
                raise
            except Exception as error:
                if writes and not _was_refused(error):
                    raise OutcomeUnknown(
                        "the connection was lost during a call: what was asked happened wholly or not at all. Marks, "
                        "deletes and keyed sends may be repeated safely"
                    ) from error
                if not is_transient(_cause(error)) or (wait := next(waits, None)) is None:
                    raise
        _sleep(database, wait)


@contextmanager
def _connected(database: Any) -> Iterator[None]:
    mine = database.is_closed()
    if mine and is_async(database):
        _wait_for(_open(database))
    elif mine or is_async(database):  # an asynchronous one replaces a connection that broke
        database.connect()
    try:
        yield
    except asyncio.CancelledError:
        if kind(database) == "sqlite":
            _settle(database)
        raise
    finally:
        if mine:
            _close(database)


async def _open(database: Any) -> None:
    """What `aconnect` does; that loses a connection which the pool hands to a task cancelled meanwhile."""
    acquiring = asyncio.ensure_future(database._acquire_conn_async())
    try:
        connection = await asyncio.shield(acquiring)
    except asyncio.CancelledError:
        giving_back = asyncio.create_task(_give_back(database, acquiring))
        _giving_back.add(giving_back)
        giving_back.add_done_callback(_giving_back.discard)
        raise
    database._state.set_connection(connection)


async def _give_back(database: Any, acquiring: asyncio.Future[Any]) -> None:
    with suppress(Exception):  # there was none to be had, which nobody waits to hear
        await database._release_conn(await acquiring)


def _settle(database: Any) -> None:
    """A statement that was cancelled goes on in aiosqlite's thread. Wait for it, and take back what it began."""
    database.execute_sql("SELECT 1")
    if database.connection().conn.in_transaction:
        database.execute_sql("ROLLBACK")


def _close(database: Any) -> None:
    try:
        database.close()
    except Exception:
        _log.warning("closing a connection failed; what was done on it stands", exc_info=True)


@contextmanager
def _translated() -> Iterator[None]:
    """Whatever the driver raises within comes out as a StoreError."""
    try:
        yield
    except NotistoreError:
        raise
    except Exception as error:  # drivers let OSError, their own and internal errors through when a connection breaks
        cause = _cause(error)
        raise StoreError(f"the database failed and nothing was changed: {type(cause).__name__}: {cause}") from error


def _cause(error: Exception) -> Exception:
    """The driver's own error."""
    cause: Exception | None = getattr(error, "orig", None) if isinstance(error, PeeweeException) else None
    return cause or error


def _was_refused(error: Exception) -> bool:
    """Whether the database itself answered that it failed, and so did nothing; without an answer nobody knows."""
    if isinstance(_cause(error), sqlite3.Error):
        return True
    match error_code(_cause(error)):
        case str(sqlstate) if len(sqlstate) == 5:
            return not sqlstate.startswith(("08", "57P"))  # the connection's end, told by the driver or by the server
        case int(number):
            return number >= 1000 and not 2000 <= number < 3000  # those are the driver's own
    return False


def _sleep(database: Any, seconds: float) -> None:
    if is_async(database):
        _wait_for(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)


def _wait_for(awaitable: Awaitable[None]) -> None:
    from playhouse.pwasyncio import await_  # type: ignore[import-untyped]

    await_(awaitable)
