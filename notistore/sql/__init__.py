"""Everything that stores over SQL databases share, for authors of adapters.

An adapter for another SQL library implements a **host**: an object that runs one call on a connection of that library.
This package has the rest: the table, the statements of each dialect, the calls of the contract, the translation of
errors, retries, and the blocking and asynchronous stores. `notistore_sqlite`, `notistore_asyncpg` and
`notistore_psycopg` are examples. A complete asynchronous host over a connection pool:

    STATEMENTS = statements_for(Table(), Dialect("postgresql", "$"))

    class Sender:                                   # AsyncConnection
        def __init__(self, connection): ...
        async def fetch(self, sql, parameters): return await self.connection.fetch(sql, *parameters)
        async def change(self, sql, parameters): ...                # returns the number of rows changed

    class PoolHost(AsyncHost):                      # over an ORM, with `cause`: the driver's error in the ORM's
        async def perform(self, work):
            async with self.pool.acquire() as connection:
                if not work.begin(STATEMENTS):                      # one statement, which commits by itself
                    return await work.run_async(Sender(connection))
                async with connection.transaction():
                    return await work.run_async(Sender(connection))

    class MyStore(SQLStore):
        def __init__(self, pool): super().__init__(PoolHost(pool))

        def bind(self, session): return BoundSQLStore(BoundHost(session))

The rules for a host:

- `perform` makes **one attempt**. The store translates errors and retries; a host lets exceptions propagate, but leaves
  the connection usable. Get the connection before `work.run`: an error before it is never reported as an unknown
  outcome, since nothing was sent.
- Call `work.begin(statements, joined=..., autocommit=...)` first, once per attempt. `joined` means that the connection
  is in a transaction of the application: then nothing is retried, and if `begin` returns True the host opens a
  savepoint. Otherwise, if `begin` returns True, the host opens a transaction. With `autocommit=False` every call that
  writes needs one; a call that only reads may be rolled back.
- If blocking code is run for an asynchronous application (in greenlets or threads), switch to it once per call: in
  `perform`, with `work.run` called on the other side.
- On cancellation (CancelledError) roll back the statements of the attempt, and release the connection; for libraries
  that lose it see cancellation.py. MySQL and MariaDB complete a statement that waits for a lock although its client has
  disconnected: there an asynchronous host calls `begin` with `autocommit=False`, so that the server rolls back.
- `fetch` returns rows that iterate over their values in the order selected. Every selected column has a different name,
  so for rows that are mappings `values()` serves. `change` returns the number of rows inserted, updated or deleted; no
  statement here depends on whether a driver counts matched or changed rows. Over the DB-API's cursors,
  `CursorConnection` has both.
- Parameters are str, int, None, list of str or None (PostgreSQL's arrays), and times: aware datetimes for PostgreSQL,
  naive ones in UTC for MySQL and MariaDB, integers for SQLite. No type of the driver or ORM may convert them. The
  placeholder is "?", "%s" or `$1`, according to the `Dialect`, and no statement contains a literal "%".
- psycopg converts times to the session's time zone and parses them by its DateStyle, so use `Dialect("postgresql",
  "%s", times_as_milliseconds=True)` with it.
- The stores' `create_schema` creates the table as in docs/schema.md; an adapter whose users may add columns overrides
  it.
- `TransactionCallbacks` collects the callbacks for `after_commit`: report savepoints and the end of the transaction to
  it, or the statements that are executed. If an application caught an SQL error on PostgreSQL, its COMMIT rolls back
  without an error: report errors by `failed`, or call `is_aborted` before the COMMIT. A COMMIT that the adapter itself
  executes belongs inside `committing`.

docs/decisions/0030-one-sql-room.md explains why the calls are generators.
"""

from .after_commit import TransactionCallbacks, is_aborted
from .connection import AsyncBoundHost, AsyncConnection, AsyncHost, BoundHost, Connection, CursorConnection, Host
from .dialect import Dialect
from .statements import Statement, Statements, statements_for
from .stores import BoundSQLStore, BoundSyncSQLStore, SQLStore, SyncSQLStore
from .table import Table
from .work import Block, Call, Work

__all__ = [
    "AsyncBoundHost",
    "AsyncConnection",
    "AsyncHost",
    "Block",
    "BoundHost",
    "BoundSQLStore",
    "BoundSyncSQLStore",
    "Call",
    "Connection",
    "CursorConnection",
    "Dialect",
    "Host",
    "SQLStore",
    "Statement",
    "Statements",
    "SyncSQLStore",
    "Table",
    "TransactionCallbacks",
    "Work",
    "is_aborted",
    "statements_for",
]
