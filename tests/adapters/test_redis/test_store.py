"""What is specific to Redis: keys, prefixes, keep_last, filters over many rows, what a cluster cannot do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import redis.asyncio

from notistore import DuplicateNotification, Inbox, InvalidArgument, Notification, Recipient, StoreError, supports
from notistore.discovery import OpenStore
from notistore.model import utc_now
from notistore.sync import SyncInbox
from notistore_redis import RedisStore, SyncRedisStore, open_store
from tools.clusters.redis import Cluster, connect

from .audit import audit

ME = Recipient("42")


@pytest.fixture
def prefix(redis_prefix: str, request: pytest.FixtureRequest) -> str:
    """One for each test, with every character that a pattern could take for a wildcard."""
    return f"{redis_prefix}[{request.node.name[5:15]}]*?\\:"


async def test_keep_last_pushes_the_oldest_out(client: redis.asyncio.Redis, raw: redis.Redis, prefix: str) -> None:
    store = RedisStore(client, prefix=prefix, keep_last=3)
    rows = [Notification.new(ME, "a") for _ in range(5)]
    for row in rows[:4]:
        await store.insert(row)
    await store.upsert(replace(rows[3], type="b"))
    await store.upsert(rows[4])
    assert [row.id for row in await store.page(ME)] == [row.id for row in rows[:1:-1]]
    assert await store.unread_count(ME) == 3
    await store.insert(replace(rows[0], recipient=Recipient("43")))  # its id is free again
    assert audit(raw, prefix) == 4


async def test_an_inbox_that_meets_a_limit_shrinks_by_a_hundred_rows_a_write(
    client: redis.asyncio.Redis, raw: redis.Redis, prefix: str
) -> None:
    store = RedisStore(client, prefix=prefix)
    assert supports(store, "insert_many")
    await store.insert_many([Notification.new(ME, "a") for _ in range(250)])
    strict = RedisStore(client, prefix=prefix, keep_last=10)
    left = []
    for _ in range(4):
        await strict.insert(Notification.new(ME, "a"))
        left.append(await strict.count(ME))
    assert left == [151, 52, 10, 10]
    assert audit(raw, prefix) == 10


async def test_a_rare_type_is_found_however_many_rows_lie_above_it(client: redis.asyncio.Redis, prefix: str) -> None:
    store = RedisStore(client, prefix=prefix)
    assert supports(store, "insert_many")
    old = [Notification.new(ME, "rare", at=datetime(2020, 1, day, tzinfo=UTC)) for day in (1, 2, 3)]
    new = Notification.new(ME, "rare", at=datetime(2099, 1, 1, tzinfo=UTC))
    await store.insert_many([*old, new])
    for _ in range(7):
        await store.insert_many([Notification.new(ME, "common") for _ in range(3_000)])
    assert await store.page(ME, types=["rare"]) == [new, *old[::-1]]
    assert await store.page(ME, types=["rare"], offset=2, limit=1) == [old[1]]
    assert await store.page(ME, types=["rare"], unread_only=True, before=new.cursor) == old[::-1]
    assert await store.mark_all_read(ME, types=["rare"], at=utc_now()) == 4
    assert await store.page(ME, types=["rare"], unread_only=True) == []
    assert await store.mark_all_read(ME, at=utc_now()) == 21_000
    await store.erase(ME)


async def test_nothing_is_left_of_what_was_deleted(client: redis.asyncio.Redis, raw: redis.Redis, prefix: str) -> None:
    store = RedisStore(client, prefix=prefix)
    rows = [Notification.new(ME, "a"), Notification.new(ME, "b", key="k"), Notification.new(Recipient("43"), "a")]
    await store.insert(rows[0])
    await store.upsert(rows[1])
    await store.insert(rows[2])
    await store.mark_read(ME, rows[0].id, at=utc_now())
    await store.delete(ME, rows[0].id, rows[1].id)
    await store.erase(rows[2].recipient)
    assert [key for key in raw.scan_iter() if key.startswith(prefix) and ":call:" not in key] == []


async def test_a_prefix_is_no_pattern(client: redis.asyncio.Redis, prefix: str) -> None:
    stores = [RedisStore(client, prefix=each) for each in (prefix, prefix.replace("*", "x"), prefix + "x")]
    long_ago, tenant = datetime(1971, 1, 1, tzinfo=UTC), "a*?[b]\\"
    for store in stores:
        await store.insert(Notification.new(Recipient("42", tenant=tenant), "a", at=long_ago))
        await store.insert(Notification.new(Recipient("42", tenant="a-?[b]\\"), "a", at=long_ago))
    assert await stores[0].erase_tenant(tenant) == 1
    assert await stores[0].prune(older_than=utc_now()) == 1
    for store in stores[1:]:
        assert await store.count(Recipient("42", tenant=tenant)) == 1


def test_all_keys_of_an_inbox_share_a_slot(cluster: Cluster, redis_prefix: str) -> None:
    prefix = f"{redis_prefix}slot:"
    with connect(cluster.url, decode_responses=True) as client:
        store = SyncRedisStore(client, prefix=prefix)
        for id in ("42", "a}b", "{a}", "}{", "{}", "Zo\u00eb"):
            me = Recipient(id)
            store.insert(Notification.new(me, "a"))
            keys = [key for key in client.scan_iter(match=f"{prefix}{{*") if "ids:" not in key]
            assert len({client.keyslot(key) for key in keys}) == 1
            assert {key.rpartition("}:")[2].partition(":")[0] for key in keys} == {
                "rows",
                "all",
                "unread",
                "counts",
                "call",
            }
            store.erase(me)
            client.delete(*client.scan_iter(match=f"{prefix}{{*"))


async def test_keys_of_another_layout_below_the_prefix_are_found_out(
    client: redis.asyncio.Redis, raw: redis.Redis, prefix: str
) -> None:
    store = RedisStore(client, prefix=prefix)
    await store.create_schema()
    raw.set(f"{prefix}layout", "3")
    with pytest.raises(StoreError, match="laid out as '3', not '2'"):
        await store.create_schema()
    assert raw.get(f"{prefix}layout") == "3"


async def test_a_cluster_offers_every_part_but_insert_many_and_still_sends_to_many(
    cluster: Cluster, redis_prefix: str
) -> None:
    async with redis.asyncio.RedisCluster.from_url(cluster.url) as client:
        store = RedisStore(client, prefix=f"{redis_prefix}many:")
        assert not supports(store, "insert_many")
        assert all(supports(store, part) for part in ("unread_counts", "prune", "erase", "schema"))
        to = [Recipient(str(n)) for n in range(20)]
        await Inbox(store).send_many(to, "a")
        assert await store.unread_counts(to) == dict.fromkeys(to, 1)


async def test_an_id_made_from_a_key_leaves_no_trace_outside_its_inbox(
    client: redis.asyncio.Redis, raw: redis.Redis, prefix: str
) -> None:
    store = RedisStore(client, prefix=prefix)
    await store.upsert(Notification.new(ME, "a", key="k"))
    assert not [key for key in raw.scan_iter() if key.startswith(f"{prefix}ids:")]


def test_a_sync_inbox_runs_over_it(raw: redis.Redis, prefix: str) -> None:
    inbox = SyncInbox(SyncRedisStore(raw, prefix=prefix))
    row = inbox.send(ME, "a", {"n": 1}, key="k")
    assert inbox.page(ME) == [row]
    assert [sent.recipient for sent in inbox.send_many([ME, Recipient("43")], "b")] == [ME, Recipient("43")]
    with pytest.raises(DuplicateNotification):
        SyncRedisStore(raw, prefix=prefix).insert(row)


async def test_open_store_closes_what_it_opened(redis_url: str, cluster: Cluster) -> None:
    opener: OpenStore = open_store
    me = Recipient("open_store")
    for url in (redis_url, "redis+cluster" + cluster.url.removeprefix("redis")):
        async with opener(url) as store:
            await store.insert(Notification.new(me, "a"))
            assert await store.count(me) == 1
            assert supports(store, "erase")
            await store.erase(me)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: RedisStore(redis.Redis()), "client"),
        (lambda: SyncRedisStore(redis.asyncio.Redis()), "client"),
        (lambda: SyncRedisStore(redis.Redis(encoding="latin-1")), "client"),
        (lambda: SyncRedisStore(redis.Redis(), prefix="{app}:"), "prefix"),
        (lambda: SyncRedisStore(redis.Redis(), keep_last=0), "keep_last"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        make()
    assert refused.value.field == field
