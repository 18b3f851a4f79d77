"""Redis at its limits: full memory, evicted keys, keys of another kind, inboxes too large for one script."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from notistore import DuplicateNotification, Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_redis import RedisStore
from tools.clusters.redis import Cluster
from tools.proxy import Proxy
from tools.servers import RedisServer

from .audit import audit

ME = Recipient("42")
STEM = "{0:4:user42}"
LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)
SLICE = 2_000  # how many rows one script looks at


@pytest.fixture
def prefix(redis_prefix: str) -> str:
    """One for each test."""
    return f"{redis_prefix}{uuid.uuid4().hex}:"


@pytest.fixture
def store(client: redis.asyncio.Redis, prefix: str) -> RedisStore:
    return RedisStore(client, prefix=prefix)


@pytest.fixture
def limits(own_redis: RedisServer) -> Iterator[redis.Redis]:
    """A client of an empty server of the test's own, whose settings are reset afterwards."""
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()


async def many(store: RedisStore, recipient: Recipient, n: int, **fields: object) -> list[Notification]:
    first = replace(Notification.new(recipient, "a"), **fields)  # type: ignore[arg-type]
    rows = [replace(first, id=Notification.new(recipient, "a").id, type="ab"[i % 2]) for i in range(n)]
    assert store.insert_many is not None
    for start in range(0, n, 1_000):
        await store.insert_many(rows[start : start + 1_000])
    return rows


async def test_a_full_server_prunes(own_redis: RedisServer, limits: redis.Redis) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        store = RedisStore(client)
        young = Recipient("young")
        await many(store, young, 3)
        for n in range(5):
            await many(store, Recipient(str(n)), 3, created_at=LONG_AGO, updated_at=LONG_AGO)
        limits.config_set("maxmemory", 1)
        assert await store.prune(older_than=LONG_AGO + timedelta(days=1)) == 15
        assert await store.prune(older_than=LONG_AGO + timedelta(days=1)) == 0
        assert await store.count(young) == 3


async def test_a_full_server_still_does_what_takes_no_memory(own_redis: RedisServer, limits: redis.Redis) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        store = RedisStore(client)
        rows = await many(store, ME, SLICE + 10)
        read = rows[0].id
        assert await store.mark_read(ME, read, at=utc_now()) == 1
        limits.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match="maxmemory"):
            await store.insert(Notification.new(ME, "a"))
        with pytest.raises(StoreError, match="maxmemory"):
            await store.mark_unread(ME, read)
        assert await store.unread_count(ME) == len(rows) - 1
        assert await store.mark_read(ME, rows[1].id, at=utc_now()) == 1
        assert await store.mark_all_read(ME, at=utc_now()) == len(rows) - 2
        assert await store.mark_all_read(ME, at=utc_now()) == 0
        assert await store.delete(ME, rows[0].id) == 1
        assert await store.delete(ME, rows[0].id) == 0
        limits.delete(f"notistore:{STEM}:all")
        assert len(await store.page(ME, limit=100)) == 100
        assert audit(limits, "notistore:") == len(rows) - 1
        assert await store.erase(ME) == len(rows) - 1
        assert await store.erase(ME) == 0


async def test_calls_that_change_nothing_leave_no_receipt(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    row = Notification.new(ME, "a")
    await store.insert(row)
    await store.mark_read(ME, row.id, at=utc_now())
    before = set(raw.scan_iter(match=f"{prefix}*:call:*"))
    unknown = Notification.new(ME, "a").id
    assert await store.mark_read(ME, row.id, at=utc_now()) == 0
    assert await store.mark_unread(ME, unknown) == 0
    assert await store.mark_all_read(ME, at=utc_now()) == 0
    assert await store.delete(ME, unknown) == 0
    assert await store.prune(older_than=LONG_AGO) == 0
    assert await store.erase(Recipient("nobody")) == 0
    with pytest.raises(DuplicateNotification):
        await store.insert(row)
    assert set(raw.scan_iter(match=f"{prefix}*:call:*")) == before


@pytest.mark.parametrize("lost", ["all", "unread", "counts", "all unread", "all counts", "all unread counts"])
@pytest.mark.parametrize("n", [12, 1_300])  # rebuilt in one slice, and in several
async def test_an_inbox_is_rebuilt_from_its_rows(
    store: RedisStore, raw: redis.Redis, prefix: str, lost: str, n: int, caplog: pytest.LogCaptureFixture
) -> None:
    rows = await many(store, ME, n)
    await store.mark_read(ME, *(row.id for row in rows[: n // 3]), at=utc_now())
    raw.delete(*(f"{prefix}{STEM}:{key}" for key in lost.split()))
    await store.delete(ME, rows[-1].id)  # a write in between does not hide that keys are missing
    await store.insert(Notification.new(ME, "a", key="k"))
    await store.upsert(Notification.new(ME, "b", key="k"))
    with caplog.at_level(logging.WARNING, "notistore.redis"):
        assert len(await store.page(ME, types=["a", "b"], limit=100)) == min(n, 100)
    assert "evicted" in caplog.text
    assert "42" not in caplog.text
    assert audit(raw, prefix) == n
    assert await store.count(ME, types=["a"]) == n // 2
    assert await store.unread_count(ME) == n - n // 3
    assert [row.id for row in await store.page(ME, offset=n - 1)] == [rows[0].id]


@pytest.mark.parametrize("left", ["all", "unread", "counts", "all unread counts"])
async def test_what_is_left_of_an_inbox_without_its_rows_goes(
    store: RedisStore, raw: redis.Redis, prefix: str, left: str
) -> None:
    keys = ("rows", "all", "unread", "counts")
    await many(store, ME, 12)
    raw.delete(*(f"{prefix}{STEM}:{key}" for key in keys if key not in left.split()))
    assert await store.page(ME) == []
    assert [await store.count(ME), await store.unread_count(ME), await store.count(ME, types=["a"])] == [0, 0, 0]
    assert not raw.exists(*(f"{prefix}{STEM}:{key}" for key in keys))


@pytest.mark.parametrize("lost", ["rows", "all", "unread", "counts"])
async def test_every_call_works_with_a_missing_key(store: RedisStore, raw: redis.Redis, prefix: str, lost: str) -> None:
    calls: list[Callable[[list[Notification]], Awaitable[object]]] = [
        lambda rows: store.insert(Notification.new(ME, "a")),
        lambda rows: store.upsert(Notification.new(ME, "a", key="k")),
        lambda rows: store.get(ME, rows[0].id),
        lambda rows: store.page(ME, types=["a"], unread_only=True),
        lambda rows: store.count(ME, types=["a"]),
        lambda rows: store.unread_counts([ME], types=["a"]),
        lambda rows: store.mark_read(ME, rows[1].id, at=utc_now()),
        lambda rows: store.mark_unread(ME, rows[0].id),
        lambda rows: store.mark_all_read(ME, at=utc_now()),
        lambda rows: store.delete(ME, rows[1].id),
        lambda rows: store.prune(older_than=LONG_AGO),
        lambda rows: store.erase(ME),
    ]
    for call in calls:
        rows = await many(store, ME, 6)
        await store.mark_read(ME, rows[0].id, at=utc_now())
        raw.delete(f"{prefix}{STEM}:{lost}")
        await call(rows)
        for types in (None, ["a"], ["b"]):
            assert await store.count(ME, types=types) >= 0
            assert await store.unread_count(ME, types=types) >= 0
        await store.page(ME)
        audit(raw, prefix)
        await store.erase(ME)


async def test_under_eviction_no_call_fails_and_inboxes_heal(own_redis: RedisServer, limits: redis.Redis) -> None:
    chance = random.Random(7)
    inboxes = [Recipient(str(n)) for n in range(150)]
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        store = RedisStore(client)
        row = Notification.new(ME, "a")  # every script is loaded before memory is measured
        await store.insert(row)
        await store.mark_read(ME, row.id, at=utc_now())
        await store.mark_all_read(ME, at=utc_now())
        await store.page(ME, types=["a"])
        await store.unread_count(ME, types=["a"])
        await store.prune(older_than=LONG_AGO)
        limits.config_set("maxmemory-policy", "allkeys-random")
        limits.config_set("maxmemory", limits.info("memory")["used_memory"] + 600_000)
        for n in range(2_500):
            me = chance.choice(inboxes)
            row = Notification.new(me, chance.choice("ab"))
            await store.insert(row)
            if n % 3 == 0:
                await store.mark_read(me, row.id, at=utc_now())
            if n % 5 == 0:
                await store.mark_all_read(chance.choice(inboxes), at=utc_now())
            if n % 7 == 0:
                assert all(isinstance(each, Notification) for each in await store.page(me, types=["a"]))
            assert await store.unread_count(me, types=["a"]) >= 0
            if n % 500 == 0:
                await store.prune(older_than=LONG_AGO)
        assert limits.info("stats")["evicted_keys"] > 100
        limits.config_set("maxmemory-policy", "noeviction")
        limits.config_set("maxmemory", 0)
        for me in inboxes:
            shown = await store.page(me, limit=100)
            assert await store.count(me) == len(shown)
            assert await store.unread_count(me) == sum(row.read_at is None for row in shown)


async def test_an_inbox_that_cannot_be_pruned_does_not_stop_the_others(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    inboxes = [Recipient(str(n)) for n in range(8)]
    for inbox in inboxes:
        await many(store, inbox, 2, created_at=LONG_AGO, updated_at=LONG_AGO)
    broken = f"{prefix}{{0:4:user3}}:all"
    raw.delete(broken)
    raw.set(broken, "of another program")
    with pytest.raises(StoreError, match=r"^1 inboxes could not be pruned; 14 notifications of others were"):
        await store.prune(older_than=LONG_AGO + timedelta(days=1))
    raw.delete(broken)
    assert await store.prune(older_than=LONG_AGO + timedelta(days=1)) == 2


async def test_an_error_does_not_name_the_recipient(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    secret = [Recipient(id, tenant="tenant-marker") for id in ("id-marker", "other-marker")]
    for recipient in secret:
        await store.insert(Notification.new(recipient, "a", {"text": "data-marker"}))
    for key in [key for key in raw.scan_iter(match=f"{prefix}*:counts") if "tenant-marker" in key]:
        raw.delete(key)
        raw.set(key, "of another program")
    calls: list[Awaitable[object]] = [
        store.unread_counts(secret),
        store.unread_count(secret[0]),
        store.page(secret[0]),
        store.insert(Notification.new(secret[0], "a", {"text": "data-marker"})),
        store.mark_all_read(secret[0], at=utc_now()),
    ]
    for call in calls:
        with pytest.raises(StoreError) as raised:
            await call
        assert "marker" not in "".join(traceback.format_exception_only(raised.value))
        cause = raised.value.__cause__
        assert cause is not None
        assert "marker" not in str(cause)


async def test_erase_tenant_of_an_empty_name_erases_nothing(store: RedisStore) -> None:
    await store.insert(Notification.new(ME, "a"))
    assert await store.erase_tenant("") == 0
    assert await store.count(ME) == 1


async def test_erase_tenant_takes_what_eviction_left(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    mine = Recipient("42", tenant="acme")
    await many(store, mine, 5)
    await store.insert(Notification.new(Recipient("43", tenant="acme"), "a"))
    raw.delete(f"{prefix}{{4:acme4:user42}}:rows")
    assert await store.erase_tenant("acme") == 1
    assert [key for key in raw.scan_iter() if key.startswith(f"{prefix}{{4:acme") and ":call:" not in key] == []


async def test_a_large_inbox_is_erased_at_once_and_its_ids_are_free_again(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    rows = await many(store, ME, 3_000)
    assert await store.erase(ME) == 3_000
    assert [key for key in raw.scan_iter() if key.startswith(f"{prefix}ids:")] == []
    for key in raw.scan_iter(match=f"{prefix}*"):
        assert raw.type(key) == "string", "the erased rows are still there"
    await store.insert(replace(rows[0], recipient=Recipient("43")))


async def test_ten_thousand_ids_in_one_call(store: RedisStore) -> None:
    rows = await many(store, ME, 10_000)
    ids = [row.id for row in rows]
    assert await store.mark_read(ME, *ids[:9_999], ids[0], at=utc_now()) == 9_999
    assert await store.mark_unread(ME, *ids) == 9_999
    assert await store.delete(ME, *ids, *ids[:1]) == 10_000


@pytest.fixture
async def scripts(client: redis.asyncio.Redis) -> Callable[[], Awaitable[int]]:
    async def run_so_far() -> int:
        stats = await client.info("commandstats")
        return int(stats["cmdstat_evalsha"]["calls"])

    return run_so_far


BY_ID: dict[str, Callable[[RedisStore, list[str]], Awaitable[int]]] = {
    "mark_read": lambda store, ids: store.mark_read(ME, *ids, at=utc_now()),
    "mark_unread": lambda store, ids: store.mark_unread(ME, *ids),
    "delete": lambda store, ids: store.delete(ME, *ids),
}


@pytest.mark.parametrize("name", BY_ID)
async def test_no_script_changes_more_than_a_thousand_ids(
    store: RedisStore, raw: redis.Redis, prefix: str, name: str, scripts: Callable[[], Awaitable[int]]
) -> None:
    rows = await many(store, ME, 5_500)
    chosen = [row.id for row in rows[:5_000]]
    if name == "mark_unread":
        await store.mark_all_read(ME, at=utc_now())
    await BY_ID[name](store, ["none such"] * 1_001)  # now every script is known
    before = await scripts()
    assert await BY_ID[name](store, [*chosen, *chosen[:1_500], Notification.new(ME, "a").id]) == 5_000
    assert await scripts() - before >= 7
    assert await BY_ID[name](store, chosen) == 0
    assert await store.unread_count(ME) == {"mark_read": 500, "mark_unread": 5_000, "delete": 500}[name]
    assert audit(raw, prefix) == (500 if name == "delete" else 5_500)
    await store.erase(ME)


async def test_a_large_delete_is_atomic_for_readers_and_its_ids_are_free_again(
    store: RedisStore, redis_url: str, prefix: str
) -> None:
    rows = await many(store, ME, 6_000)
    done = asyncio.Event()

    async def delete() -> int:
        try:
            return await store.delete(ME, *(row.id for row in rows))
        finally:
            done.set()

    async with redis.asyncio.Redis.from_url(redis_url) as other:
        peer = RedisStore(other, prefix=prefix)

        async def look() -> set[int]:
            seen: set[int] = set()
            while not done.is_set():
                seen |= {await peer.count(ME), await peer.unread_count(ME)}
                seen |= {len(rows) if await peer.get(ME, row.id) else 0 for row in (rows[0], rows[-1])}
                seen.add(len(rows) * len(await peer.page(ME)) // 50)
            return seen

        deleted, *seen = await asyncio.gather(delete(), *(look() for _ in range(3)))
    assert deleted == len(rows)
    assert set().union(*seen) <= {0, len(rows)}
    await store.insert(replace(rows[0], recipient=Recipient("43")))


@pytest.mark.parametrize("name", ["mark_read", "delete"])
async def test_a_call_for_many_ids_that_was_cut_short_is_finished_by_the_next_one(
    store: RedisStore, proxy: Proxy, raw: redis.Redis, prefix: str, name: str
) -> None:
    rows = await many(store, ME, 3_500)
    await BY_ID[name](store, ["none such"])  # now the server knows the script
    async with redis.asyncio.Redis(host="127.0.0.1", port=proxy.port, retry=Retry(NoBackoff(), 0)) as client:
        proxy.lose_reply_to(b"EVALSHA")
        with pytest.raises(OutcomeUnknown):
            await BY_ID[name](RedisStore(client, prefix=prefix), [row.id for row in rows[:3_000]])
    assert raw.zcard(f"{prefix}{STEM}:unread") == 2_500
    assert await store.unread_count(ME) == 500
    assert audit(raw, prefix) == (500 if name == "delete" else 3_500)
    await store.erase(ME)


@pytest.mark.parametrize("only", [None, "b"])
async def test_no_script_marks_more_than_a_slice(
    store: RedisStore, raw: redis.Redis, prefix: str, only: str | None, scripts: Callable[[], Awaitable[int]]
) -> None:
    rows = await many(store, ME, 5 * SLICE)
    await store.mark_all_read(ME, types=["none such"], at=utc_now())  # now every script is known
    before = await scripts()
    assert await store.mark_all_read(ME, types=[only] if only else None, at=utc_now()) == len(rows) // (
        2 if only else 1
    )
    assert await scripts() - before >= 5
    assert audit(raw, prefix) == len(rows)
    await store.erase(ME)


async def test_seen_holds_in_every_slice(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    """Some rows were updated after what the user saw, wherever they are in the inbox."""
    rows = await many(store, ME, 2 * SLICE + 500)
    seen = rows[0].updated_at
    keyed = [Notification.new(ME, "a", key=str(n), at=LONG_AGO + timedelta(seconds=n)) for n in range(300)]
    for n, row in enumerate(keyed):
        await store.upsert(row)
        if n % 3 == 0:
            await store.upsert(replace(row, updated_at=seen + timedelta(milliseconds=1)))
    marked = await store.mark_all_read(ME, seen=seen, at=utc_now())
    assert marked == len(rows) + 200
    assert await store.unread_count(ME) == 100
    assert {row.key for row in await store.page(ME, unread_only=True, limit=200)} == {str(n) for n in range(0, 300, 3)}
    assert audit(raw, prefix) == len(rows) + 300
    await store.erase(ME)


async def test_marking_a_large_inbox_is_atomic_for_readers(store: RedisStore, redis_url: str, prefix: str) -> None:
    rows = await many(store, ME, 6 * SLICE)
    done = asyncio.Event()

    async def mark() -> int:
        try:
            return await store.mark_all_read(ME, at=utc_now())
        finally:
            done.set()

    async with redis.asyncio.Redis.from_url(redis_url) as other:
        peer = RedisStore(other, prefix=prefix)

        async def look() -> set[int]:
            seen: set[int] = set()
            while not done.is_set():
                seen.add(await peer.unread_count(ME))
                seen.add((await peer.unread_counts([ME], types=["a", "b"]))[ME])
                for row in (rows[0], rows[len(rows) // 2], rows[-1]):
                    kept = await peer.get(ME, row.id)
                    assert kept is not None
                    seen.add(0 if kept.read_at else len(rows))
                seen.add(len(rows) - len(rows) * sum(row.read_at is not None for row in await peer.page(ME)) // 50)
            return seen

        marked, *seen = await asyncio.gather(mark(), *(look() for _ in range(3)))
    assert marked == len(rows)
    assert set().union(*seen) <= {0, len(rows)}
    assert 0 in set().union(*seen)
    await store.erase(ME)


@pytest.fixture
async def half_marked(store: RedisStore, proxy: Proxy, prefix: str) -> list[Notification]:
    """The rows of an inbox whose marking ended after the first slice, as when its process dies."""
    rows = await many(store, ME, 3 * SLICE)
    await store.mark_all_read(ME, types=["none such"], at=utc_now())  # now the server knows the script
    async with redis.asyncio.Redis(host="127.0.0.1", port=proxy.port, retry=Retry(NoBackoff(), 0)) as client:
        proxy.lose_reply_to(b"EVALSHA")
        with pytest.raises(OutcomeUnknown):
            await RedisStore(client, prefix=prefix).mark_all_read(ME, at=utc_now())
    return rows


async def test_a_marking_that_was_cut_short_is_finished_by_the_next_call(
    store: RedisStore, raw: redis.Redis, prefix: str, half_marked: list[Notification]
) -> None:
    assert raw.zcard(f"{prefix}{STEM}:unread") == 2 * SLICE
    late = Notification.new(ME, "a")
    await store.insert(late)
    assert [row.id for row in await store.page(ME, unread_only=True)] == [late.id]
    assert await store.mark_all_read(ME, at=utc_now()) == 1
    assert audit(raw, prefix) == len(half_marked) + 1
    await store.erase(ME)


@pytest.mark.parametrize("lost", ["all", "unread", "counts"])
async def test_a_marking_whose_inbox_lost_a_key_does_not_block_it(
    store: RedisStore, raw: redis.Redis, prefix: str, half_marked: list[Notification], lost: str
) -> None:
    raw.delete(f"{prefix}{STEM}:{lost}")
    assert len(await store.page(ME)) == 50
    await store.mark_all_read(ME, at=utc_now())
    assert await store.unread_count(ME) == 0
    assert audit(raw, prefix) == len(half_marked)
    await store.erase(ME)


async def test_an_inbox_erased_while_it_is_marked_is_gone(
    store: RedisStore, raw: redis.Redis, prefix: str, half_marked: list[Notification]
) -> None:
    assert await store.erase(ME) == len(half_marked)
    assert await store.count(ME) == 0
    assert audit(raw, prefix) == 0


async def test_two_marks_of_a_large_inbox_share_its_rows(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    rows = await many(store, ME, 4 * SLICE)
    marked = await asyncio.gather(*(store.mark_all_read(ME, types=types, at=utc_now()) for types in (["a"], None)))
    assert sum(marked) == len(rows)
    assert audit(raw, prefix) == len(rows)
    await store.erase(ME)


async def test_a_dying_node_of_a_cluster_raises_nothing_but_store_errors(cluster: Cluster, redis_prefix: str) -> None:
    inboxes = [Recipient(str(n)) for n in range(30)]
    async with redis.asyncio.RedisCluster.from_url(cluster.url) as client:
        store = RedisStore(client, prefix=f"{redis_prefix}dying:")
        stopped, failing = asyncio.Event(), asyncio.Event()
        errors: list[Exception] = []

        async def load(n: int) -> None:
            me = inboxes[n % len(inboxes)]
            while not stopped.is_set():
                calls: list[Callable[[], Awaitable[object]]] = [
                    lambda: store.unread_count(me),
                    lambda: store.unread_counts(inboxes),
                    lambda: store.upsert(Notification.new(me, "a", key="k")),
                    lambda: store.erase(me),
                    lambda: store.erase_tenant("none such"),
                ]
                for call in calls:
                    try:
                        await call()
                    except Exception as error:
                        errors.append(error)
                        if len(errors) == 50:
                            failing.set()

        tasks = [asyncio.create_task(load(n)) for n in range(16)]
        for _ in range(50):  # until every task is in the middle of some call
            await asyncio.sleep(0)
        cluster.nodes[2].kill()
        try:
            await asyncio.wait_for(failing.wait(), 30)
        finally:
            stopped.set()
            cluster.nodes[2].start()
            await asyncio.gather(*tasks)
            await asyncio.to_thread(cluster.wait_until_whole)
        assert [repr(error) for error in errors if not isinstance(error, StoreError)] == []
