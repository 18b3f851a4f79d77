"""Servers that crash, are replicas or cluster nodes; exhausted pools; cancelled calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from notistore import Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_redis import RedisStore, SyncRedisStore
from tools.clusters.redis import Cluster, connect
from tools.servers import RedisServer

from .audit import audit

ME = Recipient("42")


async def test_a_killed_server_fails_calls_until_it_is_back(own_redis: RedisServer) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url, retry=AsyncRetry(NoBackoff(), 1)) as client:
        store = RedisStore(client)
        await store.insert(Notification.new(ME, "a"))
        own_redis.kill()
        try:
            with pytest.raises(StoreError) as reading:
                await store.unread_count(ME)
            with pytest.raises(OutcomeUnknown) as writing:
                await store.mark_all_read(ME, at=utc_now())
        finally:
            own_redis.start()
        assert isinstance(reading.value.__cause__, redis.ConnectionError)
        assert not isinstance(reading.value, OutcomeUnknown)
        assert isinstance(writing.value.__cause__, redis.ConnectionError)
        row = Notification.new(ME, "a")
        await store.insert(row)  # the new server knows no script yet
        assert await store.get(ME, row.id) == row


def test_a_killed_server_fails_sync_calls_until_it_is_back(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, retry=Retry(NoBackoff(), 1)) as client:
        store = SyncRedisStore(client)
        own_redis.kill()
        try:
            with pytest.raises(StoreError):
                store.page(ME)
            with pytest.raises(OutcomeUnknown):
                store.delete(ME, Notification.new(ME, "a").id)
        finally:
            own_redis.start()
        store.insert(Notification.new(ME, "a"))


async def test_a_killed_node_of_a_cluster_comes_back_with_its_rows(cluster: Cluster, redis_prefix: str) -> None:
    prefix = f"{redis_prefix}killed:"
    inboxes = [Recipient(str(n)) for n in range(12)]
    rows = [Notification.new(recipient, "a") for recipient in inboxes]
    async with redis.asyncio.RedisCluster.from_url(cluster.url, retry=AsyncRetry(NoBackoff(), 1)) as client:
        store = RedisStore(client, prefix=prefix)
        for row in rows:
            await store.insert(row)
        cluster.nodes[1].kill()
        try:
            answers = await asyncio.gather(
                *(store.mark_all_read(recipient, at=utc_now()) for recipient in inboxes), return_exceptions=True
            )
        finally:
            cluster.nodes[1].start()
            await asyncio.to_thread(cluster.wait_until_whole)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        assert failed
        assert all(isinstance(error, StoreError) for error in failed), failed
        assert [await store.count(recipient) for recipient in inboxes] == [1] * len(inboxes)
    with connect(cluster.url, decode_responses=True) as raw:
        assert audit(raw, prefix) == len(rows)


@pytest.mark.parametrize("pool", [redis.asyncio.ConnectionPool, redis.asyncio.BlockingConnectionPool])
async def test_an_exhausted_pool_says_so_and_nothing_was_sent(
    redis_url: str, redis_prefix: str, pool: type[redis.asyncio.ConnectionPool]
) -> None:
    options = {"timeout": 0.05} if pool is redis.asyncio.BlockingConnectionPool else {}
    async with redis.asyncio.Redis.from_pool(pool.from_url(redis_url, max_connections=1, **options)) as client:
        store = RedisStore(client, prefix=redis_prefix)
        taken = await client.connection_pool.get_connection()
        calls: list[Callable[[], Awaitable[int]]] = [
            lambda: store.unread_count(ME),
            lambda: store.mark_all_read(ME, at=utc_now()),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="raise max_connections") as full:
                await call()
            assert not isinstance(full.value, OutcomeUnknown)
        await client.connection_pool.release(taken)
        assert [await call() for call in calls] == [0, 0]


async def test_cancelled_calls_leave_every_inbox_whole_and_give_their_connections_back(
    redis_url: str, redis_prefix: str, raw: redis.Redis
) -> None:
    prefix = f"{redis_prefix}cancelled:"
    pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=2, timeout=10)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        store = RedisStore(client, prefix=prefix)
        for turns in range(40):
            row = Notification.new(ME, "a")
            calls = [
                asyncio.create_task(call)
                for call in (store.insert(row), store.mark_all_read(ME, at=utc_now()), store.delete(ME, row.id))
            ]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert all(call.cancelled() or call.exception() is None for call in calls)
        await asyncio.gather(*(store.unread_count(ME) for _ in range(4)))
        assert audit(raw, prefix) == await store.count(ME)


async def test_an_error_of_a_replica_says_so(own_redis: RedisServer) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        store = RedisStore(client, prefix="replica:")
        row = Notification.new(ME, "a", key="k")
        await client.replicaof("127.0.0.1", urlsplit(own_redis.url).port)
        with pytest.raises(StoreError, match="connect to the primary") as refused:
            await store.upsert(row)
        assert not isinstance(refused.value, OutcomeUnknown)
        await client.replicaof("NO", "ONE")
        assert (await store.upsert(row)).version == 1
        await store.erase(ME)


async def test_an_error_of_a_cluster_node_says_so(cluster: Cluster, redis_prefix: str) -> None:
    async with redis.asyncio.Redis.from_url(cluster.url) as client:
        store = RedisStore(client, prefix=redis_prefix)
        inboxes = [Recipient(str(n)) for n in range(30)]  # some are in slots of other nodes
        answers = await asyncio.gather(*map(store.erase, inboxes), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert refused
        assert all(isinstance(error, StoreError) and "use RedisCluster" in str(error) for error in refused)
