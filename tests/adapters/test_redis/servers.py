"""A cluster of three nodes, and a proxy that loses replies: what the Redis tests need besides a plain server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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


class Proxy:
    """Stands between a client and a server, and can be told to lose replies or to let nothing through."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._to_lose = 0
        self._lose: bytes | None = None
        self._down = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def lose_reply_to(self, command: bytes, times: int = 1) -> None:
        """Let the next `times` requests with this word reach the server, and close the connection on its replies."""
        self._lose, self._to_lose = command, times

    @property
    def lost_all(self) -> bool:
        return self._to_lose == 0

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nothing gets through while this is entered."""
        self._down = True
        self._cut()
        yield
        self._down = False

    def _cut(self) -> None:
        for each in list(self._open):
            _close(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._down:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._server))
            self._open |= {client, server}
            losing = threading.Event()
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, target, source is client, losing), daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool, losing: threading.Event) -> None:
        try:
            while data := source.recv(1 << 16):
                if is_request and self._to_lose and self._lose is not None and self._lose in data:
                    self._to_lose -= 1
                    losing.set()
                if losing.is_set() and not is_request:
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, target):
                self._open.discard(each)
                _close(each)


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
