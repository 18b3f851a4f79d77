from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from tools.servers import RedisServer

from ...conftest import running

pytest.importorskip("redis")

import redis
import redis.asyncio

from tools.clusters.redis import Cluster
from tools.proxy import Proxy


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes of this test run's own."""
    with running(RedisServer, request), Cluster() as cluster:  # the first skips or fails if Redis is not installed
        yield cluster


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """A proxy in front of the Redis server."""
    with Proxy(urlsplit(redis_url).port or 6379) as proxy:
        yield proxy


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the test's own, to inspect the store's keys."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
