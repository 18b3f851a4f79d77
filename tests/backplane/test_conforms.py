"""The conformance kit for backplanes on every backplane, over real servers that are stopped and restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from notistore_conformance import BackplaneImplementation, BackplaneSuite
from tools.clusters.redis import Cluster
from tools.servers import PostgresServer, RedisServer, Server

from ..backends import backend
from .conftest import NEEDS, prefix
from .kinds import backplane
from .servers import FaultyProxy, NatsServer


class OnAServer(BackplaneSuite):
    """Each node connects through a proxy of its own, which can silently discard what is sent."""

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
    async def make_backplane(self) -> AsyncIterator[BackplaneImplementation]:
        async with (
            FaultyProxy(self.server.url) as proxy,
            backplane(self.kind_of_backplane, proxy.url, self.prefix) as plane,
        ):
            yield BackplaneImplementation(plane, self.outage, proxy.discard_silently, backend=self.version)

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
    """Three primaries; outages of them are tested in test_redis.py."""

    cluster: Cluster
    prefix = prefix()

    @pytest.fixture(autouse=True)
    def _cluster(self, own_cluster: Cluster) -> None:
        pytest.importorskip("redis")
        self.cluster = own_cluster

    @asynccontextmanager
    async def make_backplane(self) -> AsyncIterator[BackplaneImplementation]:
        async with backplane("cluster", self.cluster.url, self.prefix) as plane:
            yield BackplaneImplementation(plane, backend=backend(self.cluster.url))
