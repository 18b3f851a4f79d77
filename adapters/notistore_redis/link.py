"""The backplane's connections to one server: one that subscribes and reconnects, and one that publishes.

Every SUBSCRIBE is followed by a PING with a token: once its reply arrives, the subscription is confirmed. A PING each
second means that a healthy connection is never silent, so a half-open one is detected by a read timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeAlias

from redis.exceptions import ConnectionError, RedisError

from notistore.hub.backplane import Missed, cancel, keep_connected

from .topology import Command, Topology

Take: TypeAlias = Callable[[bytes, bytes], None]

_PING: Final = 1.0


class Link:
    """Keeps the channels in `channels` subscribed over reconnects; `listening` is whether it is subscribed now."""

    def __init__(
        self,
        topology: Topology,
        address: str,
        take: Take,
        missed: Missed,
        returning: Callable[[], Awaitable[None]],
    ) -> None:
        self.address = address
        self.channels: set[bytes] = set()
        self.listening = False
        self.tried = asyncio.Event()
        self._topology = topology
        self._take = take
        self._missed = missed
        self._returning = returning
        self._listener: Any = None
        self._publishing: Any = None
        self._tokens = count()
        self._unanswered: dict[bytes, asyncio.Future[None]] = {}
        self._task = asyncio.create_task(keep_connected(self._session, f"Redis backplane {address}".rstrip()))

    async def subscribe(self, channels: Collection[bytes]) -> None:
        """Return once they are subscribed; if that fails they are on reconnect, followed by `missed`."""
        self.channels.update(channels)
        answered = await self._ask(self._topology.subscribe, channels)
        try:
            await asyncio.shield(answered)
        except asyncio.CancelledError:
            answered.add_done_callback(self._caught_up)  # the caller has got the error
            raise

    async def adopt(self, channels: Collection[bytes]) -> None:
        """Subscribe without waiting; `missed` is called afterwards."""
        self.channels.update(channels)
        with suppress(RedisError):
            (await self._ask(self._topology.subscribe, channels)).add_done_callback(self._caught_up)

    async def unsubscribe(self, channels: Collection[bytes]) -> None:
        self.channels.difference_update(channels)
        await (await self._ask(self._topology.unsubscribe, channels))

    async def publish(self, commands: Sequence[Command]) -> None:
        """Send them at once and return when each has a reply; raises if one failed."""
        connection = self._publishing
        try:
            if connection is None:
                connection = self._publishing = self._topology.connection(self.address)
                await connection.connect()
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _ in commands:
                await connection.read_response()
        except BaseException:
            self._publishing = None
            if connection is not None:
                await connection.disconnect(nowait=True)
            raise

    async def close(self) -> None:
        """End both connections. A session may close its own link, and is cancelled then."""
        if self._publishing is not None:
            await self._publishing.disconnect(nowait=True)
        await cancel(self._task)

    async def _session(self, up: Callable[[], None]) -> None:
        connection = pinging = None

        def begun(answered: asyncio.Future[None]) -> None:
            if answered.exception() is None:
                up()
                self.listening = True
                self.tried.set()
                if again:
                    self._missed()

        try:
            if self.tried.is_set():
                await self._returning()
            connection = self._topology.connection(self.address)
            await connection.connect()
            self._listener = connection
            again = bool(self.channels)
            (await self._ask(self._topology.subscribe, self.channels)).add_done_callback(begun)
            pinging = asyncio.create_task(self._ping())
            while True:
                self._read(await connection.read_response())
        finally:
            self._listener = None
            self.listening = False
            self.tried.set()
            if pinging is not None:
                pinging.cancel()
            if connection is not None:
                await connection.disconnect(nowait=True)
            unanswered, self._unanswered = self._unanswered, {}
            for answered in unanswered.values():
                if not answered.done():
                    answered.set_exception(ConnectionError("the connection to Redis was lost before it replied"))
                    answered.exception()  # mark as retrieved, even if no caller waits any more

    def _read(self, reply: Any) -> None:
        if isinstance(reply, bytes):
            reply = [b"pong", reply]  # as it comes while nothing is subscribed
        kind, channel, data = reply[0], reply[1], reply[-1]
        if kind in (b"message", b"smessage"):
            self._take(channel, data)
        elif kind == b"pong":
            answered = self._unanswered.pop(data, None)
            if answered is not None and not answered.done():
                answered.set_result(None)
        elif kind == b"sunsubscribe" and channel in self.channels:
            raise ConnectionError("the slots of some channels have moved to another node")

    async def _ask(self, verb: str, channels: Iterable[bytes]) -> asyncio.Future[None]:
        token = b"%d" % next(self._tokens)
        commands: list[Command] = [(verb, *batch) for batch in self._topology.batches(channels) if batch]
        answered = self._unanswered[token] = asyncio.get_running_loop().create_future()
        try:
            await self._send([*commands, ("PING", token)])
        except BaseException:
            self._unanswered.pop(token, None)
            raise
        return answered

    async def _ping(self) -> None:
        with suppress(RedisError):  # the reader gets the error too
            while True:
                await asyncio.sleep(_PING)
                await self._send([("PING", "")])

    async def _send(self, commands: Collection[Command]) -> None:
        connection = self._listener
        # A disconnected one would reconnect by itself, without subscriptions.
        if connection is None or not connection.is_connected:
            raise ConnectionError("no connection to Redis at the time_to_text")
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        except AttributeError as error:  # raised by redis-py if it was disconnected before the write
            raise ConnectionError("the connection to Redis was lost") from error

    def _caught_up(self, answered: asyncio.Future[None]) -> None:
        if not answered.cancelled() and answered.exception() is None:
            self._missed()
