"""A cluster of three nodes: what the Redis tests need besides a plain server."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import redis

from ...servers import RedisServer, _free_port

SLOTS = 16384


class ClusterNode(RedisServer):
    """One node, which writes every change down before it answers, so that it may be killed and started again."""

    def _command(self) -> list[str]:
        self.bus_port = getattr(self, "bus_port", None) or _free_port()
        return [
            *super()._command(),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-node-timeout", "2000"),
            *("--appendonly", "yes", "--appendfsync", "always"),
        ]


class Cluster:
    """Three primaries that share the slots; a context manager. `url` is the first one's."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.nodes = [stack.enter_context(ClusterNode()) for _ in range(3)]
            self.url = self.nodes[0].url
            clients = [stack.enter_context(redis.Redis.from_url(node.url)) for node in self.nodes]
            for n, client in enumerate(clients):
                first, last = SLOTS * n // 3, SLOTS * (n + 1) // 3 - 1
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                for other in self.nodes[:n]:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other.bus_port)
            self.wait_until_whole()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wait_until_whole(self) -> None:
        """Return once every node serves every slot."""
        deadline = time.monotonic() + 30
        for node in self.nodes:
            with redis.Redis.from_url(node.url, decode_responses=True) as client:
                while not _knows_all(client):
                    assert time.monotonic() < deadline, "the cluster did not form within 30 s"
                    time.sleep(0.02)


def connect(url: str, **options: Any) -> redis.RedisCluster:
    """A sync client of a cluster. Made by `from_url`, redis-py's leaves a socket open when it is closed."""
    parts = urlsplit(url)
    return redis.RedisCluster(host=parts.hostname, port=parts.port, **options)


def _knows_all(client: redis.Redis) -> bool:
    state = client.execute_command("CLUSTER INFO")
    return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3"
