"""The conformance kit on one server and on a cluster, through each kind of client an application may have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_redis import RedisStore, SyncRedisStore
from tools.clusters.redis import Cluster, connect
from tools.proxy import Proxy

from ...backends import backend


class OneServer(NotificationStoreSuite):
    """A proxy is in front of the server, so that the store can be disconnected from it."""

    options: ClassVar[dict[str, Any]]

    @pytest.fixture(autouse=True)
    def server(self, redis_url: str, redis_prefix: str) -> None:
        self.url = redis_url
        self.port = urlsplit(redis_url).port or 6379
        self.prefix = redis_prefix

    def connected(self, port: int) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": port, **self.options}


class AsyncSuite(OneServer):
    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with Proxy(self.port) as proxy:
            retry = AsyncRetry(NoBackoff(), 1)
            client = redis.asyncio.Redis(**self.connected(proxy.port), retry=retry)
            other = redis.asyncio.Redis(**self.connected(self.port))
            async with client, other:
                store, peer = (RedisStore(each, prefix=self.prefix) for each in (client, other))
                yield StoreImplementation(
                    store,
                    peer=peer,
                    outage=proxy.outage,
                    lose_reply=proxy.lost_reply,
                    processes=True,
                    scales=True,
                    backend=backend(self.url),
                )


class SyncSuite(OneServer):
    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with (
            Proxy(self.port) as proxy,
            redis.Redis(**self.connected(proxy.port), retry=Retry(NoBackoff(), 1)) as client,
            redis.Redis(**self.connected(self.port)) as other,
        ):
            store, peer = (SyncRedisStore(each, prefix=self.prefix) for each in (client, other))
            yield StoreImplementation(
                store,
                peer=peer,
                outage=proxy.outage,
                lose_reply=proxy.lost_reply,
                processes=True,
                scales=True,
                backend=backend(self.url),
            )


class TestBytesOverResp2(AsyncSuite):
    options: ClassVar = {"protocol": 2}


class TestStringsOverResp3(AsyncSuite):
    options: ClassVar = {"protocol": 3, "decode_responses": True}


class TestSyncBytesOverResp3(SyncSuite):
    options: ClassVar = {"protocol": 3}


class TestSyncStringsOverResp2(SyncSuite):
    options: ClassVar = {"protocol": 2, "decode_responses": True}


class OneCluster(NotificationStoreSuite):
    @pytest.fixture(autouse=True)
    def server(self, cluster: Cluster, redis_prefix: str) -> None:
        self.url = cluster.url
        self.prefix = redis_prefix


class TestCluster(OneCluster):
    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        # More than the 100 connections to a node by default: without insert_many the kit inserts 110 rows at once.
        client = redis.asyncio.RedisCluster.from_url(self.url, max_connections=200)
        other = redis.asyncio.RedisCluster.from_url(self.url, decode_responses=True, protocol=2)
        async with client, other:
            store, peer = (RedisStore(each, prefix=self.prefix) for each in (client, other))
            yield StoreImplementation(
                store,
                peer=peer,
                no_outage="that of one server is checked",
                processes=True,
                scales=True,
                backend=backend(self.url),
            )


class TestSyncCluster(OneCluster):
    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with ExitStack() as stack:
            client = stack.enter_context(connect(self.url, decode_responses=True))
            other = stack.enter_context(connect(self.url, protocol=2))
            store, peer = (SyncRedisStore(each, prefix=self.prefix) for each in (client, other))
            yield StoreImplementation(
                store,
                peer=peer,
                no_outage="that of one server is checked",
                processes=True,
                scales=True,
                backend=backend(self.url),
            )
