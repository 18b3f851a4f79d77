"""Finds the server of a channel: the only one, or the cluster's node that owns the channel's slot.

It makes the backplane's connections with the settings of the application's client (TLS, credentials, sentinels), but
without decoding and retries and with timeouts. They are not taken from the client's pool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Protocol

import redis.asyncio
import redis.asyncio.cluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisClusterException

from notistore.errors import InvalidArgument

CONNECTION_TIMEOUT: Final = 3.0  # seconds without data from the server after which a connection is considered lost

Command = tuple[str | bytes, ...]


class Topology(Protocol):
    subscribe: str
    unsubscribe: str
    publish: str

    def addresses(self) -> Collection[str]:
        """The addresses of all known servers that may own a channel."""
        ...

    def owner(self, channel: bytes) -> str:
        """The address of a channel's server; "" if unknown."""
        ...

    def connection(self, address: str) -> Any:
        """A new connection, not connected yet. Raises ConnectionError if there is no such server."""
        ...

    def batches(self, channels: Iterable[bytes]) -> Collection[Collection[bytes]]:
        """The channels in groups that one command may contain."""
        ...

    async def refresh(self) -> None:
        """Refresh the owners of the slots."""
        ...


def topology(client: object) -> Topology:
    """The topology of a client."""
    if isinstance(client, redis.asyncio.cluster.RedisCluster):
        return Shards(client)
    if isinstance(client, redis.asyncio.Redis):
        return OneServer(client)
    raise InvalidArgument("client", f"expected a redis.asyncio.Redis or RedisCluster, got {client!r}")


class OneServer:
    """Pub/sub on the server of the client's pool, which Sentinel may choose."""

    subscribe, unsubscribe, publish = "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH"

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool = client.connection_pool

    def addresses(self) -> Collection[str]:
        return [""]

    def owner(self, channel: bytes) -> str:
        return ""

    def connection(self, address: str) -> Any:
        return _connection(self._pool.connection_class, self._pool.connection_kwargs)

    def batches(self, channels: Iterable[bytes]) -> Collection[Collection[bytes]]:
        return [list(channels)]

    async def refresh(self) -> None:
        pass


class Shards:
    """Sharded pub/sub: a message goes to the node that owns its channel's slot, and to no other."""

    subscribe, unsubscribe, publish = "SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH"

    def __init__(self, client: redis.asyncio.cluster.RedisCluster) -> None:
        self._client = client

    def addresses(self) -> Collection[str]:
        return [node.name for node in self._client.get_primaries()]

    def owner(self, channel: bytes) -> str:
        try:
            node = self._client.nodes_manager.get_node_from_slot(self._client.keyslot(channel))
        except (RedisClusterException, LookupError):  # the latter while it knows no node
            return ""
        return str(node.name)

    def connection(self, address: str) -> Any:
        node = self._client.get_node(node_name=address) if address else None
        if node is None:
            raise ConnectionError(f"the cluster has no node {address!r}" if address else "no node owns these slots now")
        return _connection(node.connection_class, node.connection_kwargs)

    def batches(self, channels: Iterable[bytes]) -> Collection[Collection[bytes]]:
        slots = defaultdict(list)
        for channel in channels:
            slots[self._client.keyslot(channel)].append(channel)
        return slots.values()

    async def refresh(self) -> None:
        await self._client.initialize()
        await self._client.nodes_manager.initialize()


def _connection(kind: Any, options: Mapping[str, Any]) -> Any:
    # What belongs to the pool's own upkeep of RESP3 connections has no meaning here.
    upkeep = ("maint", "oss_cluster", "orig_", "himport")
    return kind(
        **{name: value for name, value in options.items() if not name.startswith(upkeep)}
        | {
            "decode_responses": False,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "socket_timeout": CONNECTION_TIMEOUT,
            "socket_connect_timeout": CONNECTION_TIMEOUT,
            "health_check_interval": 0,
        }
    )
