"""Redis Cluster, with replicas or without, and Redis under Sentinel."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import redis

from ..servers import START_TIMEOUT, RedisServer, free_port

SLOTS = 16384


class ClusterNode(RedisServer):
    """One node, which writes every change to disk before it replies, so that it may be killed and restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.bus_port = free_port()

    def _command(self) -> list[str]:
        return [
            *super()._command(),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-node-timeout", "2000"),
            *("--appendonly", "yes", "--appendfsync", "always"),
        ]

    @property
    def id(self) -> str:
        """Its node id in the cluster."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return str(client.execute_command("CLUSTER MYID"))


class Cluster:
    """Three primaries that share the slots. `url` is the first one's.

    Args:
        replicas: how many follow each primary.

    Attributes:
        primaries: the nodes that had the slots at first.
        replicas: their replicas, in the same order, as many rounds as there are replicas for each.
    """

    def __init__(self, *, replicas: int = 0) -> None:
        self.primaries = [ClusterNode() for _ in range(3)]
        self.replicas = [ClusterNode() for _ in range(3 * replicas)]
        self.nodes = [*self.primaries, *self.replicas]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self.url = self.nodes[0].url
            for n, node in enumerate(self.nodes):
                with redis.Redis.from_url(node.url) as client:
                    client.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
                    if n < 3:
                        first, last = SLOTS * n // 3, SLOTS * (n + 1) // 3 - 1
                        client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                    for other in self.nodes[:n]:
                        client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other.bus_port)
            self.wait_until_whole()
            for n, node in enumerate(self.replicas):
                with redis.Redis.from_url(node.url) as client:
                    client.execute_command("CLUSTER REPLICATE", self.primaries[n % 3].id)
                _wait(node, ("INFO", "replication"), lambda reply: reply.get("master_link_status") == "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wait_until_whole(self) -> None:
        """Return once every node reports that all slots are served."""
        for node in self.nodes:
            _wait(node, ("CLUSTER INFO",), self._is_whole)

    def _is_whole(self, reply: dict[str, Any]) -> bool:
        return reply["cluster_state"] == "ok" and int(reply["cluster_known_nodes"]) == len(self.nodes)

    def wait_for_promotion(self, node: ClusterNode) -> None:
        """Return once this replica has become a primary that serves its slots."""
        _wait(node, ("INFO", "replication"), lambda reply: reply["role"] == "master")
        _wait(node, ("CLUSTER INFO",), lambda reply: reply["cluster_state"] == "ok")

    def move_slots(self, source: ClusterNode, target: ClusterNode, slots: range) -> int:
        """Move slots with their keys while they are in use, as `redis-cli --cluster reshard`. Returns how many keys."""
        moved = 0
        with (
            redis.Redis.from_url(source.url, decode_responses=True) as giving,
            redis.Redis.from_url(target.url, decode_responses=True) as taking,
        ):
            source_id, target_id = source.id, target.id
            for slot in slots:
                taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
                giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
                while keys := giving.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                    giving.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
                    moved += len(keys)
                for client in (taking, giving):
                    client.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)
        return moved


class Sentinel(RedisServer):
    """A Redis Sentinel with a quorum of two."""

    ready_line = b"+monitor master"

    def __init__(self, primary: RedisServer) -> None:
        super().__init__()
        self._primary = primary

    def _prepare(self) -> None:
        super()._prepare()
        self._configuration = self.folder / "sentinel.conf"  # a Sentinel keeps what it knows there
        self._configuration.write_text(
            f"sentinel monitor notistore 127.0.0.1 {self._primary.port} 2\n"
            "sentinel down-after-milliseconds notistore 2000\n"
            "sentinel failover-timeout notistore 10000\n"
        )
        self._make_writable(self._configuration)

    def _command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [str(self._redis), str(self._configuration), "--sentinel", *where]


class Replica(RedisServer):
    """A copy of a Redis server that follows it."""

    def __init__(self, primary: RedisServer) -> None:
        super().__init__()
        self._primary = primary

    def _command(self) -> list[str]:
        return [*super()._command(), "--replicaof", "127.0.0.1", str(self._primary.port)]


class RedisUnderSentinel:
    """A primary, two replicas and three Sentinels, which call the primary "notistore".

    Attributes:
        addresses: of the Sentinels, as redis-py takes them.
    """

    name = "notistore"

    def __init__(self) -> None:
        self.primary = RedisServer()
        self.replicas = [Replica(self.primary) for _ in range(2)]
        self._sentinels = [Sentinel(self.primary) for _ in range(3)]
        self.addresses = [("127.0.0.1", sentinel.port) for sentinel in self._sentinels]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in [self.primary, *self.replicas, *self._sentinels]:
                stack.enter_context(server)
            for replica in self.replicas:
                _wait(replica, ("INFO", "replication"), lambda reply: reply["master_link_status"] == "up")
            for sentinel in self._sentinels:
                _wait(
                    sentinel,
                    ("SENTINEL MASTER", self.name),
                    lambda reply: int(reply["num-slaves"]) == 2 and int(reply["num-other-sentinels"]) == 2,
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wait_for_promotion(self) -> None:
        """Return once every Sentinel names another primary than the first."""
        for sentinel in self._sentinels:
            _wait(sentinel, ("SENTINEL MASTER", self.name), lambda reply: int(reply["port"]) != self.primary.port)


def connect(url: str, **options: Any) -> redis.RedisCluster:
    """A sync client of a cluster. Made by `from_url`, redis-py's leaves a socket open when it is closed."""
    parts = urlsplit(url)
    return redis.RedisCluster(host=parts.hostname, port=parts.port, **options)


def _wait(server: RedisServer, question: tuple[str, ...], answered: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        while not answered(reply := client.execute_command(*question)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {START_TIMEOUT:.0f} s for another answer to {' '.join(question)}: {reply}")
            time.sleep(0.02)
