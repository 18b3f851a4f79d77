"""PostgresBackplane: the hub's events over LISTEN and NOTIFY, on two connections of its own."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, TypeAlias

import asyncpg  # type: ignore[import-untyped]

from notistore.errors import InvalidArgument
from notistore.hub.backplane import Missed, Receive, cancel, keep_connected
from notistore.sql.table import TABLE_NAME, Table

from .payloads import Joiner, Splitter
from .trigger import creation, removal

__all__ = ["Connect", "PostgresBackplane"]

Connect: TypeAlias = Callable[[], Awaitable[Any]]
"""Makes a new asyncpg connection, outside any pool."""

_ANSWER_TIMEOUT: Final = 3.0  # seconds to wait for a reply of the server
_CHECK_INTERVAL: Final = 1.0  # seconds between checks that a quiet connection is alive

_NOTIFY: Final = """
    SELECT count(pg_notify(channel, payload))
    FROM (SELECT channel, payload
          FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS message (channel, payload, place)
          ORDER BY place) AS ordered
"""


class PostgresBackplane:
    """A `notistore.hub.backplane.Backplane` on a PostgreSQL database.

    One connection listens, one notifies; both are the backplane's own, never part of a transaction of the
    application. Recipients are hashed to a fixed number of channels, and a process listens on those of its streams.

    Args:
        connect: "postgresql://..." for asyncpg, or a function that returns a new asyncpg connection. It must lead to
            the server itself: LISTEN does not work through a pooler in transaction mode.
        channels: the number of channels, the same in every process.
        prefix: the prefix of the channels' names: a lower-case identifier, the same in every process.
    """

    def __init__(self, connect: str | Connect, *, channels: int = 64, prefix: str = "notistore") -> None:
        if isinstance(connect, str) and not connect.startswith(("postgresql://", "postgres://")):
            scheme = connect.split(":", 1)[0]
            raise InvalidArgument(
                "connect", f'expected "postgresql://..." with no driver in it, or a function; got {scheme!r}'
            )
        if not 1 <= channels <= 10_000:
            raise InvalidArgument("channels", f"expected a number from 1 to 10,000, got {channels!r}")
        if not re.fullmatch("[a-z_][a-z0-9_]{0,49}", prefix):
            raise InvalidArgument("prefix", f"expected up to 50 of a-z, 0-9 and _, no digit first; got {prefix!r}")
        self._connect = connect
        self._channels = channels
        self._prefix = prefix
        self._splitter = Splitter()
        self._task: asyncio.Task[None] | None = None
        self._publishing: Any = None

    async def open(self, receive: Receive, missed: Missed) -> None:
        self._receive: Receive = receive
        self._missed: Missed = missed
        self._keys: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: list[asyncio.Future[None]] | None = None
        self._wake = asyncio.Event()
        self._joiner = Joiner(self._take, missed)
        self._tried = asyncio.Event()
        self._task = asyncio.create_task(keep_connected(self._session, "PostgreSQL backplane"))
        await self._tried.wait()

    async def subscribe(self, keys: Collection[str]) -> None:
        for key in keys:
            self._keys[self._channel(key)].add(key)
        await self._ask()

    async def unsubscribe(self, keys: Collection[str]) -> None:
        for key in keys:
            channel = self._channel(key)
            self._keys[channel].discard(key)
            if not self._keys[channel]:
                del self._keys[channel]
        await self._ask()

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        channels, payloads = [], []
        for key, message in messages:
            for payload in self._splitter.split(key, message):
                channels.append(self._channel(key))
                payloads.append(payload)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                if self._publishing is None:
                    self._publishing = await self._connected()
                await self._publishing.execute(_NOTIFY, channels, payloads)
        except BaseException:
            publishing, self._publishing = self._publishing, None
            if publishing is not None:
                publishing.terminate()
            raise

    async def close(self) -> None:
        if self._task is not None:
            await cancel(self._task)
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.terminate()

    async def create_trigger(self, *, table: str = TABLE_NAME, schema: str | None = None) -> None:
        """Create a trigger by which the database notifies of every row that is inserted, changed or deleted, at each
        commit. It may be called again, and must be when `prefix` or `channels` have changed.

        Streams of the row's recipient then get their current count and refetch, whichever program wrote the row.
        PostgreSQL 14 or newer. Creating it briefly locks the table against writes.

        Args:
            table: the table's name.
            schema: the table's schema, in which the function is created too; None for the first such table on the
                search path.

        Raises:
            asyncpg.PostgresError: there is no such table, or this role may not create triggers on it.
        """
        await self._execute(creation(Table(table, schema), self._prefix, self._channels))

    async def drop_trigger(self, *, table: str = TABLE_NAME, schema: str | None = None) -> None:
        """Drop the trigger of `create_trigger`, if it exists."""
        await self._execute(removal(Table(table, schema), self._prefix))

    async def _execute(self, statements: Sequence[str]) -> None:
        connection = await self._connected()
        try:
            async with connection.transaction():
                for statement in statements:
                    await connection.execute(statement)
        finally:
            await connection.close()

    def _channel(self, key: str) -> str:
        # The trigger computes the same in SQL.
        return f"{self._prefix}_{int.from_bytes(sha256(key.encode()).digest()[:3], 'big') % self._channels}"

    def _take(self, key: str, message: bytes) -> None:
        if key in self._keys.get(self._channel(key), ()):
            self._receive(key, message)

    def _notified(self, connection: object, process: int, channel: str, payload: str) -> None:
        self._joiner.add(payload)

    async def _connected(self) -> Any:
        return await (asyncpg.connect(self._connect) if isinstance(self._connect, str) else self._connect())

    async def _session(self, up: Callable[[], None]) -> None:
        """The life of one listening connection, which no other task uses."""
        connection = None
        listening: set[str] = set()
        waiting: list[asyncio.Future[None]] = []
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                connection = await self._connected()
            connection.add_termination_listener(lambda _: self._wake.set())
            self._waiting, again = waiting, bool(self._keys)
            await self._agree(connection, listening)
            up()
            self._tried.set()
            if again:
                self._missed()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_INTERVAL):
                        await self._wake.wait()
                self._wake.clear()
                if connection.is_closed():
                    raise ConnectionError("the connection to PostgreSQL was lost")
                answered = list(waiting)
                await self._agree(connection, listening)
                del waiting[: len(answered)]
                for asked in answered:
                    asked.set_result(None)
        finally:
            self._waiting = None
            self._tried.set()
            if connection is not None:
                connection.terminate()
            for asked in waiting:
                asked.set_exception(ConnectionError("the connection to PostgreSQL was lost before it replied"))
                asked.exception()  # mark as retrieved, even if no caller waits any more

    async def _agree(self, connection: Any, listening: set[str]) -> None:
        """LISTEN and UNLISTEN to match the subscribed keys; with nothing to change, check that the connection is
        alive."""
        added, dropped = self._keys.keys() - listening, listening - self._keys.keys()
        for channel in added:
            await _answered(connection.add_listener(channel, self._notified))
            listening.add(channel)
        for channel in dropped:
            await _answered(connection.remove_listener(channel, self._notified))
            listening.discard(channel)
        if not added and not dropped:
            await _answered(connection.execute("SELECT 1"))

    async def _ask(self) -> None:
        """Return once the session listens on all channels; after a timeout `missed` is called when it does."""
        if self._waiting is None:
            raise ConnectionError("no connection to PostgreSQL at the moment")
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(asked)
        self._wake.set()
        try:
            await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._late)
            raise

    def _late(self, asked: asyncio.Future[None]) -> None:
        if asked.exception() is None:
            self._missed()


async def _answered(call: Awaitable[object]) -> None:
    """Wait for the reply to one command. There is no limit for many, which take as many round trips."""
    async with asyncio.timeout(_ANSWER_TIMEOUT):
        await call
