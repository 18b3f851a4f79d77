"""The backplane kit on every backplane there is, over real servers that go away and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from notistore_conformance import BackplaneSubject, BackplaneSuite

from ..adapters.test_redis.servers import Cluster
from ..backends import backend
from ..servers import PostgresServer, RedisServer, Server
from .conftest import NEEDS, prefix
from .kinds import backplane
from .servers import NatsServer, Wire


class OnAServer(BackplaneSuite):
    """Each node reaches the server through a wire of its own, which can go dead."""

    server: Server
    prefix: str
    kind_of_backplane: str
    version: str

    def serve(self, kind: str, server: Server) -> None:
        pytest.importorskip(NEEDS[kind])
        self.kind_of_backplane, self.server = kind, server
        self.version = backend(server.url)
        if not hasattr(type(self), "prefix"):
            type(self).prefix = prefix()

    @asynccontextmanager
    async def make_backplane(self) -> AsyncIterator[BackplaneSubject]:
        async with Wire(self.server.url) as wire, backplane(self.kind_of_backplane, wire.url, self.prefix) as plane:
            yield BackplaneSubject(plane, self.outage, wire.go_dead, backend=self.version)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self.server.kill()
        try:
            yield
        finally:
            await asyncio.to_thread(self.server.start)


class TestRedis(OnAServer):
    @pytest.fixture(autouse=True)
    def _server(self, own_redis: RedisServer) -> None:
        self.serve("redis", own_redis)


class TestPostgres(OnAServer):
    @pytest.fixture(autouse=True)
    def _server(self, own_postgres: PostgresServer) -> None:
        self.serve("postgres", own_postgres)


class TestNats(OnAServer):
    @pytest.fixture(autouse=True)
    def _server(self, own_nats: NatsServer) -> None:
        self.serve("nats", own_nats)


class TestRedisCluster(BackplaneSuite):
    """Three primaries; what happens when they go away is in test_redis.py."""

    cluster: Cluster
    prefix = prefix()

    @pytest.fixture(autouse=True)
    def _cluster(self, own_cluster: Cluster) -> None:
        pytest.importorskip("redis")
        self.cluster = own_cluster

    @asynccontextmanager
    async def make_backplane(self) -> AsyncIterator[BackplaneSubject]:
        async with backplane("cluster", self.cluster.url, self.prefix) as plane:
            yield BackplaneSubject(plane, backend=backend(self.cluster.url))
