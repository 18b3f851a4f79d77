"""redis-py resends a command whose reply was lost: every write takes effect once, and returns its first result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from notistore import Notification, OutcomeUnknown, Recipient
from notistore.model import utc_now
from notistore_redis import RedisStore, keys
from tools.proxy import Proxy

from .audit import audit

ME = Recipient("42")
LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


@pytest.fixture
def prefix(redis_prefix: str) -> str:
    return f"{redis_prefix}resends:"


@pytest.fixture
async def store(redis_url: str, raw: redis.Redis, proxy: Proxy, prefix: str) -> AsyncIterator[RedisStore]:
    """Its client sends every command up to three times; the server knows every script already."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=proxy.port, retry=Retry(NoBackoff(), 2)) as client:
        store = RedisStore(client, prefix=prefix)
        row = await store.upsert(Notification.new(ME, "warm", key="warm"))
        await store.insert(Notification.new(ME, "warm"))
        await store.mark_read(ME, row.id, at=utc_now())
        await store.mark_all_read(ME, at=utc_now())
        await store.delete(ME, row.id)
        await store.prune(older_than=LONG_AGO)
        await store.erase(ME)
        yield store
        assert proxy.lost_all
        audit(raw, prefix)
        await store.erase(ME)


@pytest.mark.parametrize("times", [1, 2])
async def test_an_insert_is_no_duplicate_of_itself(store: RedisStore, proxy: Proxy, times: int) -> None:
    row = Notification.new(ME, "a")
    proxy.lose_reply_to(b"EVALSHA", times)
    await store.insert(row)
    assert await store.page(ME) == [row]


async def test_an_insert_whose_claim_to_its_id_was_lost_succeeds(store: RedisStore, proxy: Proxy) -> None:
    row = Notification.new(ME, "a")
    proxy.lose_reply_to(b"HSETNX")
    await store.insert(row)
    assert await store.get(ME, row.id) == row


async def test_many_rows_go_in_once(store: RedisStore, proxy: Proxy) -> None:
    rows = [Notification.new(ME, "a") for _ in range(3)]
    proxy.lose_reply_to(b"EVALSHA")
    assert store.insert_many is not None
    await store.insert_many(rows)
    assert await store.count(ME) == 3


async def test_an_upsert_raises_the_version_once(store: RedisStore, proxy: Proxy) -> None:
    row = Notification.new(ME, "a", key="k")
    await store.upsert(row)
    proxy.lose_reply_to(b"EVALSHA", 2)
    stored = await store.upsert(row)
    assert stored.version == 2
    assert await store.get(ME, row.id) == stored


async def test_an_upsert_sent_again_does_not_overwrite_a_later_one(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Notification.new(ME, "a", {"n": 1}, key="k")
    later = replace(first, data={"n": 2})
    receipt = keys.receipt(keys.Keys("").stem(ME))
    with monkeypatch.context() as same_call:
        same_call.setattr(keys, "receipt", lambda stem: stem + receipt)
        answered = await store.upsert(first)
    stored = await store.upsert(later)
    with monkeypatch.context() as same_call:
        same_call.setattr(keys, "receipt", lambda stem: stem + receipt)
        assert await store.upsert(first) == answered
    assert await store.get(ME, first.id) == stored
    assert (stored.version, stored.data) == (2, {"n": 2})


async def test_marks_report_what_they_did(store: RedisStore, proxy: Proxy) -> None:
    row = Notification.new(ME, "a")
    await store.insert(row)
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.mark_read(ME, row.id, at=utc_now()) == 1
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.mark_unread(ME, row.id) == 1
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.mark_all_read(ME, at=utc_now()) == 1
    assert await store.unread_count(ME) == 0


async def test_deletions_report_what_they_did(store: RedisStore, proxy: Proxy) -> None:
    rows = [Notification.new(ME, "a", at=LONG_AGO) for _ in range(4)]
    for row in rows:
        await store.insert(row)
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.delete(ME, rows[0].id) == 1
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.prune(older_than=LONG_AGO.replace(year=1972), limit=2) == 2
    proxy.lose_reply_to(b"EVALSHA")
    assert await store.erase(ME) == 1


async def test_without_resends_the_error_says_that_the_outcome_is_unknown(
    store: RedisStore, proxy: Proxy, prefix: str
) -> None:
    row = Notification.new(ME, "a", key="k")
    async with redis.asyncio.Redis(host="127.0.0.1", port=proxy.port, retry=Retry(NoBackoff(), 0)) as client:
        impatient = RedisStore(client, prefix=prefix)
        proxy.lose_reply_to(b"EVALSHA")
        with pytest.raises(OutcomeUnknown, match="it is unknown whether the call took effect"):
            await impatient.upsert(row)
        assert await impatient.get(ME, row.id) == row


async def test_receipts_expire(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    await store.insert(Notification.new(ME, "a"))
    left = [raw.pttl(key) for key in raw.scan_iter(match=f"{prefix}*:call:*")]
    assert left
    assert all(0 < milliseconds <= 120_000 for milliseconds in left)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_marking_in_several_slices_is_counted_once(store: RedisStore, proxy: Proxy, times: int) -> None:
    assert store.insert_many is not None
    for _ in range(5):
        await store.insert_many([Notification.new(ME, "a") for _ in range(1_000)])
    proxy.lose_reply_to(b"EVALSHA", times)
    assert await store.mark_all_read(ME, at=utc_now()) == 5_000
    assert await store.unread_count(ME) == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_a_delete_in_several_slices_is_counted_once(store: RedisStore, proxy: Proxy, times: int) -> None:
    assert store.insert_many is not None
    rows = [Notification.new(ME, "a") for _ in range(3_000)]
    await store.insert_many(rows)
    proxy.lose_reply_to(b"EVALSHA", times)
    assert await store.delete(ME, *(row.id for row in rows)) == 3_000
    assert await store.count(ME) == 0
