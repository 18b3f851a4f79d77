"""RedisBackplane: the hub's events over Redis pub/sub, on one server or on the shards of a cluster."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Collection, Iterable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from notistore.hub.backplane import Missed, Receive

from .link import Link
from .topology import CONNECTION_TIMEOUT, Command, topology

__all__ = ["RedisBackplane"]

_log: Final = logging.getLogger("notistore.backplane")

_REPORT_DELAY: Final = 1.0  # seconds to wait for further nodes of a cluster that reconnect


class RedisBackplane:
    """A `notistore.hub.backplane.Backplane` on the Redis that the application's client talks to.

    Each process has two connections to it (to each primary of a cluster), made like the client's but apart from its
    pool: one listens, one publishes. Neither resends, so nothing is delivered twice. The client stays open.

    Args:
        client: a `redis.asyncio.Redis`, with any settings, or a `redis.asyncio.RedisCluster`, which needs Redis 7 for
            its sharded pub/sub.
        prefix: the prefix of its channels' names; a different one for each application on the same server.
    """

    def __init__(self, client: Redis | RedisCluster, *, prefix: str = "notistore:") -> None:
        self._topology = topology(client)
        self._prefix = prefix.encode()
        self._links: dict[str, Link] = {}
        self._unsettled = False
        self._report_timer: asyncio.TimerHandle | None = None

    async def open(self, receive: Receive, missed: Missed) -> None:
        self._receive: Receive = receive
        self._missed: Missed = missed
        self._links = {}
        try:
            await self._refresh()
        except Exception as error:
            self._unsettled = True
            _log.warning("the cluster's nodes are not known yet (%r)", error)
        for address in self._topology.addresses():
            self._link(address)
        tried = [asyncio.create_task(link.tried.wait()) for link in self._links.values()]
        if tried:
            await asyncio.wait(tried)

    async def subscribe(self, keys: Collection[str]) -> None:
        channels = defaultdict(set)
        for channel in map(self._channel, keys):
            channels[self._topology.owner(channel)].add(channel)
        await _all(self._link(address).subscribe(some) for address, some in channels.items())

    async def unsubscribe(self, keys: Collection[str]) -> None:
        channels = set(map(self._channel, keys))
        theirs = [(link, channels & link.channels) for link in self._links.values()]
        await _all(link.unsubscribe(some) for link, some in theirs if some)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        commands: defaultdict[str, list[Command]] = defaultdict(list)
        try:
            if self._unsettled:
                await self._refresh()
            for key, message in messages:
                channel = self._channel(key)
                commands[self._topology.owner(channel)].append((self._topology.publish, channel, message))
            await _all(self._link(address).publish(some) for address, some in commands.items())
        except BaseException:
            self._unsettled = True  # another node may own its channel by now
            raise

    async def close(self) -> None:
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report_timer = None
        links, self._links = self._links, {}
        await asyncio.gather(*(link.close() for link in links.values()))

    def _channel(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _take(self, channel: bytes, message: bytes) -> None:
        self._receive(channel[len(self._prefix) :].decode(), message)

    def _link(self, address: str) -> Link:
        link = self._links.get(address)
        if link is None:
            link = Link(self._topology, address, self._take, self._returned, self._settle)
            self._links[address] = link
        return link

    def _returned(self) -> None:
        """Some channels are subscribed again: call `missed` once all are, or soon if a node of the cluster stays
        down."""
        if all(link.listening for link in self._links.values() if link.channels):
            self._report_gap()
        elif self._report_timer is None:
            self._report_timer = asyncio.get_running_loop().call_later(_REPORT_DELAY, self._report_gap)

    def _report_gap(self) -> None:
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report_timer = None
        self._missed()

    async def _refresh(self) -> None:
        async with asyncio.timeout(CONNECTION_TIMEOUT):
            await self._topology.refresh()
        self._unsettled = False

    async def _settle(self) -> None:
        """Before a link reconnects: assign every channel to the server that owns it now."""
        await self._refresh()
        moved: defaultdict[str, set[bytes]] = defaultdict(set)
        for link in self._links.values():
            for channel in link.channels:
                owner = self._topology.owner(channel)
                if owner != link.address:
                    moved[owner].add(channel)
        for address, channels in moved.items():
            for link in self._links.values():
                link.channels -= channels
            await self._link(address).adopt(channels)
        known = self._topology.addresses()
        for address, link in list(self._links.items()):
            if not link.channels and address not in known:
                del self._links[address]
                await link.close()


async def _all(calls: Iterable[Awaitable[Any]]) -> None:
    """Run them concurrently, then raise the first error."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
