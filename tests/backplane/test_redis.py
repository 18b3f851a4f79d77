"""RedisBackplane: it works with any client, and a cluster's channels follow their slots."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from notistore import Recipient, SseHub
from notistore.errors import InvalidArgument
from notistore.hub.events import REFETCH, Event
from notistore_redis import RedisBackplane
from notistore_redis.topology import CONNECTION_TIMEOUT
from tools.clusters.redis import Cluster

from .conftest import Service, prefix
from .kinds import SECRET
from .reading import DONE, frame, until, until_done

USER = Recipient("42")


@pytest.mark.parametrize(
    "options",
    [
        {"decode_responses": True, "protocol": 2},
        {"decode_responses": True, "protocol": 3},
        {"protocol": 3, "retry": Retry(ConstantBackoff(60), 100), "socket_timeout": None},
        {"protocol": 2, "socket_timeout": 0.05, "health_check_interval": 1},
        {"encoding": "latin-1", "decode_responses": True},
        {"max_connections": 1, "single_connection_client": True},
    ],
    ids=["RESP2 text", "RESP3 text", "patient", "impatient", "Latin-1", "one connection"],
)
async def test_it_works_with_any_client(redis_url: str, options: dict[str, Any]) -> None:
    async with Redis.from_url(redis_url, **options) as client:
        name = prefix()
        async with (
            SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as hub,
            SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as other,
            hub.subscribe(Recipient("\N{SNOWMAN}")) as stream,
        ):
            other.publish(Recipient("\N{SNOWMAN}"), Event("hello", "\xff \N{SNOWMAN}"), DONE)
            assert await until_done(stream) == [frame(Event("hello", "\xff \N{SNOWMAN}"))]
        assert await client.ping()


async def test_the_applications_pool_is_not_used(redis_url: str) -> None:
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=1, timeout=1)
    async with Redis.from_pool(pool) as client, client.client() as hog:
        await hog.ping()
        name = prefix()
        async with (
            SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as hub,
            SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as other,
            hub.subscribe(USER) as stream,
        ):
            other.publish(USER, DONE)
            assert await until_done(stream) == []


async def test_a_process_listens_on_one_connection_to_what_it_has_streams_for_and_publishes_on_another(
    redis_url: str,
) -> None:
    name = prefix()

    async def connections(look: Redis) -> int:
        return sum(each["name"] == name for each in await look.client_list())

    async def channels(look: Redis) -> set[bytes]:
        return {channel.removeprefix(name.encode()) for channel in await look.pubsub_channels(f"{name}*")}

    async with (
        Redis.from_url(redis_url) as look,
        Redis.from_url(redis_url, client_name=name) as client,
        SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as hub,
    ):
        users = [Recipient(str(n)) for n in range(50)]
        async with AsyncExitStack() as stack:
            streams = [hub.subscribe(user) for user in users for _ in range(2)]
            await asyncio.gather(*map(stack.enter_async_context, streams))
            assert await connections(look) == 1
            assert await channels(look) == {b"*"} | {b"0:4:user%d" % n for n in range(50)}
            hub.publish(USER, DONE)
            await hub.flush()
            assert await connections(look) == 2
        async with hub.subscribe(USER), hub.subscribe(Recipient("x")):  # the second follows their unsubscribing
            assert await channels(look) == {b"*", b"0:4:user42", b"0:4:userx"}


def test_other_clients_are_refused(redis_url: str) -> None:
    with (
        redis.Redis.from_url(redis_url) as client,
        pytest.raises(InvalidArgument, match="expected a redis"),
    ):
        RedisBackplane(client)  # type: ignore[arg-type]


async def test_an_idle_connection_is_not_taken_for_a_dead_one(redis_url: str) -> None:
    async with (
        Redis.from_url(redis_url) as client,
        SseHub(RedisBackplane(client, prefix=prefix()), secret=SECRET) as hub,
        hub.subscribe(USER),
    ):
        await asyncio.sleep(CONNECTION_TIMEOUT + 1)
        assert hub.stats().gaps == 0


async def test_a_node_of_the_cluster_is_killed_and_the_others_go_on(own_cluster: Cluster) -> None:
    users = [Recipient(str(n)) for n in range(60)]
    name = prefix()
    async with (
        RedisCluster.from_url(own_cluster.url) as client,
        RedisCluster.from_url(own_cluster.url) as second,
        SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as hub,
        SseHub(RedisBackplane(second, prefix=name), secret=SECRET) as other,
        AsyncExitStack() as stack,
    ):
        streams = {user: await stack.enter_async_context(hub.subscribe(user)) for user in users}
        dead = own_cluster.nodes[1]
        dead.kill()
        for user in users:
            other.publish(user, Event("hello"))
        some = [user for user in users if _owner(client, name, user) != f"127.0.0.1:{dead.port}"]
        assert 20 < len(some) < 60
        for user in some:
            await until(streams[user], Event("hello").encode())
        await asyncio.to_thread(dead.start)
        for user in users:
            await until(streams[user], REFETCH.encode())
        await other.flush()
        for user in users:
            other.publish(user, DONE)
        for user in users:
            await until_done(streams[user])


async def test_an_application_starts_while_the_cluster_is_down(own_cluster: Cluster) -> None:
    service = Service("cluster", own_cluster.url, prefix())
    for node in own_cluster.nodes:
        node.kill()
    async with AsyncExitStack() as stack:
        try:
            hub = await stack.enter_async_context(service.hub())
            other = await stack.enter_async_context(service.hub())
            stream = await stack.enter_async_context(hub.subscribe(USER))
        finally:
            await asyncio.to_thread(_start, own_cluster)
        await until(stream, REFETCH.encode())
        async with asyncio.timeout(60):
            other.publish(USER, Event("published after the outage"))
            await other.flush()
        other.publish(USER, DONE)
        await until_done(stream)


async def test_an_outage_of_the_whole_cluster_is_one_gap(own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notistore_redis.backplane._REPORT_DELAY", 60.0)
    async with RedisCluster.from_url(own_cluster.url) as client:
        gap_reported = asyncio.Event()
        listening: list[list[bool]] = []

        def missed() -> None:
            listening.append([link.listening for link in plane._links.values() if link.channels])
            gap_reported.set()

        plane = RedisBackplane(client, prefix=prefix())
        await plane.open(lambda key, message: None, missed)
        await plane.subscribe([str(n) for n in range(60)])
        for node in own_cluster.nodes:
            node.kill()
        await asyncio.to_thread(_start, own_cluster)
        async with asyncio.timeout(60):
            await gap_reported.wait()
        await plane.close()
    assert listening[0] == [True] * 3


async def test_channels_follow_their_slot_to_another_node(own_cluster: Cluster) -> None:
    name = prefix()
    async with (
        RedisCluster.from_url(own_cluster.url) as client,
        RedisCluster.from_url(own_cluster.url) as second,
        SseHub(RedisBackplane(client, prefix=name), secret=SECRET) as hub,
        SseHub(RedisBackplane(second, prefix=name), secret=SECRET) as other,
        hub.subscribe(USER) as stream,
    ):
        old = _owner(client, name, USER)
        slot = client.keyslot(f"{name}0:4:user42")
        new = next(node for node in own_cluster.nodes if f"127.0.0.1:{node.port}" != old)
        await asyncio.to_thread(_move, own_cluster, slot, new.url)
        await until(stream, REFETCH.encode())
        async with asyncio.timeout(60):
            other.publish(USER, Event("lost or not"))
            await other.flush()
        other.publish(USER, DONE)
        await until_done(stream)
        assert _owner(client, name, USER) == f"127.0.0.1:{new.port}"


def _start(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.start()
    cluster.wait_until_whole()


def _owner(client: RedisCluster, prefix: str, user: Recipient) -> str:
    return client.get_node_from_key(f"{prefix}0:4:user{user.id}").name


def _move(cluster: Cluster, slot: int, url: str) -> None:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        id = client.execute_command("CLUSTER MYID")
    for node in cluster.nodes:
        with redis.Redis.from_url(node.url) as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", id)
